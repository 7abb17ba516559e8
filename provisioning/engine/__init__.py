"""What happens next in a run, decided over frozen values (PURE).

It knows no AWS, no database and no clock; `provisioning.runner` is its shell.
"""
