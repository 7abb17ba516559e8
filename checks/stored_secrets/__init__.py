"""Secrets at rest: the keys, a team's named secrets, and what a check keeps until it is made.

Values leave here only to be sent: no page, API answer, event or log has them. Masking and
references are provisioning.redaction.
"""
