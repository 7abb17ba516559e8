"""What the preflight says of names and certificates: which Host the target sees, and who shows
which certificate.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from checks.preflight import Level
from provisioning.facts.certificate import Certificate
from provisioning.facts.distribution import DomainConflict
from provisioning.facts.load_balancer import Listener
from provisioning.facts.permissions import CREATE_SERVICE_ROLE, Permission
from provisioning.facts.snapshot import Gap, Snapshot
from tests.checks.test_preflight import judged, level, seen

SECURE: dict[str, Any] = {"origin_protocol": "https-only", "https_port": 443, "http_port": 80}
ISSUED = Certificate(
    "arn:aws:acm:us-east-1:1:certificate/a",
    ("app.example.com",),
    "ISSUED",
    "AMAZON_ISSUED",
    "2027-03-01",
)
ALIAS = {"aliases": ("chat.example.com",)}
TWO = {"aliases": ("a.example.com", "b.example.com")}
OLD = {"status": "EXPIRED"}
OWN_NAME = SECURE | {"forward_host": False, "origin_domain": "app.example.com"}
DOMAIN_A = {"forward_host": False, "origin_domain": "a.example.com"}
VIEWERS = SECURE | {"forward_host": True, "origin_domain": ""}


def showing(*certificates: Certificate, **more: Any) -> Snapshot:
    listener = Listener(443, "HTTPS", "forward", rules=(), certificates=certificates)
    return seen({"listeners": (listener,)}, **more)


def named(*names: str, **changes: Any) -> Certificate:
    return replace(ISSUED, names=names, **changes)


# CloudFront Developer Guide: Host forwarded, the viewers' name; not forwarded, the origin's domain.
@pytest.mark.parametrize(
    ("answers", "facts", "expected"),
    [
        (OWN_NAME, showing(ISSUED), "pass"),
        (OWN_NAME, showing(named("*.example.com")), "pass"),
        (OWN_NAME, showing(named("*.app.example.com")), "block"),
        (OWN_NAME, showing(named("APP.example.com")), "pass"),
        (OWN_NAME, showing(named("other.example.com"), ISSUED), "pass"),
        (OWN_NAME, showing(named("chat.example.com"), distribution=ALIAS), "block"),
        (SECURE | {"forward_host": False}, showing(ISSUED), "block"),
        (VIEWERS, showing(named("chat.example.com"), distribution=ALIAS), "pass"),
        (VIEWERS, showing(ISSUED, distribution=ALIAS), "block"),
        (VIEWERS, showing(ISSUED), "block"),
        (
            VIEWERS,
            showing(named("a.example.com"), distribution={"aliases": ("a.example.com", "b.org")}),
            "block",
        ),
        (OWN_NAME, showing(replace(ISSUED, status="EXPIRED")), "block"),
        (OWN_NAME, showing(replace(ISSUED, kind="PRIVATE")), "block"),
        (OWN_NAME, showing(replace(ISSUED, kind="IMPORTED")), "unknown"),
        # one left over beside one in force, in either order; and one in force for another name only
        (OWN_NAME, showing(ISSUED, replace(ISSUED, status="EXPIRED")), "warn"),
        (OWN_NAME, showing(replace(ISSUED, status="EXPIRED"), ISSUED), "warn"),
        (OWN_NAME, showing(ISSUED, replace(ISSUED, kind="PRIVATE")), "warn"),
        (OWN_NAME, showing(ISSUED, replace(ISSUED, kind="IMPORTED")), "unknown"),
        (OWN_NAME, showing(ISSUED, replace(ISSUED, kind="IMPORTED", status="EXPIRED")), "warn"),
        (OWN_NAME, showing(ISSUED, named("old.example.com", status="EXPIRED")), "pass"),
        (OWN_NAME, showing(replace(ISSUED, status="EXPIRED"), named("b.example.com")), "block"),
        (
            VIEWERS,
            showing(
                named("*.example.com"), named("a.example.com", status="EXPIRED"), distribution=TWO
            ),
            "warn",
        ),
        (
            VIEWERS,
            showing(
                named("a.example.com"), named("b.example.com", status="EXPIRED"), distribution=TWO
            ),
            "block",
        ),
        (OWN_NAME, showing(Certificate("arn:aws:iam::1:server-certificate/old")), "unknown"),
        (OWN_NAME, showing(), "block"),
        (OWN_NAME, showing(gaps=(Gap("certificates", "denied"),)), "unknown"),
        (OWN_NAME, seen({"listeners": (Listener(443, "HTTPS", "forward"),)}), "unknown"),
        (
            OWN_NAME,
            seen({"kind": "network", "listeners": (Listener(443, "TCP", "forward"),)}),
            "unknown",
        ),
    ],
)
def test_the_targets_certificate_must_name_the_host_that_cloudfront_sends(
    answers: dict[str, Any], facts: Snapshot, expected: str
) -> None:
    assert level("PF-CERTIFICATE", answers, facts) == expected


def test_over_plain_http_no_certificate_is_asked_for() -> None:
    assert "PF-CERTIFICATE" not in judged()


def test_what_is_wrong_names_the_host_and_the_fix_has_it_too() -> None:
    (result,) = judged(OWN_NAME, showing(named("other.example.com")))["PF-CERTIFICATE"]
    assert (
        result.seen == "The certificate on 443 is for other.example.com, not for app.example.com."
    )
    assert result.fix is not None
    assert "app.example.com" in result.fix.cli


def test_a_certificate_that_is_left_over_is_named_and_is_to_be_taken_away() -> None:
    """ELB guide: of several for a name the key's algorithm decides first, and only then whether one
    has expired.
    """
    old = replace(ISSUED, arn="arn:old", status="EXPIRED")
    (beside,) = judged(OWN_NAME, showing(ISSUED, old))["PF-CERTIFICATE"]
    assert "Another certificate for it is EXPIRED" in beside.seen
    assert "ECDSA" in beside.why
    assert beside.fix is not None
    assert beside.fix.cli.startswith("aws elbv2 remove-listener-certificates")
    assert "arn:old" in beside.fix.cli
    (default,) = judged(OWN_NAME, showing(old, ISSUED))["PF-CERTIFICATE"]
    assert default.fix is not None
    assert default.fix.cli.startswith("aws elbv2 modify-listener"), (
        "the default certificate can only be replaced"
    )
    assert ISSUED.arn in default.fix.cli
    three = (named("a.example.com"), named("a.example.com", **OLD), named("b.example.com", **OLD))
    (blocked,) = judged(VIEWERS, showing(*three, distribution=TWO))["PF-CERTIFICATE"]
    assert blocked.seen == "The certificate for b.example.com is EXPIRED.", (
        "not the one that another stands beside"
    )


def test_nobody_is_told_to_get_a_certificate_for_a_name_of_aws() -> None:
    """Not forwarded and no domain given, it is the load balancer's; forwarded and no alias, it is
    CloudFront's.
    """
    for answers in (SECURE | {"forward_host": False}, VIEWERS):
        (result,) = judged(answers, showing(ISSUED))["PF-CERTIFICATE"]
        assert result.fix is not None
        assert "request-certificate" not in result.fix.cli
        assert "origin's domain" in result.fix.console


@pytest.mark.parametrize(
    ("facts", "changes"),
    [
        (
            showing(named("chat.example.com"), distribution=ALIAS),
            {"forward_host": True, "origin_domain": ""},
        ),
        (showing(named("a.example.com", "b.org"), distribution=ALIAS), DOMAIN_A),
        (showing(named("a.example.com")), DOMAIN_A),
        (showing(named("*.example.com"), distribution={"aliases": ("a.other.com",)}), None),
        (showing(named("chat.example.com", status="EXPIRED"), distribution=ALIAS), None),
        (showing(named("a.example.com", kind="PRIVATE")), None),
    ],
)
def test_another_host_that_the_certificate_does_name_is_proposed(
    facts: Snapshot, changes: dict[str, Any] | None
) -> None:
    (result,) = judged(SECURE | {"forward_host": False, "origin_domain": "wrong.org"}, facts)[
        "PF-CERTIFICATE"
    ]
    assert result.level is Level.BLOCK
    amendment = result.to_dict()["amendment"]
    assert (amendment and amendment["changes"]) == changes
    if changes is not None:
        assert level("PF-CERTIFICATE", SECURE | changes, facts) == Level.PASS


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (seen(), "pass"),
        (seen(distribution=ALIAS, viewer_certificate=named("chat.example.com")), "pass"),
        (
            seen(
                distribution={"aliases": ("*.example.com",)},
                viewer_certificate=named("*.example.com"),
            ),
            "pass",
        ),
        (
            seen(
                distribution={"aliases": ("*.example.com",)},
                viewer_certificate=named("a.example.com"),
            ),
            "block",
        ),
        (seen(distribution=ALIAS, viewer_certificate=ISSUED), "block"),
        (
            seen(
                distribution=ALIAS, viewer_certificate=named("chat.example.com", status="EXPIRED")
            ),
            "block",
        ),
        (seen(distribution=ALIAS), "unknown"),
        (
            seen(
                distribution=ALIAS,
                viewer_certificate=Certificate("arn:aws:iam::1:server-certificate/x"),
            ),
            "unknown",
        ),
        (seen(distribution=ALIAS, gaps=(Gap("viewer_certificate", "denied"),)), "unknown"),
    ],
)
def test_viewers_are_shown_a_certificate_for_each_name(facts: Snapshot, expected: str) -> None:
    assert level("PF-VIEWER-CERTIFICATE", facts=facts) == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (seen(), "pass"),
        (seen(service_role=False), "warn"),
        (seen(service_role=None), "unknown"),
        (seen(gaps=(Gap("service_role", "denied"),)), "unknown"),
        (
            seen(
                service_role=False, permissions=(Permission(CREATE_SERVICE_ROLE, "*", "allowed"),)
            ),
            "pass",
        ),
        (
            seen(
                service_role=False,
                permissions=(Permission(CREATE_SERVICE_ROLE, "*", "implicitDeny"),),
            ),
            "warn",
        ),
        (seen(service_role=False, permissions=()), "warn"),
    ],
)
def test_the_first_vpc_origin_of_an_account_needs_a_role(facts: Snapshot, expected: str) -> None:
    assert level("PF-ROLE", facts=facts) == expected


WIDE = {"aliases": ("*.example.com", "example.com")}


def taken(*domains: str) -> dict[str, Any]:
    return {
        "distribution": WIDE,
        "domain_conflicts": tuple(DomainConflict(one, "*****ABCDE", "****1234") for one in domains),
    }


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (seen(), ""),
        (seen(distribution=ALIAS), ""),
        (seen(**taken()), "pass"),
        (seen(**taken("chat.example.com")), "warn"),
        (seen(**taken("*.eu.example.com")), "warn"),
        (seen(**taken("*.example.com", "*.com")), "pass"),
        (seen(distribution=WIDE), "unknown"),
        (seen(distribution=WIDE, gaps=(Gap("domain_conflicts", "denied"),)), "unknown"),
    ],
)
def test_a_name_with_a_star_may_lose_some_of_its_names_to_others(
    facts: Snapshot, expected: str
) -> None:
    assert [one.level.value for one in judged(facts=facts).get("PF-ALIAS", ())] == [expected][
        : bool(expected)
    ]


def test_several_targets_without_stickiness_matter_only_to_an_http_api() -> None:
    assert level("PF-STICKY") == Level.PASS
    assert (
        level("PF-STICKY", {"allowed_methods": "GET,HEAD,OPTIONS,PUT,POST,PATCH,DELETE"})
        == Level.WARN
    )


def test_the_reason_of_an_unhealthy_target_is_told_in_awss_words() -> None:
    facts = seen({"healthy_targets": 1})
    assert facts.target is not None
    (group,) = facts.target.groups or ()
    ill = replace(
        group,
        targets=(
            group.targets[0],
            replace(group.targets[1], state="unhealthy", reason="Target.Timeout"),
        ),
    )
    (result,) = judged(facts=seen({"healthy_targets": 1, "groups": (ill,)}))["PF-HEALTH"]
    assert "Target.Timeout" in result.seen
    assert result.fix is not None
    assert ill.arn in result.fix.cli
