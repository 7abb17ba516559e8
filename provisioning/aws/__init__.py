"""The only code that calls boto3: one module per AWS noun, and one table of errors.

Dictionaries of AWS end here; above it there are frozen values. It knows no Django.
"""
