"""The rows of endpoint requests: the requests, the approvals, the idempotency keys.

Row rules are methods, set rules QuerySet methods. State changes only in actions.py, by conditional
update.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.urls import reverse

from portal.people.models import Person, Team
from portal.requests.lifecycle import (
    FINAL,
    SETTLED,
    TITLES,
    TRANSFER,
    UNDER_WAY,
    Standing,
    State,
    next_step_of,
    title_of,
)
from provisioning.models import Endpoint, EventStream, Run
from provisioning.plan.plan import ACCEPT, ADOPT, CHANGE, CREATE, REMOVE
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.parsing import read_spec

HEADINGS = {
    ADOPT: "Adopt",
    CHANGE: "Change",
    ACCEPT: "Accept drift of",
    REMOVE: "Remove",
    TRANSFER: "Take over",
}
"""What comes before the endpoint's name where a request is not for a new endpoint."""


class EndpointRequestQuerySet(models.QuerySet["EndpointRequest"]):
    """Sets of endpoint requests."""

    def visible_to(self, person: Person) -> EndpointRequestQuerySet:
        """What this person may see, by the rule of portal.people.visibility."""
        if person.sees_everything:
            return self.all()
        return self.filter(team__in=Team.objects.of(person))

    def of_ticket(self, system: str, ticket_id: str, caller: Person) -> EndpointRequestQuerySet:
        """The requests of a ticket. Anybody can claim a number, so the caller's own count first;
        for others, those of the client that holds it: the trusted integration that used it first,
        else the first client.
        """
        claimed = self.filter(external_system=system, external_id=ticket_id)
        own = claimed.filter(requester=caller)
        if own.exists():
            return own
        holder = claimed.order_by("-requester__names_people", "created_at", "id")
        return claimed.filter(requester__in=holder.values("requester")[:1])

    def to_decide(self, person: Person) -> EndpointRequestQuerySet:
        """Requests this person may approve or reject now."""
        if not person.decides:
            return self.none()
        return self.filter(_may_be_decided_by(person), state=State.AWAITING_APPROVAL)

    def marking_yours(self, person: Person) -> EndpointRequestQuerySet:
        """Each with `yours`: whether this person may decide on it, while it waits for that."""
        return self.annotate(
            yours=_may_be_decided_by(person) if person.decides else models.Value(False)
        )

    def stuck_for(self, person: Person) -> EndpointRequestQuerySet:
        """Stuck and quarantined requests, oldest first, for people who see every team."""
        stuck = self.filter(state__in=[State.STUCK, State.QUARANTINED])
        return (stuck if person.sees_everything else self.none()).order_by("updated_at", "id")

    def to_plan(self, now: datetime) -> EndpointRequestQuerySet:
        """Requests that are due for planning."""
        return self.filter(state=State.PLANNING, due_at__lte=now)

    def news(self, now: datetime, *, most: int = 1000) -> dict[uuid.UUID, int]:
        """Requests whose event stream has grown since the follower last read it, with the number
        of its newest event; without those whose follower has just failed.
        """
        # By name: PostgreSQL cannot know how few streams have news, and would read every request.
        grown = dict(EventStream.objects.with_news().values_list("name", "last_seq")[:most])
        rested = Q(follow_again_at__isnull=True) | Q(follow_again_at__lte=now)
        found = self.filter(rested, stream__in=list(grown)) if grown else self.none()
        return {pk: grown[stream] for pk, stream in found.values_list("pk", "stream")}


def _may_be_decided_by(person: Person) -> Q:
    """Four eyes as a condition: finds the requests that `lifecycle.may` allows."""
    return ~(
        Q(requester=person)
        | Q(beneficiary=person)
        | Q(last_editor=person)
        | Q(editor_ids__contains=[person.pk])
    )


