"""The edge as its own origin: a distribution whose origin is another distribution.

It decides only how the edge connects to itself. How many distributions may stand in a row is
`viewer_rules.py`'s.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from lab.certificates import ensure_certificates
from lab.edge.cdn.request_pipeline import EdgePorts
from lab.edge.wire.connection import Connection

LOOPBACK = "127.0.0.1"


class NestedDistributions:
    """Connections of the edge to itself."""

    def __init__(self, ports: EdgePorts, state_dir: Path) -> None:
        self._ports = ports
        self._state_dir = state_dir
        self._trust: ssl.SSLContext | None = None

    async def connect(self, name: str, *, tls: bool) -> Connection:
        """A connection to the distribution that answers for `name`.

        :raises OSError: the edge is closing, or its certificate is not for that name, or it is no
        name at all.
        """
        loop = asyncio.get_running_loop()
        if not tls:
            _, connection = await loop.create_connection(Connection, LOOPBACK, self._ports.plain)
            return connection
        if self._trust is None:
            self._trust = ssl.create_default_context(
                cafile=str(ensure_certificates(self._state_dir).ca)
            )
            # CloudFront speaks HTTP/1.1 to every origin.
            self._trust.set_alpn_protocols(["http/1.1"])
        try:
            _, connection = await loop.create_connection(
                Connection, LOOPBACK, self._ports.tls, ssl=self._trust, server_hostname=name
            )
        except ValueError as error:
            raise ConnectionAbortedError(f"{name!r} is no name for a certificate") from error
        return connection
