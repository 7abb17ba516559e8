"""Runs of every kind while Redis forgets or falls silent, PostgreSQL restarts, and answers to its
COMMIT are lost. Every request ends as it should; nothing in AWS or in the rows is doubled or lost.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
import redis

from stack.ports import LOOPBACK
from stack.product import Stack
from stack.services import Postgres
from stack.state import StateDir
from tests.journeys.conftest import Product
from tests.journeys.proxies import Proxy
from tests.journeys.team_account import Target
from tests.journeys.until import until
from tests.ports import free_ports

pytestmark = pytest.mark.timeout(600)

SILENCE_SECONDS = 6.0
"""Longer than any timeout of a client of Redis."""
FORGETS_EVERY_SECONDS = 5.0
WRITTEN = (b"provisioning_journalentry", b"provisioning_event", b"requests_endpointrequest")
"""The tables whose transactions lose the answer to their COMMIT."""
DOUBLED = """
select stream_id, kind, step, text, count(*) from provisioning_event
where kind in ('run.done', 'run.undone', 'run.stuck', 'step.acted', 'step.ready', 'step.undone')
   or kind like 'request.%' group by stream_id, kind, step, text having count(*) > 1
"""
GAPS = """
select name, last_seq, count(seq), max(seq) from provisioning_eventstream
left join provisioning_event on stream_id = name
group by name, last_seq having count(seq) <> last_seq or max(seq) <> last_seq
"""
UNDER_WAY = """
select id, saga, state, lease_until, watch_id from provisioning_run
where lease_until is not null or watch_id is not null or state not in ('done', 'undone')
"""


KINDS = ("changed", "moved", "removed", "restored")
PACE = 240.0
"""How much faster than AWS: a VPC origin takes about four seconds."""

Accident = Callable[[], None]


@dataclass
class Shaken:
    """The product behind proxies, and what can happen to its services."""

    product: Product
    broker: Proxy
    database: Proxy

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask PostgreSQL itself, past the proxy."""
        url = Postgres(self.product.stack.state.path / "postgres").url()
        with psycopg.connect(url) as connection:
            return list(connection.execute(statement.encode()))

    def redis_forgets(self) -> None:
        """FLUSHALL, past the proxy."""
        stack = self.product.stack
        password = urlsplit(stack.env["REDIS_URL"]).password
        redis.Redis(port=stack.ports.redis, password=password).flushall()

    def redis_is_silent(self) -> None:
        """It accepts and says nothing for a while."""
        with self.broker.black_hole():
            threading.Event().wait(SILENCE_SECONDS)

    def postgres_restarts(self, how: signal.Signals) -> None:
        """INT is PostgreSQL's fast shutdown, QUIT the immediate one; the stack starts it again."""
        killed = self.product.stack.kill("postgres", how)
        until(lambda: self.product.stack.pid("postgres") not in (None, killed), "PostgreSQL")
        self.product.stack.wait_ready("postgres")

    def answers_are_lost(self) -> None:
        """The next COMMIT of each kind is carried out, and its client does not hear of it."""
        self.database.cut_commits(*WRITTEN)


@pytest.fixture(scope="module")
def shaken() -> Iterator[Shaken]:
    """A product of its own: its services fall over too often for others."""
    with (
        tempfile.TemporaryDirectory(prefix="edge-portal-chaos-") as directory,
        ExitStack() as open_,
    ):
        path = Path(directory) / "state"
        with StateDir(path) as state:
            password = state.secret("redis")
        ports, proxied = free_ports(), free_ports()
        socket = Postgres(path / "postgres").socket_dir / ".s.PGSQL.5432"
        broker = open_.enter_context(
            Proxy(proxied.redis, lambda: asyncio.open_connection(LOOPBACK, ports.redis))
        )
        database = open_.enter_context(
            Proxy(proxied.web, lambda: asyncio.open_unix_connection(socket))
        )
        settings = {
            "CHECK_EVERY_MINUTES": "0",
            "DRIFT_EVERY_MINUTES": "0",
            "REDIS_URL": f"redis://:{password}@{LOOPBACK}:{broker.port}/0",
            "DATABASE_URL": f"postgresql://postgres@{LOOPBACK}:{database.port}/portal",
        }
        stack = open_.enter_context(
            Stack(path, ports.web, time_scale=PACE, durable=False, settings=settings)
        )
        yield Shaken(Product(stack), broker, database)


