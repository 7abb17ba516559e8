"""The rows in memory that interleavings play over answer as those in the database do.

Not compared are named locks, which need a second connection, and planning.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from provisioning.engine.decide import Direction, Entry, EntryKind
from provisioning.facts.watched import DISTRIBUTION, VPC_ORIGIN
from provisioning.models import AwsAccount, Endpoint, JournalEntry, Run
from provisioning.sagas import SAGAS
from provisioning.steps.rows import Rows, Rule, SharedVpcOrigin, WatchFacts
from provisioning.steps.stored_rows import StoredRows
from tests.provisioning.examples import spec
from tests.provisioning.interleavings.cloud import Cloud
from tests.provisioning.interleavings.memory import LEASE_SECONDS, OWNER, Held, MemoryRows, Store

T0 = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
SPEC = spec()
TEAMS = ("chat", "chat", "trade", "trade")
WORKING = 3
"""So many of the runs are under way; the run of the last endpoint is over."""
OPERATIONS = 400
KEYS, IDS, STATUSES = ("key-1", "key-2"), ("vo_1", "vo_2"), ("Deploying", "Deployed")
DISTRIBUTIONS = (SPEC.distribution_id, "EOTHER", "")
RULES = [("sg-1", port, "sg-service") for port in (80, 8080)]
DIRECTIONS = tuple(Direction)
KINDS = (EntryKind.INTENT, EntryKind.ACTED, EntryKind.READY, EntryKind.MISSING, EntryKind.CANCEL)
STATES = (Run.State.RUNNING, Run.State.WAITING, Run.State.UNDOING)
SUBJECTS = [*((VPC_ORIGIN, one) for one in IDS), (DISTRIBUTION, SPEC.distribution_id)]
Ask = Callable[[Rows], Any]


@dataclass
class Twins:
    """The same endpoints and runs, in the database and in memory. `now` is the clock of both."""

    now: datetime = T0

    def __post_init__(self) -> None:
        self.store = Store(Cloud(OWNER))
        self.stored: list[StoredRows] = []
        self.memory: list[MemoryRows] = []
        account = AwsAccount.objects.create(account_id=SPEC.account_id, name="Site")
        for place, team in enumerate(TEAMS):
            name = f"chat-{place}"
            endpoint = Endpoint(
                id=uuid.UUID(int=place + 1 << 100),
                account=account,
                owner=team,
                name=name,
                spec_data=SPEC.to_dict() | {"name": name},
                created_at=T0,
            )
            run = Run(
                endpoint=endpoint,
                saga="create-endpoint",
                stream=f"run:{place}",
                plan_data={"action": "create", "spec": endpoint.spec_data},
                plan_digest=str(place),
                due_at=T0,
                created_at=T0,
                state=Run.State.RUNNING if place < WORKING else Run.State.DONE,
            )
            endpoint.save()
            run.save()
            twin = Run.objects.select_related("endpoint__account").get(pk=run.pk)
            self.store.endpoints[endpoint.key] = twin.endpoint
            self.store.runs[twin.pk], self.store.journals[twin.pk] = twin, []
            held = Held(self.store, twin, 0, SAGAS[run.saga])
            self.memory.append(MemoryRows(self.store, held, self.clock))
            self.stored.append(StoredRows(self.clock, partial(self._renew, run.pk), run))

    def clock(self) -> datetime:
        return self.now

    def _renew(self, number: int) -> None:
        until = self.now + timedelta(seconds=LEASE_SECONDS)
        Run.objects.filter(pk=number).update(lease_until=until)

    def change(self, place: int, **values: Any) -> None:
        """Change a run's columns."""
        run = self.memory[place].run
        Run.objects.filter(pk=run.pk).update(**values)
        for name, value in values.items():
            setattr(run, name, value)

    def write(self, place: int, step: str, kind: EntryKind, direction: Direction) -> None:
        """Append to a run's journal."""
        journal = self.store.journals[self.memory[place].run.pk]
        JournalEntry.objects.create(
            run=self.stored[place].run,
            seq=len(journal) + 1,
            step=step,
            kind=kind,
            direction=direction,
            at=self.now,
            since=self.now,
        )
        journal.append(Entry(step, kind, direction, self.now, self.now))

    def wait(self, place: int, subject: tuple[str, str]) -> None:
        """Let a run wait for what AWS says about a resource, if that was seen."""
        seen = [rows[place].watch(*subject) for rows in (self.stored, self.memory)]
        if seen[0] is None or seen[1] is None:
            return
        later = self.now + timedelta(seconds=120)
        self.change(place, state=Run.State.WAITING, due_at=later, lease_until=None)
        Run.objects.filter(pk=self.memory[place].run.pk).update(watch_id=seen[0].id)
        self.memory[place].run.watch_id = seen[1].id

    def due(self) -> list[list[Any]]:
        """When each run continues, and which distribution it wants written: stored, in memory."""
        columns = ("due_at", "writes_distribution")
        return [
            list(Run.objects.order_by("pk").values_list(*columns)),
            [tuple(getattr(run, name) for name in columns) for run in self.store.runs.values()],
        ]


