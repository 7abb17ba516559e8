"""Which steps a fault takes, from what the account looks like now.

A plan only reads. It changes what the fault needs and nothing else; `lab.faults.steps` act.
"""
