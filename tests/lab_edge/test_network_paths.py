"""Over real sockets: TLS to origins, balancers in a row, instances, direct clients, targets that
come and go.
"""

from __future__ import annotations

import copy
import http.client
import socket
import ssl

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from lab.origin_certificates import Flaw

from .network_situations import PUBLIC_NLB, SECOND, SECURE_NAME, SICK
from .stage import PATIENCE, Client, Stage, wait_until


def flawed(flaw: Flaw) -> str:
    return f"dtls{flaw.value}".replace("-", "")


@pytest.mark.rule("balancer/https-listener", "balancer/upgrades", "answer/origin-tls-host")
@pytest.mark.parametrize("name", ["dtls", "dtlssni"])
def test_a_websocket_over_tls_to_the_origin(stage: Stage, name: str) -> None:
    """By the origin's name with the listener's own certificate; by the viewer's with the one that
    SNI selects.
    """
    with stage.websocket(name) as client:
        assert client.recv()["type"] == "welcome"
        client.send("over TLS")
        assert client.recv()["message"] == "over TLS"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dtlshost", "does not name dtlshost.cloudfront.net"),
        (flawed(Flaw.WRONG_NAME), f"does not name {SECURE_NAME}"),
        (flawed(Flaw.EXPIRED), "has expired"),
        (flawed(Flaw.SELF_SIGNED), "is self-signed"),
        (flawed(Flaw.INCOMPLETE_CHAIN), "lacks an intermediate certificate"),
        (flawed(Flaw.UNKNOWN_AUTHORITY), "not publicly trusted"),
        ("dtlsnew", "no TLS version or cipher in common"),
        ("dplain443", "does not speak TLS"),
    ],
)
@pytest.mark.rule(
    "answer/origin-tls-name",
    "answer/origin-tls-trust",
    "answer/origin-tls-protocol",
    "answer/origin-tls-host",
)
def test_what_cloudfront_does_not_accept_is_502(stage: Stage, name: str, words: str) -> None:
    status, headers, page = stage.request(name)
    assert (status, headers["X-Cache"]) == (502, "Error from cloudfront")
    assert words in page.decode()
    row = stage.edge.wait_for_entry(
        lambda row: row.get("x-edge-request-id") == headers["X-Amz-Cf-Id"]
    )
    assert row["x-edge-detailed-result-type"] == "OriginConnectError"


def test_plain_http_to_a_listener_with_tls_is_told_so_by_the_balancer(stage: Stage) -> None:
    status, headers, page = stage.request("dto443")
    assert (status, headers["Server"]) == (400, "awselb/2.0")
    assert b"The plain HTTP request was sent to HTTPS port" in page


@pytest.mark.rule("balancer/nlb-passes-tcp")
@pytest.mark.parametrize("name", ["dnlbtls", "drow", "dalias"])
def test_network_balancers_in_front_of_application_ones(stage: Stage, name: str) -> None:
    """TLS passed through to the ALB; plain through a public NLB; TLS that the NLB ends, by an alias
    record.
    """
    with stage.websocket(name) as client:
        assert client.recv()["type"] == "welcome"
    status, _, _ = stage.request("drowtls")
    assert status == 502, "an alias leads there, but the certificate does not name it"


@pytest.mark.rule("balancer/instance-target")
def test_an_instance_without_a_balancer(stage: Stage) -> None:
    with stage.websocket("dec2") as client:
        assert client.recv()["type"] == "welcome"


class TestDirectClients:
    """The first two of the four ways of the 2025 article: nobody but a public balancer in
    between.
    """

    @pytest.mark.rule("balancer/upgrades", "balancer/nlb-passes-tcp")
    @pytest.mark.parametrize("name", ["pub-web.elb.amazonaws.com:80", f"{PUBLIC_NLB}:80"])
    def test_a_public_balancer_is_reached_directly(self, stage: Stage, name: str) -> None:
        host, port = self._public(stage, name)
        url = f"ws://{name.removesuffix(':80')}/ws/chat"
        client = Client(
            connect(
                url, host=host, port=port, proxy=None, ping_interval=None, open_timeout=PATIENCE
            )
        )
        assert client.recv()["type"] == "welcome"
        client.close()

    @pytest.mark.rule("websocket/vpc-origins")
    def test_in_2025_only_the_way_through_a_vpc_origin_failed(self, stage: Stage) -> None:
        """The four ways of the article side by side, then and now."""
        before = copy.deepcopy(stage.aws.account)
        stage.aws.publish({**copy.deepcopy(before), "faults": [{"name": "era-2025"}]})
        try:
            with pytest.raises(InvalidStatus) as refused, stage.websocket("dchat"):
                pass
            assert refused.value.response.status_code == 502
            assert stage.request("dchat", path="/healthz")[0] == 200, "an ordinary request works"
            with stage.websocket("dpublic") as through_a_custom_origin:
                assert through_a_custom_origin.recv()["type"] == "welcome"
            for name in ("pub-web.elb.amazonaws.com:80", f"{PUBLIC_NLB}:80"):
                self.test_a_public_balancer_is_reached_directly(stage, name)
        finally:
            stage.aws.publish(before)
        with stage.websocket("dchat") as now:
            assert now.recv()["type"] == "welcome"

    def test_over_tls_too(self, stage: Stage) -> None:
        trust = ssl.create_default_context(cafile=str(stage.directory / "origin-ca.pem"))
        with socket.create_connection(
            self._public(stage, f"{PUBLIC_NLB}:443"), timeout=PATIENCE
        ) as plain:
            secure = trust.wrap_socket(plain, server_hostname=SECURE_NAME)
            secure.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            response = http.client.HTTPResponse(secure)
            response.begin()
            assert response.status == 200

    def test_internal_ones_are_not_told_of(self, stage: Stage) -> None:
        wait_until(lambda: bool(stage.aws.report))
        assert all(name.startswith("pub-") for name in stage.aws.report["public"])

    def test_a_group_that_admits_cloudfront_only_drops_them(self, stage: Stage) -> None:
        account = copy.deepcopy(stage.aws.account)
        groups = {lb["name"]: lb for lb in account["load_balancers"]}
        groups["pub-web"]["security_groups"] = ["sg-open"]
        host, port = self._public(stage, "pub-web.elb.amazonaws.com:80")
        before = copy.deepcopy(stage.aws.account)
        stage.aws.publish(account)
        try:
            with stage.websocket("dpublic") as through_cloudfront:
                assert through_cloudfront.recv()["type"] == "welcome"
            with socket.create_connection((host, port), timeout=PATIENCE) as direct:
                direct.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                with pytest.raises(ConnectionResetError):
                    direct.recv(1)
        finally:
            stage.aws.publish(before)

    @staticmethod
    def _public(stage: Stage, name: str) -> tuple[str, int]:
        wait_until(lambda: name in stage.aws.report.get("public", {}))
        host, _, port = stage.aws.report["public"][name].partition(":")
        return host, int(port)