class EndpointRequest(models.Model):
    """What a team asks for, with its plan and the run that applies it."""

    class Action(models.TextChoices):
        CREATE = CREATE, "create an endpoint"
        ADOPT = ADOPT, "adopt an endpoint"
        CHANGE = CHANGE, "change an endpoint"
        ACCEPT = ACCEPT, "accept a change made in AWS"
        REMOVE = REMOVE, "remove an endpoint"
        TRANSFER = TRANSFER, "take over an endpoint"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    action = models.CharField(max_length=12, choices=Action.choices, default=Action.CREATE)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="requests")
    requester = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="requests_made")
    beneficiary = models.ForeignKey(
        Person, on_delete=models.PROTECT, related_name="requests_for_me"
    )
    last_editor = models.ForeignKey(
        Person, on_delete=models.PROTECT, related_name="requests_edited"
    )
    editor_ids = models.JSONField(default=list, blank=True)
    justification = models.CharField(max_length=500, blank=True)
    answers = models.JSONField()
    spec_data = models.JSONField()
    plan_data = models.JSONField(default=dict, blank=True)
    plan_digest = models.CharField(max_length=64, blank=True)
    plan_changes = models.JSONField(default=list, blank=True)
    preflight_data = models.JSONField(default=list, blank=True)
    planned_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField(
        max_length=20, choices=[(s.value, TITLES[s]) for s in State], default=State.PLANNING
    )
    reason = models.CharField(max_length=500, blank=True)
    revision = models.PositiveIntegerField(default=1)
    due_at = models.DateTimeField()
    stream = models.CharField(max_length=60, unique=True)
    follow_again_at = models.DateTimeField(null=True, blank=True)
    follow_fault = models.CharField(max_length=100, blank=True)
    endpoint = models.ForeignKey(
        Endpoint, null=True, blank=True, on_delete=models.PROTECT, related_name="endpoint_requests"
    )
    run = models.ForeignKey(
        Run, null=True, blank=True, on_delete=models.PROTECT, related_name="endpoint_requests"
    )
    external_system = models.CharField(max_length=40, blank=True)
    external_id = models.CharField(max_length=120, blank=True)
    external_url = models.URLField(max_length=500, blank=True)
    correlation_id = models.CharField(max_length=120, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    objects = models.Manager.from_queryset(EndpointRequestQuerySet)()

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["team", "-created_at", "-id"], name="request_by_team"),
            models.Index(
                fields=["team", "state", "-created_at", "-id"], name="request_by_team_and_state"
            ),
            models.Index(fields=["-created_at", "-id"], name="request_in_order"),
            models.Index(fields=["state", "-created_at", "-id"], name="request_by_state"),
            models.Index(fields=["updated_at"], name="request_by_update"),
            models.Index(
                fields=["due_at"], condition=Q(state=State.PLANNING.value), name="request_to_plan"
            ),
            models.Index(fields=["external_system", "external_id"], name="request_by_ticket"),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["endpoint"],
                condition=Q(action__in=[CHANGE, ACCEPT, REMOVE], state__in=sorted(UNDER_WAY)),
                name="request_one_under_way_per_endpoint",
            ),
            models.UniqueConstraint(
                fields=["external_system", "external_id", "requester", "action"],
                condition=~Q(external_id="") & ~Q(state__in=sorted(FINAL)),
                name="request_once_per_ticket",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.spec_data.get('name', '')} for {self.team}"

    def get_absolute_url(self) -> str:
        """Its page."""
        return reverse("request-detail", args=[self.pk])

    @property
    def spec(self) -> EndpointSpec:
        """The spec asked for."""
        return read_spec(self.spec_data)

    @property
    def standing(self) -> Standing:
        """This request as the lifecycle's rules see it."""
        return Standing(
            State(self.state),
            self.requester_id,
            self.beneficiary_id,
            self.last_editor_id,
            self.plan_digest,
            frozenset(self.editor_ids),
            self.action,
        )

    @property
    def planned_endpoint_id(self) -> uuid.UUID:
        """The endpoint's id; one that is to be created gets the request's."""
        return self.endpoint_id or self.id

    @property
    def grace_days(self) -> int:
        """How long a removed endpoint can be restored; 0 for other requests."""
        return int(self.answers.get("grace_days", 0))

    @property
    def heading(self) -> str:
        """The endpoint's name, and what is asked for where that is not a new endpoint."""
        name = self.spec_data["name"]
        verb = HEADINGS.get(self.action)
        return f"{verb} {name}" if verb else name

    @property
    def title(self) -> str:
        """The state in words."""
        return title_of(State(self.state), self.action)

    @property
    def next_step(self) -> str:
        """What happens next, in words."""
        return next_step_of(State(self.state), self.action)

    @property
    def final(self) -> bool:
        """Whether it can never change again."""
        return State(self.state) in FINAL

    @property
    def settled(self) -> bool:
        """Whether nothing is going on now."""
        return State(self.state) in SETTLED


