"""What can be asked of privacy audits: request one, make one. AWS is looked at outside of
transactions.

It must never lose an audit that was asked for: a worker that dies leaves a lease that ends.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import IntegrityError, transaction

from checks.actions import renew_connection
from checks.models import PrivacyAudit
from checks.preflight import PreflightSubject
from checks.privacy import signing
from checks.privacy.keys import KeyFault, signing_key
from checks.privacy.rules import Answer, Outcome, audit, facts_told, in_words, not_seen, outcome_of
from provisioning import events
from provisioning.aws.errors import AwsError
from provisioning.aws.session import aws_for
from provisioning.aws.snapshot import take_snapshot
from provisioning.facts import names
from provisioning.facts.snapshot import Snapshot
from provisioning.models import Endpoint
from provisioning.poller import account_ref

LEASE_SECONDS = 180.0
EVENT = "privacy.audited"
_LEVELS = {Outcome.PASS: "good", Outcome.FAIL: "error", Outcome.UNKNOWN: "warning"}
log = logging.getLogger(__name__)


def request_audit(endpoint: Endpoint, *, by: str, stream: str, now: datetime) -> PrivacyAudit:
    """Ask for an audit; the one under way is returned if there is one."""
    while True:
        under_way: PrivacyAudit | None = PrivacyAudit.objects.filter(
            endpoint=endpoint, made_at__isnull=True
        ).first()
        if under_way is not None:
            return under_way
        # Somebody else may ask at the same moment, and that audit may end before we look again.
        with contextlib.suppress(IntegrityError), transaction.atomic():
            return PrivacyAudit.objects.create(
                endpoint=endpoint, stream=stream, requested_by=by, asked_at=now, due_at=now
            )


def make_audit(audit_id: str, *, clock: Callable[[], datetime]) -> None:
    """Make a due audit that nobody else is making: look, judge, sign, store, and tell if the
    outcome is another.
    """
    now = clock()
    due = PrivacyAudit.objects.due(now).filter(pk=audit_id)
    lease = now + timedelta(seconds=LEASE_SECONDS)
    if due.update(lease_until=lease) != 1:
        return
    asked = PrivacyAudit.objects.select_related("endpoint__account").get(pk=audit_id)
    snapshot, answers = _look(asked.endpoint)
    renew_connection()
    if snapshot is not None and (held := snapshot.held_back) is not None:
        again = clock() + timedelta(seconds=max(1.0, held.turn_in_seconds or 0.0))
        # Only while it is ours: another worker may have taken up what this one slept over.
        PrivacyAudit.objects.filter(pk=asked.pk, lease_until=lease).update(
            due_at=again, lease_until=None
        )
        return
    _record(asked, snapshot, answers, clock())


def _look(endpoint: Endpoint) -> tuple[Snapshot | None, tuple[Answer, ...]]:
    """What AWS says and what follows. A fault of our own makes everything unknown: nobody waits for
    ever.
    """
    spec, owner = endpoint.spec, settings.PROVISIONING_OWNER
    try:
        aws = aws_for(account_ref(endpoint.account))
        taken = take_snapshot(
            aws, target_arn=spec.target_arn, distribution_id=spec.distribution_id, owner=owner
        )
        return taken, audit(
            PreflightSubject.of(spec, origin_id=names.origin_id(owner, endpoint.key)), taken
        )
    except AwsError as error:
        return None, not_seen(f"AWS could not be asked: {error} {error.fix}".strip())
    except DatabaseError:
        raise
    except Exception as fault:
        log.exception("privacy audit of %s: a fault of the portal", endpoint.pk)
        return None, not_seen(
            f"The portal itself failed ({type(fault).__name__}). Tell its operators."
        )


def _record(
    asked: PrivacyAudit, snapshot: Snapshot | None, answers: tuple[Answer, ...], now: datetime
) -> None:
    outcome = outcome_of(answers)
    document = events.redact_data(_document(asked, snapshot, answers, now))
    signature, unsigned_because = _signature(document)
    # Before the first audit the endpoint is what was promised: private.
    before = _outcome_before(asked) or Outcome.PASS
    with transaction.atomic():
        made = PrivacyAudit.objects.filter(pk=asked.pk, made_at__isnull=True).update(
            made_at=now,
            lease_until=None,
            outcome=outcome,
            document=document,
            digest=signing.digest(document),
            signature=signature,
            unsigned_because=unsigned_because,
        )
        if made and asked.stream and outcome != before:
            data = {"audit": str(asked.pk), "outcome": outcome.value, "before": str(before)}
            events.append(
                asked.stream, EVENT, in_words(answers), at=now, level=_LEVELS[outcome], data=data
            )


def _outcome_before(asked: PrivacyAudit) -> str:
    earlier = PrivacyAudit.objects.filter(
        endpoint=asked.endpoint_id, made_at__isnull=False
    ).exclude(pk=asked.pk)
    return earlier.order_by("-asked_at").values_list("outcome", flat=True).first() or ""


def _document(
    asked: PrivacyAudit, snapshot: Snapshot | None, answers: tuple[Answer, ...], now: datetime
) -> dict[str, Any]:
    """Everything that an auditor needs to read it years later; only texts, whole numbers, true,
    false and null.
    """
    endpoint, spec = asked.endpoint, asked.endpoint.spec
    return {
        "kind": "privacy-audit",
        "version": 1,
        "id": str(asked.pk),
        "made_by": {"portal": settings.PORTAL_URL, "owner": settings.PROVISIONING_OWNER},
        "asked_by": asked.requested_by,
        "asked_at": _moment(asked.asked_at),
        "made_at": _moment(now),
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
        "aws_answered": facts_told(snapshot) if snapshot else None,
    }


def _signature(document: dict[str, Any]) -> tuple[dict[str, str], str]:
    """The signature, or why there is none: an audit is worth having all the same."""
    try:
        key = signing_key()
    except KeyFault as fault:
        log.error("a privacy audit is not signed: %s", fault)
        return {}, "The portal could not read its key (EVIDENCE_KEY_FILE)."
    if key is None:
        return {}, "The portal has no key (EVIDENCE_KEY_FILE is not set)."
    return signing.sign(document, key), ""


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
