"""Persons, teams, roles, tokens, sign-in and sessions.

Who somebody is and what role they have. What they may do with a request is decided in `portal.requests.lifecycle`.
"""
