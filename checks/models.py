"""The rows of checks: recorded questions about an endpoint, with what was seen and what follows."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from checks.probe.probe_request import REQUESTABLE
from provisioning.models import Endpoint


class AskedBy(models.CharField):  # type: ignore[type-arg]  # at runtime it takes none
    """Who asked, as people read it. A name that is too long is cut: it must not keep anybody from
    asking.
    """

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        """The row in hand then says what the database does."""
        cut: str = super().pre_save(model_instance, add)[: self.max_length]
        setattr(model_instance, self.attname, cut)
        return cut

    def deconstruct(self) -> Any:
        """To migrations it is a CharField like any other."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs


class CheckQuerySet(models.QuerySet["Check"]):
    """Sets of checks."""

    def due(self, now: datetime) -> CheckQuerySet:
        """Checks that are to be made now and that nobody is making."""
        return self.filter(finished_at__isnull=True, due_at__lte=now).filter(
            Q(lease_until__isnull=True) | Q(lease_until__lte=now)
        )


class PrivacyAuditQuerySet(models.QuerySet["PrivacyAudit"]):
    """Sets of privacy audits."""

    def due(self, now: datetime) -> PrivacyAuditQuerySet:
        """Audits that are to be made now and that nobody is making."""
        return self.filter(made_at__isnull=True, due_at__lte=now).filter(
            Q(lease_until__isnull=True) | Q(lease_until__lte=now)
        )


class SavedCheckQuerySet(models.QuerySet["SavedCheck"]):
    """Sets of saved checks."""

    def due(self, now: datetime) -> SavedCheckQuerySet:
        """Those whose turn it is, of endpoints that exist."""
        return self.filter(next_due_at__lte=now, endpoint__state=Endpoint.State.DEPLOYED)


class SavedCheck(models.Model):
    """A handshake that an endpoint's team wants to see made again: by hand, after each change, or
    on a schedule.

    `wanted` is what `HandshakeOptions.to_dict` gives and holds no secret; `stream` is where a change of the
    verdict is told.
    """

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="saved_checks")
    name = models.CharField(max_length=60)
    wanted = models.JSONField(default=dict)
    every_minutes = models.PositiveIntegerField(default=0)
    after_changes = models.BooleanField(default=False)
    stream = models.CharField(max_length=60, blank=True)
    created_by = AskedBy(max_length=150, blank=True)
    next_due_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[Any] = SavedCheckQuerySet.as_manager()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["endpoint", "name"], name="saved_check_name_unique_in_endpoint"
            )
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["next_due_at"],
                condition=Q(next_due_at__isnull=False),
                name="saved_check_due",
            )
        ]

    def __str__(self) -> str:
        return self.name


class Check(models.Model):
    """One handshake check of an endpoint. It is asked for, made by a worker, and then never
    changed, but for values of secret headers, which are gone once it has been made, and for
    findings that log rows made better.

    `connect_ms` is what a client waits until the WebSocket is open, null where it did not open.
    `findings` are ranked verdicts; `probes` what was tried to explain a failure, and `next_probe`
    what would tell more. `tries_until` lets a first check after deployment try again while edges
    may still serve the old config.
    """

    class Kind(models.TextChoices):
        HANDSHAKE = "handshake"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="checks")
    kind = models.CharField(max_length=20, choices=Kind.choices, default=Kind.HANDSHAKE)
    saved = models.ForeignKey(
        SavedCheck, on_delete=models.SET_NULL, null=True, blank=True, related_name="checks"
    )
    wanted = models.JSONField(default=dict)
    stream = models.CharField(max_length=60, blank=True)
    requested_by = AskedBy(max_length=150, blank=True)
    asked_at = models.DateTimeField()
    due_at = models.DateTimeField()
    tries_until = models.DateTimeField()
    lease_until = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    ok = models.BooleanField(null=True)
    verdict = models.CharField(max_length=40, blank=True)
    total_ms = models.FloatField(null=True)
    connect_ms = models.FloatField(null=True)
    transcript_data = models.JSONField(null=True)
    findings = models.JSONField(default=list)
    next_probe = models.CharField(max_length=20, blank=True)
    probes = models.JSONField(default=list)

    objects: ClassVar[Any] = CheckQuerySet.as_manager()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["endpoint"],
                condition=Q(finished_at__isnull=True),
                name="check_one_at_a_time_per_endpoint",
            )
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["endpoint", "-asked_at"], name="check_by_endpoint"),
            models.Index(
                fields=["due_at"], condition=Q(finished_at__isnull=True), name="check_due"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.endpoint_id}: {self.verdict or 'under way'}"


class ProbeQuerySet(models.QuerySet["Probe"]):
    """Sets of further probes."""

    def due(self, now: datetime) -> ProbeQuerySet:
        """Those that nobody is making."""
        return self.filter(finished_at__isnull=True).filter(
            Q(lease_until__isnull=True) | Q(lease_until__lte=now)
        )


class Probe(models.Model):
    """One further probe of an endpoint, asked for by a person and made by a worker: `number` and
    `path` as its kind takes them, `report` what `Report.to_dict` gives.

    A probe of kind "log rows" opens no socket: it weighs `of_check` again with `rows` of
    CloudFront's log.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="probes")
    kind = models.CharField(
        max_length=20, choices=[(kind.value, kind.value) for kind in REQUESTABLE]
    )
    number = models.PositiveIntegerField(default=0)
    path = models.TextField(blank=True)
    of_check = models.ForeignKey(
        Check, on_delete=models.CASCADE, null=True, blank=True, related_name="weighings"
    )
    rows = models.JSONField(default=list)
    requested_by = AskedBy(max_length=150, blank=True)
    asked_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    ok = models.BooleanField(null=True)
    report = models.JSONField(null=True)

    objects: ClassVar[Any] = ProbeQuerySet.as_manager()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["endpoint"],
                condition=Q(finished_at__isnull=True),
                name="probe_one_at_a_time_per_endpoint",
            )
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["endpoint", "-asked_at"], name="probe_by_endpoint"),
            models.Index(
                fields=["asked_at"], condition=Q(finished_at__isnull=True), name="probe_under_way"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.endpoint_id}"


class PrivacyAudit(models.Model):
    """One look at whether an endpoint is still private. It is asked for, made by a worker, and then
    never changed.

    `document` is what is signed: what was asked, what AWS answered and what follows; `digest` its
    SHA-256. `signature` is empty without a key, and `unsigned_because` then says why.
    """

    class Outcome(models.TextChoices):
        PASS = "pass", "private"
        FAIL = "fail", "not private"
        UNKNOWN = "unknown", "not known"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="privacy_audits")
    stream = models.CharField(max_length=60, blank=True)
    requested_by = AskedBy(max_length=150, blank=True)
    asked_at = models.DateTimeField()
    due_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True, blank=True)
    made_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=8, choices=Outcome.choices, blank=True)
    document = models.JSONField(default=dict)
    digest = models.CharField(max_length=64, blank=True)
    signature = models.JSONField(default=dict)
    unsigned_because = models.CharField(max_length=200, blank=True)

    objects: ClassVar[Any] = PrivacyAuditQuerySet.as_manager()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["endpoint"],
                condition=Q(made_at__isnull=True),
                name="privacy_audit_one_at_a_time",
            )
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["endpoint", "-asked_at"], name="privacy_audit_by_endpoint"),
            models.Index(
                fields=["due_at"], condition=Q(made_at__isnull=True), name="privacy_audit_due"
            ),
        ]

    def __str__(self) -> str:
        return f"privacy of {self.endpoint_id}: {self.outcome or 'under way'}"
