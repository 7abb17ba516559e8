"""The people and requests that the API and console tests speak of.

Ana and Ben work in the team Chat, Tom in Trading; Petra approves; Otto audits. The account
111122223333 is Chat's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from portal.people.actions import issue_token
from portal.people.models import ApiToken, Membership, Person, Team
from portal.requests.actions import Ticket, submit_request
from portal.requests.lifecycle import State
from portal.requests.models import EndpointRequest
from provisioning import events
from provisioning.models import AwsAccount, Endpoint

ACCOUNT = "111122223333"
TARGET = (
    f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}:loadbalancer/app/int-chat/50dc6c495c0c9188"
)
WISH: dict[str, Any] = {
    "name": "team-chat",
    "account_id": ACCOUNT,
    "distribution_id": "E1A2B3C4D5E6F7",
    "target_arn": TARGET,
    "path_patterns": ["/ws/chat"],
}
BODY: dict[str, Any] = {
    **WISH,
    "team": "chat",
    "path_patterns": "/ws/chat",
    "justification": "Chat for the support desk",
}
FOREIGN_WISH = {
    **WISH,
    "account_id": "444455556666",
    "target_arn": TARGET.replace(ACCOUNT, "444455556666"),
}
EVERYTHING = tuple(ApiToken.Scope.values)
PLAN = {
    "endpoint_key": "abc",
    "digest": "d" * 64,
    "expected_seconds": 900,
    "items": [],
    "relies_on": {"distribution_domain": "d111111abcdef8.cloudfront.net"},
}


@dataclass(frozen=True)
class Stage:
    """Everybody a story needs."""

    chat: Team
    trading: Team
    ana: Person
    ben: Person
    tom: Person
    petra: Person
    otto: Person


def set_stage() -> Stage:
    """Teams, accounts and people."""
    chat = Team.objects.create(slug="chat", name="Chat")
    trading = Team.objects.create(slug="trading", name="Trading")
    chat.accounts.add(AwsAccount.objects.create(account_id=ACCOUNT, name="Chat"))
    trading.accounts.add(AwsAccount.objects.create(account_id="444455556666", name="Trading"))
    ana, ben, tom = (_person(name) for name in ("ana", "ben", "tom"))
    Membership.objects.bulk_create(
        [Membership(person=ana, team=chat), Membership(person=ben, team=chat)]
    )
    Membership.objects.create(person=tom, team=trading)
    petra, otto = _person("petra", Person.Role.APPROVER), _person("otto", Person.Role.AUDITOR)
    return Stage(chat, trading, ana, ben, tom, petra, otto)


def bearer(person: Person, scopes: Sequence[str] = EVERYTHING) -> dict[str, str]:
    """The header of a fresh token."""
    clear, _ = issue_token(person, "test", scopes, days=1, now=timezone.now())
    return {"Authorization": f"Bearer {clear}"}


def ask(
    person: Person, team: Team, *, ticket: str = "", at: datetime | None = None
) -> EndpointRequest:
    """A request, just submitted."""
    answers = WISH if team.slug == "chat" else FOREIGN_WISH
    return submit_request(
        person,
        team,
        answers,
        now=at or timezone.now(),
        ticket=Ticket("servicenow", ticket) if ticket else None,
    )


def put(request: EndpointRequest, state: State, **changes: Any) -> EndpointRequest:
    """Bring a request to a state the way a run of the portal would have left it."""
    EndpointRequest.objects.filter(pk=request.pk).update(state=state, **changes)
    request.refresh_from_db()
    return request


def ready_to_decide(request: EndpointRequest) -> EndpointRequest:
    """With a plan, waiting for approval."""
    plan = PLAN | {"spec": request.spec_data}
    return put(
        request,
        State.AWAITING_APPROVAL,
        plan_data=plan,
        plan_digest=PLAN["digest"],
        planned_at=timezone.now(),
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


def happen(
    request: EndpointRequest, text: str = "Something happened.", times: int = 1, state: str = ""
) -> int:
    """Append events as provisioning does, each in its own transaction. Returns the last seq."""
    seq = 0
    for _ in range(times):
        with transaction.atomic():
            if state:
                EndpointRequest.objects.filter(pk=request.pk).update(state=state)
            event = events.append(
                request.stream, "step.waiting", text, at=timezone.now(), step="vpc-origin"
            )
            seq = event.seq
    return seq


def long_ago() -> datetime:
    """A day that is over."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=1)


def _person(name: str, role: str = "") -> Person:
    return Person.objects.create_user(name, f"{name}@example.com", role=role)