class Approval(models.Model):
    """One recorded decision, bound to the digest of the plan. Never changed.

    The database enforces four eyes too: a trigger refuses a row whose decider asked for, opened,
    benefits from or ever edited the request, or whose digest is not the plan's (migration 0002).
    """

    class Decision(models.TextChoices):
        APPROVED = "approved"
        REJECTED = "rejected"

    request = models.ForeignKey(EndpointRequest, on_delete=models.PROTECT, related_name="approvals")
    decision = models.CharField(max_length=10, choices=Decision.choices)
    decider = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="decisions")
    plan_digest = models.CharField(max_length=64)
    revision = models.PositiveIntegerField()
    reason = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["request", "revision"], name="approval_once_per_revision"
            )
        ]

    def __str__(self) -> str:
        return f"{self.decision} by {self.decider}"


class IdempotencyKey(models.Model):
    """An idempotency key with its body's digest and the request it created. Kept for 30 days."""

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="+")
    route = models.CharField(max_length=60)
    key = models.CharField(max_length=200)
    body_digest = models.CharField(max_length=64)
    body = models.JSONField()
    request = models.ForeignKey(EndpointRequest, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["person", "route", "key"], name="idempotency_key_once")
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["created_at"], name="idempotency_key_by_age")
        ]

    def __str__(self) -> str:
        return self.key


class EndDate(models.Model):
    """The last day of an endpoint. When it is over, its removal is requested, not carried out.

    `set_by` answers for it, `reminded` is how many days before the end the team was last told, and
    `removal` the request that the end has opened.
    """

    endpoint = models.OneToOneField(Endpoint, on_delete=models.CASCADE, related_name="end_date")
    on = models.DateField(db_index=True)
    set_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    reminded = models.PositiveSmallIntegerField(null=True, blank=True)
    removal = models.ForeignKey(
        EndpointRequest, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    def __str__(self) -> str:
        return f"{self.endpoint_id} ends on {self.on}"


class TransferQuerySet(models.QuerySet["Transfer"]):
    """Sets of transfers."""

    def visible_to(self, person: Person) -> TransferQuerySet:
        """Those of the person's teams, on either side; all, for people who see every team."""
        if person.sees_everything:
            return self.all()
        own = Team.objects.of(person)
        return self.filter(Q(from_team__in=own) | Q(to_team__in=own))

    def offered(self) -> TransferQuerySet:
        """Open offers, the first to end first."""
        return self.filter(state=Transfer.State.OFFERED).order_by("ends_at", "pk")


class Transfer(models.Model):
    """An endpoint that one team offers to another, and what became of the offer.

    `spec_digest` is that of the settings that were offered. `endpoint_name` is the name at that
    time: the team that gave an endpoint away learns nothing of it afterwards.
    """

    class State(models.TextChoices):
        OFFERED = "offered", "is offered"
        ACCEPTED = "accepted", "was accepted"
        DECLINED = "declined", "was declined"
        WITHDRAWN = "withdrawn", "was withdrawn"
        EXPIRED = "expired", "was not answered in time"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="transfers")
    endpoint_name = models.CharField(max_length=60)
    from_team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="transfers_offered")
    to_team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="transfers_received")
    state = models.CharField(max_length=10, choices=State.choices, default=State.OFFERED)
    note = models.CharField(max_length=500, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    spec_digest = models.CharField(max_length=64)
    offered_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    offered_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    decided_by = models.ForeignKey(
        Person, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)

    objects = models.Manager.from_queryset(TransferQuerySet)()

    class Meta:
        ordering: ClassVar[list[str]] = ["-offered_at", "-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["endpoint"],
                condition=Q(state="offered"),
                name="transfer_one_open_per_endpoint",
            )
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["ends_at"], condition=Q(state="offered"), name="transfer_open_by_end"
            )
        ]

    def __str__(self) -> str:
        return f"{self.endpoint_name} from {self.from_team} to {self.to_team}"

    def get_absolute_url(self) -> str:
        """Its page."""
        return reverse("transfer", args=[self.pk])
