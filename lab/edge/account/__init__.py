"""What the lab's AWS process says of the account in `/_lab/state`, as frozen values (PURE).

Here belong dataclasses and the parsers that fill them. What CloudFront, a load balancer or AWS WAF
does with a request is a rule, and belongs to the rooms above; so does everything with a socket.
"""