def insisted(call: Callable[[], httpx.Response]) -> httpx.Response:
    """Ask until there is an answer other than "not now"; the portal may just have lost its
    database.
    """

    def answered() -> httpx.Response | None:
        try:
            answer = call()
        except httpx.TransportError:
            return None
        return None if answer.status_code in (429, 503) else answer

    return until(answered, "an answer", pause=0.5)


@dataclass
class Team:
    """Ana, who asks, and Olga, who approves, for one story."""

    shaken: Shaken
    story: str

    def __post_init__(self) -> None:
        product = self.shaken.product
        self.ana, self.olga = product.api("ana"), product.api("olga")
        self._keys = itertools.count(1)

    def ask(self, path: str, body: dict[str, Any]) -> str:
        """Create a request, once, however often it takes; gives its ID."""
        key = f"{self.story}-{next(self._keys)}"
        answer = insisted(lambda: self.ana.post(path, body, Idempotency_Key=key))
        assert answer.status_code in (200, 201), answer.text
        return str(answer.json()["id"])

    def approve(self, request_id: str) -> None:
        """Approve its plan; again if the portal voided the approval."""
        planned = self.ana.await_state(request_id, "awaiting_approval")
        answer = insisted(lambda: self.olga.approve(planned))
        assert answer.status_code in (200, 409), answer.text
        assert self.ana.request(request_id)["state"] != "awaiting_approval", answer.text

    def restore(self, request_id: str) -> None:
        """Put a removed endpoint back."""
        path = f"/requests/{request_id}/restore"
        answer = insisted(lambda: self.ana.post(path, {"reason": "Still used."}))
        assert answer.status_code in (200, 409), answer.text

    def approve_all(self, requests: Sequence[str]) -> None:
        """One after the other, as a person would."""
        for request_id in requests:
            self.approve(request_id)

    def await_all(self, requests: Sequence[str], state: str) -> list[dict[str, Any]]:
        """Until all are in this state."""
        return [self.ana.await_state(one, state) for one in requests]


def whole_lives(
    team: Team, each: int, targets: tuple[Target, Target], accidents: Iterator[Accident]
) -> list[str]:
    """Create 4 × `each` endpoints at once; then at once change, move and remove some and restore
    others: 8 × `each` runs, with an accident at five moments. Gives the IDs of what is left.
    """
    story, product = team.story, team.shaken.product
    first, second = targets
    names = [f"{story}-{kind}-{n}" for kind in KINDS for n in range(each)]
    asked = [team.ask("/requests", product.answers(name, first, f"/{name}")) for name in names]
    team.approve_all(asked)
    next(accidents)()
    until(lambda: product.account.vpc_origins_of(first), "the VPC origin")
    next(accidents)()
    ids = [str(one["endpoint"]["id"]) for one in team.await_all(asked, "live")]
    changed, moved, removed, restored = (ids[i * each : (i + 1) * each] for i in range(4))

    away = [team.ask(f"/endpoints/{one}/remove", {"grace_days": 30}) for one in restored]
    team.approve_all(away)
    next(accidents)()
    team.await_all(away, "out_of_service")

    changes = [
        team.ask(f"/endpoints/{one}/change", {"path_patterns": f"/{story}-changed-{n}/*"})
        for n, one in enumerate(changed)
    ]
    moves = [team.ask(f"/endpoints/{one}/change", {"target": second.arn}) for one in moved]
    removals = [team.ask(f"/endpoints/{one}/remove", {"grace_days": 0}) for one in removed]
    team.approve_all([*changes, *moves, *removals])
    next(accidents)()
    for one in away:
        team.restore(one)
    next(accidents)()
    team.await_all([*changes, *moves], "live")
    team.await_all(removals, "removed")
    team.await_all(away, "restored")
    leads = (
        {f"/{story}-changed-{n}/*": first for n in range(each)}
        | {f"/{story}-moved-{n}": second for n in range(each)}
        | {f"/{story}-restored-{n}": first for n in range(each)}
    )
    assert_as_it_should_be(team.shaken, story, leads, targets)
    return [*changed, *moved, *restored]


