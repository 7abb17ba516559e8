"""What would change in AWS to bring an endpoint to its spec (PURE)."""
