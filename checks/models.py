"""The rows of checks: what is asked about an endpoint, what was seen, and what follows."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q

from checks.health import Health
from checks.leased_row import LeasedRow
from checks.probe.probe_request import REQUESTABLE
from provisioning.models import Endpoint
from provisioning.truncated_field import TruncatedCharField


class SavedCheckQuerySet(models.QuerySet["SavedCheck"]):
    """Sets of saved checks."""

    def due(self, now: datetime) -> SavedCheckQuerySet:
        """Those due now."""
        return self.filter(next_due_at__lte=now)


class SavedCheck(models.Model):
    """A named handshake check, to be repeated by hand, after each change, or on a schedule.

    `options` is what `HandshakeOptions.to_dict` gives and holds no secret; a change of the verdict
    is appended to `stream`.
    """

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="saved_checks")
    name = models.CharField(max_length=60)
    options = models.JSONField(default=dict)
    every_minutes = models.PositiveIntegerField(default=0)
    after_changes = models.BooleanField(default=False)
    stream = models.CharField(max_length=60, blank=True)
    created_by = TruncatedCharField(max_length=150, blank=True)
    next_due_at = models.DateTimeField(null=True, blank=True)

    objects = models.Manager.from_queryset(SavedCheckQuerySet)()

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                fields=["endpoint", "name"], name="saved_check_name_unique_in_endpoint"
            ),
        )
        indexes = (
            models.Index(
                fields=["next_due_at"],
                condition=Q(next_due_at__isnull=False),
                name="saved_check_due",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def following(self, now: datetime) -> datetime | None:
        """Its turn after one that is now."""
        return now + timedelta(minutes=self.every_minutes) if self.every_minutes else None


class Check(LeasedRow):
    """One handshake check. Once finished it does not change, except that log rows can improve its
    findings.

    `options` is what `HandshakeOptions.to_dict` gives, without credentials; with them it is
    encrypted in `sealed`, until the check is finished. `secrets` are the names of the stored
    secrets that it sent.

    `connect_ms` is the time until the WebSocket is open, null if it did not open.
    `distribution_etag` is that of the configuration that was compared, "" if none was read.
    `kept`: a request refers to it as what showed its endpoint live, or not; it is never deleted.
    `findings` are ranked verdicts; `probes` are the further attempts made to explain a failure,
    `next_probe` the one that would tell more. Until `retry_until` a failed check is retried: after
    a deployment some edges still serve the old config.
    """

    saved = models.ForeignKey(
        SavedCheck, on_delete=models.SET_NULL, null=True, blank=True, related_name="checks"
    )
    options = models.JSONField(default=dict)
    sealed = models.TextField(blank=True)
    secrets = models.JSONField(default=list)
    stream = models.CharField(max_length=60, blank=True)
    retry_until = models.DateTimeField()
    ok = models.BooleanField(null=True)
    verdict = models.CharField(max_length=40, blank=True)
    total_ms = models.FloatField(null=True)
    connect_ms = models.FloatField(null=True)
    distribution_etag = models.CharField(max_length=60, blank=True)
    transcript_data = models.JSONField(null=True)
    findings = models.JSONField(default=list)
    next_probe = models.CharField(max_length=20, blank=True)
    probes = models.JSONField(default=list)
    kept = models.BooleanField(default=False)

    @property
    def purpose(self) -> str:
        """What `sealed` is bound to."""
        return f"check {self.pk}"

    def __str__(self) -> str:
        return f"check of {self.endpoint_id}: {self.verdict or 'under way'}"


class DeletedChecks(models.Model):
    """What uptime is computed from, of an endpoint's usual checks of one UTC day that are deleted:
    of each when it was requested, in microseconds of the day, whether it was ok, its `connect_ms`
    and its verdict.
    """

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="deleted_checks")
    day = models.DateField(db_index=True)
    samples = models.JSONField(default=list)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["endpoint", "day"], name="deleted_checks_one_row"),
        )

    def __str__(self) -> str:
        return f"{len(self.samples)} checks of {self.endpoint_id} on {self.day}"


class Probe(LeasedRow):
    """One further probe, requested by a person: `number` and `path` as its kind takes them,
    `report` what `Report.to_dict` gives. `path` is without credentials; with them it is encrypted
    in `sealed`, until the probe is finished.

    A probe of kind "log rows" opens no socket: it weighs `check` again with `rows` of CloudFront's
    log.
    """

    kind = models.CharField(
        max_length=20, choices=[(kind.value, kind.value) for kind in REQUESTABLE]
    )
    number = models.PositiveIntegerField(default=0)
    path = models.TextField(blank=True)
    sealed = models.TextField(blank=True)
    of_check = models.ForeignKey(
        Check, on_delete=models.CASCADE, null=True, blank=True, related_name="weighings"
    )
    rows = models.JSONField(default=list)
    ok = models.BooleanField(null=True)
    report = models.JSONField(null=True)

    class Meta(LeasedRow.Meta):
        indexes = (  # type: ignore[assignment]  # one more than the base class has
            *LeasedRow.Meta.indexes,
            models.Index(fields=["requested_at"], name="probe_by_age"),
        )

    @property
    def purpose(self) -> str:
        """What `sealed` is bound to."""
        return f"probe {self.pk}"

    def __str__(self) -> str:
        return f"{self.kind} of {self.endpoint_id}"


class PrivacyAudit(LeasedRow):
    """One audit of whether an endpoint is still private. Once finished it does not change.

    `document` is what is signed: the questions, AWS's answers and what follows; `digest` is its
    SHA-256. `signature` is empty without a key, and `unsigned_reason` then says why.
    """

    class Outcome(models.TextChoices):
        PASS = "pass", "private"
        ACCEPTED = "accepted", "private, with accepted exceptions"
        FAIL = "fail", "exposed"
        UNKNOWN = "unknown", "unknown"

    stream = models.CharField(max_length=60, blank=True)
    outcome = models.CharField(max_length=8, choices=Outcome.choices, blank=True)
    document = models.JSONField(default=dict)
    digest = models.CharField(max_length=64, blank=True)
    signature = models.JSONField(default=dict)
    unsigned_reason = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return f"privacy of {self.endpoint_id}: {self.outcome or 'under way'}"


class EndpointHealth(models.Model):
    """What the last usual check and the last privacy audit say about an endpoint, so that lists
    need neither.

    `since` is when the health began; `next_audit_at` is when the schedule next requests an audit,
    null once the endpoint is removed. `verified_at` is when the distribution's configuration was
    last read, `distribution_etag` is its ETag; `reason` says what answers instead of the endpoint.
    """

    endpoint = models.OneToOneField(
        Endpoint, on_delete=models.CASCADE, primary_key=True, related_name="health"
    )
    health = models.CharField(
        max_length=8, choices=[(one.value, one.value) for one in Health], default=Health.UNKNOWN
    )
    since = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    verified_at = models.DateTimeField(null=True)
    distribution_etag = models.CharField(max_length=60, blank=True)
    verdict = models.CharField(max_length=40, blank=True)
    connect_ms = models.FloatField(null=True)
    reason = models.TextField(blank=True)
    privacy = models.CharField(max_length=8, choices=PrivacyAudit.Outcome.choices, blank=True)
    privacy_at = models.DateTimeField(null=True)
    next_audit_at = models.DateTimeField(null=True)

    class Meta:
        indexes = (
            models.Index(fields=["next_audit_at"], name="endpoint_health_next_audit"),
            models.Index(
                fields=["health"], condition=~Q(health=Health.LIVE.value), name="endpoint_not_live"
            ),
        )

    def __str__(self) -> str:
        return f"{self.endpoint_id}: {self.health}"


class PrivacyExceptionQuerySet(models.QuerySet["PrivacyException"]):
    """Sets of accepted exceptions."""

    def in_force(self, now: datetime) -> PrivacyExceptionQuerySet:
        """Those that count now."""
        return self.filter(withdrawn_at__isnull=True, until__gt=now)


class PrivacyException(models.Model):
    """That an approver accepts one way past CloudFront to an endpoint's target, for a time.

    `exposure` is worded by provisioning.facts.exposures. `plan_digest` is the plan whose approval
    accepted it, empty if it was accepted later. Accepting it again ends the row and makes another.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(
        Endpoint, on_delete=models.CASCADE, related_name="privacy_exceptions"
    )
    exposure = models.CharField(max_length=400)
    reason = models.CharField(max_length=400)
    accepted_by = TruncatedCharField(max_length=150)
    accepted_at = models.DateTimeField()
    until = models.DateTimeField()
    plan_digest = models.CharField(max_length=64, blank=True)
    withdrawn_by = TruncatedCharField(max_length=150, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects = models.Manager.from_queryset(PrivacyExceptionQuerySet)()

    class Meta:
        ordering = ("-accepted_at", "exposure")
        constraints = (
            models.UniqueConstraint(
                fields=["endpoint", "exposure"],
                condition=Q(withdrawn_at__isnull=True),
                name="privacy_exception_once",
            ),
        )

    def __str__(self) -> str:
        return f"{self.exposure}, accepted by {self.accepted_by} until {self.until:%Y-%m-%d}"
