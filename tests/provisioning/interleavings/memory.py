"""The portal's rows in memory: what `StoredRows` and `Lease` do in the database, each method one
transaction.

Runs and endpoints are the models' own objects, which are never saved.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from provisioning.aws import distributions, targets, vpc_origins
from provisioning.aws.errors import AwsError
from provisioning.engine.decide import Direction, Entry, EntryKind, Finish
from provisioning.engine.outcome import Working
from provisioning.engine.step import Step
from provisioning.engine.turn import LeaseLost, RunCancelled, folds
from provisioning.facts.load_balancer import Listener
from provisioning.facts.names import origin_id, vpc_origin_name
from provisioning.facts.snapshot import Gap, Snapshot
from provisioning.facts.step_times import StepTime
from provisioning.facts.watched import VPC_ORIGIN, Watched
from provisioning.models import Endpoint, Run
from provisioning.plan.holdings import HeldRule, Holdings
from provisioning.plan.path_ownership import PathClaim, PathRights
from provisioning.plan.plan import BUILDING, CREATE, REMOVE, Plan
from provisioning.plan.planner import make_change_plan, make_plan
from provisioning.plan.removal import make_removal_plan
from provisioning.runner import Saga
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.parsing import read_spec
from provisioning.steps.rows import Part, Rule, SharedVpcOrigin, WatchFacts
from tests.provisioning.interleavings.cloud import Cloud

OWNER = "edge-portal"
LEASE_SECONDS = 60.0
ENDS = ("run.done", "run.undone", "run.stuck")


@dataclass
class VpcOriginRow:
    """The row of a VPC origin: AWS's ID, and the endpoints (their keys) that use it."""

    aws_id: str = ""
    users: set[str] = field(default_factory=set)


@dataclass
class RuleRow:
    """The row of an ingress rule, and the endpoints (their keys) that use it."""

    rule: Rule
    users: set[str] = field(default_factory=set)


