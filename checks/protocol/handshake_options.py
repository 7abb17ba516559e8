"""Options of one handshake: path, headers, Origin, subprotocols, compression, and a script (PURE).

Form and API read the same fields here and word their faults alike. The host is always the
endpoint's own. Values of secret headers are used for one check and never saved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from checks.protocol.deflate import OFFER
from checks.protocol.handshake import RequestError, build_request
from checks.protocol.script import ScriptError, Step, parse_script
from checks.protocol.transcript import MASK, SECRET_HEADERS
from checks.protocol.urls import AllowedUrl, judge_url

NO_ORIGIN = "none"
MAX_HEADERS = 20
MAX_SCRIPT = 16 * 1024
FIELDS = ("path", "unencrypted", "origin", "subprotocols", "headers", "compress", "script")
"""Every value is text; `compress` and `unencrypted` are "true" or empty."""


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """What a probe asks for: a ws:// or wss:// URL, and what it adds to the handshake."""

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    subprotocols: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    """Whole offers; permessage-deflate is the only one that can be negotiated."""
    origin: str | None = None
    upgrade: bool = True
    """False sends a plain GET to the same address, without subprotocols and extensions."""


class HandshakeOptionsError(ValueError):
    """Options that are not valid: field to message."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__(dict(faults))
        self.faults = dict(faults)

    def __str__(self) -> str:
        return "; ".join(f"{name}: {fault}" for name, fault in self.faults.items())


@dataclass(frozen=True, slots=True)
class HandshakeOptions:
    """Empty fields mean the endpoint's own: its path, its subprotocols, its name as Origin, the
    usual test message.

    `origin` "none" sends no Origin header; `unencrypted` connects over ws://, as a client does
    that forgot the s.
    """

    path: str = ""
    unencrypted: bool = False
    origin: str = ""
    subprotocols: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    compress: bool = False
    script: str = ""

    @property
    def usual(self) -> bool:
        """All options are the endpoint's own."""
        return self == HandshakeOptions()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of the script."""
        return parse_script(self.script)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Names of headers whose values must not be saved."""
        return tuple(name for name, _ in self.headers if name.lower() in SECRET_HEADERS)

    @property
    def private(self) -> bool:
        """Some option may hold a secret that is meant for the endpoint only: headers, a query, a
        subprotocol.
        """
        return bool(self.headers or self.subprotocols or "?" in self.path)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> HandshakeOptions:
        """Read what `to_dict` returned."""
        return parse_fields(stored)

    def masked(self) -> HandshakeOptions:
        """The same without secret values: what is kept after the check."""
        return replace(
            self,
            headers=tuple((name, _masked(name.lower(), value)) for name, value in self.headers),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `parse_handshake_options` reads it back."""
        return {
            "path": self.path,
            "unencrypted": "true" if self.unencrypted else "",
            "origin": self.origin,
            "subprotocols": ", ".join(self.subprotocols),
            "headers": "\n".join(f"{name}: {value}" for name, value in self.headers),
            "compress": "true" if self.compress else "",
            "script": self.script,
        }

    def target(self, url: str, usual: ProbeTarget) -> ProbeTarget:
        """The target at an endpoint's URL; `usual` fills in what the options leave open."""
        scheme, _, rest = url.partition("://")
        authority, slash, path = rest.partition("/")
        return ProbeTarget(
            url=f"{'ws' if self.unencrypted else scheme}://{authority}{self.path or slash + path}",
            headers=self.headers,
            subprotocols=self.subprotocols or usual.subprotocols,
            extensions=(OFFER,) if self.compress else (),
            origin=None if self.origin == NO_ORIGIN else self.origin or usual.origin,
        )


def parse_handshake_options(
    given: Mapping[str, Any], *, url: str, saved: bool = False
) -> HandshakeOptions:
    """Read the fields of a form or an API body. Raises HandshakeOptionsError with every fault.

    1. Each field by itself: path, Origin, subprotocols, headers (one per line), script.
    2. Options that are `saved` must hold no secret.
    3. The whole as the handshake it makes at `url`, which has rules of its own.
    """
    faults: dict[str, str] = {}
    options = parse_fields(given, faults)
    if options.path and not options.path.startswith("/"):
        faults["path"] = "Paths must start with a slash, for example /ws/chat?room=1."
    if (
        options.origin
        and options.origin != NO_ORIGIN
        and not re.fullmatch(r"https?://[^\s/]+", options.origin)
    ):
        faults["origin"] = (
            "Write https:// and a host, as browsers do, or none to send no Origin header."
        )
    if len(options.script) > MAX_SCRIPT:
        faults["script"] = f"A script can have at most {MAX_SCRIPT // 1024} KiB."
    else:
        try:
            parse_script(options.script)
        except ScriptError as error:
            faults["script"] = str(error)
    if saved and options.secrets:
        names = " and ".join(options.secrets)
        faults["headers"] = (
            f"{names} would be stored. Remove it to save the check; a single check can use it."
        )
    if not faults:
        faults = _as_handshake(options, url)
    if faults:
        raise HandshakeOptionsError(faults)
    return options


def parse_fields(
    given: Mapping[str, Any], faults: dict[str, str] | None = None
) -> HandshakeOptions:
    """The fields as they are; only headers that cannot be read are faults."""
    text = {name: str(given.get(name) or "").strip() for name in FIELDS}
    return HandshakeOptions(
        path=text["path"],
        unencrypted=_ticked(text["unencrypted"]),
        origin=text["origin"],
        subprotocols=tuple(name for name in re.split(r"[,\s]+", text["subprotocols"]) if name),
        headers=_headers(text["headers"], {} if faults is None else faults),
        compress=_ticked(text["compress"]),
        script=text["script"].replace("\r\n", "\n"),
    )


def _masked(header: str, value: str) -> str:
    """Cookies keep their names, since policies forward or drop them by name; other secrets keep
    nothing.
    """
    if header not in SECRET_HEADERS:
        return value
    pairs = [pair for pair in value.split(";") if pair.strip()]
    # A quote still open at the end of a pair means that the semicolon belonged to a value.
    if header != "cookie" or any(pair.count('"') % 2 for pair in pairs):
        return MASK
    parts = (pair.partition("=") for pair in pairs)
    # Without a value, what comes before may itself be a value without a name.
    return "; ".join(
        f"{name.strip()}={MASK}" if text.strip(" =") else MASK for name, _, text in parts
    )


def _ticked(text: str) -> bool:
    return text.lower() in ("true", "on", "yes", "1")


def _headers(text: str, faults: dict[str, str]) -> tuple[tuple[str, str], ...]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            faults["headers"] = f"Line {number} is not a header. Write Name: value."
            return ()
        found.append((name.strip(), value.strip()))
    if len(found) > MAX_HEADERS:
        faults["headers"] = f"At most {MAX_HEADERS} headers can be added."
    return tuple(found)


def _as_handshake(options: HandshakeOptions, url: str) -> dict[str, str]:
    target = options.target(url, ProbeTarget(url))
    judged = judge_url(target.url, schemes=("ws", "wss"))
    if not isinstance(judged, AllowedUrl):
        return {"path": judged.reason}
    try:
        build_request(
            judged,
            key_bytes=bytes(16),
            subprotocols=target.subprotocols,
            extensions=target.extensions,
            origin=target.origin,
            extra_headers=target.headers,
        )
    except RequestError as error:
        field = {"Sec-WebSocket-Protocol": "subprotocols", "Origin": "origin"}.get(
            error.what, "headers"
        )
        return {field: str(error)}
    return {}
