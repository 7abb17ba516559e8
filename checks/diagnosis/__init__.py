"""From what was seen to a verdict with cause and fix (PURE).

Rules are functions and tables over frozen values. Nothing here makes a probe or asks AWS.
"""
