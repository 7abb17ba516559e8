"""The side that faces viewers: their connections, and each request from its head to its log row.

Here belongs the order in which the rules of the other rooms are applied. New rules belong to them.
"""
