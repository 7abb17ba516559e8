"""The lab: an AWS account, a CloudFront edge and origin apps on this machine, reached only over the
network.
"""
