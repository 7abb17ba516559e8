"""Endpoint requests: lifecycle, verbs, planning, event follower, approvals and suggestions.

Every verb is one function here; pages, API and console only call it.
"""