@dataclass
class Store:
    """All rows. `passing` is called before each transaction, where a worker may die."""

    cloud: Cloud
    passing: Callable[[str], None] = lambda _: None
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    runs: dict[int, Run] = field(default_factory=dict)
    journals: dict[int, list[Entry]] = field(default_factory=dict)
    events: dict[int, list[Mapping[str, Any]]] = field(default_factory=dict)
    ends: Counter[int] = field(default_factory=Counter)
    vpc_origins: dict[str, VpcOriginRow] = field(default_factory=dict)
    rules: dict[int, RuleRow] = field(default_factory=dict)
    watches: dict[tuple[str, str], Watched] = field(default_factory=dict)
    watch_ids: list[tuple[str, str]] = field(default_factory=list)
    locks: set[str] = field(default_factory=set)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def active(self) -> list[Run]:
        return [run for run in self.runs.values() if not run.over]

    def due(self, now: datetime) -> list[Run]:
        free = (run for run in self.active() if not run.lease_until or run.lease_until <= now)
        return sorted((run for run in free if run.due_at <= now), key=lambda run: run.due_at)

    def active_run(self, endpoint: Endpoint) -> Run | None:
        """Its run that is not over."""
        return next((run for run in self.active() if run.endpoint is endpoint), None)

    def applied_plan(self, endpoint: Endpoint) -> dict[str, Any] | None:
        """The plan that it was built or last changed by."""
        done = [
            run
            for run in self.runs.values()
            if run.endpoint is endpoint and run.state == Run.State.DONE and run.action in BUILDING
        ]
        return max(done, key=lambda run: (run.finished_at, run.pk)).plan_data if done else None

    def start(self, endpoint: Endpoint, plan: Mapping[str, Any], now: datetime) -> Run:
        number = next(self.numbers)
        held = [row.rule.id for row in self.rules.values() if endpoint.key in row.users]
        run = Run(
            pk=number,
            endpoint=endpoint,
            saga=f"{plan['action']}-endpoint",
            stream=f"run:{number}",
            plan_data=dict(plan) | {"held_rules": held},
            plan_digest=plan["digest"],
            due_at=now,
            created_at=now,
        )
        self.runs[number], self.journals[number], self.events[number] = run, [], []
        return run

    # Planning

    def rights(self, team: str) -> PathRights:
        claims = []
        for endpoint in self.endpoints.values():
            if endpoint.state == Endpoint.State.ABSENT:
                continue
            mine = [run for run in self.runs.values() if run.endpoint is endpoint]
            patterns = list(endpoint.spec_data["path_patterns"])
            if mine and mine[-1].state not in (Run.State.DONE, Run.State.UNDONE):
                patterns += mine[-1].plan_data["spec"]["path_patterns"]
            claims += [
                PathClaim(pattern, endpoint.owner, endpoint.name, origin_id(OWNER, endpoint.key))
                for pattern in dict.fromkeys(patterns)
            ]
        return PathRights(team, tuple(claims))

    def holdings(self, endpoint: Endpoint) -> Holdings:
        key = read_spec((self.applied_plan(endpoint) or {})["spec"]).vpc_origin_key
        row = self.vpc_origins.get(key)
        used = row is not None and endpoint.key in row.users
        return Holdings(
            row.aws_id if row and used else "",
            len(row.users - {endpoint.key}) if row and used else 0,
            tuple(
                HeldRule(
                    one.rule.id,
                    one.rule.group_id,
                    one.rule.port,
                    one.rule.source_group_id,
                    one.rule.rule_id,
                    len(one.users) - 1,
                )
                for one in self.rules.values()
                if endpoint.key in one.users
            ),
        )

    def snapshot(self, action: str, spec: EndpointSpec) -> Snapshot:
        """What a plan is made of, of the parts that differ here."""
        gaps: list[Gap] = []

        def known(what: str, ask: Callable[[], Any], unknown: Any) -> Any:
            try:
                return ask()
            except AwsError as error:
                gaps.append(Gap(what, str(error)))
                return unknown

        record = known("distribution", lambda: self._record(spec), None)
        facts, config = (record.facts, record.config) if record else (None, None)
        if action == REMOVE:
            return Snapshot(None, facts, gaps=tuple(gaps))
        target = known("target", lambda: self._target(spec), None)
        found = known("vpc_origins", lambda: self._vpc_origins(spec), ())
        return Snapshot(
            target,
            facts,
            found,
            service_role=True,
            distribution_config=config,
            gaps=tuple(gaps),
        )

    def _record(self, spec: EndpointSpec) -> Any:
        return distributions.read(self._aws, spec.distribution_id)

    def _target(self, spec: EndpointSpec) -> Any:
        target = targets.admission_facts(self._aws, spec.target_arn)
        listeners = tuple(Listener(port, "HTTP", "forward") for port in (80, 8080))
        return target and replace(target, listeners=listeners)

    def _vpc_origins(self, spec: EndpointSpec) -> Any:
        named = vpc_origin_name(OWNER, spec.vpc_origin_key)
        return tuple(
            replace(
                one,
                ours=vpc_origins.owner_of(self._aws, f"arn/{one.id}") == OWNER
                if one.name == named
                else None,
            )
            for one in vpc_origins.list_all(self._aws)
        )

    @property
    def _aws(self) -> Any:
        return self.cloud

    def plan(
        self,
        snapshot: Snapshot,
        action: str,
        endpoint: Endpoint,
        spec: EndpointSpec,
        grace_seconds: int,
    ) -> Plan:
        key, rights = endpoint.key, self.rights(endpoint.owner)
        if action == CREATE:
            return make_plan(spec, snapshot, endpoint_key=key, owner=OWNER, rights=rights)
        applied = self.applied_plan(endpoint)
        assert applied is not None
        holdings = self.holdings(endpoint)
        if action == REMOVE:
            return make_removal_plan(
                applied,
                snapshot,
                endpoint_key=key,
                owner=OWNER,
                holdings=holdings,
                grace_seconds=grace_seconds,
            )
        return make_change_plan(
            spec,
            snapshot,
            endpoint_key=key,
            owner=OWNER,
            rights=rights,
            applied=applied,
            holdings=holdings,
        )

    # Watches

    def wake(self, subject: tuple[str, str], now: datetime) -> None:
        number = self.watch_ids.index(subject) + 1
        for run in self.active():
            if run.watch_id == number and run.lease_until is None:
                run.due_at = now

    def watched(self, subject: tuple[str, str]) -> WatchFacts | None:
        known = self.watches.get(subject)
        if known is None:
            return None
        number = self.watch_ids.index(subject) + 1
        waited_for = any(
            run.watch_id == number and run.state == Run.State.WAITING for run in self.runs.values()
        )
        return WatchFacts(number, known.status, known.detail, known.seen_at, waited_for)

    def record_write(
        self, subject: tuple[str, str], status: str, detail: Mapping[str, Any], now: datetime
    ) -> None:
        if subject not in self.watches:
            self.watch_ids.append(subject)
        self.watches[subject] = Watched(status, dict(detail), now, now)
        self.wake(subject, now)

    def record_observation(
        self,
        subject: tuple[str, str],
        status: str,
        detail: Mapping[str, Any] | None,
        began: datetime,
        now: datetime,
    ) -> None:
        known = self.watches.get(subject)
        if known is None:
            self.watch_ids.append(subject)
            self.watches[subject] = Watched(status, dict(detail or {}), began, now)
            return
        after = known.observed(status, detail, began=began, now=now)
        if after is not None:
            self.watches[subject] = after
            if after.status != known.status:
                self.wake(subject, now)


