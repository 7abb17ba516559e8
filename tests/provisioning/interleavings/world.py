"""Plays a schedule: two workers and a sweep take turns, call by call, while people ask for things,
a third party edits the account, calls fail, answers are lost, workers die and clocks jump.

A schedule is a list of (action, argument), both bytes; zeros do nothing of interest, so a failing
one shrinks towards zeros. `World.trace` says in words what happened.
"""

from __future__ import annotations

import contextlib
import copy
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ReadTimeoutError
from greenlet import getcurrent, greenlet

from provisioning import poller
from provisioning.aws.errors import AwsError
from provisioning.drift import comparison
from provisioning.engine import turn
from provisioning.engine.decide import Entry, EntryKind, cancelled, may_cancel, tried_again
from provisioning.facts import watched
from provisioning.facts.names import origin_id
from provisioning.facts.network import SecurityGroupRule
from provisioning.facts.path_patterns import same_paths
from provisioning.models import AwsAccount, Endpoint, Run, Watch
from provisioning.plan.items import Unplannable
from provisioning.plan.plan import CHANGE, CREATE, REMOVE
from provisioning.sagas import SAGAS
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.parsing import complete_answers, parse_spec, read_spec
from provisioning.steps.context import RunContext
from tests.provisioning.interleavings.cloud import (
    ACCOUNT,
    DISTRIBUTION,
    FOREIGN_BEHAVIOR,
    GROUP,
    LONGEST_LAG_SECONDS,
    Cloud,
    items,
    listed,
    refusal,
    target_arn,
)
from tests.provisioning.interleavings.memory import (
    LEASE_SECONDS,
    OWNER,
    Held,
    MemoryRows,
    Store,
)

T0 = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
TICK_MICROSECONDS = 10
BUDGETS = (1, 3, 8, 20, 40, 10_000, 10_000, 10_000)
MOMENTS = (
    "CreateVpcOrigin answered",
    "answered",
    "write ready behaviors",
    "write ready grace",
    "write ready behaviors",
    "write intent",
    "write acted",
    "write ready",
)
"""Boundaries at which it matters most who comes next; parts of their labels."""
MOST_VISITS = 5
PAUSES = (2.0, 9.0, 31.0, 61.0, 130.0, 310.0, 900.0, 4000.0)
LONG_PAUSE = 310.0
"""Longer than anything in the account takes but the creation of a VPC origin."""
PATHS = (("/ws/a",), ("/ws/b", "/ws/b/*"), ("/ws/c",), ("/ws/a", "/ws/d"))
CHANGES: tuple[dict[str, Any], ...] = (
    {"read_timeout": 50},
    {"target_arn": target_arn(2)},
    {"path_patterns": ["/ws/moved"]},
    {"path_patterns": ["/ws/a"]},
    {"http_port": 8080},
    {"read_timeout": 20, "target_arn": target_arn(1)},
)
MOST_ENDPOINTS, MOST_RUNS = 5, 8


class Killed(BaseException):
    """The worker is gone, here and now."""


class Broken(AssertionError):
    """Something that must always hold does not; its text ends with what happened."""


@dataclass
class Worker:
    """A worker process. `budget` is how many boundaries it passes before others have a turn, unless
    it comes to one whose label has `moment` in it.
    """

    name: str
    task: greenlet | None = None
    run: Run | None = None
    budget: int = 0
    moment: str = ""
    throttled: int = 0
    loses: bool = False
    at: str = ""


