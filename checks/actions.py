"""What can be asked of checks: request one, make one, each in its own transaction around one network attempt."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import IntegrityError, transaction

from checks.address_guard import parse_networks
from checks.connect_to import parse_connect_to
from checks.diagnose import Diagnosis, diagnose
from checks.models import Check
from checks.prober import Limits, ProbeNetwork, ProbeTarget, Script, probe_blocking
from checks.transcript import Failure, Phase, Reason, Transcript
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
    diagnoses = diagnose(transcript)
    now = clock()
    if not transcript.live and now < check.tries_until:
        again = now + timedelta(seconds=TRY_AGAIN_SECONDS / settings.PROVISIONING_PACE)
        Check.objects.filter(pk=check.pk).update(due_at=again, lease_until=None)
        return check
    _record(check, transcript, diagnoses, now)
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


def _target(endpoint: Endpoint) -> ProbeTarget:
    spec = endpoint.spec
    return ProbeTarget(url=endpoint.url, subprotocols=spec.subprotocols, origin=f"https://{endpoint.domain_name}")


def _record(check: Check, transcript: Transcript, diagnoses: tuple[Diagnosis, ...], now: datetime) -> None:
    first = diagnoses[0]
    with transaction.atomic():
        changed = Check.objects.filter(pk=check.pk, finished_at__isnull=True).update(
            finished_at=now,
            lease_until=None,
            ok=transcript.live,
            verdict=first.verdict.code,
            total_ms=transcript.timing.total,
            transcript_data=transcript.to_dict(),
            findings=[diagnosis.to_dict() for diagnosis in diagnoses],
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
