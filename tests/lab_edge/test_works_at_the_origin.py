"""AWS's list of why an application works from its custom origin but fails on CloudFront, case by
case: set in a whole lab, probed and found by the portal's own code with AWS's answers beside
it.

Each case stands beside the same request where it works. The journeys live through those that need a
team.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest

from checks import aws_view
from checks.diagnosis.evidence import Observations
from checks.investigate import Investigation, investigate
from checks.probe.limits import Limits
from checks.probe.prober import ProbeNetwork, probe_blocking
from checks.protocol.address_guard import parse_networks
from checks.protocol.connect_to import parse_connect_to
from checks.protocol.handshake_options import ProbeTarget
from checks.protocol.script import Script
from checks.protocol.transcript import Transcript
from lab.apps.strict import ALLOWED_ORIGIN, TOKEN
from provisioning.aws.session import AccountRef, Aws
from provisioning.models import AwsAccount, Endpoint
from provisioning.plan.path_ownership import PathRights
from provisioning.spec.parsing import complete_answers, parse_spec
from tests.lab.account import REGION

from .rehearsal import TLS_NAME, Rehearsal

KEPT, PASSED_ON, OVER_TLS = "/kept/chat", "/ws/chat", "/tls/chat"
ROOM = "room=blue"
CERTIFICATES = ("wrong-name", "expired", "self-signed", "incomplete", "unknown-authority")


class Portal:
    """The portal's probe and its explanation, for the paths of the rehearsal's distribution."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.rehearsal = rehearsal
        ports = {443: rehearsal.tls_port, 80: rehearsal.plain_port}
        self._network = ProbeNetwork(
            connect_to=parse_connect_to(
                ",".join(f"*:{port}:127.0.0.1:{ours}" for port, ours in ports.items())
            ),
            ca_file=str(rehearsal.directory / "ca.pem"),
            allowed_networks=parse_networks("127.0.0.1/32"),
        )

    def explains(
        self, path: str, *, host: str = "", scheme: str = "wss", **more: Any
    ) -> Investigation:
        """One handshake, and what the portal makes of it: its verdict, after probes of its own and
        a look at AWS.
        """
        name = host or self.rehearsal.domain
        target = ProbeTarget(f"{scheme}://{name}{path}", **{"origin": f"https://{name}", **more})
        seen = Observations(self._probe(target, Script.echo()), origin_tls=path.startswith("/tls"))
        endpoint = self._endpoint(path.partition("?")[0])
        return investigate(
            seen,
            target=target,
            probe=lambda again: self._probe(again, Script.handshake_only()),
            look=lambda: aws_view.fetch_aws_view(endpoint, target.url, target.headers),
            routes={},
        )

    def _probe(self, target: ProbeTarget, script: Script) -> Transcript:
        return probe_blocking(target, network=self._network, script=script, limits=Limits())

    def _endpoint(self, path: str) -> Endpoint:
        """An endpoint as the portal would have made it; it is in no database."""
        account = self.rehearsal.account
        chat = account.elbv2.describe_load_balancers(Names=["int-chat"])["LoadBalancers"][0][
            "LoadBalancerArn"
        ]
        over_tls = {
            "origin_protocol": "https-only",
            "forward_host": False,
            "origin_domain": TLS_NAME,
        }
        answers = {
            "name": "chat",
            "account_id": account.number,
            "distribution_id": self.rehearsal.distribution,
            "target_arn": chat,
            "path_patterns": [f"/{path.split('/')[1]}/*"],
            **(over_tls if path == OVER_TLS else {"origin_protocol": "http-only"}),
        }
        return Endpoint(
            id=uuid.uuid4(),
            account=AwsAccount(account_id=account.number, region=REGION),
            spec_data=parse_spec(complete_answers(answers)).to_dict(),
            domain_name=self.rehearsal.domain,
        )


@pytest.fixture(scope="module")
def portal(rehearsal: Rehearsal) -> Iterator[Portal]:
    role = f"arn:aws:iam::{rehearsal.account.number}:role/edge-portal"
    with pytest.MonkeyPatch.context() as patched:
        for name, value in (
            ("ENDPOINT_URL", rehearsal.lab.url),
            ("ACCESS_KEY_ID", "lab"),
            ("SECRET_ACCESS_KEY", "lab"),
        ):
            patched.setenv(f"AWS_{name}", value)
        # The budget of calls is a row of the database, and there is none here.
        aws = Aws(AccountRef(rehearsal.account.number, REGION, role, "external-id"))
        patched.setattr(AwsAccount, "client", lambda _: aws)
        patched.setattr(AwsAccount, "path_rights", lambda _, __, team: PathRights(team))
        yield Portal(rehearsal)


