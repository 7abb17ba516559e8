"""Six runs at once, and at three moments of each something dies under all of them: worker, ticker,
web, Redis, or all that Redis knew. Every run ends live, AWS has each thing once, and each console
tells every event once and in order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis

from tests.journeys.conftest import Product
from tests.journeys.portal_clients import Follower
from tests.journeys.team_account import Target
from tests.journeys.until import until

pytestmark = pytest.mark.timeout(200)

FORGETS = "redis-forgets"
ACCIDENTS = ("provisioning-worker", "checks-worker", "ticker", "web", "redis", FORGETS)
MOMENTS = ("just approved", "VPC origin made", "behavior written")
"""AWS is then most likely still deploying the one and the other; on a slow machine it is done by
the time we look.
"""
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
    accidents: dict[str, object] = field(default_factory=dict)


@pytest.fixture(scope="module")
def survivors(product: Product) -> Iterator[dict[str, Future[Survivor]]]:
    """One run for each accident, all at the same time. What goes wrong in one is raised in its own
    test.
    """
    all_approved = threading.Barrier(len(ACCIDENTS), timeout=EVERYBODY_APPROVED_SECONDS)
    targets = {accident: product.account.make_target(f"kill-{accident}") for accident in ACCIDENTS}
    assert product.distribution_id
    with ThreadPoolExecutor(len(ACCIDENTS)) as pool:
        yield {
            accident: pool.submit(live_through, product, accident, targets[accident], all_approved)
            for accident in ACCIDENTS
        }


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_a_run_ends_live_with_everything_once(
    product: Product, survivors: dict[str, Future[Survivor]], accident: str
) -> None:
    survivor = survivors[accident].result()
    assert tuple(survivor.accidents) == MOMENTS
    if accident != FORGETS:
        assert len(set(survivor.accidents.values())) == len(MOMENTS), (
            "each time another process was killed"
        )

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
    product: Product, accident: str, target: Target, all_approved: threading.Barrier
) -> Survivor:
    """Ask, get it approved, follow the console, and let the accident happen at each moment of the
    run.
    """
    ana = product.api("ana")
    survivor = Survivor(f"/killed/{accident}", target)
    asked = ana.ask(**product.answers(f"killed-{accident}", target, survivor.path))
    planned = ana.await_state(asked["id"], "awaiting_approval")
    with Follower(ana, asked) as console:
        console.await_seq(2)
        assert product.api("olga").approve(planned).status_code == 200
        all_approved.wait()
        survivor.accidents[MOMENTS[0]] = happen(product, accident)
        until(lambda: only_vpc_origin(product, target), f"{accident}: its VPC origin, made")
        survivor.accidents[MOMENTS[1]] = happen(product, accident)
        until(
            lambda: product.account.behaviors_of(survivor.path),
            f"{accident}: its behavior, written",
        )
        survivor.accidents[MOMENTS[2]] = happen(product, accident)
        survivor.request = ana.await_state(asked["id"], "live")
        console.await_seq(survivor.request["last_seq"])
        until(lambda: console.finished, f"{accident}: the console saying that it finished")
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
        return until(
            lambda: answered(redis.Redis.from_url(stack.env["REDIS_URL"]).flushall),
            "Redis to forget",
        )
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
