"""Options of one handshake: path, headers, Origin, subprotocols, compression, and a script (PURE).

Form and API read the same fields here and word their faults alike. The host is always the
endpoint's own. Credentials are used for one check and not kept; what is saved refers to stored
secrets.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, unquote_plus

from checks.protocol.deflate import OFFER
from checks.protocol.handshake import RequestError, build_request
from checks.protocol.script import ScriptError, Step, parse_script
from checks.protocol.urls import AllowedUrl, judge_url
from provisioning.redaction.masking import (
    KnownSecrets,
    mask_header,
    mask_subprotocols,
    mask_text,
    mask_url,
)
from provisioning.redaction.references import malformed_reference, references, resolve
from provisioning.spec.client_profiles import CLIENTS

NO_ORIGIN = "none"
MAX_HEADERS = 20
MAX_SCRIPT = 16 * 1024
FIELDS = (
    "path",
    "unencrypted",
    "origin",
    "client",
    "subprotocols",
    "headers",
    "compress",
    "script",
)
"""Every value is text; `compress` and `unencrypted` are "true" or empty."""


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """What a probe asks for: a ws:// or wss:// URL, and what it adds to the handshake."""

    url: str = dataclasses.field(repr=False)
    headers: tuple[tuple[str, str], ...] = dataclasses.field(default=(), repr=False)
    subprotocols: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    extensions: tuple[str, ...] = ()
    """Whole offers; permessage-deflate is the only one that can be negotiated."""
    origin: str | None = None
    client: str = ""
    """Whose header lines are sent beside `headers`, a key of CLIENTS; empty: none."""
    upgrade: bool = True
    """False sends a plain GET to the same address, without subprotocols and extensions."""
    secrets: tuple[str, ...] = dataclasses.field(default=(), repr=False, compare=False)
    """Values to mask wherever they come back, beside those that stand where credentials do."""


class HandshakeOptionsError(ValueError):
    """Options that are not valid: field to message."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__(dict(faults))
        self.faults = dict(faults)

    def __str__(self) -> str:
        return "; ".join(f"{name}: {fault}" for name, fault in self.faults.items())


@dataclass(frozen=True, slots=True)
class HandshakeOptions:
    """Empty fields mean the endpoint's own: its path, its subprotocols and headers, its name as
    Origin, the client and the messages of its usual check.

    `client` is a key of CLIENTS; one that is no browser sends no Origin unless `origin` says so.
    `origin` "none" sends no Origin header; `unencrypted` connects over ws://, as a client does
    that forgot the s.
    """

    path: str = ""
    unencrypted: bool = False
    origin: str = ""
    client: str = ""
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
    def inline_secrets(self) -> dict[str, str]:
        """The fields that contain a credential, each with what it is: a parameter, a header, a line
        of the script. References to stored secrets are none.
        """
        shown, found = self.masked(), {}
        if shown.path != self.path:
            found["path"] = " and ".join(_parameters(self.path, shown.path)) or "Part of the path"
        if shown.origin != self.origin:
            found["origin"] = "The user name or password"
        if shown.subprotocols != self.subprotocols:
            pairs = zip(self.subprotocols, shown.subprotocols, strict=True)
            places = [str(at) for at, (was, now) in enumerate(pairs, 1) if was != now]
            found["subprotocols"] = f"Subprotocol {' and '.join(places)}"
        if shown.headers != self.headers:
            lines = zip(self.headers, shown.headers, strict=True)
            found["headers"] = " and ".join(was[0] for was, now in lines if was != now)
        if shown.script != self.script:
            texts = zip(self.script.split("\n"), shown.script.split("\n"), strict=False)
            places = [str(at) for at, (was, now) in enumerate(texts, 1) if was != now]
            found["script"] = f"Line {' and '.join(places)}"
        return found

    @property
    def secret_names(self) -> frozenset[str]:
        """The stored secrets that these options refer to."""
        return references("\n".join(map(str, self.to_dict().values())))

    @property
    def private(self) -> bool:
        """Some option may hold a secret that is meant for the endpoint only: headers, a query, a
        subprotocol, a stored secret.
        """
        return bool(
            self.headers
            or self.subprotocols
            or "?" in self.path
            or self.secret_names
            or self.inline_secrets
        )

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> HandshakeOptions:
        """Read what `to_dict` returned."""
        return parse_fields(stored)

    def masked(self) -> HandshakeOptions:
        """The same without credentials: what is kept."""
        return self._masked([])

    @property
    def credentials(self) -> tuple[str, ...]:
        """The credentials in these options, to be masked wherever they come back."""
        found: list[str] = []
        self._masked(found)
        return tuple(found)

    def _masked(self, found: list[str]) -> HandshakeOptions:
        return replace(
            self,
            path=mask_url(self.path, found),
            origin=mask_url(self.origin, found),
            subprotocols=mask_subprotocols(self.subprotocols, found),
            headers=tuple((name, mask_header(name, value, found)) for name, value in self.headers),
            script="\n".join(
                mask_text(line, found, guess=True) for line in self.script.split("\n")
            ),
        )

    def resolved(self, secrets: Mapping[str, str]) -> HandshakeOptions:
        """With the values of stored secrets in place of references: percent-encoded in the path,
        as they are elsewhere. The script is resolved step by step (checks.protocol.script). Raises
        UnknownSecretError.
        """
        return replace(
            self,
            path=resolve(self.path, secrets, lambda value: quote(value, safe="")),
            subprotocols=tuple(resolve(name, secrets) for name in self.subprotocols),
            headers=tuple((name, resolve(value, secrets)) for name, value in self.headers),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `parse_handshake_options` reads it back."""
        return {
            "path": self.path,
            "unencrypted": "true" if self.unencrypted else "",
            "origin": self.origin,
            "client": self.client,
            "subprotocols": ", ".join(self.subprotocols),
            "headers": "\n".join(f"{name}: {value}" for name, value in self.headers),
            "compress": "true" if self.compress else "",
            "script": self.script,
        }

    def target(self, url: str, usual: ProbeTarget, secrets: Collection[str] = ()) -> ProbeTarget:
        """The target at an endpoint's URL; `usual` fills in what the options leave open. The values
        of `secrets` are masked wherever they come back.
        """
        scheme, _, rest = url.partition("://")
        authority, slash, path = rest.partition("/")
        client = self.client or usual.client
        origin = self.origin or usual.origin or ""
        if self.client and not self.origin and not CLIENTS[self.client].sends_origin:
            origin = NO_ORIGIN
        return ProbeTarget(
            url=f"{'ws' if self.unencrypted else scheme}://{authority}{self.path or slash + path}",
            headers=self.headers or usual.headers,
            subprotocols=self.subprotocols or usual.subprotocols,
            extensions=(OFFER,) if self.compress else (),
            origin=None if origin in ("", NO_ORIGIN) else origin,
            client=client,
            secrets=(*self.credentials, *secrets),
        )


