"""The people of the tests: Ana and Ben of the chat team, Tara of another, Olga and Max of the
platform team, Rita.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from portal.people.models import Membership, Person, Team
from portal.requests.lifecycle import State
from portal.requests.models import EndpointRequest
from provisioning.models import AwsAccount
from provisioning.plan.planner import make_plan
from tests.provisioning.examples import ACCOUNT, OWNER, WISH, snapshot, spec

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@dataclass
class Cast:
    """Everybody, and where they belong."""

    ana: Person
    ben: Person
    tara: Person
    olga: Person
    max: Person
    rita: Person
    chat: Team
    trading: Team


def make_cast() -> Cast:
    """Rows for everybody. Nobody has a password: making one costs a third of a second each."""
    chat = Team.objects.create(slug="chat", name="Chat")
    trading = Team.objects.create(slug="trading", name="Trading")
    chat.accounts.add(AwsAccount.objects.create(account_id=ACCOUNT, name="Chat production"))
    trading.accounts.add(AwsAccount.objects.create(account_id="444455556666", name="Trading"))
    people = {name: Person.objects.create_user(name) for name in ("ana", "ben", "tara")}
    for name, team in (("ana", chat), ("ben", chat), ("tara", trading)):
        Membership.objects.create(person=people[name], team=team)
    for name, role in (("olga", "approver"), ("max", "platform_admin"), ("rita", "auditor")):
        people[name] = Person.objects.create_user(name, role=role)
    return Cast(**people, chat=chat, trading=trading)


def planned(request: EndpointRequest) -> EndpointRequest:
    """The request with a plan, waiting for approval, as the worker leaves it."""
    plan = make_plan(request.spec, snapshot(), endpoint_key=request.pk.hex[:12], owner=OWNER)
    changes: dict[str, Any] = {"plan_data": plan.to_dict(), "plan_digest": plan.digest}
    EndpointRequest.objects.filter(pk=request.pk).update(
        state=State.AWAITING_APPROVAL, planned_at=NOW, **changes
    )
    request.refresh_from_db()
    return request


__all__ = ["NOW", "WISH", "Cast", "make_cast", "planned", "spec"]
