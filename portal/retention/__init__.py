"""What is deleted when it is old, and how far that has come.

`policy` is pure and decides about checks. The modules beside it delete in small batches, each in a
transaction of its own. Approvals, requests, privacy audits and endpoints are never deleted.
"""
