"""Whole stories over the really running product: what people, ticket systems and accidents do to
it.
"""
