"""Connections, tunnels, HTTP/1.1 and HTTP/2 on them, and the list of open tunnels.

Here belongs what moves bytes and messages. What a request means to CloudFront or to a load balancer
never does.
"""
