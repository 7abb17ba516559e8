"""What happens next in a run, decided over frozen values.

Pure: no AWS, no database, no clock. `provisioning.runner` is its shell.
"""
