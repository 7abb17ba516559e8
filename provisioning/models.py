"""The rows of provisioning: accounts, endpoints, what we created in AWS, runs and their journals,
and the event log.

Nothing here changes state by itself: every transition is one conditional update in runner.py or
actions.py.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.fields.json import KeyTransform

from provisioning import budget
from provisioning.aws.session import AccountRef, Aws, aws_for
from provisioning.aws.snapshot import take_snapshot
from provisioning.due_work import Work, announce
from provisioning.engine.decide import Direction, Entry, EntryKind
from provisioning.engine.turn import RunState
from provisioning.facts import watched
from provisioning.facts.names import origin_id
from provisioning.facts.quota_use import QuotaUse
from provisioning.facts.snapshot import Snapshot
from provisioning.plan.holdings import HeldRule, Holdings
from provisioning.plan.path_ownership import PathClaim, PathRights
from provisioning.plan.plan import BUILDING, CREATE, REMOVE
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.parsing import read_spec
from provisioning.truncated_field import TruncatedCharField


class AwsAccountQuerySet(models.QuerySet["AwsAccount"]):
    """Sets of accounts."""

    def with_waiting_runs(self) -> AwsAccountQuerySet:
        """Accounts in which a run waits for AWS, in either direction."""
        watching = Q(state__in=[Run.State.WAITING, Run.State.UNDOING], watch__isnull=False)
        return self.filter(
            models.Exists(Run.objects.filter(watching, endpoint__account=models.OuterRef("pk")))
        )

    def due_for_sweep(self, now: datetime) -> AwsAccountQuerySet:
        """Those of them whose next sweep is due."""
        return self.with_waiting_runs().filter(
            Q(next_sweep_at__isnull=True) | Q(next_sweep_at__lte=now)
        )

    def unreachable(self) -> AwsAccountQuerySet:
        """Those of them whose last sweep failed."""
        return self.with_waiting_runs().exclude(last_sweep_error="")


class AwsAccount(models.Model):
    """An AWS account that the portal works in, through a role that it assumes there. Without a role
    it uses its own identity.
    """

    account_id = models.CharField(max_length=12, primary_key=True)
    name = models.CharField(max_length=80)
    region = models.CharField(max_length=30, default="us-east-1")
    role_arn = models.CharField(max_length=200, blank=True)
    external_id = models.CharField(max_length=64, blank=True)
    next_sweep_at = models.DateTimeField(null=True, blank=True)
    last_sweep_at = models.DateTimeField(null=True, blank=True)
    last_sweep_error = models.CharField(max_length=300, blank=True)

    objects = models.Manager.from_queryset(AwsAccountQuerySet)()

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return f"{self.name} ({self.account_id})"

    def client(self) -> Aws:
        """The account's AWS clients, one set per process. Each call to CloudFront counts against
        the account's budget.
        """
        return aws_for(
            AccountRef(
                self.account_id,
                self.region,
                self.role_arn,
                self.external_id,
                budget.before_call,
            )
        )

    def snapshot_for(
        self, target_arn: str, distribution_id: str, *, permissions: bool = False
    ) -> Snapshot:
        """What AWS says about a target and a distribution of the account and, with `permissions`,
        what the portal's role may do to them. An empty ARN or ID is skipped. What AWS did not say
        is a gap in the snapshot.
        """
        return take_snapshot(
            self.client(),
            target_arn=target_arn,
            distribution_id=distribution_id,
            owner=settings.PROVISIONING_OWNER,
            permissions=permissions,
        )

    def path_rights(self, distribution_id: str, team: str) -> PathRights:
        """The rights of a team (its slug) on a distribution of the account: the endpoints there,
        also those still being built or changed, and the assigned paths.
        """
        endpoints = self.endpoints.exclude(state=Endpoint.State.ABSENT).filter(
            spec_data__distribution_id=distribution_id
        )
        assigned = self.path_assignments.filter(distribution_id=distribution_id)
        newest = Run.objects.filter(endpoint__in=endpoints).order_by("endpoint", "-created_at")
        under_way = {
            endpoint: patterns
            for endpoint, state, patterns in newest.distinct("endpoint").values_list(
                "endpoint", "state", "plan_data__spec__path_patterns"
            )
            if state not in (Run.State.DONE, Run.State.UNDONE)
        }
        return PathRights(
            team,
            (
                *(
                    PathClaim(pattern, one.owner, one.name, one.origin_id)
                    for one in endpoints.order_by("created_at", "pk")
                    for pattern in dict.fromkeys(
                        [*one.spec_data["path_patterns"], *under_way.get(one.pk, ())]
                    )
                ),
                *(PathClaim(one.path_pattern, one.owner) for one in assigned),
            ),
        )


class Endpoint(models.Model):
    """A path of a distribution that leads to a private target.

    `owner` is the slug of the team that it belongs to; this layer does not know what a team is.
    `event_stream` is where its events go since it changed hands; "": to that of its newest run.
    """

    class State(models.TextChoices):
        WANTED = "wanted", "being built"
        DEPLOYED = "deployed", "deployed"
        RETIRED = "retired", "being removed"
        ABSENT = "absent", "removed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(AwsAccount, on_delete=models.PROTECT, related_name="endpoints")
    owner = models.CharField(max_length=60)
    name = models.CharField(max_length=40)
    spec_data = models.JSONField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.WANTED)
    domain_name = models.CharField(max_length=253, blank=True)
    event_stream = models.CharField(max_length=60, blank=True)
    created_at = models.DateTimeField()
    deployed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["account", "name"],
                condition=~Q(state="absent"),
                name="endpoint_name_unique_in_account",
            )
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-created_at", "-id"], name="endpoint_in_order"),
            models.Index(fields=["owner", "-created_at", "-id"], name="endpoint_by_owner"),
            # As the ORM words spec_data__distribution_id and spec_data__target_arn.
            models.Index(
                KeyTransform("distribution_id", "spec_data"), name="endpoint_by_distribution"
            ),
            models.Index(KeyTransform("target_arn", "spec_data"), name="endpoint_by_target"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def key(self) -> str:
        """Twelve hex digits that identify the endpoint in AWS."""
        return self.id.hex[:12]

    @property
    def spec(self) -> EndpointSpec:
        """The spec, parsed."""
        return read_spec(self.spec_data)

    @property
    def origin_id(self) -> str:
        """The ID of its origin in the distribution."""
        adopted: str = self.spec_data.get("origin_id", "")
        return adopted or origin_id(settings.PROVISIONING_OWNER, self.key)

    def applied_plan(self) -> dict[str, Any] | None:
        """The plan (its dict) that it was built or last changed by; None if it never was built."""
        done = self.runs.filter(state=Run.State.DONE, plan_data__action__in=BUILDING)
        return done.order_by("-finished_at", "-pk").values_list("plan_data", flat=True).first()

    def holdings(self) -> Holdings:
        """What it uses in AWS by the portal's rows, and how many others use the same."""
        applied = self.applied_plan()
        key = read_spec(applied["spec"]).vpc_origin_key if applied else ""
        origin = self.vpc_origins.filter(key=key).first()
        others = models.Count("users", filter=~Q(users=self))
        return Holdings(
            origin.aws_id if origin else "",
            origin.users.exclude(pk=self.pk).count() if origin else 0,
            tuple(
                HeldRule(
                    row.pk, row.group_id, row.port, row.source_group_id, row.rule_id, row.others
                )
                for row in IngressRule.objects.filter(pk__in=self.ingress_rules.values("pk"))
                .annotate(others=others)
                .order_by("group_id", "port", "pk")
            ),
        )

    @property
    def url(self) -> str:
        """Where viewers connect: wss://domain/path. "" for one that was removed or never built."""
        if not self.domain_name or self.state == self.State.ABSENT:
            return ""
        return f"wss://{self.domain_name}{self.spec.handshake_path}"


