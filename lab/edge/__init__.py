"""The lab's data plane: CloudFront's edge, its VPC origins and the load balancers behind them, on
loopback.

It decides what AWS's data plane would do with a viewer's request and moves the bytes. It must never
speak to the portal, and never learn anything about the account except from the lab's AWS process.
"""