def comparable(answer: Any) -> Any:
    """An answer without the rows' own IDs; lists without their order."""
    match answer:
        case Rule() | WatchFacts():
            return replace(answer, id=0)
        case Endpoint() | Run():
            return answer.pk
        case tuple():
            return tuple(map(comparable, answer))
        case list():
            return sorted(map(comparable, answer), key=repr)
    assert answer is None or isinstance(answer, SharedVpcOrigin | str | datetime | Direction)
    return answer


def on_rule(wanted: tuple[str, int, str], act: Callable[[Rows, Rule], Any]) -> Ask:
    """Do something with the row of a rule, if the endpoint or another uses it."""

    def ask(rows: Rows) -> Any:
        known = [*rows.used_rules(), *rows.rules_of_others(*wanted)]
        found = [one for one in known if (one.group_id, one.port, one.source_group_id) == wanted]
        return act(rows, found[0]) if found else None

    return ask


def any_ask(chance: random.Random, now: datetime) -> Ask:
    """One of the questions and notes of `Rows`, with arguments by chance."""
    key, aws_id, wanted = chance.choice(KEYS), chance.choice(IDS), chance.choice(RULES)
    status, subject = chance.choice(STATUSES), chance.choice(SUBJECTS)
    distribution, direction = chance.choice(DISTRIBUTIONS), chance.choice(DIRECTIONS)
    detail = chance.choice((None, {}, {"deleting": True}))
    began = now - timedelta(seconds=chance.choice((0, 1, 90)))
    step, kind = chance.choice(("behaviors", "ingress")), chance.choice(("", *KINDS))
    kept_first = chance.random() < 0.5
    asks: list[Ask] = [
        lambda rows: rows.claim_vpc_origin(key),
        lambda rows: rows.release_vpc_origin(key),
        lambda rows: rows.announce_deletion(key, aws_id, status),
        lambda rows: rows.record_vpc_origin(key, aws_id),
        lambda rows: rows.forget_vpc_origin(key, aws_id),
        lambda rows: rows.forget_unused_vpc_origin(key),
        lambda rows: rows.vpc_origin_id(SPEC.account_id, key),
        lambda rows: rows.watch(*subject),
        lambda rows: rows.record_write(*subject, status, detail or {}, now),
        lambda rows: rows.record_observation(*subject, status, detail, began=began, now=now),
        lambda rows: rows.began(step, kind, direction),
        lambda rows: rows.claim_rule(*wanted),
        lambda rows: rows.claim_rule(*wanted),
        on_rule(wanted, lambda rows, rule: rows.record_rule(rule, f"sgr-{aws_id}")),
        on_rule(wanted, lambda rows, rule: rows.use_rule(rule)),
        on_rule(wanted, lambda rows, rule: rows.delete_rule(rule)),
        lambda rows: list(rows.used_rules()),
        lambda rows: list(rows.rules_of_others(*wanted)),
        lambda rows: list(
            rows.release_shared_rules(
                wanted[0], [one.id for one in rows.used_rules() if one.port == 80 and kept_first]
            )
        ),
        lambda rows: rows.wants_to_write(distribution),
        lambda rows: list(rows.companions(distribution)),
        lambda rows: list(rows.others_due(SPEC.distribution_id, now)),
        lambda rows: rows.wake_companions(distribution, now),
        lambda rows: list(rows.team_origins(rows.run)),  # type: ignore[attr-defined]
    ]
    return chance.choice(asks)


@pytest.mark.django_db
@pytest.mark.parametrize("number", range(3))
def test_the_same_operations_have_the_same_answers(number: int) -> None:
    chance = random.Random(number)  # noqa: S311 - the same operations each time
    twins = Twins()
    for key in KEYS:
        assert twins.stored[0].claim_vpc_origin(key) == twins.memory[0].claim_vpc_origin(key)
    for _ in range(OPERATIONS):
        place = chance.randrange(WORKING)
        twins.now += timedelta(seconds=chance.choice((0, 1, 45)))
        match chance.randrange(10):
            case 0:
                step, kind = chance.choice(("behaviors", "ingress")), chance.choice(KINDS)
                twins.write(place, step, kind, chance.choice(DIRECTIONS))
            case 1:
                twins.change(place, state=chance.choice(STATES))
            case 2:
                twins.change(place, lease_until=None)
            case 3:
                twins.wait(place, chance.choice(SUBJECTS))
            case _:
                ask = any_ask(chance, twins.now)
                found = ask(twins.stored[place]), ask(twins.memory[place])
                assert comparable(found[0]) == comparable(found[1])
        stored, in_memory = twins.due()
        assert stored == in_memory
