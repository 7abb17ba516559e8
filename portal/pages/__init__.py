"""The pages: views, forms and template tags. A view parses, calls one action and renders. A rule
that the API or the console needs too belongs to a room below.
"""
