"""CloudFront's API, one module per kind of resource, one function per operation.

An operation reads its parameters, asks the rules, stores the result and returns the reply. Every
module lists its operations by AWS's names in `OPERATIONS`. Rules that two operations share belong
in `rules`; parsing and writing of XML belongs in `protocol`.
"""
