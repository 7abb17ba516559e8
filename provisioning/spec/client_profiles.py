"""The clients that a check can look like: the header lines that each sends beside the handshake's
own (PURE, DATA).

Firewalls and bot rules judge a client by these lines. Sources: Chrome 131's and Firefox's handshake
in their network panels; the packages ws 8, websockets 15 and OkHttp 4.12.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

HeaderLines = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ClientProfile:
    """`headers` in the order in which the client sends them; `sends_origin` as browsers do."""

    key: str
    title: str
    headers: HeaderLines
    sends_origin: bool = False

    def lines(self, given: HeaderLines) -> HeaderLines:
        """This client's lines and those that are `given`, which win."""
        named = {name.lower() for name, _ in given}
        own = tuple(line for line in self.headers if line[0].lower() not in named)
        return (*own, *given)


BROWSER = ClientProfile(
    "browser",
    "Browser (Chrome)",
    (
        ("Pragma", "no-cache"),
        ("Cache-Control", "no-cache"),
        (
            "User-Agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/131.0.0.0 Safari/537.36",
        ),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Accept-Language", "en-US,en;q=0.9"),
    ),
    sends_origin=True,
)
NODE = ClientProfile("node", "Node.js (ws)", ())
PYTHON = ClientProfile(
    "python", "Python (websockets)", (("User-Agent", "Python/3.11 websockets/15.0.1"),)
)
ANDROID = ClientProfile(
    "android",
    "Mobile SDK (OkHttp)",
    (("Accept-Encoding", "gzip"), ("User-Agent", "okhttp/4.12.0")),
)
CLIENTS: Mapping[str, ClientProfile] = MappingProxyType(
    {client.key: client for client in (BROWSER, NODE, PYTHON, ANDROID)}
)
"""The profiles by key, in the order of the form."""
