"""The crash matrix: every saga in every direction, with workers that are real processes and die by
SIGKILL at their boundaries, with acts done twice, replies lost and writes refused.

`crash_boundaries.txt` lists what a worker does in each story when nothing disturbs it. Killed
anywhere, others go on; the story ends as it should have ended, everything is there once, and what
is not ours is untouched.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from django.core.management import call_command
from django.test import override_settings

from provisioning import actions
from provisioning.engine.turn import StepTurn
from provisioning.models import Run
from provisioning.sagas import SAGAS
from tests.lab.account import Lab
from tests.provisioning.crash_matrix import (
    Choice,
    Recorder,
    changes_something,
    live,
    name_of,
    work,
)
from tests.provisioning.crash_stories import STORIES, Stage, Story
from tests.provisioning.machine import WRITES, Machine

LISTED = Path(__file__).with_name("crash_boundaries.txt")
AFTER_A_KILL = "after a kill"
"""The heading of what only a worker does that finds what another left behind."""

SEED = "crash matrix"
MOST_RESUMED = 8
ANYWHERE = "anywhere"
"""The heading of what a worker may do in any step that is half done, or that takes long."""

MAY_BE_MISSED = {"step.acting", "step.acted", "step.waiting"}
"""Events of what a worker did whose successor finds it done."""

MAY_COME_ON_TOP = {"step.retry", "step.late"}
"""Events of a worker that finds another's half, or takes longer than others did."""

DOUBTS = ("step.waiting", "ingress")
"""The event of a worker that finds a rule whose ID was not recorded."""

INTENDED = ": commit intent"
"""What a worker records before a step does something."""

AT_THE_RUN = "run"
every_story = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)


def listed_acts() -> dict[str, list[str]]:
    """Heading → labels."""
    found: dict[str, list[str]] = {}
    for line in LISTED.read_text().splitlines():
        if line.startswith("["):
            acts = found.setdefault(line.strip("[]"), [])
        elif line:
            acts.append(line)
    return found


ACTS = listed_acts()


def act_of(boundary: str) -> str:
    """The act before or after which it lies."""
    return boundary.partition(" ")[2]


def is_a_change(boundary: str) -> bool:
    """Whether it lies before an act that changes something."""
    return boundary.startswith("before ") and changes_something(act_of(boundary))


def boundaries_of(story: Story) -> list[str]:
    """Every boundary of a story that nothing disturbs."""
    return [f"{when} {act}" for act in ACTS[story.name] for when in ("before", "after")]


def changes_of(story: Story) -> list[str]:
    """The boundaries that stand for all: before each act that changes something. Between two of
    them, a worker that dies leaves the same behind wherever it dies.
    """
    return [boundary for boundary in boundaries_of(story) if is_a_change(boundary)]


class Stages:
    """One stage for all stories; another if a story failed on it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._stage: Stage | None = None

    def open(self, story: Story) -> tuple[Stage, Run]:
        """The stage as the story needs it, and its run where workers take over."""
        stage, self._stage = self._stage, None
        if stage is None:
            Run.objects.active().update(state=Run.State.STUCK, lease_until=None)
            stage = Stage(self.machine)
        stage.have(endpoint=story.needs_endpoint)
        run = story.begin(stage)
        stage.told = len(story.told(run))
        return stage, run

    def close(self, stage: Stage) -> None:
        """The story went well."""
        self._stage = stage


@pytest.fixture(scope="module")
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """One database for the stories of this module: what is committed there, other processes see."""
    with django_db_blocker.unblock():
        yield
        call_command("flush", verbosity=0, interactive=False)


@pytest.fixture(scope="module")
def stages(stepped_lab: Lab, db: None) -> Iterator[Stages]:
    """Where the stories are told, one after the other."""
    layers = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    with (
        # A chain kills more workers at one step than any limit allows.
        override_settings(CHANNEL_LAYERS=layers, QUARANTINE_AFTER_LOST_LEASES=0),
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.setenv("AWS_ENDPOINT_URL", stepped_lab.url)
        yield Stages(Machine(stepped_lab))


def test_every_saga_has_a_story() -> None:
    assert {story.saga for story in STORIES} == set(SAGAS)
    assert {story.name for story in STORIES} == set(ACTS) - {AFTER_A_KILL, ANYWHERE}


def told_by(story: Story) -> list[tuple[str, str]]:
    """What workers tell in a story that nothing disturbs: kind and step."""
    told = []
    for act in ACTS[story.name]:
        place, _, what = name_of(act).partition(": ")
        if what.startswith("publish "):
            step = "" if place == AT_THE_RUN else place.removeprefix("undo ")
            told.append((what.removeprefix("publish "), step))
    return told


def assert_told_in_order(stage: Stage, story: Story, run: Run) -> None:
    """Every event once and in the order of the saga, but for what a worker did not live to tell."""
    told = [
        one
        for one in story.told(run)[stage.told :]
        if one[0] not in MAY_COME_ON_TOP and one != DOUBTS
    ]
    expected = told_by(story)
    assert not Counter(told) - Counter(expected)
    assert [one for one in told if one[0] not in MAY_BE_MISSED] == [
        one for one in expected if one[0] not in MAY_BE_MISSED
    ]


def assert_known(story: Story, labels: Iterable[str]) -> None:
    """Whatever a worker passes, here or when it goes on for another, stands in the list."""
    known = {name_of(act) for act in (*ACTS[story.name], *ACTS[AFTER_A_KILL])}
    names = {act_of(name_of(label)) for label in labels}
    unknown = {name for name in names - known if name.partition(": ")[2] not in ACTS[ANYWHERE]}
    assert not unknown, "passed but not listed in crash_boundaries.txt"


def go_on(stage: Stage, story: Story, run: Run) -> None:
    """Another worker goes on until the run is over, and all is well."""
    passed: list[str] = []
    if not run.over:
        work(stage.machine, run, Recorder(passed.append))
    assert_known(story, passed)
    story.end(stage, run)
    assert_told_in_order(stage, story, run)


@every_story
def test_a_worker_passes_the_boundaries_that_are_listed_and_no_others(
    stages: Stages, story: Story
) -> None:
    stage, run = stages.open(story)
    passed = live(stage.machine, run).passed
    story.end(stage, run)
    acts = [label.removeprefix("before ") for label in passed if label.startswith("before ")]
    assert set(acts) == set(ACTS[story.name])
    assert sorted(passed) == sorted(boundaries_of(story))
    stages.close(stage)


def one_of_each_kind(story: Story) -> set[str]:
    """A sample: a boundary before and one after a call, a commit and a publish, by name."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for boundary in boundaries_of(story):
        what = act_of(boundary).partition(": ")[2].partition(" ")[0]
        kind = what if what in ("commit", "publish") else "call"
        kinds.setdefault((boundary.partition(" ")[0], kind), []).append(name_of(boundary))
    assert len(kinds) == 6
    chance = random.Random(f"{SEED}, {story.name}")  # noqa: S311
    return {chance.choice(boundaries) for boundaries in kinds.values()}


