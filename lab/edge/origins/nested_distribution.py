"""A distribution whose origin is another distribution: the edge connects to itself.

`cdn.viewer_rules` limits how many may be nested.
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
    """Connects the edge to itself."""

    def __init__(self, ports: EdgePorts, state_dir: Path) -> None:
        self._ports = ports
        self._state_dir = state_dir
        self._trust: ssl.SSLContext | None = None

    async def connect(self, name: str, *, tls: bool) -> Connection:
        """Connect to the distribution that answers for `name`.

        :raises OSError: the edge is shutting down, its certificate does not cover `name`, or `name`
            is not a host name.
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
            raise ConnectionAbortedError(f"{name!r} is not a host name") from error
        return connection
