"""What a distribution or a VPC origin refers to in the rest of an account: targets, certificates,
web ACLs, network interfaces.

Typed readings of moto, except for `vpc_origin_network`, whose changes go through the journal.
Callers hold the lab's lock.
"""
