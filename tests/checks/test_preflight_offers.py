"""What the preflight says of the portal's own rights, and what it offers to change in the request
itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from checks.preflight import Level, PreflightSubject, evaluate
from provisioning.facts.permissions import CREATE_SERVICE_ROLE, Permission, questions
from provisioning.facts.snapshot import Snapshot
from provisioning.spec.parsing import complete_answers, parse_spec
from tests.checks.test_preflight import (
    ANSWERS,
    MAKE,
    MAY,
    OPEN,
    PUBLISH,
    SUBNETS,
    judged,
    level,
    listener,
    seen,
)
from tests.provisioning.examples import ANSWERS as OWN_WISH
from tests.provisioning.examples import OWNER, behavior

CLOSED: dict[str, Any] = {"ingress": ()}


def denied(action: str, decision: str = "implicitDeny", *missing: str) -> tuple[Permission, ...]:
    return (
        *(one for one in MAY if one.action != action),
        Permission(action, "*", decision, missing),
    )


@pytest.mark.parametrize(
    ("permissions", "target", "answers", "expected"),
    [
        (MAY, CLOSED, {}, "pass"),
        (denied(PUBLISH), {}, {}, "warn"),
        (denied(MAKE, "explicitDeny"), {}, {}, "warn"),
        (denied(MAKE, "implicitDeny", "aws:SourceVpc"), {}, {}, "unknown"),
        (denied(OPEN), {}, {}, "pass"),
        (denied(OPEN), CLOSED, {}, "warn"),
        (denied(OPEN), CLOSED, {"open_security_group": False}, "pass"),
        (denied(CREATE_SERVICE_ROLE), {}, {}, "pass"),
        (None, {}, {}, "unknown"),
    ],
)
def test_a_missing_permission_is_known_before_the_run(
    permissions: tuple[Permission, ...] | None,
    target: dict[str, Any],
    answers: dict[str, Any],
    expected: str,
) -> None:
    (result,) = judged(answers, seen(target, permissions=permissions))["PF-PERMISSION"]
    assert result.level.value == expected
    if expected == "unknown" and permissions:
        assert "aws:SourceVpc" in result.why


def test_iam_is_asked_only_about_what_there_is() -> None:
    def actions(**what: Any) -> set[str]:
        return {
            action
            for one in questions("111122223333", "eu-west-1", OWNER, **what)
            for action in one.actions
        }

    assert PUBLISH not in actions()
    assert OPEN not in actions(distribution_id="E1")
    assert {PUBLISH, OPEN} <= actions(distribution_id="E1", group_id="sg-1")
    assert CREATE_SERVICE_ROLE in actions(needs_role=True)


REDIRECTING = listener(action="redirect", redirect_protocol="HTTPS")
PLAIN = {"http_port": 80, "origin_protocol": "http-only"}


@pytest.mark.parametrize(
    ("code", "answers", "facts", "changes"),
    [
        ("PF-PATH-BARE", {"path_patterns": ["/ws/*"]}, seen(), {"path_patterns": ["/ws/*", "/ws"]}),
        ("PF-PATH-BARE", {"path_patterns": [f"/{n}/*" for n in range(5)]}, seen(), None),
        (
            "PF-PATH-BARE",
            {"path_patterns": ["/a/*"]},
            seen(distribution={"behaviors": (behavior("/a"),)}),
            None,
        ),
        (
            "PF-INGRESS",
            {"open_security_group": False},
            seen({"ingress": ()}),
            {"open_security_group": True},
        ),
        ("PF-INGRESS", {}, seen({"ingress": ()}), None),
        (
            "PF-ACTION",
            PLAIN,
            seen({"listeners": (REDIRECTING, listener(443, "HTTPS"))}),
            {
                "origin_protocol": "https-only",
                "https_port": 443,
                "forward_host": "",
                "origin_domain": "",
            },
        ),
        (
            "PF-ACTION",
            PLAIN,
            seen({"listeners": (REDIRECTING, listener(443, "HTTPS", "redirect"))}),
            None,
        ),
        ("PF-ACTION", PLAIN, seen({"listeners": (REDIRECTING, listener(444, "HTTPS"))}), None),
        ("PF-ACTION", PLAIN, seen({"listeners": (listener(action="fixed-response"),)}), None),
    ],
)
def test_what_the_request_itself_can_put_right_is_proposed(
    code: str, answers: dict[str, Any], facts: Snapshot, changes: dict[str, Any] | None
) -> None:
    result = judged(answers, facts)[code][0]
    assert result.level is not Level.PASS
    amendment = result.to_dict()["amendment"]
    assert (amendment and amendment["changes"]) == changes
    if changes is None:
        return
    taken_up = {
        field: value for field, value in (ANSWERS | answers | changes).items() if value != ""
    }
    target = facts.target
    assert target is not None
    complete = complete_answers(
        OWN_WISH | taken_up, target.listener_protocols(), target.certificate_names()
    )
    again = [
        one
        for one in evaluate(PreflightSubject.of(parse_spec(complete)), facts)
        if one.code == code
    ]
    assert {one.level for one in again} <= {Level.PASS, Level.FIXABLE}


@pytest.mark.parametrize(
    ("silence", "timeout", "raised"),
    [(90, 60, "Value=180"), (599, 60, "Value=1198"), (600, 60, ""), (700, 60, "")],
)
def test_a_timeout_is_to_be_raised_only_where_that_helps(
    silence: int, timeout: int, raised: str
) -> None:
    """CloudFront's ten minutes are nobody's to change: a silence as long as they are needs a
    heartbeat.
    """
    (idle,) = judged({"max_silence_seconds": silence}, seen({"idle_timeout_seconds": timeout}))[
        "PF-IDLE"
    ]
    assert idle.level is Level.WARN
    assert idle.fix is not None
    assert "send a ping from the server every 20 to 30 s" in idle.fix.console
    assert idle.fix.cli.endswith(raised)
    assert bool(idle.fix.cli) == bool(raised)
    assert ("CloudFront closes after 600 s" in idle.fix.console) == (not raised)


def test_the_route_that_is_to_go_is_the_one_to_the_internet_gateway() -> None:
    """Not whatever has 0.0.0.0/0: in a subnet that is public over IPv6 that one leads to a NAT
    gateway.
    """
    public = replace(SUBNETS[0], public=True)
    (told,) = judged({}, seen({"subnets": (public,)}))["PF-SUBNET"]
    assert told.level is Level.WARN
    assert told.fix is not None
    assert "0.0.0.0/0" not in told.fix.cli
    assert told.fix.cli.endswith("--destination-cidr-block DESTINATION-OF-THE-ROUTE-TO-THE-IGW")
    assert "routes to a NAT gateway may stay" in told.fix.console
    assert level("PF-SUBNET", {}, seen({"subnets": (replace(public, public=False),)})) is Level.PASS