@dataclass
class World:
    """The account, the rows, the clock, and everybody who acts on them."""

    cloud: Cloud = field(default_factory=lambda: Cloud(OWNER))
    real: float = 0.0
    skew: float = 0.0
    ticks: int = 0
    trace: list[str] = field(default_factory=list)
    approved: list[tuple[Endpoint, dict[str, Any]]] = field(default_factory=list)
    expiring: set[str] = field(default_factory=set)
    tampered: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)
    retried: dict[int, int] = field(default_factory=dict)
    watches: dict[tuple[str, str], Watch] = field(default_factory=dict)
    unlisted_at: float = 0.0
    hostile: bool = False
    jumped: bool = False

    def __post_init__(self) -> None:
        self.store = Store(self.cloud, self.pause)
        self.cloud.passing, self.cloud.watched = self.call, self.check_deletion
        self.account = AwsAccount(account_id=ACCOUNT, name="Site")
        self.workers = [Worker("one"), Worker("two"), Worker("sweep")]
        self.main = getcurrent()
        self.working: Worker | None = None

    def clock(self) -> datetime:
        self.ticks += 1
        return T0 + timedelta(0, self.real + self.skew, self.ticks * TICK_MICROSECONDS)

    def tell(self, text: str) -> None:
        self.trace.append(text)

    def holds(self, condition: object, text: str) -> None:
        if not condition:
            raise Broken("\n".join([text, *self.trace]))

    # Boundaries

    def call(self, label: str) -> None:
        """Before a call to AWS, or after a write of which the answer may be lost."""
        self.pause(label)
        worker = self.working
        if worker is None:
            return
        if label.endswith("answered"):
            if worker.loses:
                worker.loses = False
                self.tell(f"{worker.name}: {label}, which is lost")
                raise ReadTimeoutError(endpoint_url="https://aws")
        elif worker.throttled:
            worker.throttled -= 1
            self.tell(f"{worker.name}: {label} is throttled")
            raise refusal("Throttling", label)

    def pause(self, label: str) -> None:
        """A boundary: others may have a turn here, and the worker may die."""
        worker = self.working
        if worker is None:
            return
        worker.budget -= 1
        if worker.budget < 0 or (worker.moment and worker.moment in label):
            worker.at, worker.moment = label, ""
            self.main.switch()

    def check_deletion(self, operation: str, subject: str) -> None:
        """Nothing is deleted that another endpoint relies on."""
        worker = self.working
        run = worker.run if worker else None
        if run is None:
            return
        if operation == "DeleteVpcOrigin":
            users = {
                key
                for row in self.store.vpc_origins.values()
                if row.aws_id == subject
                for key in row.users
                if self.store.endpoints[key].state == Endpoint.State.DEPLOYED
            }
        else:
            rule = self.cloud.rules[subject]
            users = {
                key
                for row in self.store.rules.values()
                if (row.rule.port, row.rule.source_group_id) == (rule.port, rule.source)
                for key in row.users
            } - {run.endpoint.key}
        self.holds(not users, f"{operation} of {subject}, which {users} still use")

    # Workers

    def go(self, worker: Worker, budget: int, moment: str = "") -> bool:
        """Let a worker pass so many boundaries, or come to the moment. False if there was nothing
        to do.
        """
        if worker.task is None and not self._assign(worker):
            return False
        worker.budget, worker.moment = budget, moment
        assert worker.task is not None
        self.working = worker
        try:
            worker.task.switch()
        finally:
            self.working = None
        if worker.task.dead:
            worker.task = worker.run = None
        return True

    def kill(self, worker: Worker) -> None:
        if worker.task is None:
            return
        self.tell(f"{worker.name} dies at {worker.at}")
        with contextlib.suppress(Killed):
            worker.task.throw(Killed)
        worker.task = worker.run = None

    def _assign(self, worker: Worker) -> bool:
        now = self.clock()
        if worker.name == "sweep":
            worker.task = greenlet(self._sweep)
            return True
        due = self.store.due(now)
        if not due:
            return False
        run = due[0]
        run.fence += 1
        run.lease_until, run.lease_holder = now + timedelta(seconds=LEASE_SECONDS), worker.name
        worker.run = run
        worker.task = greenlet(lambda: self._advance(run, run.fence))
        self.tell(f"{worker.name} claims run {run.pk}")
        return True

    def _advance(self, run: Run, fence: int) -> None:
        saga = SAGAS[run.saga]
        held = Held(self.store, run, fence, saga)
        rows = MemoryRows(self.store, held, self.clock)
        renew = lambda: held.renew(self.clock())  # noqa: E731
        context = RunContext(run.spec, OWNER, 1.0, self.clock, renew, rows, run)
        try:
            turn.advance(held, saga.steps, context, clock=self.clock, pace=1.0)
        except turn.LeaseLost:
            self.tell(f"run {run.pk}: a lease was lost")
        else:
            last = self.store.journals[run.pk][-1:]
            self.tell(f"run {run.pk} is {run.state}: {' '.join(map(_said, last))}")

    def _sweep(self) -> None:
        began = self.clock()
        numbers = {run.watch_id for run in self.store.active() if run.watch_id}
        watches = [self._watch(self.store.watch_ids[number - 1]) for number in sorted(numbers)]
        looks: tuple[tuple[Callable[..., Any], str], ...] = (
            (poller.vpc_origins_seen, watched.VPC_ORIGIN),
            (poller.distributions_seen, watched.DISTRIBUTION),
        )
        seen = []
        try:
            for look, kind in looks:
                seen += look(self.cloud, [one for one in watches if one.resource == kind])
        except AwsError:
            pass
        for watch, status, detail in seen:
            self.store.record_observation(
                (watch.resource, watch.aws_id), status, detail, began, self.clock()
            )

    def _watch(self, subject: tuple[str, str]) -> Watch:
        """The row of a watch, as a sweep reads it."""
        if subject not in self.watches:
            self.watches[subject] = Watch(resource=subject[0], aws_id=subject[1])
        row = self.watches[subject]
        row.status = self.store.watches[subject].status
        return row

    # People

    def request(self, action: str, endpoint: Endpoint, spec: EndpointSpec, grace: int = 0) -> bool:
        """Plan, as a request does; the approval comes next or later. False without a plan."""
        snapshot = self.store.snapshot(action, spec)
        try:
            plan = self.store.plan(snapshot, action, endpoint, spec, grace)
        except Unplannable as obstacle:
            self.tell(f"no plan to {action} {endpoint.name}: {obstacle.code}")
            return False
        self.approved.append((endpoint, plan.to_dict()))
        return True

    def start(self, place: int = -1) -> None:
        """Start the run of an approved plan, unless its endpoint is busy or not there."""
        if not self.approved:
            return
        endpoint, plan = self.approved.pop(place % len(self.approved))
        action = plan["action"]
        wanted = Endpoint.State.WANTED if action == CREATE else Endpoint.State.DEPLOYED
        if endpoint.state != wanted or self.store.active_run(endpoint):
            self.tell(f"{endpoint.name} is {endpoint.state}: no {action} begins")
            return
        if action == CREATE and any(run.endpoint is endpoint for run in self.store.runs.values()):
            return
        if action == REMOVE:
            endpoint.state = Endpoint.State.RETIRED
        run = self.store.start(endpoint, plan, self.clock())
        self.tell(f"run {run.pk}: {action} {endpoint.name} {plan['spec']['path_patterns']}")

    def create(self, argument: int) -> None:
        if len(self.store.endpoints) >= MOST_ENDPOINTS:
            return
        number = len(self.store.endpoints) + 1
        paths = PATHS[argument % len(PATHS)]
        name = f"chat-{number}"
        spec = _spec(paths, target_arn(1 + argument // 4 % 4 // 3), name)
        endpoint = Endpoint(
            id=uuid.UUID(int=number << 100),
            account=self.account,
            owner="chat" if argument % 64 < 48 else "trade",
            name=name,
            spec_data=spec.to_dict(),
            created_at=self.clock(),
            state=Endpoint.State.WANTED,
        )
        self.store.endpoints[endpoint.key] = endpoint
        if self.cloud.now < self.unlisted_at:
            self._spoil(endpoint.key)
        if not self.request(CREATE, endpoint, spec):
            endpoint.state = Endpoint.State.ABSENT
        elif argument < 192:
            self.start()

    def change(self, argument: int) -> None:
        endpoint = self._live(argument)
        if endpoint is None or len(self.store.runs) >= MOST_RUNS:
            return
        applied = self.store.applied_plan(endpoint)
        assert applied is not None
        change = CHANGES[argument // 4 % len(CHANGES)]
        spec = read_spec(applied["spec"] | change)
        if self.request(CHANGE, endpoint, spec) and argument < 192:
            self.start()

    def remove(self, argument: int) -> None:
        endpoint = self._live(argument)
        if endpoint is None:
            return
        grace = 3600 if argument & 4 else 0
        if self.request(REMOVE, endpoint, endpoint.spec, grace) and argument < 192:
            self.start()

    def expire(self, argument: int) -> None:
        """The end date of an endpoint passes, whatever is under way: its removal is asked for as
        soon as nothing is.
        """
        there = [one for one in self.store.endpoints.values() if one.state != Endpoint.State.ABSENT]
        if there:
            endpoint = there[argument % len(there)]
            self.expiring.add(endpoint.key)
            self.tell(f"the end date of {endpoint.name} passes")

    def cancel(self, argument: int) -> None:
        """Cancel a run; of a removal in its grace period, that is to restore."""
        active = self.store.active()
        if not active:
            return
        self._cancel(active[argument % len(active)])

    def cancel_at(self, worker: Worker, argument: int) -> None:
        """Cancel a worker's run at one of the moments, which may be minutes away; the answer on its
        way may be lost.
        """
        run = self.come_to(worker, MOMENTS[argument // 2 % len(MOMENTS)])
        if run is not None:
            self._cancel(run)
            worker.loses = argument & 16 != 0

    def come_to(self, worker: Worker, moment: str) -> Run | None:
        """Let a worker come to the moment, which may be minutes away; the run it holds then."""
        for _ in range(MOST_VISITS):
            self.go(worker, 10_000, moment)
            if worker.run is not None:
                self.tell(f"{worker.name} comes to {worker.at}")
                return worker.run
            self.pass_time(125.0)
            self.go(self.workers[2], 10_000)
        return None

    def _cancel(self, run: Run) -> None:
        journal = self.store.journals[run.pk]
        if may_cancel(run.state, SAGAS[run.saga].steps, journal):
            now = self.clock()
            self._append(run, cancelled("Ana cancelled it.", now))
            run.due_at = now
            self.tell(f"run {run.pk} is cancelled")

    def retry(self, argument: int) -> None:
        stuck = [run for run in self.store.runs.values() if run.state == Run.State.STUCK]
        stuck = [run for run in stuck if run.endpoint.key not in self.given_up]
        if not stuck:
            return
        run = stuck[argument % len(stuck)]
        if argument >= 240:
            self.tell(f"run {run.pk} is given up")
            self.given_up.add(run.endpoint.key)
            if run.action != CHANGE:
                run.endpoint.state = Endpoint.State.ABSENT
            return
        if self.store.active_run(run.endpoint):
            return
        now = self.clock()
        again = tried_again(run.failure, "Put right.", now)
        self._append(run, again)
        run.state = Run.State.RUNNING if again.direction == "forward" else Run.State.UNDOING
        run.due_at, run.finished_at, run.failure = now, None, {}
        self.retried[run.pk] = self.retried.get(run.pk, 0) + 1
        self.tell(f"run {run.pk} is retried")

    def _append(self, run: Run, entry: Entry) -> None:
        self.store.journals[run.pk].append(entry)

    def _live(self, argument: int) -> Endpoint | None:
        live = [
            one
            for one in self.store.endpoints.values()
            if one.state == Endpoint.State.DEPLOYED and self.store.applied_plan(one)
        ]
        return live[argument % len(live)] if live else None

    # A third party

    def tamper(self, argument: int) -> None:
        """Somebody edits the account by hand."""
        kind, which = argument % 12, argument // 12
        if kind == 8:
            rules = list(self.cloud.rules.values())
            if rules:
                gone = rules[which % len(rules)]
                gone.deleted_at = self.cloud.now
                self.unlisted_at = self.cloud.now + LONGEST_LAG_SECONDS
                self._spoil(*self.store.endpoints)
                self.tell(f"third party: removes rule {gone.id}")
            return
        if kind == 9:
            for one in self.cloud.ours():
                if not self.cloud.uses(one.id) and one.status(self.cloud.now) == "Deployed":
                    one.deleted_at = self.cloud.now
                    self._spoil(*self.store.endpoints)
                    self.tell(f"third party: deletes VPC origin {one.id}")
            return
        config = copy.copy(self.cloud.config)
        entries, origins = items(config, "CacheBehaviors"), items(config, "Origins")
        own = [one for one in entries if one["TargetOriginId"].startswith(OWNER)]
        foreign = [one for one in entries if one not in own]
        text = self._edit(kind, which, entries, origins, own, foreign)
        if not text:
            return
        config["CacheBehaviors"], config["Origins"] = listed(entries), listed(origins)
        if kind == 10:
            default = dict(config["DefaultCacheBehavior"])
            default["Compress"] = not default["Compress"]
            config["DefaultCacheBehavior"] = default
        self.cloud.put(config)
        self.tell(f"third party: {text}")

    def _edit(
        self,
        kind: int,
        which: int,
        entries: list[Any],
        origins: list[Any],
        own: list[Any],
        foreign: list[Any],
    ) -> str:
        """Change the lists as one would in the console; returns what was done, or ""."""

        def new(pattern: str, origin: str = "web") -> dict[str, Any]:
            return FOREIGN_BEHAVIOR | {"PathPattern": pattern, "TargetOriginId": origin}

        if kind in (0, 10):
            place = which % (len(entries) + 1)
            entries.insert(place, new(f"/static/{len(self.trace)}"))
            return f"adds a behavior of its own at {place}"
        if kind == 1 and foreign:
            entries.remove(foreign[which % len(foreign)])
            return "removes a behavior of its own"
        if kind == 2 and foreign:
            one = foreign[which % len(foreign)]
            entries[entries.index(one)] = one | {"Compress": not one["Compress"]}
            return "edits a behavior of its own"
        if kind in (3, 4, 5) and own:
            one = own[which % len(own)]
            ours = one["TargetOriginId"]
            self._spoil(ours.removeprefix(f"{OWNER}-"))
            if kind == 3:
                entries.remove(one)
                return f"removes our behavior {one['PathPattern']}"
            if kind == 5:
                entries[entries.index(one)] = one | {"TargetOriginId": "web"}
                return f"leads our path {one['PathPattern']} elsewhere"
            entries[:] = [each for each in entries if each["TargetOriginId"] != ours]
            origins[:] = [each for each in origins if each["Id"] != ours]
            return f"removes our origin {ours}"
        if kind == 6:
            pattern = ("/ws/a", "/ws/b", "/ws/c", "/ws/*")[which % 4]
            if any(same_paths(one["PathPattern"], pattern) for one in entries):
                return ""
            entries.insert(0, new(pattern))
            self._spoil(*self.store.endpoints)
            return f"takes {pattern}"
        if kind == 7:
            ours = [one["Id"] for one in origins if one["Id"].startswith(OWNER)]
            if not ours:
                return ""
            origin = ours[which % len(ours)]
            entries.append(new(f"/stray/{len(self.trace)}", origin))
            self._spoil(origin.removeprefix(f"{OWNER}-"))
            return f"leads a path of its own to our {origin}"
        if kind == 11:
            strays = [one for one in entries if one["PathPattern"].startswith("/stray/")]
            for one in strays:
                entries.remove(one)
            return "puts right what it led to us" if strays else ""
        return ""

    def _spoil(self, *keys: str) -> None:
        self.tampered |= set(keys)

    # The schedule

    def pass_time(self, seconds: float) -> None:
        self.real += seconds
        self.cloud.now = self.real
        for key in list(self.expiring):
            endpoint = self.store.endpoints[key]
            if endpoint.state == Endpoint.State.DEPLOYED and not self.store.active_run(endpoint):
                self.expiring.discard(key)
                if self.request(REMOVE, endpoint, endpoint.spec):
                    self.tell(f"{endpoint.name} has ended")
                    self.start()

    def act(self, action: int, argument: int) -> None:
        worker = self.workers[argument & 1]
        kind = action % 32
        if kind < 13:
            worker = self.workers[kind // 7]
            if not self.go(worker, BUDGETS[argument % 8]) and not self.store.due(self.clock()):
                self.pass_time(125.0)
                self.go(self.workers[2], 10_000)
        elif kind == 13:
            self.cancel_at(worker, argument)
        elif kind < 16:
            self.tell(f"{PAUSES[argument % 8]} s pass")
            self.pass_time(PAUSES[argument % 8])
        elif kind == 16:
            self.go(self.workers[2], BUDGETS[argument % 8])
        elif kind == 17:
            self.create(argument)
        elif kind < 20:
            self.change(argument)
        elif kind == 20 or (kind == 21 and argument < 128):
            self.remove(argument)
        elif kind == 21:
            self.expire(argument)
        elif kind == 22 and argument < 64:
            self.cancel(argument)
        elif kind == 22:
            self.cancel_at(worker, argument)
        elif kind == 23:
            self.retry(argument)
        elif kind == 24:
            self.kill(self.workers[argument % 3])
        elif kind < 27 and self.hostile:
            self.tamper(argument)
        elif kind == 27:
            worker.throttled = 1 + argument // 2 % 4
        elif kind == 28:
            worker.loses = True
        elif kind == 29:
            jump = (-4.0, -1.0, 5.0, 90.0)[argument % 4]
            self.skew += jump
            if jump > 5:
                self.jumped, self.cloud.lag = True, 0.0
            self.tell(f"the portal's clock jumps by {jump} s")
        elif kind == 30:
            self.start(argument)
        elif kind == 31:
            self._lag((0.0, 5.0, LONGEST_LAG_SECONDS)[argument % 3])

    def _lag(self, seconds: float) -> None:
        """From now on reads lag so much; after a jump of the clock only once no worker is under way
        that may have written before it.
        """
        self.jumped = self.jumped and any(worker.task is not None for worker in self.workers)
        if not self.jumped:
            self.cloud.lag = seconds
            self.tell(f"reads lag by {seconds} s")

    def play(self, schedule: Sequence[int]) -> None:
        """Play the schedule, then let everything come to rest, and check both."""
        self.create(0)
        self.hostile = bool(schedule) and schedule[0] & 24 != 0
        if schedule and schedule[0] & 1:
            self.create(1)
        if schedule and schedule[0] & 6:
            self.rest()
        for place in range(1, len(schedule) - 1, 2):
            self.act(schedule[place], schedule[place + 1])
            self.check_always()
        self.rest()
        self.check_at_rest()
        if any(run.state == Run.State.STUCK for run in self.store.runs.values()):
            self.tell("a person clears what stands in the way")
            self.tamper(11)
            self.retry(0)
            self.rest()
            self.check_at_rest()

    def rest(self) -> None:
        """No more faults: suspended workers wake up, and time goes on until no run is under way."""
        for worker in self.workers:
            worker.throttled, worker.loses = 0, False
            while worker.task is not None:
                self.go(worker, 10_000)
        self.approved.clear()
        self.expiring.clear()
        for _ in range(300):
            while self.go(self.workers[0], 10_000):
                pass
            if not self.store.active():
                return
            self.pass_time(LONG_PAUSE)
            self.go(self.workers[2], 10_000)
        self.holds(False, f"never over: {[run.pk for run in self.store.active()]}")

    # What must hold

    def check_always(self) -> None:
        """After every step."""
        ours = [one.config["Name"] for one in self.cloud.ours()]
        self.holds(len(set(ours)) == len(ours), f"two VPC origins of one name: {ours}")
        for number, ends in self.store.ends.items():
            allowed = 1 + self.retried.get(number, 0)
            self.holds(ends <= allowed, f"run {number}: its end was told {ends} times")
        live = [
            (pattern, one.name)
            for one in self.store.endpoints.values()
            if one.state == Endpoint.State.DEPLOYED
            for pattern in one.spec_data["path_patterns"]
        ]
        self.holds(len({path for path, _ in live}) == len(live), f"two live on one path: {live}")

    def check_at_rest(self) -> None:
        """When no run is under way."""
        self.check_always()
        for run in self.store.runs.values():
            self.holds(run.lease_until is None, f"run {run.pk} keeps a lease")
            self.holds(run.watch_id is None, f"run {run.pk} keeps a watch")
            if run.state != Run.State.DONE:
                self.holds(run.failure.get("reason"), f"run {run.pk} is {run.state} without reason")
            started = [
                one["step"]
                for one in self.store.events[run.pk]
                if one["kind"] in ("step.started", "step.undoing")
            ]
            self.holds(started or run.state == Run.State.UNDONE, f"run {run.pk} told nothing")
            self.holds(
                run.state != Run.State.STUCK
                or not any(
                    one.kind is EntryKind.RETRY and one.data.get("code") == turn.FAULT
                    for one in self.store.journals[run.pk]
                ),
                f"run {run.pk} is stuck by a fault of the portal",
            )
        self.holds(not self.store.locks, f"locks are kept: {self.store.locks}")
        self._check_orphans()
        for endpoint in self.store.endpoints.values():
            if endpoint.state == Endpoint.State.DEPLOYED:
                self._check_live(endpoint)
            else:
                self._check_ended(endpoint)

    def _stuck(self, endpoint: Endpoint) -> bool:
        return any(
            run.endpoint is endpoint and run.state == Run.State.STUCK
            for run in self.store.runs.values()
        )

    def _check_orphans(self) -> None:
        rows = {row.aws_id: (key, row) for key, row in self.store.vpc_origins.items()}
        stuck = {
            read_spec(plan["spec"]).vpc_origin_key
            for run in self.store.runs.values()
            if run.state == Run.State.STUCK
            for plan in (run.plan_data, run.applied)
            if plan
        }
        for one in self.cloud.ours():
            key, row = rows.get(one.id, ("", None))
            self.holds(row and (row.users or key in stuck), f"{one.id} is an orphan")
        known = {
            (row.rule.port, row.rule.source_group_id)
            for row in self.store.rules.values()
            if row.users
        }
        for rule in self.cloud.rules.values():
            self.holds((rule.port, rule.source) in known, f"{rule.id} is an orphan")
        for key in {
            key
            for users in (
                *(row.users for row in self.store.vpc_origins.values()),
                *(row.users for row in self.store.rules.values()),
            )
            for key in users
        }:
            endpoint = self.store.endpoints[key]
            held_by_nobody = endpoint.state == Endpoint.State.ABSENT and not self._stuck(endpoint)
            self.holds(not held_by_nobody, f"{endpoint.name} is absent and still a user")
        names = {origin_id(OWNER, one.key): one for one in self.store.endpoints.values()}
        for origin in items(self.cloud.config, "Origins"):
            if origin["Id"].startswith(OWNER):
                endpoint = names[origin["Id"]]
                gone = endpoint.state == Endpoint.State.ABSENT and not self._stuck(endpoint)
                self.holds(not gone, f"{origin['Id']} of absent {endpoint.name} is left behind")

    def _check_live(self, endpoint: Endpoint) -> None:
        """AWS has what the row says, or the comparison for drift says what differs."""
        plan = self.store.applied_plan(endpoint)
        assert plan is not None
        own = origin_id(OWNER, endpoint.key)
        applied = comparison.applied(
            plan,
            endpoint=endpoint.key,
            origins={key: row.aws_id for key, row in self.store.vpc_origins.items()},
            rules={
                (row.rule.group_id, row.rule.port, row.rule.source_group_id)
                for row in self.store.rules.values()
                if endpoint.key in row.users
            },
            neighbors={origin_id(OWNER, key) for key in self.store.endpoints},
        )
        there = self.cloud.vpc_origins.get(applied.vpc_origin_id)
        present = [
            SecurityGroupRule(GROUP, one.id, "tcp", one.port, one.port, "group", one.source)  # type: ignore[arg-type]
            for one in self.cloud.rules.values()
        ]
        config = there.config if there and not there.deleted else None
        found = [
            *comparison.compare_distribution(applied, self.cloud.config),
            *comparison.compare_vpc_origin(applied, config),
            *comparison.compare_rules(applied, present),
        ]
        leads = {
            one["PathPattern"]: one["TargetOriginId"]
            for one in items(self.cloud.config, "CacheBehaviors")
        }
        as_said = config is not None and all(
            leads.get(pattern) == own for pattern in endpoint.spec_data["path_patterns"]
        )
        self.holds(as_said or found, f"{endpoint.name} is said to be live, and AWS contradicts")
        if endpoint.key not in self.tampered and not self._stuck(endpoint):
            self.holds(not found, f"{endpoint.name} differs: {[str(one) for one in found]}")

    def _check_ended(self, endpoint: Endpoint) -> None:
        mine = [run for run in self.store.runs.values() if run.endpoint is endpoint]
        if endpoint.state != Endpoint.State.ABSENT and mine:
            self.holds(mine[-1].state == Run.State.STUCK, f"{endpoint.name} is {endpoint.state}")


def _said(entry: Entry) -> str:
    told = entry.data.get("seen") or entry.data.get("reason") or ""
    return f"{entry.step} {entry.direction} {entry.kind} {told}"


_specs: dict[tuple[tuple[str, ...], str, str], EndpointSpec] = {}


def _spec(paths: tuple[str, ...], target: str, name: str) -> EndpointSpec:
    """A parsed spec; parsing is not what is tested here."""
    key = (paths, target, name)
    if key not in _specs:
        answers = {
            "name": name,
            "account_id": ACCOUNT,
            "distribution_id": DISTRIBUTION,
            "target_arn": target,
            "path_patterns": list(paths),
        }
        _specs[key] = parse_spec(complete_answers(answers))
    return _specs[key]
