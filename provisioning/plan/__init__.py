"""What would change in AWS, item by item, and an endpoint's part of a distribution's configuration.

Pure: it compares a spec with a snapshot and never asks AWS. Start at `planner.make_plan`; there is
a module per resource.
"""