class Secret(models.Model):
    """A value that a team's checks and origins may send, referred to as `${secret:NAME}`. It is
    written and sent, never shown.

    `owner` is the team's short name, like an endpoint's.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.CharField(max_length=60)
    name = models.CharField(max_length=40)
    encrypted = models.TextField()
    created_by = TruncatedCharField(max_length=150)
    created_at = models.DateTimeField()
    replaced_by = TruncatedCharField(max_length=150, blank=True)
    replaced_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=["owner", "name"], name="secret_name_unique_in_team"),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def purpose(self) -> str:
        """What its ciphertext is bound to."""
        return f"secret {self.pk}"


class PathAssignment(models.Model):
    """A platform admin gave a team a path pattern of a distribution: other teams get no paths in
    it, and the team may take them from behaviors that serve them today. `owner` is the team's slug.
    """

    account = models.ForeignKey(
        AwsAccount, on_delete=models.CASCADE, related_name="path_assignments"
    )
    distribution_id = models.CharField(max_length=20)
    path_pattern = models.CharField(max_length=255)
    owner = models.CharField(max_length=60)
    created_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["distribution_id", "path_pattern", "owner"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["account", "distribution_id", "path_pattern", "owner"],
                name="path_assigned_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.path_pattern} of {self.distribution_id}: {self.owner}"


class VpcOrigin(models.Model):
    """A VPC origin that the portal created or adopted, shared by every endpoint with the same key.
    `users` are its references: it is deleted with the last one, an adopted one only if nothing else
    in AWS uses it.
    """

    account = models.ForeignKey(AwsAccount, on_delete=models.PROTECT, related_name="vpc_origins")
    key = models.CharField(max_length=16)
    aws_id = models.CharField(max_length=40, blank=True)
    users = models.ManyToManyField(Endpoint, related_name="vpc_origins")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["account", "key"], name="vpc_origin_one_row_per_key")
        ]

    def __str__(self) -> str:
        return self.aws_id or self.key

    @property
    def holders(self) -> int:
        """How many endpoints and head starts need it."""
        return self.users.count() + self.head_starts.count()


class HeadStart(models.Model):
    """A VPC origin that is created while a request awaits approval, and held for it until the
    request is built or over; `stream` is the request's. Once it is released and nothing else needs
    the VPC origin, that is deleted, and then the row.
    """

    account = models.ForeignKey(AwsAccount, on_delete=models.PROTECT, related_name="head_starts")
    stream = models.CharField(max_length=60)
    spec_data = models.JSONField()
    vpc_origin = models.ForeignKey(
        VpcOrigin, null=True, on_delete=models.SET_NULL, related_name="head_starts"
    )
    created_at = models.DateTimeField()
    ready_at = models.DateTimeField(null=True, blank=True)
    released_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    failure = models.CharField(max_length=40, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["stream"],
                condition=Q(released_at__isnull=True),
                name="head_start_one_per_stream",
            )
        ]

    def __str__(self) -> str:
        return f"head start of {self.stream}"

    @property
    def spec(self) -> EndpointSpec:
        """The spec, parsed."""
        return read_spec(self.spec_data)


class IngressRule(models.Model):
    """An ingress rule that the portal added. `users` are its references."""

    account = models.ForeignKey(AwsAccount, on_delete=models.PROTECT, related_name="ingress_rules")
    group_id = models.CharField(max_length=30)
    port = models.PositiveIntegerField()
    source_group_id = models.CharField(max_length=30)
    rule_id = models.CharField(max_length=30, blank=True)
    users = models.ManyToManyField(Endpoint, related_name="ingress_rules")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["account", "group_id", "port", "source_group_id"],
                name="ingress_rule_one_row",
            )
        ]

    def __str__(self) -> str:
        return f"{self.group_id} tcp/{self.port}"


class Watch(models.Model):
    """What AWS last said about a resource that runs wait for. `written_at` is our own last write to
    it: a sweep that began before that write must not overrule it. `detail` is what the last full
    read showed.
    """

    class Resource(models.TextChoices):
        VPC_ORIGIN = watched.VPC_ORIGIN
        DISTRIBUTION = watched.DISTRIBUTION

    account = models.ForeignKey(AwsAccount, on_delete=models.CASCADE, related_name="watches")
    resource = models.CharField(max_length=20, choices=Resource.choices)
    aws_id = models.CharField(max_length=40)
    status = models.CharField(max_length=30)
    detail = models.JSONField(default=dict)
    written_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["account", "resource", "aws_id"], name="watch_one_row_per_resource"
            )
        ]

    def __str__(self) -> str:
        return f"{self.resource}:{self.aws_id} {self.status}"


class DistributionReading(models.Model):
    """Where a distribution led its paths when it was last read for checks: shared by the checks of
    all endpoints on it, in every worker.

    `routes` is what `checks.preflight.serving.routes_of` gave, null where the distribution does not
    exist or AWS did not say; `error` then says why not.
    """

    account = models.ForeignKey(AwsAccount, on_delete=models.CASCADE, related_name="+")
    distribution_id = models.CharField(max_length=20)
    began_at = models.DateTimeField()
    etag = models.CharField(max_length=60, blank=True)
    routes = models.JSONField(null=True)
    error = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["account", "distribution_id"], name="distribution_read_one_row"
            )
        ]

    def __str__(self) -> str:
        return f"{self.distribution_id} at {self.began_at}"


class RunQuerySet(models.QuerySet["Run"]):
    """Sets of runs."""

    def active(self) -> RunQuerySet:
        """Runs that are not over."""
        return self.filter(state__in=Run.ACTIVE)

    def due(self, now: datetime) -> RunQuerySet:
        """Runs that want attention now and that no worker holds."""
        return (
            self.active()
            .filter(due_at__lte=now)
            .filter(Q(lease_until__isnull=True) | Q(lease_until__lte=now))
        )

    def to_dispatch(self, now: datetime, *, not_since: datetime) -> RunQuerySet:
        """Due runs that were not dispatched to the workers since they became due, or not for a
        while: the message may be lost.
        """
        waiting = (
            Q(dispatched_at__isnull=True)
            | Q(dispatched_at__lt=F("due_at"))
            | Q(dispatched_at__lt=not_since)
        )
        return self.due(now).filter(waiting)

    def make_due(self, now: datetime) -> int:
        """Wake these. Locks their rows in a fixed order, so that two callers who wake the same runs
        do not deadlock.
        """
        with transaction.atomic():
            keys = list(
                self.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True)
            )
            woken: int = Run.objects.filter(pk__in=keys).update(due_at=now)
            if woken:
                announce(Work.RUNS)
        return woken

    def dispatched(self, now: datetime, *, since: datetime) -> RunQuerySet:
        """Due runs that were dispatched since then and that no worker has claimed yet."""
        return self.due(now).filter(dispatched_at__gte=F("due_at")).filter(dispatched_at__gte=since)


class Run(models.Model):
    """One attempt to bring an endpoint to a spec. A waiting run is a row with a due time: no worker
    sleeps for it.

    `fence` grows with each claim, so that a worker that lost its lease changes no row.
    `lost_leases` counts the leases that ended without being released, since the last progress.
    """

    class State(models.TextChoices):
        RUNNING = RunState.RUNNING.value, "running"
        WAITING = RunState.WAITING.value, "waiting for AWS"
        UNDOING = RunState.UNDOING.value, "undoing"
        DONE = RunState.DONE.value, "done"
        UNDONE = RunState.UNDONE.value, "rolled back"
        STUCK = RunState.STUCK.value, "stuck: needs a person"
        QUARANTINED = RunState.QUARANTINED.value, "quarantined: its workers died"

    ACTIVE = (State.RUNNING, State.WAITING, State.UNDOING)

    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="runs")
    saga = models.CharField(max_length=40)
    stream = models.CharField(max_length=60)
    plan_data = models.JSONField()
    plan_digest = models.CharField(max_length=64)
    state = models.CharField(max_length=12, choices=State.choices, default=State.RUNNING)
    due_at = models.DateTimeField()
    dispatched_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    lease_holder = models.CharField(max_length=80, blank=True)
    fence = models.PositiveBigIntegerField(default=0)
    lost_leases = models.PositiveSmallIntegerField(default=0)
    watch = models.ForeignKey(
        Watch, null=True, blank=True, on_delete=models.SET_NULL, related_name="waiters"
    )
    writes_distribution = models.CharField(max_length=20, blank=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    failure = models.JSONField(default=dict, blank=True)

    objects = models.Manager.from_queryset(RunQuerySet)()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["endpoint"],
                condition=Q(state__in=["running", "waiting", "undoing"]),
                name="run_one_active_per_endpoint",
            )
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["due_at"],
                condition=Q(state__in=["running", "waiting", "undoing"]),
                name="run_due",
            ),
            models.Index(
                fields=["watch"], condition=Q(state__in=["waiting", "undoing"]), name="run_by_watch"
            ),
        ]

    def __str__(self) -> str:
        return f"run {self.pk} of {self.endpoint_id}"

    @property
    def over(self) -> bool:
        """Whether the run has ended."""
        return self.state not in self.ACTIVE

    @property
    def spec(self) -> EndpointSpec:
        """The spec this run was approved for (not necessarily the endpoint's present one)."""
        return read_spec(self.plan_data["spec"])

    @property
    def action(self) -> str:
        """What its plan does: create, change, accept or remove."""
        return str(self.plan_data["action"])

    @property
    def creates(self) -> bool:
        """Whether it builds the endpoint."""
        return self.action == CREATE

    @property
    def removes(self) -> bool:
        """Whether it removes the endpoint."""
        return self.action == REMOVE

    @property
    def applied(self) -> dict[str, Any] | None:
        """The plan (its dict) that the endpoint had when this one was made; None when creating."""
        applied: dict[str, Any] | None = self.plan_data["applied"]
        return applied

    def journal(self) -> list[Entry]:
        """The journal as the engine reads it."""
        return [entry.as_entry() for entry in self.entries.all()]


class JournalEntry(models.Model):
    """One entry of a run's journal. It drives the engine; people read events instead."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="entries")
    seq = models.PositiveIntegerField()
    step = models.CharField(max_length=40, blank=True)
    kind = models.CharField(max_length=10)
    direction = models.CharField(max_length=8)
    at = models.DateTimeField()
    since = models.DateTimeField()
    times = models.PositiveIntegerField(default=1)
    data = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar[list[str]] = ["seq"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["run", "seq"], name="journal_seq_unique")
        ]

    def __str__(self) -> str:
        return f"{self.run_id}/{self.seq} {self.step} {self.kind}"

    def as_entry(self) -> Entry:
        """The frozen value that the engine decides on."""
        return Entry(
            self.step,
            EntryKind(self.kind),
            Direction(self.direction),
            self.at,
            self.since,
            self.times,
            self.data,
        )


class AccountQuota(models.Model):
    """How much of one of AWS's quotas is used, as the last drift report saw it; the fields are
    those of `provisioning.facts.quota_use.QuotaUse`. `level` is what people were last told.
    """

    account = models.ForeignKey(AwsAccount, on_delete=models.CASCADE, related_name="quotas")
    resource = models.CharField(max_length=20)
    scope = models.CharField(max_length=40, blank=True)
    used = models.PositiveIntegerField()
    quota = models.PositiveIntegerField()
    assumed = models.BooleanField(default=False)
    level = models.CharField(max_length=4)
    seen_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["-resource", "scope"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["account", "resource", "scope"], name="account_quota_one_row"
            )
        ]

    def __str__(self) -> str:
        return f"{self.resource} {self.scope}: {self.used} of {self.quota}"

    @property
    def use(self) -> QuotaUse:
        """The frozen value that rules are about."""
        return QuotaUse(self.resource, self.scope, self.used, self.quota, self.assumed)


class DriftReport(models.Model):
    """One comparison of an account with the portal's rows. `troubles` are what AWS did not show,
    in words.
    """

    account = models.ForeignKey(AwsAccount, on_delete=models.CASCADE, related_name="drift_reports")
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    due_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    troubles = models.JSONField(default=list)

    class Meta:
        ordering: ClassVar[list[str]] = ["-requested_at"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["account"],
                condition=Q(finished_at__isnull=True),
                name="drift_report_one_at_a_time_per_account",
            )
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["account", "-requested_at"], name="drift_report_by_account")
        ]

    def __str__(self) -> str:
        return f"drift report of {self.account_id}: {self.requested_at}"


class DriftFindingQuerySet(models.QuerySet["DriftFinding"]):
    """Sets of findings."""

    def open(self) -> DriftFindingQuerySet:
        """Those that the last report of their source still showed."""
        return self.filter(resolved_at__isnull=True)

    def ignored(self, now: datetime) -> DriftFindingQuerySet:
        """Open ones that somebody has agreed to for now."""
        return self.open().filter(ignored_until__gt=now)

    def to_resolve(self, now: datetime) -> DriftFindingQuerySet:
        """Open ones that nobody has agreed to."""
        return self.open().filter(Q(ignored_until__isnull=True) | Q(ignored_until__lte=now))


class DriftFinding(models.Model):
    """A difference between AWS and the portal, for as long as it lasts; the fields are those of
    `provisioning.drift.comparison.Difference`. Somebody may agree to it until a date; when it
    changes, that no longer counts.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(AwsAccount, on_delete=models.CASCADE, related_name="drift_findings")
    endpoint = models.ForeignKey(
        Endpoint, null=True, blank=True, on_delete=models.CASCADE, related_name="drift_findings"
    )
    code = models.CharField(max_length=10)
    resource = models.CharField(max_length=20)
    subject = models.CharField(max_length=300)
    setting = models.CharField(max_length=120, blank=True)
    approved = models.TextField(blank=True)
    seen = models.TextField(blank=True)
    source = models.CharField(max_length=60)
    text = models.TextField()
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    ignored_until = models.DateTimeField(null=True, blank=True)
    ignored_by = models.CharField(max_length=150, blank=True)
    ignored_reason = models.CharField(max_length=500, blank=True)

    objects = models.Manager.from_queryset(DriftFindingQuerySet)()

    class Meta:
        ordering: ClassVar[list[str]] = ["-first_seen_at", "code", "resource", "subject"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["account"], condition=Q(resolved_at__isnull=True), name="drift_open"
            ),
            models.Index(
                fields=["endpoint"],
                condition=Q(resolved_at__isnull=True),
                name="drift_open_by_endpoint",
            ),
        ]

    def __str__(self) -> str:
        return self.text


