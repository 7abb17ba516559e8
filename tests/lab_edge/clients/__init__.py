"""WebSocket clients that are not ours."""
