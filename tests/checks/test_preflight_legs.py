"""With match-viewer CloudFront goes on as the viewer came: which of the two legs carry handshakes,
and what is asked of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from checks.preflight import Level, PreflightResult, blocks
from provisioning.facts.snapshot import Snapshot
from tests.checks.test_preflight import GROUP, judged, level, listener, rule_for, seen

BOTH: dict[str, Any] = {"origin_protocol": "match-viewer", "http_port": 80, "https_port": 443}
REDIRECTING = listener(action="redirect", redirect_protocol="HTTPS")
REFUSING = listener(action="fixed-response", rules=(rule_for("/ws/*", action="fixed-response"),))
SECURE = listener(443, "HTTPS")


PLAIN = BOTH | {"origin_protocol": "http-only"}


def about_listeners(answers: dict[str, Any], facts: Snapshot) -> list[PreflightResult]:
    found = judged(answers, facts)
    return [
        result
        for code in ("PF-LISTENER", "PF-ACTION", "PF-RULES")
        for result in found.get(code, ())
    ]


@pytest.mark.parametrize(
    "plain", [REDIRECTING, REFUSING, None], ids=["redirects", "refuses", "is not there"]
)
@pytest.mark.parametrize("policy", ["https-only", "redirect-to-https"])
def test_a_plain_leg_that_no_viewer_comes_to_may_be_as_it_likes(plain: Any, policy: str) -> None:
    """And the same listeners are held against the target where the plain leg is the only one."""
    facts = seen({"listeners": (plain, SECURE) if plain else (SECURE,)})
    both = about_listeners(BOTH | {"viewer_protocol_policy": policy}, facts)
    assert {result.level for result in both} == {Level.PASS}
    only = about_listeners(PLAIN, facts)
    assert {Level.BLOCK, Level.WARN} & {result.level for result in only}
    assert blocks(only) == (plain is not REFUSING)


def test_the_leg_over_https_is_judged_all_the_more() -> None:
    facts = seen({"listeners": (listener(80), listener(443, "HTTPS", "fixed-response"))})
    assert level("PF-ACTION", BOTH, facts) is Level.WARN
    assert level("PF-ACTION", BOTH, seen({"listeners": (listener(80), SECURE)})) is Level.PASS


def test_what_is_behind_the_plain_leg_only_is_not_asked_how_it_is() -> None:
    old = replace(GROUP, arn="arn:old", name="old", protocol_version="GRPC")
    listeners = (
        listener(80, target_groups=(old.arn,)),
        listener(443, "HTTPS", target_groups=(GROUP.arn,)),
    )
    facts = seen({"listeners": listeners, "groups": (GROUP, old)})
    assert level("PF-TARGET-GROUP", BOTH, facts) is Level.PASS
    assert level("PF-TARGET-GROUP", PLAIN, facts) is Level.WARN


@pytest.mark.parametrize(
    ("answers", "facts", "line"),
    [
        (BOTH, seen({"listeners": (listener(80),)}), "--port 443 --protocol HTTPS --certificates"),
        (BOTH, seen({"listeners": ()}), "--port 443 --protocol HTTPS --certificates"),
        (
            BOTH,
            seen({"kind": "network", "listeners": (listener(80, "TCP"),)}),
            "--port 443 --protocol TCP --",
        ),
        (PLAIN, seen({"listeners": (SECURE,)}), "--port 80 --protocol HTTP --default-actions"),
        (PLAIN, seen({"listeners": ()}), "--port 80 --protocol HTTP --default-actions"),
    ],
)
def test_the_listener_that_is_offered_is_the_one_that_is_missing(
    answers: dict[str, Any], facts: Snapshot, line: str
) -> None:
    (result,) = judged(answers, facts)["PF-LISTENER"]
    assert result.level is Level.BLOCK
    assert result.fix is not None
    assert line in result.fix.cli
    port = line.split()[1]
    assert f"port              = {port}\n" in result.fix.terraform