@pytest.mark.rule("balancer/health-checks", "balancer/healthy-first")
def test_ill_targets_get_no_requests_and_the_account_hears_why(stage: Stage) -> None:
    def known() -> dict[str, tuple[str, str]]:
        targets = stage.aws.report.get("targets", [])
        found = [target for target in targets if target["group"] == "arn:tg/mixed"]
        return {
            f"{target['id']}:{target['port']}": (target["state"], target["reason"])
            for target in found
        }

    wait_until(lambda: len(known()) == 2)
    assert known()[SICK] == ("unhealthy", "Target.ResponseCodeMismatch")
    assert {reason for state, reason in known().values()} == {
        "Target.ResponseCodeMismatch",
        "Target.FailedHealthChecks",
    }
    assert [stage.request("dmixed", path="/healthz")[0] for _ in range(3)] == [200, 200, 200]


@pytest.mark.rule("balancer/cookie-stickiness")
def test_a_cookie_brings_a_websocket_back_to_its_target(stage: Stage) -> None:
    def targets() -> list[str]:
        return [entry["to"] for entry in stage.open_sockets() if entry["hop"] == "ALB sticky"]

    with stage.websocket("dsticky") as first:
        cookies = first.response.headers.get_all("Set-Cookie")
        assert [cookie.partition("=")[0] for cookie in cookies] == ["AWSALB", "AWSALBCORS"]
        given = {"Cookie": cookies[0].partition(";")[0]}
        with (
            stage.websocket("dsticky", additional_headers=given),
            stage.websocket("dsticky", additional_headers=given),
        ):
            wait_until(lambda: len(targets()) == 3)
            assert len(set(targets())) == 1
            with stage.websocket("dsticky"), stage.websocket("dsticky"):
                wait_until(lambda: len(targets()) == 5)
                assert SECOND in targets()


@pytest.mark.rule(
    "timeout/deregistration", "timeout/cut-without-close-frame", "balancer/websocket-is-sticky"
)
def test_a_deregistered_target_loses_its_sockets_after_the_delay(stage: Stage) -> None:
    before = copy.deepcopy(stage.aws.account)
    account = copy.deepcopy(before)
    leaving = next(group for group in account["target_groups"] if group["arn"] == "arn:tg/leaving")
    leaving["targets"] = []
    with stage.websocket("dleaving") as client:
        assert client.recv()["type"] == "welcome"
        stage.aws.publish(account)
        try:
            client.send("still there")
            assert client.recv()["message"] == "still there"
            assert stage.request("dleaving")[0] == 503
            assert client.wait_closed() == 1006
        finally:
            stage.aws.publish(before)
    row = stage.edge.wait_for_entry(
        lambda row: row.get("x-host-header") == "dleaving.cloudfront.net" and "lab-cut-by" in row
    )
    assert row["lab-cut-by"].startswith("ALB leaving, because 10.10.8.174:8080 was deregistered")


@pytest.mark.rule("balancer/protocol-version")
def test_a_target_group_of_http2_carries_no_upgrade(stage: Stage) -> None:
    status, headers, _ = stage.request("dmodern")
    assert (status, headers["Server"]) == (464, "awselb/2.0")


@pytest.mark.rule("timeout/alb-idle")
def test_the_log_says_whose_idle_clock_cut_a_websocket(stage: Stage) -> None:
    with stage.websocket("dservice") as client:
        assert client.recv()["type"] == "welcome"
        (edge,) = [entry for entry in stage.open_sockets() if entry["to"].startswith("dservice.")]
        assert (edge["hop"], edge["idle_timeout_aws_seconds"]) == ("CloudFront", 600)
    with stage.websocket("dsilent") as client:
        assert client.wait_closed() == 1006
    row = stage.edge.wait_for_entry(
        lambda row: row.get("x-host-header") == "dsilent.cloudfront.net" and "lab-cut-by" in row
    )
    assert row["lab-cut-by"] == "the idle timeout of ALB silent, 6 s (lab: 1 s)"
