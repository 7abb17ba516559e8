"""AWS's quotas for the platform team: what is used and left, who holds it, what a removal frees."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from provisioning.drift import reports
from provisioning.drift.observe import Observed
from provisioning.facts.quota_use import QuotaUse, told
from provisioning.holdings import holdings_in
from provisioning.models import AwsAccount, Endpoint, Event, IngressRule, VpcOrigin
from tests.portal.endpoint_requests import ask, deploy
from tests.portal.page_text import text_of
from tests.portal.people import Cast, signed_in
from tests.portal.test_api_document import of_answer
from tests.provisioning.examples import ACCOUNT


@pytest.mark.parametrize(
    ("used", "quota", "before", "text"),
    [
        (19, 25, "ok", ""),
        (20, 25, "ok", "VPC origins: running out (20 of 25 used, 5 left)."),
        (21, 25, "low", ""),
        (25, 25, "low", "VPC origins: none left (25 of 25 used)."),
        (26, 25, "out", ""),
        (12, 25, "out", "VPC origins: enough again (12 of 25 used, 13 left)."),
        (1, 1, "ok", "VPC origins: none left (1 of 1 used)."),
    ],
)
def test_a_quota_is_told_when_its_room_changes(
    used: int, quota: int, before: str, text: str
) -> None:
    assert told(QuotaUse("vpc-origins", "", used, quota), before) == text


@pytest.fixture
def shared(people: Cast) -> AwsAccount:
    """Two endpoints on one VPC origin, and one that has one of its own."""
    account = AwsAccount.objects.get(pk=ACCOUNT)
    first, second, alone = (
        deploy(ask(people.ana, people.chat, name=name)) for name in ("first", "second", "third")
    )
    both = VpcOrigin.objects.create(account=account, key="a" * 16, aws_id="vo_shared")
    both.users.set([first, second])
    VpcOrigin.objects.create(account=account, key="b" * 16, aws_id="vo_own").users.add(alone)
    rule = IngressRule.objects.create(
        account=account, group_id="sg-1", port=80, source_group_id="sg-cf", rule_id="sgr-1"
    )
    rule.users.set([first, alone])
    return account


def test_a_removal_frees_what_nobody_else_uses(shared: AwsAccount) -> None:
    held = {one.endpoint.name: one for one in holdings_in(shared)}
    assert held["first"].frees == {"behaviors": 1, "origins": 1}
    assert held["first"].sharers == ("second",)
    assert held["third"].frees == {"vpc-origins": 1, "behaviors": 1, "origins": 1}
    assert held["third"].rules == ("sg-1 tcp/80",)
    Endpoint.objects.filter(name__in=["first", "second"]).update(state=Endpoint.State.ABSENT)
    assert len(holdings_in(shared)) == 3, "what was given up may still be held"
    shared.vpc_origins.filter(aws_id="vo_shared").delete()
    shared.ingress_rules.get().users.set(Endpoint.objects.filter(name="third"))
    (third,) = holdings_in(shared)
    assert third.frees["rules"] == 1
    with CaptureQueriesContext(connection) as queries:
        holdings_in(shared)
    assert len(queries) <= 5


def test_page_and_api_show_it_to_the_platform_team_and_warn(
    people: Cast, shared: AwsAccount
) -> None:
    def seen(used: int) -> None:
        uses = [
            QuotaUse("vpc-origins", "", used, 25, assumed=True),
            QuotaUse("behaviors", "E1A2B3C4D5E6F7", 3, 75),
        ]
        now = timezone.now()
        report = reports.request_report(shared, by="max", now=now)
        reports._store(report, Observed(uses=uses), now)

    for used in (19, 21, 22):
        seen(used)
    (event,) = Event.objects.filter(stream_id=f"account:{ACCOUNT}")
    assert (event.kind, event.level, event.data["left"]) == ("quota.low", "warning", 4)
    words = text_of(signed_in(people.olga).get("/quotas/"))
    assert "22 of 25 (AWS’s default)" in words
    assert "Running out" in words
    assert "VPC origins: running out (21 of 25 used, 4 left)." in words
    assert "1 VPC origin, 1 behavior, 1 origin" in words
    assert signed_in(people.ana).get("/quotas/").status_code == 404
    assert signed_in(people.ana).get("/api/v1/quotas").status_code == 403
    answered = signed_in(people.rita).get("/api/v1/quotas")
    assert of_answer("getQuotas", answered) == []
    answer = answered.json()
    (account,) = (one for one in answer["accounts"] if one["account_id"] == ACCOUNT)
    assert [one["left"] for one in account["quotas"]] == [3, 72]
    assert [one["name"] for one in account["holdings"]] == ["first", "second", "third"]
