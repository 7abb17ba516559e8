"""Explains a handshake that failed: makes the next most telling probe by itself until a cause is shown.

Decides only when to stop: when nothing is left to find out, when the next probe needs a person or minutes, or after a
few. It must never change anything, in AWS or at the app: every probe is a handshake or a GET.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from checks.look import AwsView
from checks.target import ProbeTarget
from checks.transcript import Reason, Transcript
from checks.weigh import Conclusion, Observations, weigh

MOST_PROBES = 6
AGAIN = 2
OUR_OWN = frozenset({Reason.BAD_URL, Reason.BAD_REQUEST, Reason.PROBE_ERROR, Reason.ADDRESS_REFUSED})


@dataclass(frozen=True, slots=True)
class Explained:
    """What was seen in the end, and what follows from it."""

    seen: Observations
    conclusion: Conclusion


def explain(
    seen: Observations,
    *,
    target: ProbeTarget,
    probe: Callable[[ProbeTarget], Transcript],
    look: Callable[[], AwsView],
) -> Explained:
    """Weigh, make the probe that would tell more, weigh again."""
    conclusion = weigh(seen)
    failure = seen.handshake.failure
    if failure is not None and failure.reason in OUR_OWN:
        return Explained(seen, replace(conclusion, next_probe=None))
    for _ in range(MOST_PROBES):
        if conclusion.next_probe is None:
            break
        match conclusion.next_probe.kind:
            case "AWS":
                view = look()
                seen = replace(
                    seen,
                    looked=True,
                    serving=view.serving,
                    preflight=view.preflight,
                    vpc_origin_status=view.vpc_origin_status,
                    clocks=view.clocks,
                )
            case "without Origin":
                seen = replace(seen, without_origin=probe(replace(target, origin=None)))
            case "plain GET":
                seen = replace(seen, plain_get=probe(replace(target, upgrade=False)))
            case "again":
                seen = replace(seen, again=tuple(probe(target) for _ in range(AGAIN)))
            case _:
                break
        conclusion = weigh(seen)
    return Explained(seen, conclusion)
