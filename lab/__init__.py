"""The lab: AWS accounts, a CloudFront edge and origin apps on this machine, reached over the
network only.

Layers: `endpoint`, `page`, `faults`; below them `aws`, `edge` and `apps`, which do not import each
other. Nothing here imports the product.
"""
