"""Drift: what AWS has, compared with what was approved and what the portal's rows say.

Here it is found and recorded, never repaired: restoring or adopting a change is a request like any
other. `comparison` is pure; `observe` asks AWS, `reports` stores what follows.
"""
