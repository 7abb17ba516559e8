"""From what was seen to a verdict with cause and fix (PURE).

What one response suggests is `STATUS_RULES`, `signatures.toml` and `transcript_rules`; what several
observations and AWS's side say is `evidence_rules` and `config_rules`. `ranking` lets them compete.
Rules are rows and functions over frozen values. Nothing here makes a probe or asks AWS.
"""
