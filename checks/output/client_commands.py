"""Commands that repeat a handshake check with wscat, websocat, Python and curl (PURE).

Each is quoted so that a shell passes on exactly these words. What a tool cannot do is said in the
command's note, never left out silently.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from checks.protocol.connect_to import Destination
from checks.protocol.urls import AllowedUrl

Tool = Literal["wscat", "websocat", "python", "curl"]
Opening = Literal["hello", "listen", "ping"]
"""What the Python command does first: say hello and read the answer, read what the server says
first, or exchange a ping, of which the app learns nothing.
"""
EXAMPLE_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""The key of RFC 6455 1.3; its answer is EXAMPLE_ACCEPT, for comparison."""
EXAMPLE_ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@dataclass(frozen=True, slots=True)
class ClientCommand:
    """One command for a POSIX shell; Python's has line breaks inside its quotes.

    `note` says what to look for or what this tool cannot do.
    """

    tool: Tool
    line: str
    note: str


def commands_for(
    url: AllowedUrl,
    *,
    headers: Sequence[tuple[str, str]] = (),
    subprotocols: Sequence[str] = (),
    origin: str | None = None,
    ca_file: str | None = None,
    connect_to: Destination | None = None,
    opening: Opening = "ping",
    protocol: str = "",
) -> tuple[ClientCommand, ...]:
    """The same handshake in four tools; `connect_to` is used only where it differs from the URL.
    `protocol` names what the app speaks over the WebSocket, if that is not lines that people type.
    """
    if connect_to is not None and (connect_to.host, connect_to.port) == (url.host, url.port):
        connect_to = None
    asked = _Handshake(
        url,
        tuple(headers),
        tuple(subprotocols),
        origin,
        ca_file if url.secure else None,
        connect_to,
        opening,
        f"The app speaks {protocol}: a line that you type may end the connection."
        if protocol
        else "Type a line to send it.",
    )
    return (_wscat(asked), _websocat(asked), _python(asked), _curl(asked))


@dataclass(frozen=True, slots=True)
class _Handshake:
    url: AllowedUrl
    headers: tuple[tuple[str, str], ...]
    subprotocols: tuple[str, ...]
    origin: str | None
    ca_file: str | None
    connect_to: Destination | None
    opening: Opening
    typing: str


def _wscat(asked: _Handshake) -> ClientCommand:
    words, note = ["wscat"], f"{asked.typing} Incoming lines start with <."
    address = str(asked.url)
    if asked.connect_to is not None:
        elsewhere = AllowedUrl(
            asked.url.scheme, asked.connect_to.host, asked.connect_to.port, asked.url.resource
        )
        address = str(elsewhere)
        words += ["--host", asked.url.authority]
        if asked.url.secure:
            note = (
                f"wscat accepts only a certificate that covers {asked.connect_to.host}, the "
                "host that it connects to."
            )
    if asked.ca_file:
        words += ["--ca", asked.ca_file]
    if asked.origin is not None:
        words += ["--origin", asked.origin]
    for name in asked.subprotocols:
        words += ["--subprotocol", name]
    for name, value in asked.headers:
        words += ["--header", f"{name}:{value}"]
    return ClientCommand("wscat", shlex.join([*words, "--connect", address]), note)


def _websocat(asked: _Handshake) -> ClientCommand:
    words, note = [], f"{asked.typing} Written for websocat 1.x."
    if asked.ca_file:
        words += ["env", f"SSL_CERT_FILE={asked.ca_file}"]
    words += ["websocat", "--text"]
    if asked.origin is not None:
        words += [f"--origin={asked.origin}"]
    if asked.subprotocols:
        words += [f"--protocol={', '.join(asked.subprotocols)}"]
    words += [f"--header={name}: {value}" for name, value in asked.headers]
    if asked.connect_to is None:
        return ClientCommand("websocat", shlex.join([*words, str(asked.url)]), note)
    place = f"tcp:{_host_port(asked.connect_to)}"
    words += [f"--ws-c-uri={asked.url}"]
    if asked.url.secure:
        words += [f"--tls-domain={asked.url.host}"]
        place = f"ssl:{place}"
    return ClientCommand("websocat", shlex.join([*words, "-", f"ws-c:{place}"]), note)


def _python(asked: _Handshake) -> ClientCommand:
    # Not the threaded client: over TLS its threads read and write concurrently, and its handshake
    # sometimes hangs.
    arguments = [repr(str(asked.url)), "proxy=None"]
    imports = ["import asyncio", "from websockets.asyncio.client import connect"]
    if asked.connect_to is not None:
        arguments += [f"host={asked.connect_to.host!r}", f"port={asked.connect_to.port}"]
    if asked.headers:
        arguments.append(f"additional_headers={list(asked.headers)!r}")
    if asked.subprotocols:
        arguments.append(f"subprotocols={list(asked.subprotocols)!r}")
    if asked.origin is not None:
        arguments.append(f"origin={asked.origin!r}")
    if asked.ca_file:
        imports.insert(1, "import ssl")
        arguments.append(f"ssl=ssl.create_default_context(cafile={asked.ca_file!r})")
    received = "        print(await asyncio.wait_for(c.recv(), 5))"
    steps, told = {
        "hello": (
            ("        await c.send('hello')", received),
            "Sends hello, and prints the first message that comes back.",
        ),
        "listen": ((received,), "Sends nothing, and prints the app’s first message."),
        "ping": (
            ("        await asyncio.wait_for(await c.ping(), 5)", "        print('open')"),
            "Sends your app no message: prints open once a ping was answered.",
        ),
    }[asked.opening]
    code = "\n".join(
        [
            *imports,
            "async def main():",
            f"    async with connect({', '.join(arguments)}) as c:",
            *steps,
            "asyncio.run(main())",
        ]
    )
    note = f"Requires pip install websockets. {told}"
    return ClientCommand("python", shlex.join(["python3", "-c", code]), note)


def _curl(asked: _Handshake) -> ClientCommand:
    page = str(asked.url).replace("ws", "http", 1)
    words = ["curl", "--http1.1", "--include", "--no-buffer", "--max-time", "5", "--noproxy", "*"]
    if asked.ca_file:
        words += ["--cacert", asked.ca_file]
    if asked.connect_to is not None:
        host = f"[{asked.url.host}]" if ":" in asked.url.host else asked.url.host
        words += ["--connect-to", f"{host}:{asked.url.port}:{_host_port(asked.connect_to)}"]
    lines = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", EXAMPLE_KEY),
    ]
    if asked.subprotocols:
        lines.append(("Sec-WebSocket-Protocol", ", ".join(asked.subprotocols)))
    if asked.origin is not None:
        lines.append(("Origin", asked.origin))
    for name, value in (*lines, *asked.headers):
        # curl drops a header without value unless it ends with a semicolon.
        words += ["--header", f"{name}: {value}" if value else f"{name};"]
    note = (
        "Shows only the handshake, for 5 s. The expected answer is 101 with Sec-WebSocket-Accept: "
        f"{EXAMPLE_ACCEPT}"
    )
    return ClientCommand("curl", shlex.join([*words, page]), note)


def _host_port(destination: Destination) -> str:
    host = f"[{destination.host}]" if ":" in destination.host else destination.host
    return f"{host}:{destination.port}"
