"""The progress of a run, for people: each step with its state, elapsed and expected time, and what
AWS last said. Read from the journal, not from events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from provisioning.engine.decide import Direction, Entry, EntryKind, exhausted, reason_to_unwind
from provisioning.engine.step import Step
from provisioning.models import Run
from provisioning.sagas import steps_of

TODO, DOING, WAITING, DONE = "todo", "doing", "waiting", "done"
FAILED, UNDOING, UNDONE = "failed", "undoing", "undone"


@dataclass(frozen=True)
class StepProgress:
    """One step. Seconds are real seconds; `elapsed_seconds` is None before the step begins."""

    name: str
    title: str
    state: str
    seen: str
    elapsed_seconds: float | None
    expected_seconds: float


@dataclass(frozen=True)
class Progress:
    """All steps. `looked_at` is when the run's account was last swept, `trouble` why a later sweep
    failed.
    """

    steps: tuple[StepProgress, ...]
    looked_at: datetime | None
    seen: str
    elapsed_seconds: float
    expected_seconds: float
    trouble: str = ""

    @property
    def done_steps(self) -> int:
        """How many steps are done."""
        return sum(step.state == DONE for step in self.steps)


def progress(run: Run, now: datetime) -> Progress:
    """The progress of a run at `now`."""
    pace = settings.PROVISIONING_PACE
    steps = step_progress(steps_of(run.saga), run.journal(), run.finished_at or now, pace=pace)
    account = run.endpoint.account
    asked = account.next_sweep_at is not None and account.next_sweep_at > run.created_at
    busy = next((step for step in steps if step.state in (WAITING, DOING, UNDOING)), None)
    return Progress(
        steps,
        account.last_sweep_at,
        busy.seen if busy else "",
        ((run.finished_at or now) - run.created_at).total_seconds(),
        sum(step.expected_seconds for step in steps),
        account.last_sweep_error if asked and run.watch_id is not None and not run.over else "",
    )


def step_progress(
    steps: Sequence[Step[Any]], journal: Sequence[Entry], now: datetime, *, pace: float
) -> tuple[StepProgress, ...]:
    """The progress that a journal shows at `now`."""
    unwinding = reason_to_unwind(journal, pace)
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
        lines.append(
            StepProgress(step.name, step.title, state, seen, elapsed, step.expected_seconds / pace)
        )
    return tuple(lines)


def _state(
    forward: Sequence[Entry], backward: Sequence[Entry], *, reached: bool, failed: bool, pace: float
) -> str:
    if backward:
        last = backward[-1]
        given_up = last.kind is EntryKind.REFUSED or (
            last.kind is EntryKind.RETRY and exhausted(last, pace)
        )
        return UNDONE if last.kind is EntryKind.READY else FAILED if given_up else UNDOING
    if failed:
        return FAILED
    if not forward:
        return DOING if reached else TODO
    if forward[-1].kind is EntryKind.READY:
        return DONE
    return WAITING if forward[-1].kind is EntryKind.WORKING else DOING
