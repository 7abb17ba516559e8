"""The lab's CloudFront control plane: VPC origins, distributions, policies and tags, with AWS's
rules and delays.
"""
