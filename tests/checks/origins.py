"""Small origins on loopback, most of them hostile, and the certificates they show."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import json
import socket
import ssl
import struct
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID, NameOID

from checks.diagnosis.transcript_rules import diagnose
from checks.probe.limits import Limits
from checks.probe.prober import ProbeNetwork, probe
from checks.protocol.address_guard import parse_networks
from checks.protocol.connect_to import parse_connect_to
from checks.protocol.handshake import accept_for
from checks.protocol.handshake_options import ProbeTarget
from checks.protocol.script import Script
from checks.protocol.transcript import Transcript

HOST = "d111.cloudfront.net"
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)

Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Authority:
    """A CA that signs certificates for tests."""

    directory: Path
    name: str = "Test CA"
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def __post_init__(self) -> None:
        self.certificate = self._signed(self.name, self.name, self.key, ca=True)
        self.file = self.directory / f"{self.name}.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def server(
        self,
        *names: str,
        since: datetime.timedelta = -DAY,
        until: datetime.timedelta = DAY,
        own: bool = False,
        listed: bytes = b"",
    ) -> ssl.SSLContext:
        """A server's context with a certificate for these names; `own` makes it self-signed,
        `listed` is a subject alternative name in DER that stands in place of them.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        signer = key if own else self.key
        issuer = names[0] if own else self.name
        certificate = self._signed(
            names[0],
            issuer,
            key,
            names=names,
            signer=signer,
            since=since,
            until=until,
            listed=listed,
        )
        file = self.directory / f"{abs(hash((names, since, own, listed)))}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context

    @staticmethod
    def _signed(
        subject: str,
        issuer: str,
        key: ec.EllipticCurvePrivateKey,
        *,
        names: tuple[str, ...] = (),
        signer: ec.EllipticCurvePrivateKey | None = None,
        since: datetime.timedelta = -DAY,
        until: datetime.timedelta = DAY,
        ca: bool = False,
        listed: bytes = b"",
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + since)
            .not_valid_after(NOW + until)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if listed:
            raw = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, listed)
            builder = builder.add_extension(raw, critical=False)
        elif names:
            wanted = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
            builder = builder.add_extension(wanted, critical=False)
        # RFC 5280 4.2.1 wants these of every CA and of what it signs; Python verifies so from 3.13
        # on.
        signing = x509.KeyUsage(
            digital_signature=not ca,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=ca,
            crl_sign=ca,
            encipher_only=False,
            decipher_only=False,
        )
        issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key((signer or key).public_key())
        builder = builder.add_extension(signing, critical=True).add_extension(
            issued_by, critical=False
        )
        own_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        return builder.add_extension(own_key, critical=False).sign(signer or key, hashes.SHA256())


@dataclass
class Origin:
    """A listening origin: how to reach it, and how many connections it has seen begin and end."""

    port: int
    network: ProbeNetwork
    url: str
    begun: int = 0
    ended: int = 0
    shook: int = 0


@contextlib.asynccontextmanager
async def origin(
    behave: Behave, *, tls: ssl.SSLContext | None = None, authority: Authority | None = None
) -> AsyncIterator[Origin]:
    """Run an origin on loopback that behaves like this, reached as HOST by a connect-to rule."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        here.begun += 1
        try:
            await behave(reader, writer)
            await until_gone(reader)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            here.ended += 1
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, limit=2**20)
    port = server.sockets[0].getsockname()[1]
    here = Origin(port, network_to(port, authority), f"{'wss' if tls else 'ws'}://{HOST}/ws")
    try:
        yield here
    finally:
        server.close()


def network_to(port: int, authority: Authority | None = None) -> ProbeNetwork:
    """The way to an origin on this port of loopback."""
    return ProbeNetwork(
        connect_to=parse_connect_to(f"{HOST}::127.0.0.1:{port}"),
        ca_file=str(authority.file) if authority else None,
        allowed_networks=parse_networks("127.0.0.1/32"),
    )


QUICK = Limits(total_s=1.5, dns_s=0.2, connect_s=0.5, tls_s=1.0, body_s=0.15, close_s=0.15)
ONE_TURN = 1.0
"""What may remain after the limit, in seconds: one turn of the event loop."""
ASK = replace(Script.echo(), first_frame_s=0.05, echo_s=0.2, ping_s=0.2)


@contextmanager
def ends_within(seconds: float) -> Iterator[None]:
    """Assert that the block takes no more than this and one turn of the event loop. Seconds for
    which a busy machine kept this thread waiting are not the block's.
    """
    began, waited = time.perf_counter(), waited_for_a_core()
    yield
    took = time.perf_counter() - began - (waited_for_a_core() - waited)
    assert took < seconds + ONE_TURN


def waited_for_a_core() -> float:
    """Seconds in which this thread could run and another was let run. Only Linux tells; elsewhere
    0.
    """
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


async def ask(
    here: Origin, *, script: Script = ASK, limits: Limits = QUICK, target: ProbeTarget | None = None
) -> Transcript:
    """Probe an origin, see that the probe ended in time and that it let go of the connection."""
    with ends_within(limits.total_s):
        seen = await probe(
            target or ProbeTarget(here.url), network=here.network, script=script, limits=limits
        )
    for _ in range(100):
        if here.ended == here.begun:
            break
        await asyncio.sleep(0.01)
    assert here.ended == here.begun, "the probe left its connection open"
    assert json.dumps(seen.to_dict())
    assert diagnose(seen)
    return seen


async def until_gone(reader: asyncio.StreamReader) -> None:
    """Read until the other side has ended the connection."""
    while await reader.read(65_536):
        pass


async def key_of(reader: asyncio.StreamReader) -> str:
    """Read the request's head and return its key."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    return next(
        line.split(": ", 1)[1]
        for line in head.split("\r\n")
        if line.startswith("Sec-WebSocket-Key")
    )


