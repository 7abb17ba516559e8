"""Faults: named ways in which the lab misbehaves, each with the verdict that it must cause.

The registry is data; `aiming` finds what a fault must hit, `keeper` sets and clears. No fault may
leave anything behind that it did not find, and none needs the lab to be restarted.
"""
