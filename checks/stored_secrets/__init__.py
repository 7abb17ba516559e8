"""What of a team's secrets concerns checks: who refers to them, and what a check keeps until it is
made.

The secrets themselves are provisioning.secrets; masking and references are provisioning.redaction.
"""
