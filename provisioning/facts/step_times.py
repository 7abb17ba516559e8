"""How long steps take, from this installation's own runs (PURE)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ENOUGH = 10
"""Runs from which “nine of ten” means something."""
ACCOUNT, REGION, INSTALLATION, DOCUMENTED = "account", "region", "installation", "documented"
RESOURCES: Mapping[str, tuple[str, ...]] = {
    "vpc-origin": ("vpc-origin",),
    "ingress": ("ingress-rule",),
    "behaviors": ("origin", "behavior"),
    "old-vpc-origin": ("vpc-origin",),
    "old-ingress": ("ingress-rule",),
}
"""The plan's resources that a step is about. What others take does not depend on the plan."""


@dataclass(frozen=True)
class StepSample:
    """A step of a finished run, in real seconds. `acted` says whether it changed something: one
    that finds its VPC origin in place takes no time.
    """

    saga: str
    step: str
    account_id: str
    region: str
    acted: bool
    seconds: float


@dataclass(frozen=True)
class StepTime:
    """How long a step takes: half of `runs` took no longer than `typical_seconds`, nine of ten no
    longer than `late_seconds`. `basis` says whose runs they were; without history it is what AWS
    documents, and nothing is known of nine of ten.
    """

    typical_seconds: float
    late_seconds: float | None = None
    runs: int = 0
    basis: str = DOCUMENTED

    def late(self, elapsed_seconds: float | None) -> bool:
        """Whether a step has taken longer than in nine of ten runs."""
        return None not in (self.late_seconds, elapsed_seconds) and (elapsed_seconds or 0) > (
            self.late_seconds or 0
        )


def time_of_step(
    samples: Sequence[StepSample],
    saga: str,
    step: str,
    *,
    acted: bool | None,
    account_id: str,
    region: str,
    documented_seconds: float,
) -> StepTime:
    """From the closest runs of which there are enough: of this account and Region, of the Region,
    of the installation; else what AWS documents. `acted` is what the step will do, None if that
    does not matter.
    """
    alike = [
        one
        for one in samples
        if (one.saga, one.step) == (saga, step) and acted in (None, one.acted)
    ]
    there = [one for one in alike if one.region == region]
    own = [one for one in there if one.account_id == account_id]
    for basis, chosen in ((ACCOUNT, own), (REGION, there), (INSTALLATION, alike)):
        if len(chosen) >= ENOUGH:
            seconds = sorted(one.seconds for one in chosen)
            return StepTime(_share(seconds, 0.5), _share(seconds, 0.9), len(seconds), basis)
    return StepTime(min(documented_seconds, 1.0) if acted is False else documented_seconds)


def acts(step: str, items: Iterable[Mapping[str, Any]]) -> bool | None:
    """Whether a step changes something, by the items of its plan; None if they do not say."""
    about = RESOURCES.get(step, ())
    own = [item["action"] for item in items if item["resource"] in about]
    return any(action not in ("keep", "reuse") for action in own) if own else None


@dataclass(frozen=True)
class RunTime:
    """The sum over a run's steps. The weakest basis of them counts; nine of ten are known only
    where they are known of each step that takes long.
    """

    typical_seconds: float
    late_seconds: float | None
    runs: int
    basis: str

    @property
    def words(self) -> str:
        """Where the figures come from, in a sentence."""
        if self.basis == DOCUMENTED:
            return "Estimated from AWS's usual times, since few runs have finished here."
        whose = {
            ACCOUNT: "in this account and Region",
            REGION: "in this Region",
            INSTALLATION: "of this portal, in other Regions",
        }[self.basis]
        return f"From the last {self.runs} runs {whose}."


def time_of_run(times: Sequence[StepTime]) -> RunTime:
    """The sum of the steps' times."""
    order = (ACCOUNT, REGION, INSTALLATION, DOCUMENTED)
    long = [one for one in times if one.typical_seconds > 1] or list(times)
    weakest = max(long, key=lambda one: order.index(one.basis))
    known = [one.late_seconds for one in long if one.late_seconds is not None]
    return RunTime(
        sum(one.typical_seconds for one in times),
        sum(known) if len(known) == len(long) else None,
        min(one.runs for one in long),
        weakest.basis,
    )


def in_words(seconds: float) -> str:
    """`95` → “95 s”, `130` → “2 min”."""
    return f"{round(seconds)} s" if seconds < 120 else f"{round(seconds / 60)} min"


def _share(ordered: Sequence[float], share: float) -> float:
    """The smallest value that this share of the values does not exceed."""
    return ordered[math.ceil(share * len(ordered)) - 1]
