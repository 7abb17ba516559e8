"""The guard in front of every probe: what may be contacted, and why the rest may not."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.protocol.address_guard import (
    AllowedAddress,
    RefusedAddress,
    judge_address,
    judge_addresses,
    parse_networks,
)

LOOPBACK = parse_networks("127.0.0.1/32")

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "13.32.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "2606:4700::1111",
    "2600:9000::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_contacted(address: str) -> None:
    assert isinstance(judge_address(address), AllowedAddress)


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("0.0.0.0", "this network"),  # noqa: S104
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "carrier"),
        ("169.254.169.254", "metadata"),
        ("169.254.170.2", "credentials"),
        ("169.254.1.1", "link-local"),
        ("192.0.0.9", "reserved"),
        ("192.0.2.1", "documentation"),
        ("198.51.100.1", "documentation"),
        ("203.0.113.9", "documentation"),
        ("192.88.99.1", "6to4"),
        ("198.18.0.1", "benchmarks"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::127.0.0.1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:169.254.169.254", "metadata"),
        ("64:ff9b::7f00:1", "loopback"),
        ("64:ff9b::a9fe:a9fe", "metadata"),
        ("64:ff9b:1::1", "NAT64"),
        ("2002:7f00:1::", "loopback"),
        ("2002:808:808::1", "6to4"),
        ("2001:0:808:808:0:0:80ff:fffe", "Teredo"),
        ("2001:db8::1", "documentation"),
        ("3fff::1", "documentation"),
        ("5f00::1", "segment"),
        ("fc00::1", "private"),
        ("fd00:ec2::254", "metadata"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
        ("100::1", "discarded"),
        ("4000::1", "outside"),
        ("good.example", "not an IP address"),
        ("127.1", "not an IP address"),
    ],
)
def test_everything_else_is_refused_by_name(address: str, word: str) -> None:
    judged = judge_address(address)
    assert isinstance(judged, RefusedAddress), judged
    assert word.lower() in judged.reason.lower()


def test_a_network_is_admitted_by_setting_and_only_that_network() -> None:
    admitted = judge_address("127.0.0.1", LOOPBACK)
    assert isinstance(admitted, AllowedAddress)
    assert "127.0.0.1/32" in admitted.because
    assert isinstance(judge_address("127.0.0.2", LOOPBACK), RefusedAddress)
    assert isinstance(judge_address("::1", LOOPBACK), RefusedAddress)
    assert isinstance(judge_address("169.254.169.254", LOOPBACK), RefusedAddress)
    assert isinstance(judge_address("2002:7f00:1::", LOOPBACK), RefusedAddress)


def test_one_private_answer_among_public_ones_refuses_the_name() -> None:
    assert judge_addresses(["8.8.8.8", "1.1.1.1"]) == (
        AllowedAddress("8.8.8.8"),
        AllowedAddress("1.1.1.1"),
    )
    refused = judge_addresses(["8.8.8.8", "10.0.0.1", "1.1.1.1"])
    assert isinstance(refused, RefusedAddress)
    assert "10.0.0.1" in refused.reason
    nothing = judge_addresses([])
    assert isinstance(nothing, RefusedAddress)
    assert nothing.code == "no_address"


@given(st.ip_addresses(v=4))
def test_every_ipv4_address_that_python_calls_private_is_refused(
    address: ipaddress.IPv4Address,
) -> None:
    if not address.is_global or address.is_multicast:
        assert isinstance(judge_address(str(address)), RefusedAddress)


@given(st.ip_addresses(v=4))
def test_hiding_an_ipv4_address_inside_ipv6_never_helps(address: ipaddress.IPv4Address) -> None:
    plain = isinstance(judge_address(str(address)), AllowedAddress)
    number = int(address)
    hidden = {
        "mapped": ipaddress.IPv6Address((0xFFFF << 32) | number),
        "NAT64": ipaddress.IPv6Address((0x0064FF9B << 96) | number),
        "6to4": ipaddress.IPv6Address((0x2002 << 112) | (number << 80) | 1),
        "compatible": ipaddress.IPv6Address(number),
    }
    for form, inside in hidden.items():
        if isinstance(judge_address(str(inside)), AllowedAddress):
            assert plain, form


@given(st.ip_addresses(v=6))
def test_ipv6_outside_global_unicast_is_refused(address: ipaddress.IPv6Address) -> None:
    if isinstance(judge_address(str(address)), AllowedAddress):
        assert (
            address in ipaddress.IPv6Network("2000::/3")
            or address.ipv4_mapped
            or int(address) >> 32 == 0x64FF9B << 64
        )


def test_networks_are_read_from_a_setting() -> None:
    assert parse_networks("127.0.0.1/32, ::1/128,") == (
        ipaddress.ip_network("127.0.0.1/32"),
        ipaddress.ip_network("::1/128"),
    )
    assert parse_networks("") == ()
    with pytest.raises(ValueError, match="lab"):
        parse_networks("lab")
