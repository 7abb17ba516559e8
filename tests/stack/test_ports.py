"""A taken port is named, with its purpose and a way out."""

from __future__ import annotations

import socket

import pytest

from stack.ports import NoFreePorts, Ports, PortTaken


def test_six_ports_follow_the_first() -> None:
    assert Ports.from_base(8000) == Ports(
        web=8000, aws=8001, edge_tls=8002, edge=8003, apps=8004, redis=8005
    )


def test_free_ports_pass_the_check() -> None:
    Ports.free().check()


def test_a_machine_without_free_ports_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stack.ports.is_free", lambda port: False)
    with pytest.raises(NoFreePorts, match="PORT="):
        Ports.free()


@pytest.mark.parametrize(
    ("offset", "purpose"),
    [(0, "the portal"), (2, "the lab's edge, TLS"), (5, "Redis")],
)
def test_a_taken_port_is_named_with_its_purpose_and_another_to_try(
    offset: int, purpose: str
) -> None:
    ports = Ports.free()
    with (
        socket.create_server(("127.0.0.1", ports.web + offset)),
        pytest.raises(PortTaken) as refusal,
    ):
        ports.check()
    words = str(refusal.value)
    assert words.startswith(f"port {ports.web + offset} ({purpose}) is taken")
    assert f"PORT={refusal.value.suggestion}" in words
    Ports.from_base(refusal.value.suggestion).check()


def test_a_port_that_waits_for_late_packets_is_not_taken() -> None:
    """A restart within a minute must not be refused because of TIME_WAIT."""
    ports = Ports.free()
    with socket.create_server(("127.0.0.1", ports.web)) as server:
        client = socket.create_connection(("127.0.0.1", ports.web))
        accepted, _ = server.accept()
        accepted.close()
        client.close()
    ports.check()
