"""Endpoints in AWS: what shall be, what would change, the runs that change it, and the event log.

The lowest layer of the product: it knows neither checks nor portal. They read its event log.
"""
