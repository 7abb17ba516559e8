"""The tests, as a package: modules of different packages may share a name, and `tests/lab` cannot
hide `lab`.
"""
