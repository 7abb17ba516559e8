"""What people wrote about WebSockets behind CloudFront, lived through: each trouble is set in the
lab, and the check of a live endpoint, asked as a team asks, says which it is.

That four clients hear each other is told in `test_clients_at_the_edge.py`; what the long article of
2026 warns of in `test_gotchas.py`; API Gateway in `test_api_gateway.py`; more of what works at the
origin only in `tests/lab_edge/test_works_at_the_origin.py`. The endpoints are those where several
stories meet; whatever is broken is put right, and seen to be right, before the next story begins.
"""

from __future__ import annotations

import html
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from checks.diagnosis.verdicts import VERDICTS
from tests.journeys.conftest import LiveEndpoint, Product
from tests.journeys.portal_clients import POLL_AFTER, words_of
from tests.journeys.probe_command import typed
from tests.journeys.until import until

CHECK_SECONDS, HEAL_SECONDS = 120.0, 120.0


def test_what_failed_in_2025_is_named_with_what_helps_today_and_not_with_its_workaround(
    product: Product, live_endpoint: LiveEndpoint
) -> None:
    """The field report of March 2025: 502 and OriginDnsError, though an ordinary request works. Its
    workaround still works, but makes a private app public, so it is not the advice.
    """
    with broken(product, live_endpoint, "era-2025"):
        check = checked(product, live_endpoint)
        # The report's own comparison: the same distribution, by a custom origin to a public load
        # balancer.
        workaround = typed(product, f"wss://{live_endpoint.host}/by/the/custom/origin")
    assert not check["ok"]
    assert check["transcript"]["response"]["status"] == 502
    assert check["verdict"]["code"] == "WSE-502-2025"
    assert "OriginDnsError" in check["verdict"]["plain"]
    assert (workaround.exit_code, workaround.code) == (0, "WSE-LIVE")
    assert "make sure that the origin has its VpcOriginConfig" in check["verdict"]["fix"]
    assert "give the request ID and the log line to AWS Support" in check["verdict"]["fix"]
    assert check["verdict"]["opens"] == "", "the advice opens nothing"
    assert "internet-facing" not in json.dumps(check["verdict"])
    page = product.visitor("ana").get(urlsplit(check["verdict"]["page"]).path)
    assert page.status_code == 200
    assert "Until May 2026" in words_of(page)


def test_the_vpc_of_2026_has_no_public_subnet_and_needs_none(
    product: Product, live_endpoint: LiveEndpoint
) -> None:
    """The article of May 2026: an internal load balancer, an internet gateway without routes,
    nothing public at all.
    """
    found = {
        one["code"]: one
        for one in product.api("ana").request(live_endpoint.request_id)["preflight"]
    }
    for code in (
        "PF-SCHEME",
        "PF-SUBNET",
        "PF-GATEWAY",
        "PF-PUBLIC",
        "PF-PUBLIC-ADDRESS",
        "PF-INGRESS",
    ):
        assert found[code]["level"] == "pass", found[code]
    assert "It needs no route" in found["PF-GATEWAY"]["seen"]


def test_a_quiet_connection_is_explained_by_the_clock_that_cut_it_and_the_setting_that_moves_it(
    product: Product, live_endpoint: LiveEndpoint
) -> None:
    """The article of 2026: the load balancer's idle timeout ends what says nothing. A word in time
    keeps it open.

    The fault makes it six seconds, one on the lab's clock.
    """
    with broken(product, live_endpoint, "idle-cut"):
        silent = checked(product, live_endpoint, script="hold 20")
    # Longer than the usual timeout of this load balancer, with a word three times as often.
    third = live_endpoint.idle_seconds / 3
    words = [f"hold {third:.2f}\nsend {word}" for word in "abcd"]
    talking = checked(product, live_endpoint, script="\n".join(words))
    codes = [found["code"] for found in silent["findings"]]
    assert "WSE-IDLE-ALB" in codes[:2], silent["findings"]
    assert "idle_timeout.timeout_seconds" in VERDICTS["WSE-IDLE-ALB"].fix
    found = next(one for one in silent["findings"] if one["code"] == "WSE-IDLE-ALB")
    assert any(
        "the idle timeout of the Application Load Balancer (1 s)" in line
        for line in found["evidence"]
    ), found
    assert talking["ok"], talking["findings"]


def test_a_connection_that_breaks_is_not_rebuilt_by_cloudfront_and_the_client_is_told_to_come_back(
    product: Product, live_endpoint: LiveEndpoint
) -> None:
    """The long article of 2026: no automatic reconnection. Targets are replaced, as by any
    deployment of the app.
    """
    with broken(product, live_endpoint, "target-cut"):
        check = checked(product, live_endpoint, script="hold 20")
    assert check["transcript"]["response"]["status"] == 101
    assert check["verdict"]["code"] == "WSE-1006", check["findings"]
    assert "CloudFront does not reconnect" in check["verdict"]["fix"]
    assert "random backoff" in check["verdict"]["fix"]


