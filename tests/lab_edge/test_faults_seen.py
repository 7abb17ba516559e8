"""Every fault of an endpoint is set, seen by clients that know nothing of the lab, cleared, and the
endpoint is live.

The loop is the registry itself: what a fault says a client will see is what the client must see.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Mapping

import pytest

from lab import commands
from lab.faults.catalogue.fault import ClientAction, Fault, FaultKind
from lab.faults.catalogue.registry import FAULTS

from .rehearsal import ALIAS, Answer, Rehearsal
from .stage import PATIENCE

ENDPOINT_FAULTS = [fault for fault in FAULTS.values() if fault.kind is not FaultKind.CALLS]
ELSEWHERE = "Origin: https://elsewhere.example"
CHAT_V1 = "Sec-WebSocket-Protocol: chat.v1"


def path_for(fault: Fault) -> str:
    """The endpoint that a fault can hit."""
    if fault.name.startswith("origin-certificate-"):
        return "/tls/chat"
    return "/prod" if fault.name.startswith("apigateway-") else "/ws/chat"


def sees(answer: Answer, fault: Fault) -> None:
    """The answer is the one that the fault's signature names."""
    signature = fault.signature
    assert answer.status in signature.statuses, answer
    if signature.server:
        assert answer.headers.get("server") == signature.server, answer


def at_handshake(rehearsal: Rehearsal, fault: Fault, path: str) -> None:
    answer = rehearsal.handshake(path)
    sees(answer, fault)
    if answer.status == 101:
        assert not answer.accepted


def over_plain_http(rehearsal: Rehearsal, fault: Fault, path: str) -> None:
    sees(rehearsal.handshake(path, tls=False), fault)
    assert rehearsal.handshake(path).status == 101


def at_post(rehearsal: Rehearsal, fault: Fault, path: str) -> None:
    sees(rehearsal.post(path), fault)
    assert rehearsal.handshake(path).status == 101


def by_alias(rehearsal: Rehearsal, fault: Fault, path: str) -> None:
    sees(rehearsal.handshake(path, host=ALIAS), fault)
    assert rehearsal.handshake(path).status == 101


def with_foreign_origin(rehearsal: Rehearsal, fault: Fault, path: str) -> None:
    sees(rehearsal.handshake(path, headers=[ELSEWHERE]), fault)


def with_subprotocol(rehearsal: Rehearsal, fault: Fault, path: str) -> None:
    answer = rehearsal.handshake(path, headers=[CHAT_V1])
    sees(answer, fault)
    assert "sec-websocket-protocol" not in answer.headers


def after_a_message(rehearsal: Rehearsal, fault: Fault, path: str) -> None:
    sees(rehearsal.handshake(path), fault)
    if fault.signature.close:
        assert rehearsal.close_code(path, "hello") in fault.signature.close
    else:
        assert not rehearsal.hears_echo(path)


def in_silence(rehearsal: Rehearsal, fault: Fault, path: str) -> None:
    sees(rehearsal.handshake(path), fault)
    assert rehearsal.close_code(path) in fault.signature.close


def again_and_again(rehearsal: Rehearsal, fault: Fault, path: str) -> None:
    assert {rehearsal.handshake(path).status for _ in range(4)} == {101, 400}


LOOKS: Mapping[ClientAction, Callable[[Rehearsal, Fault, str], None]] = {
    ClientAction.HANDSHAKE: at_handshake,
    ClientAction.PLAIN: over_plain_http,
    ClientAction.POST: at_post,
    ClientAction.ALIAS: by_alias,
    ClientAction.FOREIGN_ORIGIN: with_foreign_origin,
    ClientAction.SUBPROTOCOL: with_subprotocol,
    ClientAction.MESSAGE: after_a_message,
    ClientAction.SILENCE: in_silence,
    ClientAction.REPEATED: again_and_again,
}


def is_healthy(rehearsal: Rehearsal, path: str) -> None:
    """What every fault disturbs is right again."""
    answer = rehearsal.handshake(path, headers=[CHAT_V1, ELSEWHERE])
    assert (answer.status, answer.accepted) == (101, True), answer
    assert answer.headers["sec-websocket-protocol"] == "chat.v1"
    assert rehearsal.handshake("/ws/chat", tls=False).status == 101
    assert rehearsal.handshake("/ws/chat", host=ALIAS).status == 101
    assert rehearsal.post("/ws/chat").status not in (403, 502, 503, 504)


@pytest.mark.parametrize("fault", ENDPOINT_FAULTS, ids=lambda fault: fault.name)
def test_set_seen_and_cleared(rehearsal: Rehearsal, fault: Fault) -> None:
    path = path_for(fault)
    if fault.name == "edge-stale":
        # The configuration before the last change is one that forwards no headers.
        before = rehearsal.set(
            "headers-not-forwarded", distribution=rehearsal.distribution, path=path
        )
        rehearsal.clear(before["id"])
    given = {
        "distribution": rehearsal.distribution,
        **({"path": path} if "path" in fault.takes else {}),
    }
    made = rehearsal.set(fault.name, **given)
    try:
        LOOKS[fault.signature.action](rehearsal, fault, path)
    finally:
        rehearsal.clear(made["id"])
    is_healthy(rehearsal, path)


def test_sockets_that_are_open_are_cut_when_targets_are_replaced(rehearsal: Rehearsal) -> None:
    with rehearsal.websocket("/ws/chat") as client, rehearsal.websocket("/prod") as elsewhere:
        made = rehearsal.set("target-cut", distribution=rehearsal.distribution, path="/ws/chat")
        assert client.wait_closed() == 1006
        # API Gateway is no load balancer: nobody replaces its targets.
        assert elsewhere.wait_closed_for(0.1) is None
        rehearsal.clear(made["id"])


def test_faults_are_combined_and_each_hits_its_own_endpoint(rehearsal: Rehearsal) -> None:
    where = {"distribution": rehearsal.distribution}
    methods = rehearsal.set("methods-too-few", **where, path="/ws/chat")
    late = rehearsal.set("signed-cookies-required", **where, path="/tls/chat")
    app = rehearsal.set("app-overloaded", **where, path="/ws/chat")
    assert rehearsal.post("/ws/chat").status == 403
    assert rehearsal.handshake("/tls/chat").status == 403
    assert rehearsal.handshake("/ws/chat").status == 503
    rehearsal.clear(late["id"])
    # Both endpoints share the targets.
    assert rehearsal.handshake("/tls/chat").status == 503
    rehearsal.clear(app["id"])
    assert rehearsal.handshake("/tls/chat").status == 101
    rehearsal.clear(methods["id"])
    is_healthy(rehearsal, "/tls/chat")


def test_page_and_terminal_show_what_is_connected(
    rehearsal: Rehearsal, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = ["--lab", rehearsal.lab.url, "--edge", f"http://127.0.0.1:{rehearsal.plain_port}"]
    with rehearsal.websocket("/ws/chat"):
        assert commands.main(["sockets", *ends]) == 0
        assert f"{rehearsal.domain}/ws/chat" in capsys.readouterr().out
        with urllib.request.urlopen(f"{rehearsal.lab.url}/_lab/", timeout=PATIENCE) as reply:
            assert "1 live connection through the edge" in reply.read().decode()
    assert commands.main(["logs", *ends]) == 0
    assert "/ws/chat" in capsys.readouterr().out
