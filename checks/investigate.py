"""Explains a handshake that failed: makes the most telling further probe until a cause is shown.

Stops when nothing is left to find out, when the next probe needs a person or minutes, or after a
few. Changes nothing, in AWS or at the app: every probe is a handshake or a GET.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from checks.aws_view import AwsView
from checks.diagnosis.evidence import Observations
from checks.diagnosis.probe_kinds import ProbeKind
from checks.diagnosis.ranking import Conclusion, rank_verdicts
from checks.protocol.handshake_options import ProbeTarget
from checks.protocol.transcript import Reason, Transcript
from provisioning.spec.client_profiles import BROWSER

MAX_PROBES = 8
MAX_HOSTS = 2
"""Other names of the distribution that are tried."""
MIN_REPEATS, MAX_REPEATS = 2, 4
QUICK_MS = 2000.0
"""What the repetitions may have taken together for one more to be made. A patient 504 is repeated
twice and no more.
"""
OUR_OWN = frozenset(
    {Reason.BAD_URL, Reason.BAD_REQUEST, Reason.PROBE_ERROR, Reason.ADDRESS_REFUSED}
    | {Reason.CREDENTIAL_UNAVAILABLE}
)


@dataclass(frozen=True, slots=True)
class Investigation:
    """What was seen in the end, and what follows from it."""

    seen: Observations
    conclusion: Conclusion


def investigate(
    seen: Observations,
    *,
    target: ProbeTarget,
    probe: Callable[[ProbeTarget], Transcript],
    look: Callable[[], AwsView],
    repeat: Callable[[ProbeTarget], Transcript] | None = None,
    as_host: Callable[[str], Transcript] | None = None,
    routes: Mapping[str, ProbeTarget],
) -> Investigation:
    """Rank, make the probe that would tell more, rank again. `probe` makes a handshake and no more,
    `repeat` the whole check, for a WebSocket that opens and is then closed; `as_host` makes the
    same handshake for another name of the distribution. `routes` are the routes past the edge,
    if any are allowed: tried where no socket opens and what is left needs a person or minutes.
    """
    if repeat is not None and seen.handshake.upgraded:
        probe = repeat
    conclusion = rank_verdicts(seen)
    failure = seen.handshake.failure
    if failure is not None and failure.reason in OUR_OWN:
        return Investigation(seen, replace(conclusion, next_probe=None))
    for _ in range(MAX_PROBES):
        if conclusion.next_probe is None:
            break
        match conclusion.next_probe:
            case ProbeKind.AWS:
                view = look()
                seen = replace(
                    seen,
                    looked=True,
                    behavior=view.behavior,
                    preflight=view.preflight,
                    vpc_origin_status=view.vpc_origin_status,
                    idle_timeouts=view.idle_timeouts,
                )
            case ProbeKind.WITHOUT_ORIGIN:
                seen = replace(seen, without_origin=probe(replace(target, origin=None)))
            case ProbeKind.ORIGIN_AS_HOST if seen.behavior is not None:
                equal = replace(target, origin=f"https://{seen.behavior.origin_domain}")
                seen = replace(seen, origin_as_host=probe(equal))
            case ProbeKind.AS_BROWSER:
                seen = replace(seen, as_browser=probe(replace(target, client=BROWSER.key)))
            case ProbeKind.OTHER_HOST if as_host is not None and seen.behavior is not None:
                names = seen.behavior.other_names[:MAX_HOSTS]
                seen = replace(seen, other_hosts=tuple((name, as_host(name)) for name in names))
            case ProbeKind.PLAIN_GET:
                seen = replace(seen, plain_get=probe(replace(target, upgrade=False)))
            case ProbeKind.AGAIN:
                seen = replace(seen, again=_repeated(seen.handshake, lambda: probe(target)))
            case _ if routes and not seen.routes and not seen.handshake.upgraded:
                seen = replace(
                    seen, routes=tuple((name, probe(route)) for name, route in routes.items())
                )
            case _:
                break
        conclusion = rank_verdicts(seen)
    return Investigation(seen, conclusion)


def _repeated(handshake: Transcript, probe: Callable[[], Transcript]) -> tuple[Transcript, ...]:
    """The same handshake twice; up to four times as long as all end alike and quickly, since two
    edges in a row that lag behind may be chance.
    """
    again: list[Transcript] = []
    while len(again) < MAX_REPEATS:
        again.append(probe())
        alike = all(other.upgraded == handshake.upgraded for other in again)
        took_ms = sum(other.timing.total or 0.0 for other in again)
        if len(again) >= MIN_REPEATS and not (alike and took_ms < QUICK_MS):
            break
    return tuple(again)
