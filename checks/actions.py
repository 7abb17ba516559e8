"""What can be asked of checks: request one, make one, each in its own transaction around one network attempt."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import IntegrityError, transaction

from checks.address_guard import parse_networks
from checks.connect_to import parse_connect_to
from checks.explaining import AGAIN, MOST_PROBES, Explained, explain
from checks.look import look_at_aws
from checks.models import Check
from checks.prober import Limits, ProbeNetwork, ProbeTarget, Script, probe_blocking
from checks.transcript import Failure, Phase, Reason, Transcript
from checks.weigh import Observations, ProbeKind, weigh
from provisioning import events
from provisioning.models import Endpoint

TRY_AGAIN_SECONDS = 10.0
ORIGIN_GIVES_UP_SECONDS = 30.0  # CloudFront's 10 s × 3 attempts before it answers 504 for a dead origin
LEASE_MARGIN_SECONDS = 10.0
EDGES_SETTLE_SECONDS = 120.0
log = logging.getLogger(__name__)


def request_check(endpoint: Endpoint, *, by: str, stream: str, now: datetime, patient: bool = False) -> Check:
    """Ask for a handshake check; the one under way is returned if there is one. A `patient` check tries again for
    two minutes (of AWS's time), because right after Deployed some edges may still serve the old config.
    """
    until = now + timedelta(seconds=EDGES_SETTLE_SECONDS / settings.PROVISIONING_PACE) if patient else now
    while True:
        under_way: Check | None = Check.objects.filter(endpoint=endpoint, finished_at__isnull=True).first()
        if under_way is not None:
            return under_way
        # Somebody else may ask at the same moment, and that check may end before we look again.
        with contextlib.suppress(IntegrityError), transaction.atomic():
            return Check.objects.create(
                endpoint=endpoint, stream=stream, requested_by=by, asked_at=now, due_at=now, tries_until=until
            )


def probe_network() -> ProbeNetwork:
    """Name resolution, trust and admitted networks, as set by whoever operates the portal."""
    return ProbeNetwork(
        connect_to=parse_connect_to(settings.PROBE_CONNECT_TO),
        ca_file=settings.PROBE_CA_FILE or None,
        allowed_networks=parse_networks(",".join(settings.PROBE_ALLOWED_NETWORKS)),
    )


def probe_limits() -> Limits:
    """Patient enough to hear the edge say that the origin did not answer."""
    usual = Limits()
    return replace(usual, total_s=usual.total_s + ORIGIN_GIVES_UP_SECONDS / settings.PROVISIONING_PACE)


def make_check(check_id: str, *, clock: Callable[[], datetime]) -> Check | None:
    """Make a due check that nobody else is making: one handshake through the edge, judged, stored and told."""
    limits = probe_limits()
    now = clock()
    due = Check.objects.due(now).filter(pk=check_id)
    if due.update(lease_until=now + timedelta(seconds=limits.total_s + LEASE_MARGIN_SECONDS)) != 1:
        return None
    check = Check.objects.select_related("endpoint").get(pk=check_id)
    transcript = _probe(check, limits)
    now = clock()
    if not transcript.live and now < check.tries_until:
        again = now + timedelta(seconds=TRY_AGAIN_SECONDS / settings.PROVISIONING_PACE)
        Check.objects.filter(pk=check.pk).update(due_at=again, lease_until=None)
        return check
    if not transcript.live:
        explaining = timedelta(seconds=(MOST_PROBES + AGAIN) * limits.total_s + LEASE_MARGIN_SECONDS)
        Check.objects.filter(pk=check.pk).update(lease_until=now + explaining)
    _record(check, _explain(check, transcript, limits), clock())
    return check


def _probe(check: Check, limits: Limits) -> Transcript:
    """What was seen. A fault of our own is a finding too, about us: nobody waits for ever for a check that fails."""
    try:
        return probe_blocking(_target(check.endpoint), network=probe_network(), script=Script(), limits=limits)
    except DatabaseError:
        raise
    except Exception as fault:
        log.exception("check %s: a fault of the portal", check.pk)
        failure = Failure(Phase.URL, Reason.PROBE_ERROR, f"{type(fault).__name__}: {fault}"[:300])
        return Transcript(url=check.endpoint.domain_name, failures=(failure,))


def _explain(check: Check, transcript: Transcript, limits: Limits) -> Explained:
    """What follows from it; for a handshake that failed, after the probes that tell why. A fault of our own on the way
    leaves the first look.
    """
    seen = Observations(transcript, origin_tls=check.endpoint.spec.origin_protocol == "https-only")
    script = Script.handshake_only()

    def again(target: ProbeTarget) -> Transcript:
        return probe_blocking(target, network=probe_network(), script=script, limits=limits)

    try:
        return explain(seen, target=_target(check.endpoint), probe=again, look=lambda: look_at_aws(check.endpoint))
    except DatabaseError:
        raise
    except Exception:
        log.exception("check %s: a fault of the portal while explaining", check.pk)
        return Explained(seen, weigh(seen))


def _target(endpoint: Endpoint) -> ProbeTarget:
    spec = endpoint.spec
    return ProbeTarget(url=endpoint.url, subprotocols=spec.subprotocols, origin=f"https://{endpoint.domain_name}")


def _record(check: Check, explained: Explained, now: datetime) -> None:
    transcript, first = explained.seen.handshake, explained.conclusion.first
    next_probe = explained.conclusion.next_probe
    with transaction.atomic():
        changed = Check.objects.filter(pk=check.pk, finished_at__isnull=True).update(
            finished_at=now,
            lease_until=None,
            ok=transcript.live,
            verdict=first.verdict.code,
            total_ms=transcript.timing.total,
            transcript_data=transcript.to_dict(),
            findings=[diagnosis.to_dict() for diagnosis in explained.conclusion.diagnoses],
            next_probe=next_probe.kind if next_probe else "",
            probes=[{"kind": kind, "transcript": made.to_dict()} for kind, made in _further(explained.seen)],
        )
        if changed and check.stream:
            events.append(
                check.stream,
                "check.finished",
                f"{first.verdict.title.rstrip('.')}. {first.verdict.plain}",
                at=now,
                level="good" if transcript.live else "error",
                data={
                    "check": str(check.pk),
                    "ok": transcript.live,
                    "verdict": first.verdict.code,
                    "url": transcript.url,
                    "status": transcript.response.status if transcript.response else None,
                    "total_ms": transcript.timing.total,
                },
            )
    check.refresh_from_db()


def _further(seen: Observations) -> Iterator[tuple[ProbeKind, Transcript]]:
    """The probes that were made to explain the first one."""
    if seen.plain_get is not None:
        yield "plain GET", seen.plain_get
    if seen.without_origin is not None:
        yield "without Origin", seen.without_origin
    yield from (("again", transcript) for transcript in seen.again)
