"""What a load balancer decides: listener rules, targets, stickiness, health (PURE).

Here belong functions of request, account and draw. Sockets and clocks never do.
"""
