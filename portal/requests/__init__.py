"""Endpoint requests: lifecycle, verbs, planning, event follower, approvals, preflight amendments
and suggested requests.

Every verb is one function here; pages, API and console only call it.
"""
