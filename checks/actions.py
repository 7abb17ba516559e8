"""Request a handshake check, make one, and repeat saved ones. Sockets and AWS are used outside
transactions.
"""

from __future__ import annotations

import logging
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection, transaction

from checks.aws_view import fetch_aws_view, fetch_serving
from checks.diagnosis.evidence import Observations
from checks.diagnosis.probe_kinds import ProbeKind
from checks.diagnosis.ranking import rank_verdicts
from checks.health import Health, next_health
from checks.investigate import MAX_PROBES, MIN_REPEATS, OUR_OWN, Investigation, investigate
from checks.models import Check, EndpointHealth, SavedCheck
from checks.probe.interruptible import Interrupted
from checks.probe.limits import Limits
from checks.probe.probe_request import MAX_ROUTES, parse_routes, routes_of
from checks.probe.prober import ProbeNetwork, probe_blocking
from checks.protocol.address_guard import parse_networks
from checks.protocol.connect_to import at_same_address, parse_connect_to
from checks.protocol.handshake_options import HandshakeOptions, ProbeTarget
from checks.protocol.script import Script, resolve_script
from checks.protocol.transcript import Failure, Phase, Reason, Transcript
from checks.stored_secrets.sealed_options import SealExpiredError, seal, unseal
from checks.usual_check import custom_script, usual_target, with_usual
from provisioning import events
from provisioning.due_work import Work, announce
from provisioning.models import Endpoint
from provisioning.redaction.masking import KnownSecrets, mask_header, mask_text, mask_url
from provisioning.redaction.references import UnknownSecretError, references
from provisioning.secrets.store import readable_secrets, secret_values

RETRY_SECONDS = 10.0
ORIGIN_GIVES_UP_SECONDS = 30.0
"""CloudFront makes three attempts of 10 s before it answers 504 for a dead origin."""
LEASE_MARGIN_SECONDS = 10.0
AWS_ANSWERS_SECONDS = 60.0
"""A call to AWS with its retries."""
DUE_AT_ONCE = 100
BY_SCHEDULE = "the schedule"
USUAL_CHECK = "Usual check"
CUSTOM_FINISHED = "check.custom_finished"
"""The event kind of a custom check, which has options of its own: it says nothing about the
endpoint's state.
"""
EDGES_SETTLE_SECONDS = 120.0
log = logging.getLogger(__name__)


def request_check(
    endpoint: Endpoint,
    *,
    by: str,
    stream: str,
    now: datetime,
    patient: bool = False,
    options: HandshakeOptions | None = None,
    saved: SavedCheck | None = None,
) -> Check:
    """Request a handshake check; returns the one under way if there is one. A `patient` check is
    retried for two minutes (of AWS's time): right after a deployment some edges still serve the
    old config.
    """
    patience = EDGES_SETTLE_SECONDS / settings.PROVISIONING_PACE if patient else 0.0
    check = Check(id=uuid.uuid4())
    asked = saved.options if saved else _stored(options)
    masked = _without_credentials(asked)
    return Check.objects.get_or_request(
        endpoint,
        by=by,
        now=now,
        id=check.pk,
        saved=saved,
        options=masked,
        sealed=seal(check.purpose, asked, masked, now=now),
        stream=stream,
        retry_until=now + timedelta(seconds=patience),
    )[0]


def asks_for(check: Check, options: HandshakeOptions | None, *, now: datetime) -> bool:
    """Whether a check was requested with these options, credentials included while it has them."""
    asked = _stored(options)
    if check.finished_at is not None:
        return bool(check.options == _without_credentials(asked))
    try:
        return unseal(check.purpose, check.sealed, check.options, now=now) == asked
    except SealExpiredError:
        return False


def _stored(options: HandshakeOptions | None) -> dict[str, Any]:
    return {} if options is None or options.usual else options.to_dict()


def _without_credentials(asked: Mapping[str, Any]) -> dict[str, Any]:
    return _stored(HandshakeOptions.from_dict(asked).masked()) if asked else {}


