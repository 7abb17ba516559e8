"""The AWS endpoint's process: HTTP, access keys, `/_lab`, and the accounts of the first start.

It decides only who answers a request: CloudFront, moto, or the lab itself. What AWS does is
`lab.aws`; what goes wrong on purpose is `lab.faults`. Nothing imports this package.
"""