async def accept(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, extra: str = ""
) -> None:
    """Answer the upgrade as RFC 6455 wants, with further header lines."""
    answer = accept_for(await key_of(reader))
    writer.write(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {answer}\r\n{extra}\r\n".encode()
    )


def says(wire: bytes) -> Behave:
    """Answer every request with these bytes."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(wire)

    return behave


def opens_and_says(wire: bytes, *, repeat: int = 1) -> Behave:
    """Open the WebSocket, then send these bytes, again and again if asked."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept(reader, writer)
        for _ in range(repeat):
            writer.write(wire)
            await writer.drain()

    return behave


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Take everything, answer nothing."""
    await until_gone(reader)


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A head that never ends, one byte at a time."""
    await reader.readuntil(b"\r\n\r\n")
    for byte in b"HTTP/1.1 101 Switching Protocols\r\nX-Slow: " + b"a" * 10_000:
        writer.write(bytes((byte,)))
        await writer.drain()
        await asyncio.sleep(0.01)


async def endless_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As many header lines as anybody takes."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\n")
    while True:
        writer.write(b"X-More: and more\r\n" * 400)
        await writer.drain()


async def endless_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One header line without an end."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nX-Long: ")
    while True:
        writer.write(b"a" * 16_384)
        await writer.drain()


async def endless_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A refusal by the edge with half a gigabyte of explanation."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(
        b"HTTP/1.1 502 Bad Gateway\r\nServer: CloudFront\r\nContent-Length: 500000000\r\n\r\n"
    )
    while True:
        writer.write(b"<h1>sorry</h1> " * 1000)
        await writer.drain()


async def dripping_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A refusal whose explanation takes forever."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(
        b"HTTP/1.1 504 Gateway Timeout\r\nServer: CloudFront\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    while True:
        writer.write(b"1\r\na\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the request with a TCP reset."""
    await reader.readuntil(b"\r\n\r\n")
    reset(writer)


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection by a TCP reset."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def ends_tcp_alone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the request and end TCP in order, without a word of TLS."""
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End the connection in the middle of the answer."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 101 Switching")
    writer.close()


async def opens_and_hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Open, then end TCP without a close frame."""
    await accept(reader, writer)
    writer.close()


def inflates(mebibytes: int) -> Behave:
    """Agree to compression, then send one frame of a few dozen kilobytes that inflates to so
    much.
    """
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = bytes(1 << 20)
    packed = b"".join(bomb.compress(piece) for _ in range(mebibytes)) + bomb.flush(
        zlib.Z_SYNC_FLUSH
    )
    squeezed = packed.removesuffix(b"\x00\x00\xff\xff")
    assert len(squeezed) < 60_000, "it must fit into the bytes that a probe takes"
    frame = b"\xc2\x7e" + len(squeezed).to_bytes(2, "big") + squeezed

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept(reader, writer, "Sec-WebSocket-Extensions: permessage-deflate\r\n")
        writer.write(frame)
        await writer.drain()

    return behave


async def never_says_goodbye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Open, and listen without a word."""
    await accept(reader, writer)
    await until_gone(reader)


async def talks_on_after_its_goodbye(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Open, answer the close frame, and send without end what nobody may send any more (RFC 6455
    5.5.1).
    """
    await accept(reader, writer)
    await reader.readexactly(8)
    writer.write(b"\x88\x02\x03\xe8")
    await asyncio.sleep(0.02)
    while not writer.is_closing():
        writer.write(bytes(65_536))
        await writer.drain()


async def deflates_unasked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Switch on compression, whoever asked."""
    await accept(reader, writer, "Sec-WebSocket-Extensions: permessage-deflate\r\n")


def free_port() -> int:
    """A port of loopback on which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