@dataclass
class Held:
    """A run that a worker holds: the engine's HeldRun."""

    store: Store
    run: Run
    fence: int
    saga: Saga[Any]
    seconds: float = LEASE_SECONDS
    unrecordable: tuple[type[Exception], ...] = (AssertionError,)

    @property
    def state(self) -> str:
        return self.run.state

    @property
    def undone_text(self) -> str:
        return "Undone."

    def journal(self) -> list[Entry]:
        return list(self.store.journals[self.run.pk])

    def has_emitted(self, kind: str, step: str, *, since: datetime | None) -> bool:
        return any(
            (one["kind"], one.get("step")) == (kind, step) and (since is None or one["at"] >= since)
            for one in self.store.events[self.run.pk]
        )

    def time_of(self, step: Step[Any]) -> StepTime:
        return StepTime(step.expected_seconds)

    def check(self) -> None:
        if self.run.fence != self.fence or self.run.over:
            raise LeaseLost

    def renew(self, now: datetime) -> None:
        self.check()
        self.run.lease_until = now + timedelta(seconds=self.seconds)

    def write(
        self,
        now: datetime,
        *,
        entry: Entry | None = None,
        event: Mapping[str, Any] | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        self.store.passing(f"write {entry.kind} {entry.step}" if entry else "write")
        self._write(
            {"lease_until": now + timedelta(seconds=self.seconds)} | dict(changes or {}),
            entry,
            event,
            now,
        )

    def release(
        self,
        now: datetime,
        until: datetime,
        *,
        state: str,
        entry: Entry | None = None,
        event: Mapping[str, Any] | None = None,
        waiting: Working | None = None,
    ) -> None:
        self.store.passing("release")
        changes: dict[str, Any] = {
            "lease_until": None,
            "lease_holder": "",
            "state": state,
            "due_at": until,
        }
        if waiting is not None and waiting.watch is not None:
            changes["watch_id"] = waiting.watch
            if self.store.watches[self.store.watch_ids[waiting.watch - 1]].status != waiting.status:
                changes["due_at"] = now
        self._write(changes, entry, event, now)
        if state != Run.State.UNDOING and self._cancelled():
            self.run.due_at = now

    def end(
        self, now: datetime, *, event: Mapping[str, Any], changes: Mapping[str, Any], end: Finish
    ) -> None:
        self.store.passing("end")
        self.check()
        if not end.undone and self._cancelled():
            raise RunCancelled
        for name, value in self.saga.endpoint_after(self.run, end, now).items():
            setattr(self.run.endpoint, name, value)
        self._write(changes, None, event, now)

    def _cancelled(self) -> bool:
        return any(one.kind is EntryKind.CANCEL for one in self.store.journals[self.run.pk])

    def _check_patience(self, journal: list[Entry], entry: Entry) -> None:
        """No step writes again right after a write that AWS answered: reads lag behind writes."""
        if entry.kind is EntryKind.INTENT:
            own = [e for e in journal if (e.step, e.direction) == (entry.step, entry.direction)]
            assert not own or own[-1].kind is not EntryKind.ACTED, f"{entry.step} writes again"

    def _write(
        self,
        changes: Mapping[str, Any],
        entry: Entry | None,
        event: Mapping[str, Any] | None,
        now: datetime,
    ) -> None:
        self.check()
        for name, value in changes.items():
            setattr(self.run, name, value)
        journal = self.store.journals[self.run.pk]
        if entry is not None:
            self._check_patience(journal, entry)
            last = journal[-1] if journal else None
            if last and folds((last.step, last.kind, last.direction), entry):
                journal.pop()
            journal.append(entry)
        if event is not None:
            self.store.events[self.run.pk].append({**event, "at": now})
            self.store.ends[self.run.pk] += event["kind"] in ENDS


@dataclass(frozen=True)
class MemoryRows:
    """The Rows of one run that a worker holds."""

    store: Store
    held: Held
    clock: Callable[[], datetime]

    @property
    def run(self) -> Run:
        return self.held.run

    @property
    def key(self) -> str:
        return self.held.run.endpoint.key

    def client(self) -> Any:
        return self.store.cloud

    @contextmanager
    def lock(self, name: str) -> Iterator[bool]:
        locks = self.store.locks
        alone = name not in locks
        locks.add(name)
        try:
            yield alone
        finally:
            if alone:
                locks.discard(name)

    def unmet_condition(self) -> str:
        return ""

    def snapshot(self) -> Snapshot:
        return self.store.snapshot(self.run.action, self.run.spec)

    def plan_again(self, snapshot: Snapshot) -> Plan:
        run = self.run
        return self.store.plan(
            snapshot, run.action, run.endpoint, run.spec, run.plan_data["grace_seconds"]
        )

    def began(
        self, step: str, kind: str = "", direction: Direction = Direction.FORWARD
    ) -> datetime | None:
        for one in self.store.journals[self.run.pk]:
            if one.step == step and one.direction is direction and kind in ("", one.kind):
                return one.since
        return None

    # VPC origins

    def claim_vpc_origin(self, key: str) -> SharedVpcOrigin:
        row = self._locked(key)
        row.users.add(self.key)
        return SharedVpcOrigin(key, row.aws_id)

    def release_vpc_origin(self, key: str) -> SharedVpcOrigin:
        row = self._locked(key)
        row.users.discard(self.key)
        return SharedVpcOrigin(key, row.aws_id, len(row.users))

    def announce_deletion(self, key: str, aws_id: str, status: str) -> SharedVpcOrigin:
        origin = self.release_vpc_origin(key)
        if not origin.others:
            self.store.record_write((VPC_ORIGIN, aws_id), status, {"deleting": True}, self.clock())
        return origin

    def record_vpc_origin(self, key: str, aws_id: str) -> None:
        self.store.passing("record VPC origin")
        self.store.vpc_origins[key].aws_id = aws_id

    def forget_vpc_origin(self, key: str, aws_id: str) -> None:
        self.store.passing("forget VPC origin")
        row = self.store.vpc_origins[key]
        if row.aws_id == aws_id:
            row.aws_id = ""

    def forget_unused_vpc_origin(self, key: str) -> None:
        self.store.passing("forget unused VPC origin")
        row = self.store.vpc_origins[key]
        if not row.users:
            row.aws_id = ""

    def vpc_origin_id(self, account_id: str, key: str) -> str:
        row = self.store.vpc_origins.get(key)
        return row.aws_id if row else ""

    def _locked(self, key: str) -> VpcOriginRow:
        self.store.passing("lock VPC origin")
        row = self.store.vpc_origins.setdefault(key, VpcOriginRow())
        self.held.renew(self.clock())
        return row

    # Ingress rules

    def claim_rule(self, group_id: str, port: int, source_group_id: str) -> Rule:
        self.store.passing("claim rule")
        self.held.renew(self.clock())
        wanted = (group_id, port, source_group_id)
        row = next((one for one in self.store.rules.values() if _key(one.rule) == wanted), None)
        if row is None:
            row = RuleRow(Rule(next(self.store.numbers), *wanted))
            self.store.rules[row.rule.id] = row
        row.users.add(self.key)
        return row.rule

    def record_rule(self, rule: Rule, rule_id: str) -> None:
        self.store.passing("record rule")
        if row := self.store.rules.get(rule.id):
            row.rule = replace(row.rule, rule_id=rule_id)

    def used_rules(self) -> list[Rule]:
        return [one.rule for one in self.store.rules.values() if self.key in one.users]

    def rules_of_others(self, group_id: str, port: int, source_group_id: str) -> list[Rule]:
        wanted = (group_id, port, source_group_id)
        return [
            one.rule
            for one in self.store.rules.values()
            if _key(one.rule) == wanted and self.key not in one.users
        ]

    def use_rule(self, rule: Rule) -> None:
        self.store.passing("use rule")
        self.held.renew(self.clock())
        if row := self.store.rules.get(rule.id):
            row.users.add(self.key)

    def release_shared_rules(self, group_id: str, kept: Collection[int]) -> list[Rule]:
        self.store.passing("release rules")
        sole = []
        for row in self.store.rules.values():
            if row.rule.group_id != group_id or row.rule.id in kept or self.key not in row.users:
                continue
            if row.users - {self.key}:
                row.users.discard(self.key)
            else:
                sole.append(row.rule)
        return sole

    def delete_rule(self, rule: Rule) -> None:
        self.store.passing("delete rule")
        self.store.rules.pop(rule.id, None)

    # The distribution

    def wants_to_write(self, distribution_id: str) -> None:
        self.store.passing("wants to write")
        self.run.writes_distribution = distribution_id

    def companions(self, distribution_id: str) -> list[Part]:
        asking = [
            run
            for run in self.store.active()
            if run.writes_distribution == distribution_id and run is not self.run
        ]
        forward = [
            (run, Direction.FORWARD)
            for run in asking
            if run.state != Run.State.UNDOING
            and not any(one.kind is EntryKind.CANCEL for one in self.store.journals[run.pk])
        ]
        backward = [
            (run, Direction.BACKWARD)
            for run in asking
            if run.state == Run.State.UNDOING
            and self._wrote(run, Direction.BACKWARD, EntryKind.INTENT)
        ]
        return [*forward, *backward]

    def others_due(self, distribution_id: str, now: datetime) -> list[datetime]:
        found = []
        for run in self.store.active():
            if run is self.run or run.writes_distribution:
                continue
            if run.state == Run.State.UNDOING:
                yet = self._wrote(run, Direction.FORWARD) and not self._wrote(
                    run, Direction.BACKWARD, EntryKind.READY
                )
            else:
                yet = not self._wrote(run, Direction.FORWARD, EntryKind.READY)
            if yet and (run.state == Run.State.RUNNING or run.due_at <= now):
                found.append(run.due_at)
        return found

    def _wrote(self, run: Run, direction: Direction, *kinds: EntryKind) -> bool:
        """Whether it has an entry (of these kinds) of the step that writes the distribution."""
        return any(
            one.step == "behaviors"
            and one.direction is direction
            and one.kind in (kinds or EntryKind)
            for one in self.store.journals[run.pk]
        )

    def wake_companions(self, distribution_id: str, now: datetime) -> None:
        self.store.passing("wake companions")
        for run in self.store.active():
            if run.writes_distribution == distribution_id and run.lease_until is None:
                run.due_at = now

    def team_origins(self, run: Run) -> list[str]:
        owner = run.endpoint.owner
        mine = (one for one in self.store.endpoints.values() if one.owner == owner)
        return [origin_id(OWNER, one.key) for one in mine]

    # Watches

    def watch(self, resource: str, aws_id: str) -> WatchFacts | None:
        return self.store.watched((resource, aws_id))

    def record_write(
        self, resource: str, aws_id: str, status: str, detail: Mapping[str, Any], now: datetime
    ) -> WatchFacts:
        self.store.passing("record write")
        self.store.record_write((resource, aws_id), status, detail, now)
        return self._watch(resource, aws_id)

    def record_observation(
        self,
        resource: str,
        aws_id: str,
        status: str,
        detail: Mapping[str, Any] | None,
        *,
        began: datetime,
        now: datetime,
    ) -> WatchFacts:
        self.store.passing("record observation")
        self.store.record_observation((resource, aws_id), status, detail, began, now)
        return self._watch(resource, aws_id)

    def _watch(self, resource: str, aws_id: str) -> WatchFacts:
        found = self.store.watched((resource, aws_id))
        assert found is not None
        return found

    # Secrets

    def header_values(self, spec: EndpointSpec, owner: str) -> dict[str, str]:
        return {}

    def record_use(self, owner: str, names: Collection[str], *, used_by: str) -> None:
        """No endpoint here sends a secret."""


def _key(rule: Rule) -> tuple[str, int, str]:
    return rule.group_id, rule.port, rule.source_group_id