def save_check(
    endpoint: Endpoint,
    name: str,
    options: HandshakeOptions,
    *,
    every_minutes: int,
    after_changes: bool,
    by: str,
    stream: str,
    now: datetime,
) -> SavedCheck:
    """Save a check under a name, replacing one of that name."""
    values = {
        "options": _stored(options),
        "every_minutes": every_minutes,
        "after_changes": after_changes,
        "stream": stream,
        "created_by": by,
        "next_due_at": now + timedelta(minutes=every_minutes) if every_minutes else None,
    }
    return SavedCheck.objects.update_or_create(endpoint=endpoint, name=name, defaults=values)[0]


def schedule_usual_check(endpoint: Endpoint, *, stream: str, now: datetime) -> SavedCheck | None:
    """Check the endpoint's usual handshake on a schedule; None if CHECK_EVERY_MINUTES is 0."""
    every = settings.CHECK_EVERY_MINUTES
    if not every:
        return None
    return save_check(
        endpoint,
        USUAL_CHECK,
        HandshakeOptions(),
        every_minutes=every,
        after_changes=False,
        by="the portal",
        stream=stream,
        now=now,
    )


def usual_check_interval(endpoint: Endpoint) -> int:
    """How often the endpoint's usual check runs by itself, in minutes; 0 without a schedule."""
    scheduled = SavedCheck.objects.filter(endpoint=endpoint, options={}, every_minutes__gt=0)
    return min(scheduled.values_list("every_minutes", flat=True), default=0)


def request_due_checks(now: datetime) -> int:
    """Request every saved check that is due, and return how many. A saved check waits for one
    under way; that of an endpoint that is not deployed skips its turn, or ends with the endpoint.
    """
    asked = 0
    due = SavedCheck.objects.due(now).select_related("endpoint").order_by("next_due_at")
    for saved in due[:DUE_AT_ONCE]:
        if saved.endpoint.state != Endpoint.State.DEPLOYED:
            removed = saved.endpoint.state == Endpoint.State.ABSENT
            following = None if removed else saved.following(now)
            SavedCheck.objects.filter(pk=saved.pk).update(next_due_at=following)
            continue
        if Check.objects.under_way().filter(endpoint=saved.endpoint).exists():
            continue
        asked += _take_turn(saved, now)
    return asked


def _take_turn(saved: SavedCheck, now: datetime) -> bool:
    """Request the check and set its next turn, in one transaction: neither a crash nor another
    check requested meanwhile loses the turn. Returns whether it was requested.
    """
    following = saved.following(now)
    with transaction.atomic():
        # Conditional, so that two tickers request it once.
        due = SavedCheck.objects.filter(pk=saved.pk, next_due_at=saved.next_due_at)
        if due.update(next_due_at=following) != 1:
            return False
        check = request_check(
            saved.endpoint, by=BY_SCHEDULE, stream=saved.stream, now=now, saved=saved
        )
        if check.saved_id != saved.pk:
            transaction.set_rollback(True)
        return check.saved_id == saved.pk


def request_checks_after_change(endpoint: Endpoint, now: datetime) -> None:
    """The endpoint was changed: its checks with `after_changes` are due."""
    SavedCheck.objects.filter(endpoint=endpoint, after_changes=True).update(next_due_at=now)
    announce(Work.CHECKS)


def probe_network() -> ProbeNetwork:
    """Name resolution, trusted CAs and allowed networks, from the operator's settings."""
    return ProbeNetwork(
        connect_to=parse_connect_to(settings.PROBE_CONNECT_TO),
        ca_file=settings.PROBE_CA_FILE or None,
        allowed_networks=parse_networks(",".join(settings.PROBE_ALLOWED_NETWORKS)),
    )


def probe_limits(script: Script | None = None) -> Limits:
    """Enough time for the edge to report that the origin did not answer, and for the script."""
    usual = Limits()
    talking = sum(step.seconds for step in script.steps) if script else 0.0
    return replace(
        usual,
        total_s=usual.total_s + talking + ORIGIN_GIVES_UP_SECONDS / settings.PROVISIONING_PACE,
    )


