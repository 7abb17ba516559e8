"""Several runs at once, and at three moments of each something dies under all of them: worker,
ticker, web, Redis, or all that Redis knew. Every run ends live, AWS has each thing once, and each
console tells every event once and in order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis

from tests.journeys.conftest import Product
from tests.journeys.portal_clients import Follower
from tests.journeys.team_account import Target
from tests.journeys.until import until

FORGETS = "redis-forgets"
MOMENTS = ("just approved", "VPC origin made", "behavior written")
"""AWS is then most likely still deploying the one and the other; on a slow machine it is done by
the time we look.
"""
RUNS = {
    "worker-and-web": ("provisioning-worker", "web", "provisioning-worker"),
    "redis": ("redis", FORGETS, "redis"),
    "ticker-and-checks": ("ticker", "checks-worker", "ticker"),
}
"""What happens at each moment of each run. A part belongs to one run, which waits until another has
taken its place.
"""
EVERY_PART = ("provisioning-worker", "checks-worker", "ticker", "web", "redis", FORGETS)
SAME_PART_ALWAYS = {f"{part}-always": (part, part, part) for part in EVERY_PART}
EVERYBODY_APPROVED_SECONDS = 180.0


@dataclass
class Survivor:
    """What became of one run, and what was done to it at which moment."""

    path: str
    target: Target
    request: dict[str, Any] = field(default_factory=dict)
    seqs: list[int] = field(default_factory=list)
    said_finished: list[str] = field(default_factory=list)
    connections: int = 0
    killed: dict[str, object] = field(default_factory=dict)


Survivors = dict[str, Future[Survivor]]


@pytest.fixture(scope="module")
def survivors(product: Product, unhurried: None) -> Iterator[Survivors]:
    with all_at_once(product, RUNS) as runs:
        yield runs


@pytest.fixture(scope="module")
def survivors_of_the_same(product: Product, unhurried: None) -> Iterator[Survivors]:
    with all_at_once(product, SAME_PART_ALWAYS) as runs:
        yield runs


@contextmanager
def all_at_once(product: Product, plan: dict[str, tuple[str, str, str]]) -> Iterator[Survivors]:
    """All runs of a plan at the same time. What goes wrong in one is raised in its own test."""
    all_approved = threading.Barrier(len(plan), timeout=EVERYBODY_APPROVED_SECONDS)
    targets = {name: product.account.make_target(f"kill-{name}") for name in plan}
    assert product.distribution_id
    with ThreadPoolExecutor(len(plan)) as pool:
        yield {
            name: pool.submit(live_through, product, name, accidents, targets[name], all_approved)
            for name, accidents in plan.items()
        }


def test_each_part_dies_while_runs_are_under_way() -> None:
    assert {part for accidents in RUNS.values() for part in accidents} == set(EVERY_PART)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_ends_live_with_everything_once(
    product: Product, survivors: Survivors, name: str
) -> None:
    assert_live_with_everything_once(product, survivors[name].result())


@pytest.mark.slow
def test_a_change_to_another_target_and_a_removal_end_as_they_should_though_workers_die(
    product: Product, unhurried: None
) -> None:
    """The same for an endpoint that lives: while its VPC origin is replaced, and while it goes."""
    account, ana, worker = product.account, product.api("ana"), "provisioning-worker"
    first, second = (
        account.make_target(name, admits_cloudfront=False) for name in ("kill-from", "kill-to")
    )
    before = account.distribution()["DistributionConfig"]
    created = ana.ask(**product.answers("killed-later", first, "/killed/later"))
    approve(product, created)
    endpoint = f"/endpoints/{ana.await_state(created['id'], 'live')['endpoint']['id']}"
    [old] = account.vpc_origins_of(first)

    changed = ana.post(f"{endpoint}/change", {"target": second.arn}).json()
    approve(product, changed)
    killed = [happen(product, worker)]
    until(lambda: only_vpc_origin(product, second), "the second VPC origin")
    killed.append(happen(product, worker))
    until(lambda: not account.origins_through(old["Id"]), "the switch to it")
    killed.append(happen(product, worker))
    live = ana.await_state(changed["id"], "live")
    assert_told_once(product, live)
    [new] = account.vpc_origins_of(second)
    [origin] = account.origins_through(new["Id"])
    [behavior] = account.behaviors_of("/killed/later")
    assert behavior["TargetOriginId"] == origin["Id"]
    assert len(account.ingress_of(second.group)) == 1
    assert (account.vpc_origins_of(first), account.ingress_of(first.group)) == ([], [])

    removed = ana.post(f"{endpoint}/remove", {"grace_days": 0}).json()
    approve(product, removed)
    killed.append(happen(product, worker))
    until(lambda: not account.behaviors_of("/killed/later"), "the path out of the distribution")
    killed.append(happen(product, worker))
    until(lambda: not account.ingress_of(second.group), "the rule to be removed")
    killed.append(happen(product, worker))
    assert_told_once(product, ana.await_state(removed["id"], "removed"))
    assert account.vpc_origins_of(second) == []
    after = account.distribution()["DistributionConfig"]
    for kind in ("Origins", "CacheBehaviors"):
        assert after[kind].get("Items", []) == before[kind].get("Items", [])
    assert len(set(killed)) == len(killed) == 6, "each time another process was killed"


def approve(product: Product, request: dict[str, Any]) -> None:
    """Olga approves the plan of a request of Ana's, once there is one."""
    planned = product.api("ana").await_state(request["id"], "awaiting_approval")
    answer = product.api("olga").approve(planned)
    assert answer.status_code == 200, answer.text


