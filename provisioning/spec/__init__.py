"""What an endpoint is asked to be: its settings, how they are parsed and derived, and their digest.

Start at `fields.py`: one row per setting. Everything here is pure. What AWS has today is in
`provisioning.facts`, and what would change there in `provisioning.plan`.
"""
