"""Secrets at rest: the keys, a team's named secrets, and fingerprints that tell values apart.

Values leave here only to be sent, by a check or as a header that CloudFront adds for an origin: no
plan, page, API answer, event or log has them. Masking and references are provisioning.redaction.
"""