@every_story
def test_killed_at_one_boundary_after_the_other_it_ends_the_same(
    stages: Stages, story: Story
) -> None:
    """Worker after worker dies, each at the first of the chosen boundaries that none has died at:
    before each change, and at one boundary of each kind. A worker that finds a write done does not
    pass the boundaries after it; those are left for the next run.
    """
    left = set(map(name_of, changes_of(story))) | one_of_each_kind(story)
    while left:
        stage, run = stages.open(story)
        before = len(left)
        while (life := live(stage.machine, run, lambda boundary: name_of(boundary) in left)).killed:
            left.remove(name_of(life.passed[-1]))
            assert_known(story, life.passed)
        assert len(left) < before, left
        assert_known(story, life.passed)
        go_on(stage, story, run)
        stages.close(stage)


@every_story
def test_killed_at_one_boundary_and_the_next_at_another_it_ends_the_same(
    stages: Stages, story: Story
) -> None:
    """A sample; `make soak` takes them all."""
    chance = random.Random(f"{SEED}, {story.name}")  # noqa: S311
    first = chance.choice(boundaries_of(story))
    killed_twice(stages, story, first, chance.randint(1, MOST_RESUMED))


def killed_twice(stages: Stages, story: Story, first: str, second: int) -> bool:
    """Kill a worker at the boundary `first`, and the one that goes on before its act number
    `second` of those that change something. Returns whether that one lived so long.
    """
    stage, run = stages.open(story)
    assert live(stage.machine, run, first.__eq__).killed, first
    resumed = live(stage.machine, run, nth_change(second))
    assert_known(story, resumed.passed)
    go_on(stage, story, run)
    stages.close(stage)
    return resumed.killed


def nth_change(number: int) -> Choice:
    """Chooses the boundary before change number `number` of a process."""
    passed: dict[str, int] = {}

    def is_it(boundary: str) -> bool:
        if not is_a_change(boundary):
            return False
        return passed.setdefault(boundary, len(passed) + 1) == number

    return is_it


@pytest.mark.slow
@every_story
def test_killed_at_any_boundary_it_ends_the_same(stages: Stages, story: Story) -> None:
    for boundary in boundaries_of(story):
        stage, run = stages.open(story)
        assert live(stage.machine, run, boundary.__eq__).killed, boundary
        go_on(stage, story, run)
        stages.close(stage)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("story", "first"),
    [
        pytest.param(story, first, id=f"{story.name}, {first}")
        for story in STORIES
        for first in changes_of(story)
    ],
)
def test_killed_at_any_two_boundaries_it_ends_the_same(
    stages: Stages, story: Story, first: str
) -> None:
    second = 1
    while killed_twice(stages, story, first, second):
        second += 1
    assert second > 1


def is_write(act: str) -> bool:
    """Whether it is a call that changes AWS."""
    return act.partition(": ")[2].startswith(WRITES)


def unwinds(story: Story, act: str) -> bool:
    """Whether a step that fails at this act is undone with its run; else a person has to act."""
    place = act.partition(": ")[0]
    names = [step.name for step in SAGAS[story.saga].steps]
    pivots = [step.name for step in SAGAS[story.saga].steps if step.pivot] or names[-1:]
    return place in names[: names.index(pivots[0]) + 1]


