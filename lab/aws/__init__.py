"""The lab's AWS endpoint: moto for EC2, ELBv2, STS and the rest, and our own CloudFront."""
