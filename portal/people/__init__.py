"""Persons, teams, roles, tokens, sign-in and sessions.

Who a person is and which role they have. What they may do with a request is decided in
`portal.requests.lifecycle`.
"""