def make_check(check_id: str, *, clock: Callable[[], datetime]) -> Check | None:
    """Make a due check that no other worker is making.

    1. Claim it. A worker that shuts down meanwhile releases it.
    2. Read its credentials and the stored secrets that it refers to.
    3. One handshake through the edge, with the check's options.
    4. If it failed and may be retried: due again later.
    5. Does the distribution still lead the path to the endpoint? If the handshake failed, more
       probes to explain it.
    6. Store the result and append an event.
    """
    now = clock()
    check = Check.objects.select_related("endpoint").filter(pk=check_id).first()
    if check is None:
        return None
    expired = ""
    try:
        options = HandshakeOptions.from_dict(
            unseal(check.purpose, check.sealed, check.options, now=now)
        )
    except SealExpiredError as error:
        options, expired = HandshakeOptions(), str(error)
    limits = probe_limits(custom_script(options, check.endpoint.spec))
    if not check.claim(now, limits.total_s + LEASE_MARGIN_SECONDS):
        return None
    try:
        sending = _sending(check, options, expired, now)
        transcript = _probe(check, sending, limits)
        renew_connection()
        now = clock()
        if not transcript.live:
            if now < check.retry_until:
                pause = timedelta(seconds=RETRY_SECONDS / settings.PROVISIONING_PACE)
                check.release(due_at=now + pause)
                return check
            probes = MAX_PROBES + MIN_REPEATS + MAX_ROUTES
            check.renew(now, probes * limits.total_s + LEASE_MARGIN_SECONDS)
        else:
            check.renew(now, AWS_ANSWERS_SECONDS + LEASE_MARGIN_SECONDS)
        found = _investigate(check, sending, transcript, clock())
    except Interrupted:
        check.release()
        return check
    renew_connection()
    _record(check, sending, found, clock())
    return check


@dataclass(frozen=True)
class _Sending:
    """What a check sends. `fault` says why it cannot be sent, if it cannot."""

    target: ProbeTarget
    script: Script
    private: bool
    secret_names: frozenset[str]
    fault: str = ""

    @property
    def known(self) -> KnownSecrets:
        """The credentials, to be masked in what the portal itself writes."""
        return KnownSecrets(self.target.secrets)


def _sending(check: Check, options: HandshakeOptions, fault: str, now: datetime) -> _Sending:
    endpoint, spec = check.endpoint, check.endpoint.spec
    sent = with_usual(options, spec)
    names = sent.secret_names
    values: Mapping[str, str] = dict.fromkeys(names, "")
    if names and options.unencrypted:
        fault = fault or "Stored secrets are sent over wss:// only, and this check uses ws://."
    try:
        if not fault:
            used_by = f"A check of {endpoint.name}"
            values = secret_values(endpoint.owner, names, used_by=used_by, now=now)
    except UnknownSecretError as error:
        fault = str(error)
    usual = usual_target(spec, endpoint.domain_name, values)
    # An app may repeat what CloudFront adds, too.
    added = readable_secrets(endpoint.owner, references(spec.origin_headers)).values()
    secrets = (*sent.credentials, *(() if fault else values.values()), *added)
    return _Sending(
        sent.resolved(values).target(endpoint.url, usual, secrets),
        resolve_script(custom_script(options, spec), values),
        # Credentials go to the endpoint only, not to other hosts.
        options.private or bool(names),
        frozenset() if fault else names,
        fault,
    )


def renew_connection() -> None:
    """After a long wait: drop a database connection that died meanwhile."""
    if not connection.in_atomic_block:
        close_old_connections()


