"""What people wrote about WebSockets behind CloudFront, lived through: each trouble is set in the lab, and the check of
a live endpoint, asked as a team asks, says which it is.

That four clients hear each other is told in `test_clients_at_the_edge.py`. The endpoint is the one where several
stories meet; whatever is broken is put right, and seen to be right, before the next story begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from checks.preflight.results import TITLES
from checks.verdicts import VERDICTS
from tests.journeys.conftest import LiveEndpoint, Product
from tests.journeys.portal_clients import words_of
from tests.journeys.until import until

CHECK_SECONDS, HEAL_SECONDS = 60.0, 30.0


def test_what_failed_in_2025_is_named_with_its_workaround_and_with_what_helps_today(
    product: Product, live_endpoint: LiveEndpoint
) -> None:
    """The field report of March 2025: 502 and OriginDnsError, though an ordinary request works."""
    with broken(product, live_endpoint, "era-2025"):
        check = checked(product, live_endpoint)
    assert not check["ok"]
    assert check["transcript"]["response"]["status"] == 502
    assert check["verdict"]["code"] == "WSE-502-2025"
    assert "OriginDnsError" in check["verdict"]["plain"]
    assert "use a custom origin with an internet-facing load balancer" in check["verdict"]["fix"], "the workaround"
    assert "make sure the origin has its VpcOriginConfig" in check["verdict"]["fix"], "today's fix"
    page = product.visitor("ana").get(urlsplit(check["verdict"]["page"]).path)
    assert page.status_code == 200
    assert "Until May 2026" in words_of(page)


def test_a_quiet_connection_is_explained_by_the_clock_that_cut_it_and_the_setting_that_moves_it(
    product: Product, live_endpoint: LiveEndpoint
) -> None:
    """The article of 2026: the load balancer's idle timeout ends what says nothing. A word in time keeps it open.

    The fault makes it six seconds, one on the lab's clock.
    """
    with broken(product, live_endpoint, "idle-cut"):
        silent = checked(product, live_endpoint, script="hold 20")
        talking = checked(product, live_endpoint, script="send a\nhold 0.3\nsend b\nhold 0.3\nsend c\nhold 0.3\nsend d")
    codes = [found["code"] for found in silent["findings"]]
    assert "WSE-IDLE-ALB" in codes[:2], silent["findings"]
    assert "idle_timeout.timeout_seconds" in VERDICTS["WSE-IDLE-ALB"].fix
    found = next(one for one in silent["findings"] if one["code"] == "WSE-IDLE-ALB")
    assert any("the idle clock of the Application Load Balancer (1 s)" in line for line in found["evidence"]), found
    assert talking["ok"], talking["findings"]


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
    product: Product, live_endpoint: LiveEndpoint, fault: str, asked: dict[str, str], status: tuple[int, ...], code: str
) -> None:
    """AWS's list of why an application works from its origin but not on CloudFront; and a VPC origin not yet there."""
    with broken(product, live_endpoint, fault):
        check = checked(product, live_endpoint, **asked)
    assert not check["ok"]
    assert check["transcript"]["response"]["status"] in status
    assert check["verdict"]["code"] == code, check["findings"]


GOTCHAS = {
    "the handshake is HTTP/1.1 only": ("PF-TARGET-GROUP",),
    "idle connections die": ("PF-IDLE", "WSE-IDLE-ALB", "WSE-IDLE-CLOUDFRONT"),
    "nobody reconnects by itself": ("WSE-1006",),
    "header forwarding is mandatory": ("WSE-400-NOKEY",),
    "a new VPC origin takes a quarter of an hour": ("WSE-502-VPCORIGIN", "PF-VPC-ORIGIN"),
    "sticky sessions still apply": ("PF-STICKY",),
    "VPC origins are not in every Region and zone": ("PF-ZONE",),
}
"""The limitations that the 2026 article lists, and what the portal says to each before or after."""


def test_every_gotcha_of_the_article_has_a_code() -> None:
    assert [code for codes in GOTCHAS.values() for code in codes if code not in VERDICTS and code not in TITLES] == []


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
        httpx.delete(f"{lab}/_lab/faults/{answer.json()['id']}", trust_env=False, timeout=60).raise_for_status()
        until(lambda: checked(product, endpoint)["ok"], f"the endpoint live after {fault}", HEAL_SECONDS)


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

    return until(look, f"the end of check {check_id}", CHECK_SECONDS)
