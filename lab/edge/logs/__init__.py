"""CloudFront's access log: one row for each finished request, and the rows kept to be read.

Here belongs what is written about a request after it ended. No rule may depend on it.
"""
