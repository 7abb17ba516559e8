"""The progress of a run, for people: each step with its state, elapsed and expected time, and what
AWS last said. Read from the journal, not from events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from django.conf import settings

from provisioning.engine.decide import Direction, Entry, EntryKind, exhausted, reason_to_unwind
from provisioning.engine.step import Step
from provisioning.facts.step_times import RunTime, StepTime, time_of_run
from provisioning.models import Run
from provisioning.sagas import SAGA_OF, steps_of
from provisioning.step_times import step_times

TODO, DOING, WAITING, DONE = "todo", "doing", "waiting", "done"
FAILED, UNDOING, UNDONE = "failed", "undoing", "undone"


@dataclass(frozen=True)
class StepProgress:
    """One step. Seconds are real seconds; `elapsed_seconds` is None before the step begins. `late`:
    it takes longer than in nine of ten runs.
    """

    name: str
    title: str
    state: str
    seen: str
    elapsed_seconds: float | None
    expected_seconds: float
    late: bool = False


@dataclass(frozen=True)
class Progress:
    """All steps. `looked_at` is when the run's account was last swept, `trouble` why a later sweep
    failed. `time` is what the run usually takes.
    """

    steps: tuple[StepProgress, ...]
    looked_at: datetime | None
    seen: str
    elapsed_seconds: float
    time: RunTime
    trouble: str = ""

    @property
    def expected_seconds(self) -> float:
        """What the run usually takes."""
        return self.time.typical_seconds

    @property
    def late_step(self) -> StepProgress | None:
        """The step that takes longer than in nine of ten runs now, if any."""
        return next((step for step in self.steps if step.late), None)

    @property
    def done_steps(self) -> int:
        """How many steps are done."""
        return sum(step.state == DONE for step in self.steps)


def progress(run: Run, now: datetime) -> Progress:
    """The progress of a run at `now`."""
    pace = settings.PROVISIONING_PACE
    saga = steps_of(run.saga)
    times = step_times(run.saga, saga, run.plan_data)
    ended = run.finished_at or now
    steps = step_progress(saga, run.journal(), ended, pace=pace, times=times)
    account = run.endpoint.account
    asked = account.next_sweep_at is not None and account.next_sweep_at > run.created_at
    busy = next((step for step in steps if step.state in (WAITING, DOING, UNDOING)), None)
    return Progress(
        steps,
        account.last_sweep_at,
        busy.seen if busy else "",
        ((run.finished_at or now) - run.created_at).total_seconds(),
        time_of_run(list(times.values())),
        account.last_sweep_error if asked and run.watch_id is not None and not run.over else "",
    )


def plan_time(plan_data: Mapping[str, Any]) -> RunTime:
    """What the run of a plan usually takes, without a grace period."""
    saga = SAGA_OF[plan_data["action"]]
    steps = [step for step in saga.steps if step.expected_seconds]
    return time_of_run(list(step_times(saga.name, steps, plan_data).values()))


def step_progress(
    steps: Sequence[Step[Any]],
    journal: Sequence[Entry],
    now: datetime,
    *,
    pace: float,
    times: Mapping[str, StepTime] = MappingProxyType({}),
) -> tuple[StepProgress, ...]:
    """The progress that a journal shows at `now`. Without `times`, each step takes what AWS
    documents.
    """
    unwinding = reason_to_unwind(steps, journal, pace)
    lines = []
    reached = True
    for step in steps:
        forward = [e for e in journal if e.step == step.name and e.direction is Direction.FORWARD]
        backward = [e for e in journal if e.step == step.name and e.direction is Direction.BACKWARD]
        failed = unwinding is not None and unwinding.step == step.name
        state = _state(forward, backward, reached=reached, failed=failed, pace=pace)
        reached = reached and state == DONE
        entries = backward or forward
        elapsed = None
        if forward:
            end = (
                forward[-1].at
                if state in (DONE, FAILED)
                else backward[-1].at
                if state == UNDONE
                else now
            )
            elapsed = max(0.0, (end - forward[0].since).total_seconds())
        seen = (
            str(entries[-1].data.get("seen") or entries[-1].data.get("reason") or "")
            if entries
            else ""
        )
        time = times.get(step.name) or StepTime(step.expected_seconds / pace)
        lines.append(
            StepProgress(
                step.name,
                step.title,
                state,
                seen,
                elapsed,
                time.typical_seconds,
                late=state in (DOING, WAITING) and time.late(elapsed),
            )
        )
    return tuple(lines)


def _state(
    forward: Sequence[Entry], backward: Sequence[Entry], *, reached: bool, failed: bool, pace: float
) -> str:
    if backward:
        last = backward[-1]
        if last.kind is EntryKind.READY:
            return UNDONE
        return FAILED if _given_up(last, pace) else UNDOING
    if failed or (forward and _given_up(forward[-1], pace)):
        return FAILED
    if not forward:
        return DOING if reached else TODO
    if forward[-1].kind is EntryKind.READY:
        return DONE
    return WAITING if forward[-1].kind is EntryKind.WORKING else DOING


def _given_up(entry: Entry, pace: float) -> bool:
    return entry.kind is EntryKind.REFUSED or (
        entry.kind is EntryKind.RETRY and exhausted(entry, pace)
    )
