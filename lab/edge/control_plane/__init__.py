"""What the edge and the lab's AWS process say to each other over HTTP.

Here belong polling for the account's state and reporting health back. Only this room knows the URL
of the AWS process.
"""
