"""CloudFront's entities: what they are, what time does to them, and how they are stored.

It never judges a request: that is what `rules` are for.
"""
