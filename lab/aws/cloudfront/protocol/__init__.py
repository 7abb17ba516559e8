"""CloudFront on the wire: botocore's service model, the REST-XML protocol, XML bodies, errors.

It knows shapes and bytes, never an account or an entity.
"""
