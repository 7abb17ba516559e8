"""How long the steps of recent runs took, read from their journals."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, Min, Q

from provisioning.engine.decide import Direction, EntryKind
from provisioning.engine.step import Step
from provisioning.facts import watched
from provisioning.facts.step_times import StepSample, StepTime, acts, time_of_step
from provisioning.models import AwsAccount, JournalEntry, Run

CREATE_ENDPOINT = "create-endpoint"
WAITED_FOR_IN = {watched.VPC_ORIGIN: "vpc-origin", watched.DISTRIBUTION: "behaviors"}
"""The step of a creation that waits for such a resource."""
RUNS_READ = 300
"""The latest finished ones."""


class RecentSteps:
    """The samples of the latest runs, read again when another run has finished."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: tuple[int, tuple[StepSample, ...]] = (0, ())

    def samples(self) -> tuple[StepSample, ...]:
        """Those of the runs that are done."""
        done = Run.objects.filter(state=Run.State.DONE).order_by("-pk")
        newest = done.values_list("pk", flat=True).first() or 0
        with self._lock:
            kept = self._kept
        if kept[0] != newest:
            kept = (newest, _read())
            with self._lock:
                self._kept = kept
        return kept[1]


_recent = RecentSteps()


def step_times(
    saga: str, steps: Sequence[Step[Any]], plan_data: Mapping[str, Any]
) -> dict[str, StepTime]:
    """The time of each step of a plan, in real seconds, by the step's name."""
    samples, pace = _recent.samples(), settings.PROVISIONING_PACE
    spec = plan_data["spec"]
    return {
        step.name: time_of_step(
            samples,
            saga,
            step.name,
            acted=acts(step.name, plan_data["items"]),
            account_id=spec["account_id"],
            region=_region(spec["target_arn"]),
            documented_seconds=step.expected_seconds / pace,
        )
        for step in steps
    }


def resource_times(account: AwsAccount, steps: Sequence[Step[Any]]) -> dict[str, StepTime]:
    """How long AWS takes for a change of each kind of resource that runs wait for, in real seconds,
    by the `steps` of a creation.
    """
    samples, pace = _recent.samples(), settings.PROVISIONING_PACE
    by_name = {step.name: step for step in steps}
    return {
        resource: time_of_step(
            samples,
            CREATE_ENDPOINT,
            name,
            acted=True,
            account_id=account.pk,
            region=account.region,
            documented_seconds=by_name[name].expected_seconds / pace,
        )
        for resource, name in WAITED_FOR_IN.items()
    }


def _region(target_arn: str) -> str:
    return target_arn.split(":")[3]


def _read() -> tuple[StepSample, ...]:
    """A step's time is that from its first look to its readiness."""
    done = Run.objects.filter(state=Run.State.DONE).order_by("-pk")[:RUNS_READ]
    runs = {
        one["pk"]: one
        for one in done.values(
            "pk", "saga", "plan_data__spec__account_id", "plan_data__spec__target_arn"
        )
        if one["plan_data__spec__target_arn"]
    }
    entries = JournalEntry.objects.filter(run__in=list(runs), direction=Direction.FORWARD)
    changed = Count("pk", filter=Q(kind__in=[EntryKind.INTENT, EntryKind.ACTED]))
    spans = (
        entries.exclude(step="")
        .values("run", "step")
        .annotate(began=Min("since"), ended=Max("at"), changed=changed)
        .order_by("run", "step")
    )
    return tuple(
        StepSample(
            runs[one["run"]]["saga"],
            one["step"],
            runs[one["run"]]["plan_data__spec__account_id"],
            _region(runs[one["run"]]["plan_data__spec__target_arn"]),
            bool(one["changed"]),
            (one["ended"] - one["began"]).total_seconds(),
        )
        for one in spans
    )
