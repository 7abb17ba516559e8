"""The pages. A view parses, calls one action, renders; it decides nothing that another entrance
would decide too.
"""
