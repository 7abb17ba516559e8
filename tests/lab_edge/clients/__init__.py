"""WebSocket clients that are not ours, and how they come onto this machine."""
