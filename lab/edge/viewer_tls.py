"""TLS with viewers: the certificate, the name they ask for, and which HTTP version is agreed on.

It decides as CloudFront does: HTTP/2 whenever the viewer offers it and the distribution that it names allows it.
Browsers offer http/1.1 alone for WebSockets; a client that offers h2 and then sends an Upgrade is refused.
It must never agree to a version that nobody serves.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from lab.certificates import ensure_certificates

HTTP2 = "h2"
HTTP1 = "http/1.1"


class ViewerTls(ssl.SSLObject):
    """A viewer's TLS that remembers which name was asked for."""

    requested_name: str = ""


def requested_name(tls: ssl.SSLObject | None) -> str:
    """The server name of a viewer's handshake in lower case, "" without TLS or without a name."""
    return tls.requested_name if isinstance(tls, ViewerTls) else ""


def tls_context(state_dir: Path, allows_http2: Callable[[str], bool]) -> ssl.SSLContext:
    """The context for viewers; `allows_http2` says whether the distribution of that name speaks HTTP/2."""
    chosen = _context(state_dir, [HTTP2, HTTP1])
    http1_only = _context(state_dir, [HTTP1])

    def named(tls: ssl.SSLObject | ssl.SSLSocket, name: str | None, _context: ssl.SSLContext) -> None:
        if isinstance(tls, ViewerTls):
            tls.requested_name = (name or "").lower()
        if not allows_http2(name or ""):
            tls.context = http1_only

    chosen.sni_callback = named
    return chosen


def _context(state_dir: Path, protocols: list[str]) -> ssl.SSLContext:
    certificates = ensure_certificates(state_dir)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = ViewerTls
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificates.chain, certificates.key)
    context.set_alpn_protocols(protocols)
    return context