def _probe(check: Check, sending: _Sending, limits: Limits) -> Transcript:
    """The transcript. A bug of ours becomes a failure in it, so that the check still finishes."""
    if sending.fault:
        failure = Failure(Phase.URL, Reason.CREDENTIAL_UNAVAILABLE, sending.fault)
        return Transcript(url=check.endpoint.url, failures=(failure,))
    try:
        return probe_blocking(
            sending.target, network=probe_network(), script=sending.script, limits=limits
        )
    except (DatabaseError, Interrupted):
        raise
    except Exception as fault:
        log_bug(f"check {check.pk}", sending.known)
        failure = Failure(Phase.URL, Reason.PROBE_ERROR, f"{type(fault).__name__}: {fault}"[:300])
        told = Transcript(url=check.endpoint.domain_name, failures=(failure,))
        return told.masked(sending.known)


def log_bug(what: str, known: KnownSecrets) -> None:
    """Log the exception that is being handled, without credentials."""
    told = known.mask(mask_text(traceback.format_exc()))
    log.error("%s: a bug of the portal\n%s", what, told)


def _investigate(
    check: Check, sending: _Sending, transcript: Transcript, now: datetime
) -> Investigation:
    """The ranked verdicts; for a failed handshake, after probes that explain it. If a bug of ours
    interrupts them, the first transcript alone is judged.
    """
    seen = Observations.of(transcript, check.endpoint.spec)
    script, target = sending.script, sending.target
    brief, limits = Script.handshake_only(), probe_limits(script)

    def again(target: ProbeTarget) -> Transcript:
        return probe_blocking(target, network=probe_network(), script=brief, limits=limits)

    def repeat(target: ProbeTarget) -> Transcript:
        return probe_blocking(target, network=probe_network(), script=script, limits=limits)

    def as_host(name: str) -> Transcript:
        network = probe_network()
        rule = at_same_address(network.connect_to, target.url, name)
        return probe_blocking(
            for_name(target, name),
            network=replace(network, connect_to=(rule, *network.connect_to)),
            script=script if transcript.upgraded else brief,
            limits=limits,
        )

    # AWS's side is judged by names: it needs no value.
    names = [(name, mask_header(name, value)) for name, value in target.headers]
    allowed = () if sending.private else parse_routes(settings.PROBE_ROUTES)
    try:
        served = fetch_serving(
            check.endpoint, mask_url(target.url), since=check.requested_at, now=now
        )
        seen = replace(seen, served=served, unverified=served is None)
        return investigate(
            seen,
            target=target,
            probe=again,
            repeat=repeat,
            as_host=as_host,
            look=lambda: fetch_aws_view(check.endpoint, mask_url(target.url), names),
            routes=routes_of(target, allowed, check.endpoint.name),
        )
    except (DatabaseError, Interrupted):
        raise
    except Exception:
        log_bug(f"check {check.pk}, investigating", sending.known)
        return Investigation(seen, rank_verdicts(seen))


def for_name(target: ProbeTarget, name: str) -> ProbeTarget:
    """The same handshake as a page of another name of the distribution makes it."""
    parts = urlsplit(target.url)
    authority = name if parts.port is None else f"{name}:{parts.port}"
    url = urlunsplit(parts._replace(netloc=authority))
    return replace(target, url=url, origin=f"https://{name}" if target.origin else None)


def _record(check: Check, sending: _Sending, found: Investigation, now: datetime) -> None:
    transcript, first = found.seen.handshake, found.conclusion.first
    ok = transcript.live and not found.seen.answered_elsewhere
    next_probe = found.conclusion.next_probe
    before, etag = "", found.seen.served.etag if found.seen.served else ""
    if check.saved_id:
        earlier = Check.objects.finished().filter(saved=check.saved_id).exclude(pk=check.pk)
        before = earlier.values_list("verdict", flat=True).first() or ""
    with transaction.atomic():
        finished = check.finish(
            now,
            sealed="",
            secrets=sorted(sending.secret_names),
            ok=ok,
            verdict=first.verdict.code,
            total_ms=transcript.timing.total,
            connect_ms=transcript.timing.connect if transcript.upgraded else None,
            distribution_etag=etag,
            transcript_data=transcript.to_dict(),
            findings=[diagnosis.to_dict() for diagnosis in found.conclusion.diagnoses],
            next_probe=next_probe or "",
            probes=list(_further(found.seen)),
        )
        # A saved check appends an event only when its verdict changes.
        if finished and check.stream and (check.saved_id is None or before != first.code):
            events.append(
                check.stream,
                CUSTOM_FINISHED if check.options else "check.finished",
                first.summary,
                at=now,
                level="good" if ok else "error",
                data={
                    "check": str(check.pk),
                    "ok": ok,
                    "verdict": first.verdict.code,
                    "certainty": first.certainty,
                    "url": transcript.url,
                    "status": transcript.response.status if transcript.response else None,
                    "total_ms": transcript.timing.total,
                },
            )
        if finished and check.stream:
            _record_lost_paths(check, found, now)
        if finished and not check.options:
            _record_health(check, found, ok=ok, now=now)
    check.refresh_from_db()


