"""What the preflight says of the portal's own rights, and what it offers to change in the request itself."""

from __future__ import annotations

from typing import Any

import pytest

from checks.preflight import Level, PreflightSubject, judge
from provisioning.facts import Snapshot
from provisioning.permissions import CREATE_SERVICE_ROLE, Permission, questions
from provisioning.spec import complete_wish, parse_spec
from tests.checks.test_preflight import MAKE, MAY, OPEN, PUBLISH, WISH, judged, listener, seen
from tests.provisioning.examples import OWNER, behavior
from tests.provisioning.examples import WISH as OWN_WISH

CLOSED: dict[str, Any] = {"ingress": ()}


def denied(action: str, decision: str = "implicitDeny", *missing: str) -> tuple[Permission, ...]:
    return (*(one for one in MAY if one.action != action), Permission(action, "*", decision, missing))


@pytest.mark.parametrize(
    ("permissions", "target", "wish", "expected"),
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
    permissions: tuple[Permission, ...] | None, target: dict[str, Any], wish: dict[str, Any], expected: str
) -> None:
    (result,) = judged(wish, seen(target, permissions=permissions))["PF-PERMISSION"]
    assert result.level.value == expected
    if expected == "unknown" and permissions:
        assert "aws:SourceVpc" in result.why


def test_iam_is_asked_only_about_what_there_is() -> None:
    def actions(**what: Any) -> set[str]:
        return {action for one in questions("111122223333", "eu-west-1", OWNER, **what) for action in one.actions}

    assert PUBLISH not in actions()
    assert OPEN not in actions(distribution_id="E1")
    assert {PUBLISH, OPEN} <= actions(distribution_id="E1", group_id="sg-1")
    assert CREATE_SERVICE_ROLE in actions(needs_role=True)


REDIRECTING = listener(action="redirect", redirect_protocol="HTTPS")
PLAIN = {"http_port": 80, "origin_protocol": "http-only"}


@pytest.mark.parametrize(
    ("code", "wish", "facts", "changes"),
    [
        ("PF-PATH-BARE", {"path_patterns": ["/ws/*"]}, seen(), {"path_patterns": ["/ws/*", "/ws"]}),
        ("PF-PATH-BARE", {"path_patterns": [f"/{n}/*" for n in range(5)]}, seen(), None),
        ("PF-PATH-BARE", {"path_patterns": ["/a/*"]}, seen(distribution={"behaviors": (behavior("/a"),)}), None),
        ("PF-INGRESS", {"open_security_group": False}, seen({"ingress": ()}), {"open_security_group": True}),
        ("PF-INGRESS", {}, seen({"ingress": ()}), None),
        (
            "PF-ACTION",
            PLAIN,
            seen({"listeners": (REDIRECTING, listener(443, "HTTPS"))}),
            {"origin_protocol": "https-only", "https_port": 443, "forward_host": "", "origin_domain": ""},
        ),
        ("PF-ACTION", PLAIN, seen({"listeners": (REDIRECTING, listener(443, "HTTPS", "redirect"))}), None),
        ("PF-ACTION", PLAIN, seen({"listeners": (REDIRECTING, listener(444, "HTTPS"))}), None),
        ("PF-ACTION", PLAIN, seen({"listeners": (listener(action="fixed-response"),)}), None),
    ],
)
def test_what_the_request_itself_can_put_right_is_proposed(
    code: str, wish: dict[str, Any], facts: Snapshot, changes: dict[str, Any] | None
) -> None:
    result = judged(wish, facts)[code][0]
    assert result.level is not Level.PASS
    amendment = result.to_dict()["amendment"]
    assert (amendment and amendment["changes"]) == changes
    if changes is None:
        return
    taken_up = {field: value for field, value in (WISH | wish | changes).items() if value != ""}
    target = facts.target
    assert target is not None
    complete = complete_wish(OWN_WISH | taken_up, target.listener_protocols(), target.certificate_names())
    again = [one for one in judge(PreflightSubject.of(parse_spec(complete)), facts) if one.code == code]
    assert {one.level for one in again} <= {Level.PASS, Level.FIXABLE}