@contextmanager
def broken(rehearsal: Rehearsal, fault: str, path: str) -> Iterator[None]:
    made = rehearsal.set(fault, distribution=rehearsal.distribution, path=path)
    try:
        yield
    finally:
        rehearsal.clear(made["id"])


def test_every_way_works_before_anything_is_broken(portal: Portal) -> None:
    for path in (KEPT, PASSED_ON, OVER_TLS):
        found = portal.explains(path).conclusion.diagnoses
        assert [one.code for one in found] == ["WSE-LIVE"], (path, found)


@pytest.mark.parametrize("flaw", CERTIFICATES)
def test_502_is_the_certificate_of_the_origin(
    portal: Portal, rehearsal: Rehearsal, flaw: str
) -> None:
    with broken(rehearsal, f"origin-certificate-{flaw}", OVER_TLS):
        told = portal.explains(OVER_TLS)
        assert told.seen.status == 502
        assert told.conclusion.first.code == "WSE-502-TLS", told.conclusion.diagnoses
        # The same app over plain HTTP has no certificate to show.
        assert portal.explains(PASSED_ON).seen.handshake.live


LOST: list[tuple[str, str, str, dict[str, Any], int, str]] = [
    # the app that wants it; where; what goes with the handshake; the status without it; what is
    # named
    (
        "app-needs-login",
        "",
        "",
        {"headers": (("Authorization", f"Bearer {TOKEN}"),)},
        401,
        "the header Authorization",
    ),
    (
        "app-redirects-to-login",
        "",
        "",
        {"headers": (("Cookie", "session=1"),)},
        302,
        "the cookie session",
    ),
    ("app-origin-check", "", "", {"origin": ALLOWED_ORIGIN}, 403, "the header Origin"),
    ("", "room", ROOM, {}, 404, "the query string room"),
]


@pytest.mark.parametrize(
    ("fault", "page", "query", "carried", "status", "named"), LOST, ids=[row[-1] for row in LOST]
)
def test_what_is_not_forwarded_is_named_and_where_it_is_the_app_is_content(
    portal: Portal,
    rehearsal: Rehearsal,
    fault: str,
    page: str,
    query: str,
    carried: dict[str, Any],
    status: int,
    named: str,
) -> None:
    """Header lines, cookies and query strings; Origin, where the app's own list is not to blame."""
    asked = (f"/{page}" if page else "/chat") + (f"?{query}" if query else "")
    with broken(rehearsal, fault, KEPT) if fault else nullcontext():
        told = portal.explains(f"/kept{asked}", **carried)
        beside = portal.explains(f"/ws{asked}", **carried)
    assert told.seen.status == status
    first = told.conclusion.first
    assert first.code == "WSE-NOT-FORWARDED", told.conclusion.diagnoses
    assert (first.certainty == "high") is (status in (401, 403))
    assert any(line.startswith(f"{named} is not forwarded") for line in first.evidence), (
        first.evidence
    )
    assert beside.seen.handshake.upgraded, beside.seen.handshake.failures


@pytest.mark.parametrize("fault", ["listener-redirect", "app-redirects-to-https"])
def test_constant_redirection_is_a_loop_and_https_to_the_origin_ends_the_load_balancers(
    portal: Portal, rehearsal: Rehearsal, fault: str
) -> None:
    with broken(rehearsal, fault, PASSED_ON):
        told = portal.explains(PASSED_ON)
        over_tls = portal.explains(OVER_TLS)
    assert told.seen.status == 301
    assert told.conclusion.first.code == "WSE-301-LOOP", told.conclusion.diagnoses
    assert "origin's protocol policy to https-only" in told.conclusion.first.verdict.narrower
    # An app that redirects by itself does so whatever the way to it.
    assert over_tls.seen.handshake.live is (fault == "listener-redirect")


VIEWERS: list[tuple[str, dict[str, str], str]] = [
    ("viewer-redirect", {"scheme": "ws"}, "WSE-301-REDIRECT"),
    ("viewer-https-only", {"scheme": "ws"}, "WSE-403-VIEWER"),
    ("", {"host": "not-on-the-certificate.example"}, "WSE-TLS-NAME"),
]


@pytest.mark.parametrize(("fault", "asked", "code"), VIEWERS, ids=[row[-1] for row in VIEWERS])
def test_what_lies_between_the_viewer_and_cloudfront_is_told_from_the_origin(
    portal: Portal, rehearsal: Rehearsal, fault: str, asked: dict[str, str], code: str
) -> None:
    """HTTPS is demanded, or the domain name is not one that the distribution has a certificate
    for.
    """
    with broken(rehearsal, fault, PASSED_ON) if fault else nullcontext():
        told = portal.explains(PASSED_ON, **asked)
        assert portal.explains(PASSED_ON).seen.handshake.live
    assert told.conclusion.first.code == code, told.conclusion.diagnoses
