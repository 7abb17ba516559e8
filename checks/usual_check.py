"""The usual check of an endpoint: what its settings say is asked, sent and awaited (PURE)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from checks.output.client_commands import Opening
from checks.protocol.handshake_options import (
    HandshakeOptions,
    HandshakeOptionsError,
    ProbeTarget,
    parse_fields,
    parse_handshake_options,
)
from checks.protocol.script import Heartbeat, Hold, Script, Send, SendBinary, parse_script
from provisioning.redaction.references import references
from provisioning.spec.app_kinds import APP_KINDS, AppKind
from provisioning.spec.client_profiles import CLIENTS, ClientProfile
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.fields import USUAL_CHECK

ECHO = "echo"
SOME_NAME = "d111111abcdef8.cloudfront.net"
"""Stands for the distribution's name, which no fault depends on."""
NO_SECRETS: Mapping[str, str] = MappingProxyType({})
SETTINGS = {
    "path": "check_path",
    "client": "check_client",
    "subprotocols": "subprotocols",
    "headers": "check_headers",
    "script": "check_script",
}
"""The options of a check that settings of the endpoint say, and those settings."""


def usual_options(spec: EndpointSpec) -> HandshakeOptions:
    """The settings of the usual check as the options of any check."""
    said = spec.to_dict() | {"subprotocols": ", ".join(spec.subprotocols)}
    return parse_fields({option: said[setting] for option, setting in SETTINGS.items()})


def usual_check_answers(
    spec: EndpointSpec, options: HandshakeOptions | None = None
) -> dict[str, Any]:
    """The settings of the usual check, with what a check's own options say instead."""
    said = {row.name: spec.to_dict()[row.name] for row in USUAL_CHECK}
    own = options.to_dict() if options else {}
    return said | {SETTINGS[name]: own[name] for name in SETTINGS if own.get(name)}


def with_usual(options: HandshakeOptions, spec: EndpointSpec) -> HandshakeOptions:
    """The options of a check with what it takes over from the usual check."""
    usual = usual_options(spec)
    return replace(
        options, **{name: getattr(options, name) or getattr(usual, name) for name in SETTINGS}
    )


def usual_target(
    spec: EndpointSpec, domain_name: str, secrets: Mapping[str, str] = NO_SECRETS
) -> ProbeTarget:
    """The handshake, as a browser on a page of the endpoint's own name makes it, with the values
    of the stored secrets that the settings refer to. Raises UnknownSecretError.
    """
    options = usual_options(spec).resolved(secrets)
    own = ProbeTarget(url=f"wss://{domain_name}", origin=f"https://{domain_name}")
    return options.target(own.url, own, secrets.values())


def usual_target_to_repeat(spec: EndpointSpec, domain_name: str) -> ProbeTarget:
    """The same for people, with the names of stored secrets in place of their values."""
    options = usual_options(spec)
    headers = (value for _, value in options.headers)
    named = references(" ".join((options.path, *options.subprotocols, *headers)))
    return usual_target(spec, domain_name, {name: name for name in named})


def usual_script(spec: EndpointSpec) -> Script:
    """After the 101: a ping, the messages that the settings name, and silence."""
    steps, kind = parse_script(spec.check_script), APP_KINDS[spec.app_kind]
    # A script of one's own may ask for it.
    never = kind.never if spec.check_script == kind.script else None
    if spec.stay_open_seconds:
        steps = (*steps, Hold(float(spec.stay_open_seconds)))
    return Script(steps=steps, heartbeat=heartbeat_of(kind), never=never)


def custom_script(options: HandshakeOptions, spec: EndpointSpec) -> Script:
    """That of a check with its own options, which may have no script of its own."""
    if not options.script:
        return usual_script(spec)
    beat = heartbeat_of(APP_KINDS[spec.app_kind])
    # A script that sends it itself needs no help.
    own = beat is not None and any(step == beat.message for step in options.steps)
    return Script.of_steps(options.steps, None if own else beat)


