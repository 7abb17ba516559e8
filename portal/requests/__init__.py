"""Endpoint requests: their life, their verbs, planning, following the event log, approvals, and what is suggested.

Every verb is one function here; pages, API and console only call it.
"""
