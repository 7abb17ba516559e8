"""Whatever order things happen in: two workers, a third party, people, faults and clocks, played
over an account and rows in memory. What must hold is in `interleavings.world`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from provisioning.engine import decide, turn
from provisioning.engine.decide import Direction, Entry
from provisioning.engine.step import Step
from provisioning.models import Run
from provisioning.plan import plan as plans
from tests.provisioning.interleavings.cloud import CREATING_SECONDS
from tests.provisioning.interleavings.world import World

SLICES, EXAMPLES, EXAMPLES_OF_THE_SOAK = 8, 250, 20_000
"""Slices, so that none comes near the limit of a test on a busy machine."""
ACTIONS = 32
SEEN = {
    "dies at": "a worker died",
    "which is lost": "an answer was lost",
    "is throttled": "a call was throttled",
    "a lease was lost": "a worker woke up without its lease",
    "clock jumps by -": "the clock went backwards",
    "is cancelled": "a run was cancelled",
    "is retried": "a stuck run was retried",
    "third party: leads our path": "our path was led elsewhere",
    "third party: removes our": "something of ours was removed",
    "third party: takes": "a path was taken",
    "create done": "an endpoint was built",
    "create undone": "a creation was rolled back",
    "change done": "an endpoint was changed",
    "change undone": "a change was rolled back",
    "change stuck": "a change got stuck",
    "remove done": "an endpoint was removed",
    "remove undone": "an endpoint was restored",
    "is retired: no change begins": "a change came during a removal",
    "has ended": "an endpoint was removed at its end date",
}
"""What a search must have come across to mean anything: words of the trace, and how runs ended."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Digests of RFC 8785's form take half of an example; any that tells plans apart will do."""

    def digest_of(value: Any) -> str:
        form = json.dumps(value, sort_keys=True, default=list)
        return hashlib.sha256(form.encode()).hexdigest()

    monkeypatch.setattr(plans, "digest_of", digest_of)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def search(examples: int, number: int | None = None) -> Counter[str]:
    """Play so many schedules, the same ones for the same number. Returns how often each of SEEN was
    come across.
    """
    seen: Counter[str] = Counter()

    @settings(max_examples=examples, derandomize=False, database=None)
    @given(st.binary(min_size=2 * ACTIONS, max_size=2 * ACTIONS))
    def plays(schedule: bytes) -> None:
        world = World()
        world.play(schedule)
        told = "\n".join(world.trace)
        ends = {f"{run.action} {run.state}" for run in world.store.runs.values()}
        seen.update(words for words in SEEN if words in told or words in ends)

    (plays if number is None else seed(number)(plays))()
    return seen


@pytest.mark.parametrize("number", range(SLICES))
def test_whatever_happens_in_between_nothing_is_lost_left_or_spoilt(number: int) -> None:
    seen = search(EXAMPLES, number)
    missed = [what for words, what in SEEN.items() if not seen[words]]
    assert len(missed) <= len(SEEN) // 4, missed


def undone_whatever_it_is(steps: Sequence[Step[Any]], journal: Sequence[Entry]) -> list[str]:
    """What may have left something, without the limit at the pivot."""
    begun = {entry.step for entry in journal if entry.direction is Direction.FORWARD}
    return [one.name for one in steps if one.name in begun | {decide.current_step(steps, journal)}]


@pytest.mark.parametrize(
    ("where", "name", "fault"),
    [
        (decide, "_begun", undone_whatever_it_is),
        (decide, "SETTLING_SECONDS", 0.0),
        (turn.StepTurn, "_has_just_acted", lambda _: False),
    ],
    ids=["undoes what comes after the pivot", "does not let writes settle", "writes again at once"],
)
def test_a_known_fault_is_found_within_as_many_schedules(
    monkeypatch: pytest.MonkeyPatch, where: object, name: str, fault: object
) -> None:
    monkeypatch.setattr(where, name, fault)
    chance = random.Random(7)  # noqa: S311 - the same schedules each time
    schedules = [chance.randbytes(2 * ACTIONS) for _ in range(SLICES * EXAMPLES // 4)]
    with pytest.raises(AssertionError):
        list(map(World.play, (World() for _ in schedules), schedules))


def test_no_endpoint_relies_on_a_rule_that_is_gone_but_still_listed() -> None:
    """Found by a search: one run takes its rule away, and another still reads that it is there."""
    world = World()
    one, two, _ = world.workers
    world.create(0)
    world.go(one, 10_000)
    world.pass_time(CREATING_SECONDS)
    cancelled = world.come_to(one, "AuthorizeSecurityGroupIngress answered")
    world.cancel(0)
    world.go(one, 10_000)
    world.pass_time(31.0)
    world.create(2)
    assert world.come_to(two, "RevokeSecurityGroupIngress answered") is cancelled
    world.go(two, 10_000)
    assert not world.cloud.rules
    world.go(one, 10_000)
    created = list(world.store.runs.values())[-1]
    seen = [str(entry.data.get("seen", "")) for entry in world.store.journals[created.pk]]
    assert "may just have removed the rule" in seen[-1], seen
    world.rest()
    world.check_at_rest()
    assert created.state == Run.State.DONE
    assert world.cloud.rules


@pytest.mark.slow
def test_the_same_over_many_more_schedules() -> None:
    search(EXAMPLES_OF_THE_SOAK)
