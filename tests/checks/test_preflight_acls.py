"""Which network ACLs let the target's answers out to CloudFront."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.preflight.exposure import FIRST_PORT, LAST_PORT, lets_answers_out
from provisioning.facts.network import AclEntry

EVERYWHERE = "0.0.0.0/0"
REST = AclEntry(32767, False, "-1", EVERYWHERE)


def allow(low: int, high: int, cidr: str = EVERYWHERE, protocol: str = "6") -> AclEntry:
    return AclEntry(100, True, protocol, cidr, low, high)


def deny(low: int, high: int, cidr: str = EVERYWHERE, protocol: str = "6") -> AclEntry:
    return AclEntry(100, False, protocol, cidr, low, high)


@pytest.mark.parametrize(
    ("entries", "out"),
    [
        ((AclEntry(100, True, "-1", EVERYWHERE), REST), True),
        ((allow(1024, 65535), REST), True),
        ((allow(0, 65535), REST), True),
        ((allow(1024, 40000), allow(40001, 65535), REST), True),
        ((allow(40001, 65535), allow(1024, 40000), REST), True),
        ((allow(1024, 40000), allow(40002, 65535), REST), False),
        ((allow(32768, 65535), REST), False),
        ((allow(443, 443), REST), False),
        ((allow(1024, 65535, "10.0.0.0/8"), REST), False),
        ((allow(1024, 65535, protocol="17"), REST), False),
        ((allow(1024, 65535, "::/0"), REST), False),
        ((deny(22, 22), allow(1024, 65535), REST), True),
        ((deny(8080, 8080), allow(1024, 65535), REST), False),
        ((deny(8080, 8080, "10.0.0.0/8"), allow(1024, 65535), REST), True),
        ((deny(1024, 65535, "130.176.0.0/16"), allow(1024, 65535), REST), False),
        ((allow(1024, 65535), deny(1024, 65535), REST), True),
        ((deny(1024, 65535, protocol="17"), allow(1024, 65535), REST), True),
        ((REST,), False),
        ((), False),
    ],
)
def test_all_ephemeral_ports_must_be_let_out_to_everywhere(
    entries: tuple[AclEntry, ...], out: bool
) -> None:
    assert lets_answers_out(entries) == out


ports = st.integers(0, LAST_PORT)
entry = st.builds(
    lambda allowed, one, other: AclEntry(
        1, allowed, "6", EVERYWHERE, min(one, other), max(one, other)
    ),
    st.booleans(),
    ports,
    ports,
)


@given(st.lists(entry, max_size=6), st.integers(FIRST_PORT, LAST_PORT))
def test_what_passes_lets_out_every_single_port(entries: list[AclEntry], port: int) -> None:
    """The same question asked the slow way: for one port, the first entry that fits decides."""
    first = next((one for one in entries if one.from_port <= port <= one.to_port), None)
    if lets_answers_out(entries):
        assert first is not None
        assert first.allow