def assert_told_once(product: Product, request: dict[str, Any]) -> None:
    """The events of a request are numbered without gaps, and each step began once."""
    events = product.api("ana").events(request["id"])
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    begun = [event["step"] for event in events if event["kind"] == "step.started"]
    assert len(set(begun)) == len(begun)
    assert [event["kind"] for event in events].count("run.done") == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", SAME_PART_ALWAYS)
def test_a_run_ends_live_though_the_same_part_dies_at_every_moment(
    product: Product, survivors_of_the_same: Survivors, name: str
) -> None:
    assert_live_with_everything_once(product, survivors_of_the_same[name].result())


def assert_live_with_everything_once(product: Product, survivor: Survivor) -> None:
    assert tuple(survivor.killed) == MOMENTS
    pids = [pid for pid in survivor.killed.values() if pid != FORGETS]
    assert len(set(pids)) == len(pids), "each time another process was killed"

    account = product.account
    [vpc_origin] = account.vpc_origins_of(survivor.target)
    assert vpc_origin["Status"] == "Deployed"
    [origin] = account.origins_through(vpc_origin["Id"])
    [behavior] = account.behaviors_of(survivor.path)
    assert behavior["TargetOriginId"] == origin["Id"]
    assert len(account.ingress_of(survivor.target.group)) == 1

    assert survivor.request["endpoint"]["state"] == "deployed"
    assert survivor.seqs == list(range(1, survivor.request["last_seq"] + 1))
    assert survivor.said_finished[-1] == "live"
    assert survivor.connections > 1, "web was killed, so every console had to connect again"


def live_through(
    product: Product,
    name: str,
    accidents: tuple[str, str, str],
    target: Target,
    all_approved: threading.Barrier,
) -> Survivor:
    """Ask, get it approved, follow the console, and let an accident happen at each moment of the
    run.
    """
    ana = product.api("ana")
    survivor = Survivor(f"/killed/{name}", target)
    asked = ana.ask(**product.answers(f"killed-{name}", target, survivor.path))
    planned = ana.await_state(asked["id"], "awaiting_approval")
    with Follower(ana, asked) as console:
        console.await_seq(2)
        assert product.api("olga").approve(planned).status_code == 200
        all_approved.wait()
        moments = (
            lambda: True,
            lambda: only_vpc_origin(product, target),
            lambda: product.account.behaviors_of(survivor.path),
        )
        for moment, come, accident in zip(MOMENTS, moments, accidents, strict=True):
            until(come, f"{name}: {moment}")
            survivor.killed[moment] = happen(product, accident)
        survivor.request = ana.await_state(asked["id"], "live")
        console.await_seq(survivor.request["last_seq"])
        until(lambda: console.finished, f"{name}: the console saying that it finished")
    survivor.seqs, survivor.said_finished, survivor.connections = (
        console.seqs,
        console.finished,
        console.connections,
    )
    return survivor


def happen(product: Product, accident: str) -> object:
    """Kill the process and return its pid once another has taken its place; or empty Redis."""
    stack = product.stack
    if accident == FORGETS:
        until(
            lambda: answered(redis.Redis.from_url(stack.env["REDIS_URL"]).flushall),
            "Redis to forget",
        )
        return FORGETS
    killed = stack.kill(accident)
    until(lambda: stack.pid(accident) not in (None, killed), f"another {accident}")
    stack.wait_ready(accident)
    return killed


def answered(command: Callable[[], object]) -> bool:
    """Whether Redis took the command; it may be just being killed."""
    try:
        command()
    except redis.RedisError:
        return False
    return True


def only_vpc_origin(product: Product, target: Target) -> dict[str, Any] | None:
    """The target's, once it is made; there may never be two."""
    found = product.account.vpc_origins_of(target)
    assert len(found) <= 1
    return found[0] if found else None