class EventStreamQuerySet(models.QuerySet["EventStream"]):
    """Sets of event streams."""

    def with_news(self) -> EventStreamQuerySet:
        """Those that are followed and have grown since their follower last read them."""
        return self.filter(followed=True, last_seq__gt=F("read_seq"))


class EventStream(models.Model):
    """A topic of events. Its row lock orders its events; `last_seq` has no gaps.

    While it is `followed`, a layer above acts on its events; `read_seq` is the last that it read.
    """

    name = models.CharField(max_length=60, primary_key=True)
    last_seq = models.PositiveBigIntegerField(default=0)
    followed = models.BooleanField(default=False, db_default=False)
    read_seq = models.PositiveBigIntegerField(default=0, db_default=0)

    objects = models.Manager.from_queryset(EventStreamQuerySet)()

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["name"],
                condition=Q(followed=True, last_seq__gt=F("read_seq")),
                name="event_stream_with_news",
            )
        ]

    def __str__(self) -> str:
        return self.name


class EventQuerySet(models.QuerySet["Event"]):
    """Sets of events."""

    def after(self, stream: str, cursor: int) -> EventQuerySet:
        """The events after `cursor`, in order."""
        return self.filter(stream_id=stream, seq__gt=cursor).order_by("seq")


class Event(models.Model):
    """One line for people and tickets. Numbered per stream from 1 without gaps, redacted before it
    is stored, and never changed.
    """

    class Level(models.TextChoices):
        INFO = "info"
        GOOD = "good"
        WARNING = "warning"
        ERROR = "error"

    stream = models.ForeignKey(EventStream, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveBigIntegerField()
    at = models.DateTimeField()
    kind = models.CharField(max_length=40)
    level = models.CharField(max_length=8, choices=Level.choices, default=Level.INFO)
    step = models.CharField(max_length=40, blank=True)
    text = models.TextField()
    data = models.JSONField(default=dict)

    objects = models.Manager.from_queryset(EventQuerySet)()

    class Meta:
        ordering: ClassVar[list[str]] = ["stream", "seq"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["stream", "seq"], name="event_seq_unique")
        ]

    def __str__(self) -> str:
        return f"{self.stream_id}#{self.seq} {self.kind}"

    def to_dict(self) -> dict[str, Any]:
        """As the API, the console and downloads show it."""
        return {
            "seq": self.seq,
            "at": self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "kind": self.kind,
            "level": self.level,
            "step": self.step,
            "text": self.text,
            "data": self.data,
        }
