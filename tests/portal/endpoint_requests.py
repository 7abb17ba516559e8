"""Endpoint requests in every state, and the endpoints they become."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from checks.health import Health
from checks.models import Check, EndpointHealth
from portal.people.models import Person, Team
from portal.requests import planning
from portal.requests.actions import Provenance, Ticket, submit_request
from portal.requests.lifecycle import FOLLOWED, State
from portal.requests.models import EndpointRequest
from provisioning import events
from provisioning.models import Endpoint
from provisioning.plan.planner import make_plan
from tests.lab.account import Lab
from tests.portal.people import NOW, TRADING_ACCOUNT, Cast
from tests.provisioning.examples import ACCOUNT, OWNER, RIGHTS, TARGET, snapshot
from tests.provisioning.examples import ANSWERS as BOTH_PATHS

ANSWERS: dict[str, Any] = BOTH_PATHS | {"path_patterns": ["/ws/chat"]}
FOREIGN_ANSWERS = ANSWERS | {
    "account_id": TRADING_ACCOUNT,
    "target_arn": TARGET.replace(ACCOUNT, TRADING_ACCOUNT),
}
BODY: dict[str, Any] = ANSWERS | {
    "team": "chat",
    "path_patterns": "/ws/chat",
    "justification": "Chat for the support desk",
}


def ask(
    person: Person, team: Team, *, ticket: str = "", at: datetime | None = None, name: str = ""
) -> EndpointRequest:
    """A request, just submitted."""
    answers = ANSWERS if team.slug == "chat" else FOREIGN_ANSWERS
    answers = answers | ({"name": name} if name else {})
    return submit_request(
        person,
        team,
        answers,
        now=at or timezone.now(),
        provenance=Provenance(ticket=Ticket("servicenow", ticket) if ticket else Ticket()),
    )


def put(request: EndpointRequest, state: State, **changes: Any) -> EndpointRequest:
    """Bring a request to a state the way a run of the portal would have left it."""
    with transaction.atomic():
        EndpointRequest.objects.filter(pk=request.pk).update(state=state, **changes)
        events.set_followed(request.stream, state in FOLLOWED)
    request.refresh_from_db()
    return request


def planned(request: EndpointRequest) -> EndpointRequest:
    """The request with a plan, waiting for approval, as the worker leaves it."""
    plan = make_plan(
        request.spec, snapshot(), endpoint_key=request.pk.hex[:12], owner=OWNER, rights=RIGHTS
    )
    return put(
        request,
        State.AWAITING_APPROVAL,
        plan_data=plan.to_dict(),
        plan_digest=plan.digest,
        planned_at=NOW,
    )


def deploy(request: EndpointRequest, **changes: Any) -> Endpoint:
    """What a run makes of a request: its endpoint, deployed, and the request live."""
    at = timezone.now()
    values: dict[str, Any] = {
        "account_id": request.spec_data["account_id"],
        "owner": request.team.slug,
        "name": request.spec_data["name"],
        "spec_data": request.spec_data,
        "state": Endpoint.State.DEPLOYED,
        "domain_name": "d111111abcdef8.cloudfront.net",
        "created_at": at,
        "deployed_at": at,
    }
    made = Endpoint.objects.create(**values | changes)
    put(request, State.LIVE, endpoint=made)
    return made


def told_by(check: Check) -> Check:
    """A finished usual check, and the health that it leaves."""
    if not check.options:
        health = Health.LIVE if check.ok else Health.FAILING
        at = check.finished_at
        values = {"since": at, "checked_at": at, "verified_at": at, "verdict": check.verdict}
        EndpointHealth.objects.update_or_create(
            endpoint=check.endpoint,
            defaults=values | {"health": health, "connect_ms": check.connect_ms},
        )
    return check


def happen(
    request: EndpointRequest, text: str = "Something happened.", times: int = 1, state: str = ""
) -> int:
    """Append events as provisioning does, each in its own transaction. Returns the last seq."""
    seq = 0
    for _ in range(times):
        with transaction.atomic():
            if state:
                put(request, State(state))
            event = events.append(
                request.stream, "step.waiting", text, at=timezone.now(), step="vpc-origin"
            )
            seq = event.seq
    return seq


def long_ago() -> datetime:
    """A day that is over."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=1)


def load_balancer(lab: Lab, name: str) -> str:
    """The ARN of a seeded load balancer of Chat's account."""
    return next(
        str(one["arn"]) for one in lab.get("/_lab/state")["load_balancers"] if one["name"] == name
    )


def distribution(lab: Lab, account: str = ACCOUNT) -> str:
    """The id of the seeded distribution of an account."""
    return next(
        str(one["id"])
        for one in lab.get("/_lab/state")["distributions"]
        if one["account"] == account
    )


def form_answers(lab: Lab, target: str = "int-chat", **others: Any) -> dict[str, Any]:
    """A filled-in form."""
    return {
        "team": "chat",
        "account_id": ACCOUNT,
        "justification": "Chat for the support desk",
        "name": "team-chat",
        "path_patterns": "/ws/chat",
        "max_silence_seconds": "30",
        "target_arn": load_balancer(lab, target),
        "distribution_id": distribution(lab),
        "send": "1",
    } | others


def planned_in_lab(
    lab: Lab, people: Cast, person: Person | None = None, **others: Any
) -> EndpointRequest:
    """A request that waits for approval, or is blocked, with a plan made of what the lab holds."""
    said = form_answers(lab, **others)
    asked: Mapping[str, Any] = {
        key: said[key]
        for key in ("account_id", "name", "path_patterns", "target_arn", "distribution_id")
    }
    request = submit_request(
        person or people.ana,
        people.chat,
        asked,
        now=timezone.now(),
        justification=said["justification"],
    )
    plan_again(request)
    return request


def plan_again(request: EndpointRequest) -> None:
    """What a worker does with a request to plan."""
    planning.plan_request(str(request.pk), now=timezone.now())
    request.refresh_from_db()