def _record_health(check: Check, found: Investigation, *, ok: bool, now: datetime) -> None:
    """What a usual check says about the endpoint's health."""
    transcript, served = found.seen.handshake, found.seen.served
    ours = transcript.failure is not None and transcript.failure.reason in OUR_OWN
    drifted = served.drifted if served else None
    row, _ = EndpointHealth.objects.select_for_update().get_or_create(endpoint=check.endpoint)
    after = next_health(Health(row.health), ok=None if ours else ok, drifted=drifted)
    if after != row.health or row.since is None:
        row.since = now
    if served is not None:
        row.verified_at, row.distribution_etag = now, served.etag
        said = [served.reason] * (not served.own) + list(served.lost)
        row.reason = "".join(f"{one[0].upper()}{one[1:]}. " for one in said).strip()
    row.health, row.checked_at = after, now
    row.verdict = found.conclusion.first.code
    row.connect_ms = transcript.timing.connect if transcript.upgraded else None
    row.save()


def keep_check(check_id: str) -> None:
    """A request refers to this check: it is never deleted."""
    Check.objects.filter(pk=check_id).update(kept=True)


def forget_health(endpoint: Endpoint, now: datetime) -> None:
    """The endpoint went out of service: nothing is known of it until it is checked again."""
    EndpointHealth.objects.filter(endpoint=endpoint).exclude(health=Health.UNKNOWN).update(
        health=Health.UNKNOWN, since=now, verdict="", reason=""
    )


def _record_lost_paths(check: Check, found: Investigation, now: datetime) -> None:
    """An event when paths of a live endpoint begin to go elsewhere."""
    lost = next((one for one in found.conclusion.diagnoses if one.code == "WSE-PATHS-LOST"), None)
    if lost is None:
        return
    earlier = Check.objects.finished().filter(endpoint=check.endpoint_id).exclude(pk=check.pk)
    known = earlier.values_list("findings", flat=True).first() or []
    if not any(one["code"] == lost.code for one in known):
        events.append(
            check.stream,
            "check.paths_lost",
            f"{lost.verdict.title}: {'; '.join(lost.evidence)}.",
            at=now,
            level="warning",
            data={"check": str(check.pk), "verdict": lost.code},
        )


def _further(seen: Observations) -> Iterator[dict[str, object]]:
    """The probes that explain the first one, as they are stored."""

    def stored(kind: ProbeKind, made: Transcript, **more: str) -> dict[str, object]:
        return {"kind": kind, **more, "transcript": made.to_dict()}

    if seen.plain_get is not None:
        yield stored(ProbeKind.PLAIN_GET, seen.plain_get)
    if seen.without_origin is not None:
        yield stored(ProbeKind.WITHOUT_ORIGIN, seen.without_origin)
    if seen.origin_as_host is not None:
        yield stored(ProbeKind.ORIGIN_AS_HOST, seen.origin_as_host)
    if seen.as_browser is not None:
        yield stored(ProbeKind.AS_BROWSER, seen.as_browser)
    yield from (stored(ProbeKind.OTHER_HOST, made, route=host) for host, made in seen.other_hosts)
    yield from (stored(ProbeKind.AGAIN, made) for made in seen.again)
    yield from (stored(ProbeKind.ROUTES, made, route=name) for name, made in seen.routes)
