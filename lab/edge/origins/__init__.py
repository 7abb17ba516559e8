"""Fetching from an origin: a load balancer, an instance, another distribution, or API Gateway.

Here belongs the way from a behavior's origin to the head of its response. What the viewer finally
gets is decided above.
"""
