"""What CloudFront does with a request, as pure functions of request and account (PURE).

Here belong routing, viewer rules, AWS WAF, signatures, forwarding, response headers, error caching
and error pages. Clocks, chance and earlier requests are arguments; sockets never appear.
"""