def is_read(act: str) -> bool:
    """Whether it is a step's call that changes nothing in AWS."""
    place, _, what = act.partition(": ")
    return place != "sweep" and what[0].isupper() and not is_write(act)


def refusable(story: Story) -> list[str]:
    """The call of each step that AWS refuses: every write, and the first call of a step that only
    reads.
    """
    writing = {act.partition(": ")[0] for act in WRITES_OF[story.name]}
    first_reads: dict[str, str] = {}
    for act in filter(is_read, ACTS[story.name]):
        first_reads.setdefault(act.partition(": ")[0], act)
    reads = [act for place, act in first_reads.items() if place not in writing]
    return sorted({*WRITES_OF[story.name], *reads}, key=ACTS[story.name].index)


WRITES_OF = {story.name: [act for act in ACTS[story.name] if is_write(act)] for story in STORIES}
REFUSABLE = {story.name: refusable(story) for story in STORIES}
UNWINDING = [
    (story, act) for story in STORIES for act in REFUSABLE[story.name] if unwinds(story, act)
]
HOLDING = [story for story in STORIES if not all(unwinds(story, a) for a in REFUSABLE[story.name])]


@every_story
def test_what_a_step_does_is_done_twice_and_every_message_comes_twice(
    stages: Stages, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = StepTurn._call
    acted: Counter[str] = Counter()

    def twice(self: Any, part: Any, context: Any) -> Any:
        acted[self.step.name] += part in (self.step.forward.act, self.step.backward.act)
        call(self, part, context)
        return call(self, part, context)

    stage, run = stages.open(story)
    monkeypatch.setattr(StepTurn, "_call", twice)
    work(stage.machine, run, Recorder(lambda _: None))
    intended = {act.partition(": ")[0] for act in ACTS[story.name] if act.endswith(INTENDED)}
    assert {place.removeprefix("undo ") for place in intended} == set(+acted)
    monkeypatch.undo()
    story.end(stage, run)
    assert_told_in_order(stage, story, run)
    stages.close(stage)


@every_story
def test_every_reply_to_a_write_is_lost_once_and_each_thing_is_there_once(
    stages: Stages, story: Story
) -> None:
    stage, run = stages.open(story)
    lost: list[str] = []

    def lose(boundary: str) -> Exception | None:
        act = act_of(name_of(boundary))
        if not boundary.startswith("after ") or not is_write(act) or act in lost:
            return None
        lost.append(act)
        return ReadTimeoutError(endpoint_url="https://aws.amazonaws.com")

    work(stage.machine, run, Recorder(lambda _: None, lose))
    assert lost == [act for act in WRITES_OF[story.name] if act == name_of(act)]
    story.end(stage, run)
    assert_told_in_order(stage, story, run)
    stages.close(stage)


def refusal(act: str) -> ClientError:
    """AWS's answer to a role that may not."""
    operation = act.partition(": ")[2]
    reply = {
        "Error": {"Code": "AccessDenied", "Message": "Refused for the test"},
        "ResponseMetadata": {"HTTPStatusCode": 403},
    }
    return ClientError(reply, operation)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("story", "act"), [pytest.param(*one, id=f"{one[0].name}, {one[1]}") for one in UNWINDING]
)
def test_a_call_that_aws_refuses_before_the_pivot_is_undone_with_its_run(
    stages: Stages, story: Story, act: str
) -> None:
    stage, run = stages.open(story)
    refused: list[str] = []

    def refuse(boundary: str) -> Exception | None:
        if not boundary.startswith("before ") or name_of(boundary) != f"before {name_of(act)}":
            return None
        refused.append(boundary)
        return refusal(act)

    work(stage.machine, run, Recorder(lambda _: None, refuse))
    assert refused
    run.refresh_from_db()
    assert run.state == Run.State.UNDONE
    assert run.failure["code"] == "AccessDenied" or "could not be asked" in run.failure["reason"]
    story.if_undone(stage)
    stage.assert_sound()
    stages.close(stage)


@pytest.mark.parametrize("story", HOLDING, ids=lambda story: story.name)
def test_a_call_that_aws_refuses_later_waits_for_a_person_and_then_goes_on(
    stages: Stages, story: Story
) -> None:
    stage, run = stages.open(story)
    expected = [act for act in REFUSABLE[story.name] if not unwinds(story, act)]
    for act in expected:

        def refuse(boundary: str, act: str = act) -> Exception | None:
            return refusal(act) if boundary == f"before {act}" else None

        work(stage.machine, run, Recorder(lambda _: None, refuse))
        run.refresh_from_db()
        assert run.state == Run.State.STUCK, act
        assert act.startswith("undo ") == (run.failure["direction"] == "backward")
        assert actions.retry_stuck(run, reason="The role may again.", now=stage.machine.now)
        run.refresh_from_db()
    work(stage.machine, run, Recorder(lambda _: None))
    story.end(stage, run)
    stages.close(stage)
