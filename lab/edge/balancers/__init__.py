"""Elastic Load Balancing: listeners as sockets on loopback, their targets, and health checks.

Here belongs what accepts, forwards and checks. The decisions are in `rules`. CloudFront
never appears here.
"""
