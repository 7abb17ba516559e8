"""Elastic Load Balancing: listeners as sockets on loopback, their targets, and health checks.

Here belongs what accepts, forwards and checks. What a load balancer decides is in `rules`; CloudFront
never appears here.
"""
