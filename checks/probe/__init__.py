"""Network attempts: sockets, TLS and asyncio around the protocol, each bounded in time and size.

A probe ends in a transcript or a report. It never writes rows and never names a cause.
"""
