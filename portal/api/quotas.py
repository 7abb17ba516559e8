"""AWS's quotas over the API: what is used and left in each account, and who holds it."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from portal import json_fields as f
from portal.api.base import ApiView
from portal.api.endpoints import api_url
from portal.api.operation import operation
from portal.problems import ApiProblem
from provisioning.facts.quota_use import LOW, OK, OUT, TITLES
from provisioning.holdings import Holding, holdings_in
from provisioning.models import AwsAccount

# fmt: off
USE = f.Object("QuotaUse", "How much of one quota is used, by anybody.", (
    f.Field("resource", f.choice(TITLES), example="vpc-origins"),
    f.Field("scope", f.STRING, "The distribution or security group that has it; empty for the "
            "account.", example=""),
    f.Field("used", f.INTEGER, example=21),
    f.Field("quota", f.INTEGER, example=25),
    f.Field("left", f.INTEGER, example=4),
    f.Field("assumed", f.FLAG, "AWS did not say which quota applies: this is its default."),
    f.Field("level", f.choice((OK, LOW, OUT)), "low from 80 percent.", example=LOW),
))
HOLDING = f.Object("Holding", "What an endpoint holds.", (
    f.Field("endpoint", f.STRING, "", api_url, ("endpoint_id",)),
    f.Field("name", f.STRING, example="team-chat"),
    f.Field("team", f.STRING, example="chat"),
    f.Field("vpc_origin", f.STRING, "Its VPC origin; empty without.", example="vo_0a1b2c3d4e5f"),
    f.Field("shared_with", f.array(f.STRING), "Other endpoints on it.", example=[]),
    f.Field("distribution_id", f.STRING, example="E1A2B3C4D5E6F7"),
    f.Field("behaviors", f.array(f.STRING), example=["/ws/chat"]),
    f.Field("rules", f.array(f.STRING), "Its ingress rules.", example=["sg-0a1b2c3d tcp/80"]),
    f.Field("frees", f.of(f.FreeObject("Freed", "What its removal would free, by resource.",
            {"vpc-origins": 1, "behaviors": 1}))),
))
ACCOUNT = f.Object("AccountQuotas", "An account's quotas.", (
    f.Field("account_id", f.STRING, example="111122223333"),
    f.Field("name", f.STRING, example="Chat production"),
    f.Field("quotas", f.array(f.of(USE)), example=[USE.example]),
    f.Field("holdings", f.array(f.of(HOLDING)), example=[HOLDING.example]),
))
ACCOUNTS = f.Object("Quotas", "Every account's quotas.", (
    f.Field("accounts", f.array(f.of(ACCOUNT)), example=[ACCOUNT.example]),
))
# fmt: on


class Quotas(ApiView):
    @operation("getQuotas", ACCOUNTS, refusals=("forbidden",))
    def get(self, request: Request) -> Response:
        """Read AWS's quotas.

        For the platform team. Figures come from the last drift report of each account.
        """
        if not self.person.sees_everything:
            raise ApiProblem("forbidden")
        accounts = AwsAccount.objects.prefetch_related("quotas")
        return Response({"accounts": [show_account(account) for account in accounts]})


def show_account(account: AwsAccount) -> dict[str, Any]:
    """An account with what is used and held in it."""
    return {
        "account_id": account.pk,
        "name": account.name,
        "quotas": [USE.show_model(row.use, {}) for row in account.quotas.all()],
        "holdings": [show_holding(one) for one in holdings_in(account)],
    }


def show_holding(one: Holding) -> dict[str, Any]:
    """What an endpoint holds."""
    return HOLDING.show(
        {
            "endpoint_id": one.endpoint.pk,
            "name": one.endpoint.name,
            "team": one.endpoint.owner,
            "vpc_origin": one.vpc_origin,
            "shared_with": list(one.sharers),
            "distribution_id": one.distribution_id,
            "behaviors": list(one.behaviors),
            "rules": list(one.rules),
            "frees": one.frees,
        }
    )
