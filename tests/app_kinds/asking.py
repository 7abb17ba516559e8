"""Asks a server on this machine as the usual check of an endpoint asks, without CloudFront."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from checks.probe.prober import ProbeNetwork, probe
from checks.protocol.address_guard import parse_networks
from checks.protocol.connect_to import parse_connect_to
from checks.protocol.script import Script
from checks.protocol.transcript import Transcript
from checks.usual_check import usual_script, usual_target
from stack.ports import LOOPBACK
from tests.provisioning.examples import spec

APP = "app.example"
"""The name under which the servers are asked."""
NO_SECRETS: Mapping[str, str] = MappingProxyType({})


async def ask(
    port: int,
    kind: str,
    pattern: str,
    *,
    origin: str = f"http://{APP}",
    secrets: Mapping[str, str] = NO_SECRETS,
    alter: Callable[[Script], Script] = lambda script: script,
    **settings: Any,
) -> Transcript:
    """The usual check of an endpoint with this kind and path pattern; other settings follow from
    them, as in the form. `alter` can make another script of that.
    """
    wanted = spec(app_kind=kind, path_patterns=[pattern], **settings)
    target = usual_target(wanted, APP, secrets)
    plain = replace(target, url=target.url.replace("wss://", "ws://"), origin=origin)
    network = ProbeNetwork(
        connect_to=parse_connect_to(f"{APP}::{LOOPBACK}:{port}"),
        allowed_networks=parse_networks(f"{LOOPBACK}/32"),
    )
    return await probe(plain, network=network, script=alter(usual_script(wanted)))
