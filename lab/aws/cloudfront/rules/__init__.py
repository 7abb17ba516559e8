"""What CloudFront refuses, and the defaults it fills in.

A rule reads entities and raises `CloudFrontError` with AWS's own code. It never stores or changes
anything, and never reads a clock: `Context` carries the time.
"""
