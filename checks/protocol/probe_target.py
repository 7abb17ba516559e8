"""What a probe asks for (PURE)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """What to ask for: a ws:// or wss:// URL and what a caller adds to the handshake."""

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    subprotocols: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    """Whole offers; permessage-deflate is the only one that can be agreed on."""
    origin: str | None = None
    upgrade: bool = True
    """False asks for the same address with a plain GET; subprotocols and extensions are then left
    out.
    """