def opening(spec: EndpointSpec) -> Opening:
    """What a person's own client may do first, so that the app does not choke on it."""
    if spec.check_script.startswith("expect"):
        return "listen"
    return "hello" if spec.app_kind == ECHO else "ping"


def own_protocol(kind: AppKind) -> str:
    """The kind's title, if its clients frame every message; "" where any line may be a message."""
    framed = kind.connect or kind.path or kind.subprotocols
    return kind.title if framed or (kind.script and kind.group != APP_KINDS[ECHO].group) else ""


def heartbeat_of(kind: AppKind) -> Heartbeat | None:
    """What a check of this kind sends to keep its connection."""
    beat = kind.beat
    if beat is None:
        return None
    data = bytes.fromhex(beat.sends_binary)
    return Heartbeat(SendBinary(data) if data else Send(beat.sends), beat.every, beat.answers)


@functools.lru_cache(maxsize=256)
def usual_check_faults(
    spec: EndpointSpec, stored_secrets: frozenset[str] | None = None
) -> Mapping[str, str]:
    """What is wrong with the settings of the usual check, by setting: a message that is no step, a
    header that no handshake may carry, a credential, a reference to none of `stored_secrets`
    (None: any name is right).
    """
    options, kind = usual_options(spec), APP_KINDS[spec.app_kind]
    faults: dict[str, str] = {}
    try:
        parse_handshake_options(
            options.to_dict(),
            url=f"wss://{SOME_NAME}/",
            saved=True,
            stored_secrets=stored_secrets,
        )
    except HandshakeOptionsError as error:
        faults |= {SETTINGS[option]: fault for option, fault in error.faults.items()}
        # What a path pattern says openly is no secret, however it looks.
        if spec.check_path in spec.path_patterns:
            faults.pop("check_path", None)
    join = kind.join
    if (
        join
        and spec.stay_open_seconds >= join.within
        and "check_script" not in faults
        and not any(isinstance(step, Send) for step in options.steps)
    ):
        faults["stay_open_seconds"] = (
            f"{kind.title} closes a client after {join.within} s unless it joins. Use fewer than "
            f"{join.within} seconds, or add the message {join.step}."
        )
    return MappingProxyType(faults)


def sent_and_awaited(script: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The lines of a script that send the app a message, and all others. Raises ScriptError."""
    steps = parse_script(script)
    return (
        tuple(str(step) for step in steps if isinstance(step, Send | SendBinary)),
        tuple(str(step) for step in steps if not isinstance(step, Send | SendBinary)),
    )


@dataclass(frozen=True)
class UsualCheckSummary:
    """What people read about a usual check: `path` is what it asks, `sends` the messages that go
    to the app (none: it is silent), `awaits` what must come back, both as lines of a script;
    `seconds` of silence that the connection must survive, apart from the `heartbeat` (None where
    none is due by then); `headers` by name.
    """

    kind: AppKind
    client: ClientProfile
    path: str
    subprotocols: tuple[str, ...]
    headers: tuple[str, ...]
    sends: tuple[str, ...]
    awaits: tuple[str, ...]
    seconds: int
    heartbeat: Heartbeat | None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> UsualCheckSummary:
        """The summary of the settings of `USUAL_CHECK`, as `EndpointSpec.to_dict` or a form gives
        them. Raises ValueError for those that are not valid.
        """
        said = {row.name: row.parse(settings.get(row.name)) for row in USUAL_CHECK}
        if not said["check_path"]:
            raise ValueError("nothing is asked for")
        sends, awaits = sent_and_awaited(said["check_script"])
        kind, seconds = APP_KINDS[said["app_kind"]], said["stay_open_seconds"]
        beat = heartbeat_of(kind)
        longest = seconds + sum(step.seconds for step in parse_script(said["check_script"]))
        return cls(
            kind,
            CLIENTS[said["check_client"]],
            said["check_path"],
            said["subprotocols"],
            tuple(line.partition(":")[0] for line in said["check_headers"].splitlines()),
            sends,
            awaits,
            seconds,
            beat if beat and beat.every < longest else None,
        )