@pytest.mark.parametrize(
    ("fault", "asked", "status", "code"),
    [
        ("headers-not-forwarded", {}, (400, 426), "WSE-400-NOKEY"),
        ("security-group-closed", {}, (504,), "WSE-504-SG"),
        ("viewer-https-only", {"unencrypted": "true"}, (403,), "WSE-403-VIEWER"),
        ("listener-redirect", {}, (301,), "WSE-301-LOOP"),
        ("vpc-origin-deploying", {}, (502,), "WSE-502-VPCORIGIN"),
    ],
)
def test_works_from_the_origin_but_not_through_cloudfront(
    product: Product,
    live_endpoint: LiveEndpoint,
    fault: str,
    asked: dict[str, str],
    status: tuple[int, ...],
    code: str,
) -> None:
    """AWS's list of why an application works from its origin but not on CloudFront; and a VPC
    origin not yet there.
    """
    with broken(product, live_endpoint, fault):
        check = checked(product, live_endpoint, **asked)
    assert not check["ok"]
    assert check["transcript"]["response"]["status"] in status
    assert check["verdict"]["code"] == code, check["findings"]


def test_a_certificate_that_cloudfront_does_not_trust_is_named_though_it_only_says_502(
    product: Product, secure_endpoint: LiveEndpoint
) -> None:
    """AWS's list begins with it: a 502 is likely the TLS between CloudFront and the origin."""
    with broken(product, secure_endpoint, "origin-certificate-wrong-name"):
        check = checked(product, secure_endpoint)
    assert check["transcript"]["response"]["status"] == 502
    assert check["verdict"]["code"] == "WSE-502-TLS", check["findings"]
    assert "for another name" in check["verdict"]["cause"]
    assert (
        "with one for the internal name use AllViewerExceptHostHeader"
        in (check["verdict"]["narrower"])
    )
    assert "http-only" in check["verdict"]["fix"]
    assert "neither encrypted nor checked" in check["verdict"]["opens"], "what that gives up"


def test_a_method_that_is_not_allowed_is_found_by_its_log_row_beside_a_handshake_that_opens(
    product: Product, live_endpoint: LiveEndpoint
) -> None:
    """AWS's list: CloudFront allows GET and HEAD only. The handshake is a GET; the polling of
    Socket.IO posts.
    """
    trust = ssl.create_default_context(cafile=str(product.ca_file))
    with httpx.Client(verify=trust, trust_env=False) as poller:
        post = poller.post(
            "https://{}:{}{}".format(*live_endpoint.edge, live_endpoint.path),
            headers={"Host": live_endpoint.host},
            extensions={"sni_hostname": live_endpoint.host},
        )
    assert post.status_code == 403
    row = until(lambda: product.log_row(post.headers["x-amz-cf-id"]), "the row of the POST")
    check = checked(product, live_endpoint)
    assert (check["ok"], [found["code"] for found in check["findings"]]) == (True, ["WSE-LIVE"])

    ana, address = product.visitor("ana"), f"/endpoints/{live_endpoint.endpoint_id}"
    assert (
        ana.post(f"{address}/checks/{check['id']}/log-rows/", rows_text=json.dumps(row)).status_code
        == 302
    )

    def told() -> str:
        words = words_of(ana.get(f"{address}/?check={check['id']}"))
        return words if VERDICTS["WSE-403-METHOD"].fix in html.unescape(words) else ""

    words = html.unescape(until(told, "the log row weighed", CHECK_SECONDS))
    assert VERDICTS["WSE-403-METHOD"].title in words
    assert "Analyzed with CloudFront's log" in words


@contextmanager
def broken(product: Product, endpoint: LiveEndpoint, fault: str) -> Iterator[None]:
    """The lab with this fault for the endpoint; afterwards without, and the endpoint live again."""
    lab = product.stack.env["AWS_ENDPOINT_URL"]
    listed = httpx.get(f"{lab}/_lab/faults", trust_env=False, timeout=30).json()["faults"]
    takes = next(one["takes"] for one in listed if one["name"] == fault)
    aim = {"distribution": product.distribution_id, "path": endpoint.path}
    body = {"name": fault} | {name: value for name, value in aim.items() if name in takes}
    answer = httpx.post(f"{lab}/_lab/faults", json=body, trust_env=False, timeout=60)
    assert answer.status_code == 201, answer.text
    try:
        yield
    finally:
        httpx.delete(
            f"{lab}/_lab/faults/{answer.json()['id']}", trust_env=False, timeout=60
        ).raise_for_status()
        until(
            lambda: checked(product, endpoint)["ok"],
            f"the endpoint live after {fault}",
            HEAL_SECONDS,
        )


def checked(product: Product, endpoint: LiveEndpoint, **asked: str) -> dict[str, Any]:
    """One check through the API, to its end."""
    ana, path = product.api("ana"), f"/endpoints/{endpoint.endpoint_id}/checks"

    def ask() -> str | None:
        answer = ana.post(path, asked)
        # One check of an endpoint at a time.
        assert answer.status_code in (202, 409, 429), answer.text
        return str(answer.json()["id"]) if answer.status_code == 202 else None

    check_id = until(ask, "a check that is taken", CHECK_SECONDS)

    def look() -> dict[str, Any] | None:
        shown: dict[str, Any] = ana.get(f"{path}/{check_id}").json()
        return shown if shown["state"] == "finished" else None

    return until(look, f"the end of check {check_id}", CHECK_SECONDS, pause=POLL_AFTER)
