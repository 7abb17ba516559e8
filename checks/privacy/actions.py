"""Request a privacy audit, and make one. AWS is called outside transactions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction

from checks.actions import renew_connection
from checks.models import EndpointHealth, PrivacyAudit
from checks.preflight import PreflightSubject
from checks.privacy import signing
from checks.privacy.exceptions import acceptances, iso_utc
from checks.privacy.keys import KeyFault, signing_key
from checks.privacy.rules import Answer, Outcome, audit, facts_seen, in_words, not_seen, outcome_of
from provisioning import events
from provisioning.aws.errors import AwsError
from provisioning.facts.snapshot import Snapshot
from provisioning.models import Endpoint

LEASE_SECONDS = 180.0
FIRST_AFTER = timedelta(minutes=10)
"""The preflight has just judged a new endpoint; the first audit waits until it has settled."""
EVENT = "privacy.audited"
_LEVELS = {
    Outcome.PASS: "good",
    Outcome.ACCEPTED: "info",
    Outcome.FAIL: "error",
    Outcome.UNKNOWN: "warning",
}
log = logging.getLogger(__name__)


def schedule_first_audit(endpoint: Endpoint, now: datetime) -> None:
    """An endpoint was deployed: the schedule requests an audit when it has settled."""
    schedule_audit(endpoint, now + FIRST_AFTER)


def schedule_audit(endpoint: Endpoint, at: datetime | None) -> None:
    """When the schedule next requests an audit; None for never."""
    EndpointHealth.objects.update_or_create(endpoint=endpoint, defaults={"next_audit_at": at})


def request_audit(endpoint: Endpoint, *, by: str, stream: str, now: datetime) -> PrivacyAudit:
    """Request an audit, or return the one under way. The schedule requests the next one a day later
    (PRIVACY_AUDIT_HOURS), or as soon as an accepted exception ends.
    """
    asked, _ = PrivacyAudit.objects.get_or_request(endpoint, by=by, now=now, stream=stream)
    if settings.PRIVACY_AUDIT_HOURS:
        accepted = endpoint.privacy_exceptions.in_force(now)
        ends = accepted.order_by("until").values_list("until", flat=True)[:1]
        schedule_audit(endpoint, min([now + timedelta(hours=settings.PRIVACY_AUDIT_HOURS), *ends]))
    return asked


def make_audit(audit_id: str, *, clock: Callable[[], datetime]) -> None:
    """Make a due audit that no other worker is making: observe AWS, judge, sign, store, and append
    an event if the outcome changed.
    """
    asked = PrivacyAudit.objects.select_related("endpoint__account").filter(pk=audit_id).first()
    if asked is None or not asked.claim(clock(), LEASE_SECONDS):
        return
    snapshot, answers = _observe(asked.endpoint, clock())
    renew_connection()
    if snapshot is not None and (held := snapshot.held_back) is not None:
        pause = timedelta(seconds=max(1.0, held.turn_in_seconds or 0.0))
        asked.release(due_at=clock() + pause)
        return
    _record(asked, snapshot, answers, clock())


def _observe(endpoint: Endpoint, now: datetime) -> tuple[Snapshot | None, tuple[Answer, ...]]:
    """What AWS says, and the answers. A bug of ours makes every answer unknown, so that the audit
    still finishes.
    """
    spec = endpoint.spec
    try:
        taken = endpoint.account.snapshot_for(spec.target_arn, spec.distribution_id)
        subject = PreflightSubject.of(spec, origin_id=endpoint.origin_id)
        return taken, audit(subject, taken, acceptances(endpoint, now))
    except AwsError as error:
        return None, not_seen(f"The calls to AWS failed: {error} {error.fix}".strip())
    except DatabaseError:
        raise
    except Exception as fault:
        log.exception("privacy audit of %s: a bug of the portal", endpoint.pk)
        return None, not_seen(
            f"The portal itself failed ({type(fault).__name__}). Contact its operators."
        )


def _record(
    asked: PrivacyAudit, snapshot: Snapshot | None, answers: tuple[Answer, ...], now: datetime
) -> None:
    outcome = outcome_of(answers)
    document = events.redact_data(_document(asked, snapshot, answers, now))
    signature, unsigned_reason = {}, ""  # an unsigned audit is better than none
    try:
        key = signing_key()
    except KeyFault as fault:
        log.error("a privacy audit is not signed: %s", fault)
        unsigned_reason = "The portal could not read its key (EVIDENCE_KEY_FILE)."
    else:
        if key is None:
            unsigned_reason = "The portal has no key (EVIDENCE_KEY_FILE is not set)."
        else:
            signature = signing.sign(document, key)
    earlier = PrivacyAudit.objects.finished().filter(endpoint=asked.endpoint_id)
    # Before its first audit an endpoint counts as private: that is what was promised.
    before = earlier.values_list("outcome", flat=True).first() or Outcome.PASS
    with transaction.atomic():
        finished = asked.finish(
            now,
            outcome=outcome,
            document=document,
            digest=signing.digest(document),
            signature=signature,
            unsigned_reason=unsigned_reason,
        )
        if finished:
            EndpointHealth.objects.update_or_create(
                endpoint=asked.endpoint, defaults={"privacy": outcome, "privacy_at": now}
            )
        if finished and asked.stream and outcome != before:
            data = {"audit": str(asked.pk), "outcome": outcome.value, "before": str(before)}
            events.append(
                asked.stream, EVENT, in_words(answers), at=now, level=_LEVELS[outcome], data=data
            )


def _document(
    asked: PrivacyAudit, snapshot: Snapshot | None, answers: tuple[Answer, ...], now: datetime
) -> dict[str, Any]:
    """Everything that an auditor needs to understand it years later: strings, integers, booleans
    and null only.
    """
    endpoint, spec = asked.endpoint, asked.endpoint.spec
    return {
        "kind": "privacy-audit",
        "version": 2,
        "id": str(asked.pk),
        "made_by": {"portal": settings.PORTAL_URL, "owner": settings.PROVISIONING_OWNER},
        "asked_by": asked.requested_by,
        "asked_at": iso_utc(asked.requested_at),
        "made_at": iso_utc(now),
        "endpoint": {
            "id": str(endpoint.pk),
            "name": endpoint.name,
            "team": endpoint.owner,
            "account": endpoint.account_id,
            "address": endpoint.url,
            "target": spec.target_arn,
            "ports": list(spec.origin_ports),
            "distribution": spec.distribution_id,
            "paths": list(spec.path_patterns),
        },
        "outcome": outcome_of(answers).value,
        "questions": [answer.to_dict() for answer in answers],
        "aws_answered": facts_seen(snapshot) if snapshot else None,
    }
