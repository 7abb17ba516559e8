"""The rows of people: teams, persons and their roles, memberships, API tokens.

Row rules are methods, set rules QuerySet methods. Changes are made in actions.py.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q

from portal.people.actor import Actor
from provisioning.models import AwsAccount


class TeamQuerySet(models.QuerySet["Team"]):
    """Sets of teams."""

    def of(self, person: Person) -> TeamQuerySet:
        """The teams that this person is a member of."""
        return self.filter(memberships__person=person)


class Team(models.Model):
    """A team that requests endpoints. Its people see only its accounts."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=80)
    accounts = models.ManyToManyField(AwsAccount, related_name="teams", blank=True)

    objects = models.Manager.from_queryset(TeamQuerySet)()

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return self.name


class Person(AbstractUser):
    """A person who signs in. A platform role applies everywhere; a membership applies to a team."""

    class Role(models.TextChoices):
        NONE = "", "app team only"
        APPROVER = "approver", "approver"
        PLATFORM_ADMIN = "platform_admin", "platform admin"
        AUDITOR = "auditor", "auditor (reads everything)"

    role = models.CharField(max_length=20, choices=Role.choices, default=Role.NONE, blank=True)
    teams = models.ManyToManyField(Team, through="Membership", related_name="people")
    names_people = models.BooleanField(default=False)
    """A trusted integration: it says truthfully who opened a ticket and whom it is for."""

    def __str__(self) -> str:
        return self.get_full_name() or self.username

    @property
    def decides(self) -> bool:
        """Whether this person may decide on requests (not on their own)."""
        return self.is_active and self.role in (self.Role.APPROVER, self.Role.PLATFORM_ADMIN)

    @property
    def sees_everything(self) -> bool:
        """Whether this person may read every team's requests and endpoints."""
        return self.is_active and self.role != self.Role.NONE

    def belongs_to(self, slug: str) -> bool:
        """Whether this person is a member of the team."""
        return self.memberships.filter(team__slug=slug).exists()

    def actor_for(self, team: Team) -> Actor:
        """This person as the lifecycle's rules see them; reads the database each time."""
        member = Membership.objects.filter(person=self, team=team).exists()
        admin = self.role == self.Role.PLATFORM_ADMIN
        return Actor(
            self.pk,
            is_team_member=member,
            is_approver=self.decides,
            is_active=self.is_active,
            is_admin=admin,
        )


class Membership(models.Model):
    """A person belongs to a team."""

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["person", "team"], name="membership_once")
        ]

    def __str__(self) -> str:
        return f"{self.person} in {self.team}"


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    """Sets of API tokens."""

    def usable(self, now: datetime) -> ApiTokenQuerySet:
        """Tokens that still open the door."""
        return self.filter(revoked_at__isnull=True, expires_at__gt=now, person__is_active=True)

    def working_first(self, now: datetime) -> ApiTokenQuerySet:
        """Those that are neither revoked nor expired, then the others; newest first."""
        works = Q(revoked_at__isnull=True, expires_at__gt=now)
        return self.annotate(works=works).order_by("-works", "-created_at", "-pk")


class ApiToken(models.Model):
    """A bearer token of a person or a ticket system. Only its SHA-256 is stored; the prefix is for
    recognizing it.
    """

    class Scope(models.TextChoices):
        READ = "requests:read", "read requests, endpoints and events"
        WRITE = "requests:write", "create and cancel requests"
        APPROVE = "approvals:write", "approve and reject"

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = models.Manager.from_queryset(ApiTokenQuerySet)()

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.name})"
