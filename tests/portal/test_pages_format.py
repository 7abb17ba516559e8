"""The pure parts behind the pages: plan lines, readiness, health, words for times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.utils import timezone

from checks.models import Check, PrivacyAudit, Probe
from portal.endpoints.endpoint_status import endpoint_status
from portal.pages.templatetags import portal_format
from portal.requests.plan_diff import plan_view
from portal.requests.target_badge import target_badge
from provisioning.facts.load_balancer import Listener
from provisioning.facts.names import Arn, SecurityGroupId
from provisioning.facts.target import TargetFacts


def target(**others: object) -> TargetFacts:
    """An internal ALB with a listener on 80."""
    said: dict[str, object] = {
        "arn": Arn("arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/a/1"),
        "kind": "application",
        "name": "a",
        "dns_name": "internal-a",
        "scheme": "internal",
        "state": "active",
        "vpc_id": "vpc-1",
        "security_groups": (SecurityGroupId("sg-1"),),
        "listeners": (Listener(80, "HTTP", "forward"),),
    }
    return TargetFacts(**(said | others))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("others", "word"),
    [
        ({}, "Ready"),
        ({"kind": "gateway"}, "Not supported"),
        ({"scheme": "internet-facing"}, "Not supported"),
        ({"state": "provisioning"}, "Not supported"),
        ({"listeners": ()}, "Not supported"),
        ({"listeners": (Listener(99, "HTTP", "forward"),)}, "Not supported"),
        ({"listeners": (Listener(8443, "HTTP", "forward"),)}, "Check details"),
        ({"kind": "instance", "listeners": (), "scheme": "internet-facing"}, "Ready"),
    ],
)
def test_readiness_names_the_first_reason(others: dict[str, object], word: str) -> None:
    said = target_badge(target(**others))
    assert said.word == word
    assert said.usable == (word != "Not supported")
    assert said.why or word == "Ready"


def test_plan_lines_show_before_and_after_and_count_what_is_off() -> None:
    plan = {
        "expected_seconds": 900,
        "items": [
            {
                "resource": "behavior",
                "action": "create",
                "title": "Behavior /ws",
                "before": {"answered_by": "*", "TargetOriginId": "web"},
                "after": {
                    "PathPattern": "/ws",
                    "TargetOriginId": "ours",
                    "AllowedMethods": {"Quantity": 2, "Items": ["GET", "HEAD"]},
                    "FunctionAssociations": {"Quantity": 0},
                    "Compress": False,
                },
                "note": "",
                "shared": False,
            },
            {
                "resource": "vpc-origin",
                "action": "reuse",
                "title": "V",
                "before": {"Id": "vo_1"},
                "after": {"Name": "n"},
            },
        ],
    }
    view = plan_view(plan, pace=45)
    behavior, shared = view.items
    assert [(line.label, line.before, line.after) for line in behavior.lines] == [
        ("Matching behavior", "*", "/ws"),
        ("Origin", "web", "ours"),
        ("Allowed HTTP methods", "", "GET, HEAD"),
    ]
    assert behavior.left_out == 2
    shown = render_to_string("requests/_plan.html", {"plan": view})
    assert "<ins>/ws</ins>" in shown
    assert "(currently *)" in shown
    assert "<del>" not in shown, "a plan that only creates takes nothing away"
    assert not shared.changes
    assert not any(line.changes for line in shared.lines)
    assert (view.creates, view.unchanged, view.expected_seconds) == (1, 1, 20)


def test_a_header_to_the_target_is_shown_with_the_beginning_of_its_fingerprint() -> None:
    def origin(fingerprint: str) -> dict[str, Any]:
        header = {"HeaderName": "X-Verify", "ValueFingerprint": fingerprint}
        return {"CustomHeaders": {"Quantity": 2, "Items": [{"HeaderName": "X-Copied"}, header]}}

    item = {"resource": "origin", "action": "update", "title": "O", "note": "", "shared": False}
    before, after = origin("0123456789abcdef"), origin("fedcba9876543210")
    view = plan_view({"items": [item | {"before": before, "after": after}]}, pace=1)
    (line,) = view.items[0].lines
    assert line.before == "X-Copied, X-Verify (value 01234567…)"
    assert line.after == "X-Copied, X-Verify (value fedcba98…)"


def test_health_is_a_word() -> None:
    words = {
        ("deployed", "live", True): "Live",
        ("deployed", "failing", True): "Handshake failing",
        ("deployed", "drifted", True): "Drifted",
        ("deployed", "unknown", True): "Not known",
        ("deployed", "unknown", False): "Deployed, not checked yet",
        ("wanted", "unknown", False): "Not built yet",
        ("absent", "unknown", True): "Removed",
    }
    for (state, health, checked), word in words.items():
        assert endpoint_status(state, health, checked=checked).word == word


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, ""),
        (0.2, "under 1 s"),
        (42, "42 s"),
        (75, "1 min 15 s"),
        (900, "15 min"),
        (7260, "2 h 1 min"),
    ],
)
def test_durations(seconds: float | None, said: str) -> None:
    assert portal_format.duration(seconds) == said


def test_times_are_said_roughly_and_kept_exactly() -> None:
    said = portal_format.since(timezone.now() - timedelta(minutes=3, seconds=2))
    assert ">3 min ago</time>" in said
    assert 'datetime="' in said
    assert ">2 January 2020</time>" in portal_format.since(datetime(2020, 1, 2, tzinfo=UTC))
    assert portal_format.since(None) == ""


def test_values_are_said_plainly() -> None:
    assert [portal_format.plainly(value) for value in (True, False, "", None, ["a", "b"], 7)] == [
        "yes", "no", "none", "none", "a, b", "7",
    ]  # fmt: skip
    assert (
        portal_format.arn_name(
            "arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/int-chat/50dc"
        )
        == "int-chat"
    )
    assert portal_format.arn_name("arn:aws:ec2:us-east-1:1:instance/i-0abc") == "i-0abc"


def test_what_could_not_be_seen_does_not_look_like_a_pass() -> None:
    def page(*levels: str) -> str:
        results = [
            {"code": "PF-BPA", "title": "It holds", "level": one, "seen": "So.", "why": "x"}
            for one in levels
        ]
        return render_to_string(
            "requests/_preflight.html", {"results": results, "blocked": "block" in levels}
        )

    assert "Ready to build." in page("pass", "fixable")
    assert "Ready to build, with 2 warnings." in page("pass", "warn", "warn")
    told = page("pass", "unknown", "warn")
    assert "Ready to build" not in told
    assert "1 question could not be answered" in told
    assert (
        told.index("Could not be checked")
        < told.index("Check these")
        < told.index("1 check passed")
    )
    assert "Not ready." in page("unknown", "block")


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (1, "every minute"),
        (15, "every 15 minutes"),
        (60, "every hour"),
        (90, "every 90 minutes"),
        (120, "every 2 hours"),
        (1440, "every day"),
    ],
)
def test_how_often_is_said_in_the_largest_unit_that_fits(minutes: int, said: str) -> None:
    assert portal_format.every(minutes) == said


@pytest.mark.parametrize("row", [Check, Probe, PrivacyAudit])
def test_of_what_takes_long_people_read_when_it_begins_anew_and_of_nothing_else(
    row: type[Check] | type[Probe] | type[PrivacyAudit],
) -> None:
    now = timezone.now()
    told = portal_format.retry_notice(
        row(requested_at=now - timedelta(seconds=40), lease_until=now + timedelta(seconds=90))
    )
    assert "another retries" in told
    for asked, lease in ((1, 90), (40, None), (40, -1)):
        until = None if lease is None else now + timedelta(seconds=lease)
        assert (
            portal_format.retry_notice(
                row(requested_at=now - timedelta(seconds=asked), lease_until=until)
            )
            == ""
        )
