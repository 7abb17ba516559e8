"""The WebSocket client's side of RFC 6455 and RFC 7692, without I/O (PURE).

Bytes and frozen values in, bytes and frozen values out. Nothing here opens a socket, reads a clock
or knows a verdict.
"""
