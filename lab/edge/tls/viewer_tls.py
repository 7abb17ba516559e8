"""TLS with viewers: certificate, SNI, and the negotiated versions of TLS and HTTP.

As on CloudFront, HTTP/2 is chosen if the viewer offers it and the distribution allows it, and the
distribution's security policy limits the TLS versions. Browsers offer only http/1.1 for WebSockets;
a client that offers h2 and then sends an Upgrade is refused.
"""

from __future__ import annotations

import io
import ssl
from asyncio import sslproto
from collections.abc import Callable, Mapping
from pathlib import Path

from lab.certificates import ensure_certificates
from lab.edge.account.distributions import Distribution
from lab.edge.tls.origin_tls import EVERYTHING

HTTP2 = "h2"
HTTP1 = "http/1.1"
# asyncio allocates 256 KB for each TLS connection. This process holds thousands of idle sockets,
# and a TLS record is at most 16 KB.
READ_BUFFER = 16 * 1024
TLS_1_0 = 0x0301
MAJOR = 3
# By the part of a security policy's name before its year. OpenSSL no longer supports SSL 3.
LOWEST_VERSIONS: Mapping[str, int] = {
    "TLSv1": TLS_1_0,
    "TLSv1.1": 0x0302,
    "TLSv1.2": 0x0303,
    "TLSv1.3": 0x0304,
}
HANDSHAKE, CLIENT_HELLO, SUPPORTED_VERSIONS = 22, 1, 43


class ViewerTls(ssl.SSLObject):
    """A viewer's TLS object that remembers its SNI and the highest version it offered."""

    requested_name: str = ""
    offered_version: int = 0


def requested_name(tls: ssl.SSLObject | None) -> str:
    """The SNI of a viewer's handshake in lower case; "" without TLS or SNI."""
    return tls.requested_name if isinstance(tls, ViewerTls) else ""


class TlsProtocol(sslproto.SSLProtocol):
    """asyncio's TLS with a smaller buffer and two fixes.

    A refused client gets an alert before the connection closes. Writes to a broken connection are
    dropped, as in Python 3.12; 3.11 logs a warning for each.
    """

    max_size = READ_BUFFER

    def _on_handshake_complete(self, handshake_exc: BaseException | None) -> None:
        if handshake_exc is not None:
            self._process_outgoing()
        super()._on_handshake_complete(handshake_exc)

    def _process_outgoing(self) -> None:
        transport = self._transport
        if transport is not None and transport.is_closing():
            self._outgoing.read()  # type: ignore[attr-defined]
        super()._process_outgoing()  # type: ignore[misc]


def tls_context(
    state_dir: Path, distribution_of: Callable[[str], Distribution | None]
) -> ssl.SSLContext:
    """The server context for viewers; `distribution_of` finds a distribution by host name."""
    initial = _context(state_dir, [HTTP2, HTTP1])
    either = _context(state_dir, [HTTP2, HTTP1])
    http1_only = _context(state_dir, [HTTP1])

    def on_sni(
        tls: ssl.SSLObject | ssl.SSLSocket, name: str | None, _context: ssl.SSLContext
    ) -> int | None:
        distribution = distribution_of(name or "")
        # None of these contexts has a message callback, so it sees no further messages.
        tls.context = either if distribution is None or distribution.http2 else http1_only
        if not isinstance(tls, ViewerTls):
            return None
        tls.requested_name = (name or "").lower()
        if distribution is not None and tls.offered_version < lowest_version(
            distribution.security_policy
        ):
            return ssl.ALERT_DESCRIPTION_PROTOCOL_VERSION
        return None

    def on_message(
        tls: ViewerTls, direction: str, _version: int, content: int, message: int, data: bytes
    ) -> None:
        if (direction, content, message) == ("read", HANDSHAKE, CLIENT_HELLO):
            tls.offered_version = offered_version(data)

    initial.sni_callback = on_sni
    # OpenSSL negotiates the version before it reads the SNI, and does not say which: so read the
    # ClientHello.
    initial._msg_callback = on_message  # type: ignore[attr-defined]
    return initial


def lowest_version(policy: str) -> int:
    """The lowest TLS version of a security policy, as encoded on the wire (Developer Guide,
    "Supported protocols and ciphers between viewers and CloudFront").
    """
    return LOWEST_VERSIONS.get(policy.partition("_")[0], TLS_1_0)


def offered_version(hello: bytes) -> int:
    """The highest version that a ClientHello offers (RFC 8446 sections 4.1.2 and 4.2.1); 0 if it is
    truncated.
    """
    read = io.BytesIO(hello[4:])

    def number(size: int) -> int:
        piece = read.read(size)
        if len(piece) < size:
            raise EOFError
        return int.from_bytes(piece, "big")

    try:
        highest = number(2)
        read.seek(32, io.SEEK_CUR)
        for size in (1, 2, 1):  # session id, cipher suites, compression
            read.seek(number(size), io.SEEK_CUR)
        extensions = read.read(2)
        end = read.tell() + int.from_bytes(extensions, "big")
        while read.tell() < end:
            kind, size = number(2), number(2)
            if kind != SUPPORTED_VERSIONS:
                read.seek(size, io.SEEK_CUR)
                continue
            offered = [number(2) for _ in range(number(1) // 2)]
            # Skip GREASE values (RFC 8701).
            highest = max(
                (version for version in offered if version >> 8 == MAJOR), default=highest
            )
    except EOFError:
        return 0
    return highest


def _context(state_dir: Path, protocols: list[str]) -> ssl.SSLContext:
    certificates = ensure_certificates(state_dir)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = ViewerTls
    # CloudFront's own certificate allows TLS 1.0, for which OpenSSL needs its lowest level.
    context.set_ciphers(EVERYTHING)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.load_cert_chain(certificates.chain, certificates.key)
    context.set_alpn_protocols(protocols)
    return context