def assert_as_it_should_be(
    shaken: Shaken, story: str, leads: dict[str, Target], targets: tuple[Target, Target]
) -> None:
    """AWS has each thing once; no row is left in the middle; every event once, and numbered."""
    account = shaken.product.account
    config = account.distribution()["DistributionConfig"]
    behaviors = [
        (one["PathPattern"], one["TargetOriginId"])
        for one in config["CacheBehaviors"].get("Items", [])
        if one["PathPattern"].startswith(f"/{story}-")
    ]
    assert sorted(path for path, _ in behaviors) == sorted(leads)
    through = {
        one["Id"]: one["VpcOriginConfig"]["VpcOriginId"]
        for one in config["Origins"]["Items"]
        if "VpcOriginConfig" in one
    }
    for target in targets:
        used = [vpc_origin["Id"] for vpc_origin in account.vpc_origins_of(target)]
        assert len(used) == len(account.ingress_of(target.group)) == (target in leads.values())
        if not used:
            continue
        assert {leads[path].arn for path, origin in behaviors if through[origin] == used[0]} == {
            target.arn
        }
    assert set(through) == {origin for _, origin in behaviors}, "each origin is led to"
    assert len(through) == len(leads)
    assert shaken.query(UNDER_WAY) == []
    assert shaken.query(GAPS) == []
    assert shaken.query(DOUBLED) == []


def accidents_of(shaken: Shaken) -> list[Accident]:
    """Each accident once."""
    return [
        shaken.answers_are_lost,
        shaken.redis_is_silent,
        lambda: shaken.postgres_restarts(signal.SIGINT),
        shaken.redis_forgets,
        lambda: shaken.postgres_restarts(signal.SIGQUIT),
    ]


def two_targets(shaken: Shaken, story: str) -> tuple[Target, Target]:
    """Closed to CloudFront, so that the portal adds the rule."""
    make = shaken.product.account.make_target
    first, second = (make(f"{story}-{n}", admits_cloudfront=False) for n in (1, 2))
    return first, second


def test_every_kind_of_run_ends_right_through_each_accident(shaken: Shaken) -> None:
    targets = two_targets(shaken, "few")
    whole_lives(Team(shaken, "few"), 1, targets, iter(accidents_of(shaken)))
    assert shaken.database.cuts_left == 0, "a cut that did not happen proves nothing"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_runs_end_right_while_redis_forgets_every_five_seconds(
    shaken: Shaken,
) -> None:
    targets = two_targets(shaken, "many")
    over = threading.Event()

    def forget() -> None:
        while not over.wait(FORGETS_EVERY_SECONDS):
            shaken.redis_forgets()

    forgetting = threading.Thread(target=forget, name="flushall")
    forgetting.start()
    try:
        for wave in range(4):
            kinds = accidents_of(shaken)
            team = Team(shaken, f"many-{wave}")
            # Each time other accidents come at other moments.
            left = whole_lives(team, 5, targets, itertools.cycle(kinds[wave:] + kinds[:wave]))
            gone = [team.ask(f"/endpoints/{one}/remove", {"grace_days": 0}) for one in left]
            team.approve_all(gone)
            team.await_all(gone, "removed")
            assert_as_it_should_be(shaken, team.story, {}, targets)
    finally:
        over.set()
        forgetting.join()
