"""The REST API: each view parses, calls one action or reads one set, and shows the result."""
