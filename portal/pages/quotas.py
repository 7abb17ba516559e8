"""The quotas of every account, for the platform team: what is used and left, who holds what, and
what a removal would free.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from portal.pages.auth import SignedIn, signed_in
from portal.people.models import Team
from provisioning.drift.reports import account_stream
from provisioning.facts.quota_use import QuotaUse
from provisioning.holdings import Holding, holdings_in
from provisioning.models import AwsAccount, Event

EVENTS_SHOWN = 5


@dataclass(frozen=True)
class AccountQuotas:
    """An account: what is used of its quotas, who holds it, and the last warnings."""

    account: AwsAccount
    uses: list[QuotaUse]
    seen_at: object
    holdings: list[Holding]
    events: list[Event]


@signed_in
@require_safe
def quotas(request: SignedIn) -> HttpResponse:
    """Every account, for those who see every team."""
    if not request.user.sees_everything:
        raise Http404
    accounts = []
    for account in AwsAccount.objects.prefetch_related("quotas"):
        rows = list(account.quotas.all())
        warnings = Event.objects.filter(stream_id=account_stream(account)).order_by("-seq")
        accounts.append(
            AccountQuotas(
                account,
                [row.use for row in rows],
                max((row.seen_at for row in rows), default=None),
                holdings_in(account),
                list(warnings[:EVENTS_SHOWN]),
            )
        )
    names = dict(Team.objects.values_list("slug", "name"))
    return render(request, "quotas/list.html", {"accounts": accounts, "team_names": names})
