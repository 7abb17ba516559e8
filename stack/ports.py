"""The six ports of the product, and the process that holds one of them. It never frees a port."""

from __future__ import annotations

import errno
import secrets
import socket
from dataclasses import dataclass, fields

import psutil

LOOPBACK = "127.0.0.1"


class PortTaken(Exception):
    """Another process listens there; carries the port, its purpose and, if known, the process."""

    def __init__(self, port: int, purpose: str, holder: str, suggestion: int) -> None:
        super().__init__(port, purpose, holder, suggestion)
        self.port, self.purpose, self.holder, self.suggestion = port, purpose, holder, suggestion

    def __str__(self) -> str:
        by = f" by {self.holder}" if self.holder else ""
        return f"port {self.port} ({self.purpose}) is taken{by}; run it with PORT={self.suggestion}"


class NoFreePorts(Exception):
    """All are taken; the message names the range."""


@dataclass(frozen=True)
class Ports:
    """One port per listener, all on loopback."""

    web: int
    aws: int
    edge_tls: int
    edge: int
    apps: int
    redis: int

    @classmethod
    def from_base(cls, base: int) -> Ports:
        """PORT, PORT+1, … PORT+5."""
        return cls(*range(base, base + len(fields(cls))))

    @classmethod
    def free(cls) -> Ports:
        """Six free ports in a row, below the range from which the kernel takes client ports: a
        restarted child must find its port still free.
        """
        for _ in range(200):
            base = 10_000 + secrets.randbelow(2_000) * 10
            if all(is_free(base + offset) for offset in range(len(fields(cls)))):
                return cls.from_base(base)
        raise NoFreePorts(
            "no six free ports in a row between 10000 and 30000; stop something, or set PORT="
        )

    def check(self) -> None:
        """:raises PortTaken: the first port that cannot be listened on."""
        numbers = [int(getattr(self, each.name)) for each in fields(self)]
        for each, number in zip(fields(self), numbers, strict=True):
            if not is_free(number):
                raise PortTaken(number, PURPOSES[each.name], _holder(number), _suggestion(self.web))


PURPOSES = {
    "web": "the portal",
    "aws": "the lab's AWS endpoint",
    "edge_tls": "the lab's edge, TLS",
    "edge": "the lab's edge, plain HTTP",
    "apps": "the lab's apps",
    "redis": "Redis",
}


def is_free(port: int) -> bool:
    """Whether a server could bind there now (with SO_REUSEADDR)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def _suggestion(base: int) -> int:
    """The next multiple of 1000 with six free ports."""
    start = base // 1000 * 1000
    for candidate in range(start + 1000, 60_000, 1000):
        if all(is_free(candidate + offset) for offset in range(len(PURPOSES))):
            return candidate
    return 20_000


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            listens = (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr
                and connection.laddr[1] == port
            )
            if listens and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        return ""
    return ""
