"""What an endpoint shall be: its settings, how they are derived and parsed, and their digest (PURE)."""
