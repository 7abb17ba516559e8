"""Live endpoints as people use them: status, uptime, checks, probes and privacy audits on demand.

What a check does is decided in `checks`; here is who may ask for one, and where it is recorded.
"""
