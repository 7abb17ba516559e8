"""What people and programs read of checks and probes: reports, tables, command lines (PURE).

Nothing here decides a verdict.
"""
