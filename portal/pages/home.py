"""The home page with endpoints and requests in progress, and the list of all requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import F, OuterRef, QuerySet, Subquery
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from portal.endpoints.endpoint_status import EndpointStatus, endpoint_status
from portal.endpoints.health import with_health
from portal.pages.auth import SignedIn, signed_in, teams_of
from portal.pages.paging import page_of
from portal.pages.transfers import transfers_context
from portal.people.models import Person, Team
from portal.people.visibility import own_teams, visible_teams
from portal.requests.lifecycle import TITLES, UNDER_WAY, State
from portal.requests.models import EndpointRequest
from provisioning.models import AwsAccount, Endpoint

OPEN_SHOWN = 10
STUCK_SHOWN = 10


@dataclass(frozen=True)
class EndpointRow:
    """One endpoint of the list."""

    endpoint: Endpoint
    team: str
    status: EndpointStatus
    since: Any
    checked_at: Any
    request_id: Any


@signed_in
@require_safe
def home(request: SignedIn) -> HttpResponse:
    """The endpoints of the person's teams (or of all, for the platform team), below the requests in
    progress.
    """
    person = request.user
    teams = list(visible_teams(person))
    chosen = _chosen(teams, request.GET.get("team", ""))
    endpoints = Endpoint.objects.exclude(state=Endpoint.State.ABSENT).select_related("account")
    if chosen:
        endpoints, own = endpoints.filter(owner=chosen.slug), None
    else:
        own = own_teams(person, "owner", "slug")
    page = page_of(_as_listed(endpoints), request.GET.get("before", ""), of=own)
    names = {team.slug: team.name for team in teams}
    rows = [
        EndpointRow(
            one,
            names.get(one.owner, one.owner),
            endpoint_status(one.state, one.health_status, checked=one.last_at is not None),
            one.health_since,
            one.last_at,
            one.request_id,
        )
        for one in page
    ]
    # Shown above, for every team.
    elsewhere = {State.STUCK, State.QUARANTINED} if person.sees_everything else set()
    busy = EndpointRequest.objects.visible_to(person).filter(
        state__in=sorted(UNDER_WAY - elsewhere)
    )
    if chosen:
        busy = busy.filter(team=chosen)
    busy = busy.prefetch_related("team", "requester").order_by("-created_at", "-id")
    under_way = list(busy[: OPEN_SHOWN + 1])
    return render(
        request,
        "endpoints/list.html",
        {
            "rows": rows,
            "page": page,
            "query": urlencode({"team": chosen.slug}) + "&" if chosen else "",
            "teams": teams,
            "chosen": chosen,
            "may_ask": bool(teams_of(person)),
            "unseen": list(AwsAccount.objects.unreachable()) if person.sees_everything else [],
            "open": under_way[:OPEN_SHOWN],
            "more_open": len(under_way) > OPEN_SHOWN,
        }
        | stuck_context(person)
        | transfers_context(person),
    )


@signed_in
@require_safe
def requests(request: SignedIn) -> HttpResponse:
    """Every request a person may see, newest first, by team and state."""
    teams = list(visible_teams(request.user))
    chosen = _chosen(teams, request.GET.get("team", ""))
    state = request.GET.get("state", "")
    found = EndpointRequest.objects.select_related("team", "requester")
    own = None
    if chosen:
        found = found.filter(team=chosen)
    else:
        own = own_teams(request.user, "team_id")
    if state in TITLES:
        found = found.filter(state=state)
    else:
        state = ""
    filters = {"team": chosen.slug if chosen else "", "state": state}
    return render(
        request,
        "requests/list.html",
        {
            "page": page_of(found, request.GET.get("before", ""), of=own),
            "query": "".join(f"{key}={value}&" for key, value in filters.items() if value),
            "teams": teams,
            "chosen": chosen,
            "state": state,
            "states": [(key.value, title) for key, title in TITLES.items()],
            "may_ask": bool(teams_of(request.user)),
        },
    )


def stuck_context(person: Person) -> dict[str, Any]:
    """What the fragment of stuck requests needs: how many there are, and the oldest of them."""
    stuck = EndpointRequest.objects.stuck_for(person)
    return {"stuck_count": stuck.count(), "stuck": list(stuck.select_related("team")[:STUCK_SHOWN])}


def _as_listed(endpoints: QuerySet[Endpoint]) -> QuerySet[Any]:
    """One query for the page: each endpoint with its health and its latest request."""
    newest = EndpointRequest.objects.filter(endpoint=OuterRef("pk")).order_by("-created_at")
    listed: QuerySet[Any] = with_health(endpoints, timezone.now()).annotate(
        last_at=F("health__checked_at"), request_id=Subquery(newest.values("pk")[:1])
    )
    return listed


def _chosen(teams: list[Team], slug: str) -> Team | None:
    return next((team for team in teams if team.slug == slug), None)
