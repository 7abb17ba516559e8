"""Approvals: the queue of waiting plans, and the page that approves or rejects exactly one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from portal.pages.auth import SignedIn, posted_text, request_or_404, signed_in
from portal.pages.home import stuck_context
from portal.pages.paging import page_of
from portal.pages.requests import plan_context
from portal.people.models import Person, Team
from portal.requests.accepted_exceptions import last_day
from portal.requests.lifecycle import Denied, State, Verb, may
from portal.requests.models import Approval, EndpointRequest
from portal.requests.verbs import LONGEST_REASON, VERBS_BY_NAME
from provisioning.models import Endpoint
from provisioning.plan.reliance import exposures_of

NEIGHBORS_SHOWN = 20


@dataclass(frozen=True)
class Neighbors:
    """What a change could affect: other endpoints on the same distribution, and on the same VPC
    origin. `of_other_teams` counts those that this person may not see.
    """

    on_distribution: list[Endpoint]
    on_vpc_origin: list[Endpoint]
    of_other_teams: int
    overlapping: list[str]


@signed_in
@require_safe
def approvals(request: SignedIn) -> HttpResponse:
    """The plans that wait for a decision: first this person's, then the others with the reason why
    this person cannot decide. Stuck requests are above.
    """
    waiting = EndpointRequest.objects.visible_to(request.user).filter(state=State.AWAITING_APPROVAL)
    waiting = waiting.marking_yours(request.user).select_related("team", "requester")
    page = page_of(waiting, request.GET.get("before", ""), first="yours")
    actors = {team: request.user.actor_for(team) for team in {one.team for one in page}}
    rows = [
        (one, may(Verb.APPROVE, actors[one.team], one.standing, digest=one.plan_digest))
        for one in page
    ]
    mine = [one for one, answer in rows if not isinstance(answer, Denied)]
    others = [(one, answer.reason) for one, answer in rows if isinstance(answer, Denied)]
    context = {"mine": mine, "others": others, "page": page, "query": ""} | stuck_context(
        request.user
    )
    return render(request, "approvals/list.html", context)


@signed_in
@require_safe
def approval(request: SignedIn, pk: UUID) -> HttpResponse:
    """The decision page."""
    return _page(request, request_or_404(request.user, pk))


@signed_in
@require_POST
def decide(request: SignedIn, pk: UUID) -> HttpResponse:
    """Approve or reject. A plan that changed meanwhile is shown again, with what changed."""
    shown = request_or_404(request.user, pk)
    decision = request.POST.get("decision", "")
    if decision not in ("approve", "reject"):
        return redirect("approval", pk)
    verb = VERBS_BY_NAME[decision]
    reason = posted_text(request, "reason", LONGEST_REASON)
    given = {
        "plan_digest": request.POST.get("digest", ""),
        "reason": reason,
        "accept_until": posted_text(request, "accept_until", 10),
    }
    outcome = verb.use(request.user, shown, given, timezone.now())
    if not isinstance(outcome, Denied):
        messages.success(request, verb.done)
        return redirect(shown)
    if _recorded(request.user, shown, decision):
        return redirect(shown)
    reason_error = outcome.reason if outcome.code == "reason_required" else ""
    context = {"refused": outcome, "reason_error": reason_error, "reason": reason}
    status = 422 if reason_error else 409
    return _page(request, request_or_404(request.user, pk), status=status, **context)


def _recorded(person: Person, shown: EndpointRequest, decision: str) -> bool:
    """Whether this person has already made this decision: after a double click, the browser shows
    the response to the second request.
    """
    verdicts = {"approve": Approval.Decision.APPROVED, "reject": Approval.Decision.REJECTED}
    same = Approval.objects.filter(request=shown, revision=shown.revision, decider=person)
    return same.filter(decision=verdicts[decision]).exists()


def _page(
    request: SignedIn, shown: EndpointRequest, *, status: int = 200, **more: Any
) -> HttpResponse:
    actor = request.user.actor_for(shown.team)
    allowed = may(Verb.APPROVE, actor, shown.standing, digest=shown.plan_digest)
    waiting = shown.state == State.AWAITING_APPROVAL
    decisions = Approval.objects.filter(request=shown).select_related("decider").order_by("at")
    context = {
        "shown": shown,
        "denied": allowed if isinstance(allowed, Denied) else None,
        "waiting": waiting,
        "decisions": list(decisions),
        "neighbors": _neighbors(request.user, shown) if shown.plan_digest else None,
        "exposures": exposures_of(shown.plan_data) if shown.plan_digest else [],
        "last_day": last_day(timezone.now()).isoformat(),
        "today": timezone.now().date().isoformat(),
    }
    return render(
        request, "approvals/detail.html", context | plan_context(shown) | more, status=status
    )


def _neighbors(person: Person, shown: EndpointRequest) -> Neighbors:
    """Other teams' endpoints are named only to people who see every team's."""
    spec = shown.spec
    others = Endpoint.objects.filter(account_id=spec.account_id).exclude(
        state=Endpoint.State.ABSENT
    )
    others = others.exclude(pk=shown.endpoint_id) if shown.endpoint_id else others
    on_distribution = list(
        others.filter(spec_data__distribution_id=spec.distribution_id).order_by("name")[
            :NEIGHBORS_SHOWN
        ]
    )
    same_target = others.filter(spec_data__target_arn=spec.target_arn).order_by("name")[
        :NEIGHBORS_SHOWN
    ]
    on_vpc_origin = [one for one in same_target if one.spec.vpc_origin_key == spec.vpc_origin_key]
    of_other_teams = 0
    if not person.sees_everything:
        own = set(Team.objects.of(person).values_list("slug", flat=True))
        of_other_teams = len(
            {one.pk for one in [*on_distribution, *on_vpc_origin] if one.owner not in own}
        )
        on_distribution = [one for one in on_distribution if one.owner in own]
        on_vpc_origin = [one for one in on_vpc_origin if one.owner in own]
    overlapping = list(shown.plan_data.get("relies_on", {}).get("overlapping_behaviors", ()))
    return Neighbors(on_distribution, on_vpc_origin, of_other_teams, overlapping)