def parse_handshake_options(
    given: Mapping[str, Any],
    *,
    url: str,
    saved: bool = False,
    stored_secrets: Collection[str] | None = (),
) -> HandshakeOptions:
    """Read the fields of a form or an API body. Raises HandshakeOptionsError with every fault.

    1. Each field by itself: path, Origin, subprotocols, headers (one per line), script.
    2. References are to `stored_secrets` (None: to any), and stand where they are resolved.
    3. Options that are `saved` must hold no credential.
    4. The whole as the handshake it makes at `url`, which has rules of its own.
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
    if options.client and options.client not in CLIENTS:
        faults["client"] = f"Choose one of: {', '.join(CLIENTS)}."
    if len(options.script) > MAX_SCRIPT:
        faults["script"] = f"A script can have at most {MAX_SCRIPT // 1024} KiB."
    else:
        try:
            parse_script(options.script)
        except ScriptError as error:
            faults["script"] = mask_text(str(error), guess=True)
    for field, fault in _reference_faults(options, stored_secrets).items():
        faults.setdefault(field, fault)
    if saved:
        for field, what in options.inline_secrets.items():
            faults.setdefault(field, f"{what} {SAVED_ADVICE}")
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
        client=text["client"],
        subprotocols=tuple(name for name in re.split(r"[,\s]+", text["subprotocols"]) if name),
        headers=_headers(text["headers"], {} if faults is None else faults),
        compress=_ticked(text["compress"]),
        script=text["script"].replace("\r\n", "\n"),
    )


SAVED_ADVICE = (
    "looks like a credential, which a saved check must not contain. Add it under Secrets, "
    "and write ${secret:NAME} in its place."
)


def _parameters(path: str, shown: str) -> list[str]:
    """The names of the query parameters whose values were masked."""
    queries = (text.partition("?")[2].split("&") for text in (path, shown))
    pairs = [was for was, now in zip(*queries, strict=False) if was != now]
    return [unquote_plus(pair.partition("=")[0])[:60] for pair in pairs if "=" in pair]


def _reference_faults(options: HandshakeOptions, stored: Collection[str] | None) -> dict[str, str]:
    """Where a reference cannot be resolved: field to message. What does not exist and what belongs
    to another team are worded alike.
    """
    faults = {}
    texts = {name: str(text) for name, text in options.to_dict().items()}
    for field, text in texts.items():
        if written := malformed_reference(text):
            faults[field] = (
                f"{written} is not a reference to a secret. Write ${{secret:NAME}}, with the name "
                "exactly as under Secrets."
            )
        elif stored is not None and (unknown := sorted(references(text) - set(stored))):
            faults[field] = (
                f"You have no secret named {' or '.join(unknown)} here. Add it under Secrets of "
                "the endpoint's team, or check the spelling."
            )
    if references(options.origin):
        faults["origin"] = "A secret cannot be part of the Origin."
    if options.unencrypted and options.secret_names:
        faults["unencrypted"] = "A stored secret is sent over wss:// only."
    return faults


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
    # Stored secrets are not known here: a value of its own for each, fit for every place.
    stand_ins = {name: f"secret-{number}" for number, name in enumerate(options.secret_names)}
    target = options.resolved(stand_ins).target(url, ProbeTarget(url))
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
        return {field: KnownSecrets(options.credentials).mask(str(error))}
    return {}
