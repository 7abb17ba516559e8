"""What a worker and the portal do with further probes: request one, make one, read log rows.

A probe of kind "log rows" weighs a finished check again; all others open sockets.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection, transaction

from checks.actions import (
    LEASE_MARGIN_SECONDS,
    log_bug,
    probe_limits,
    probe_network,
    renew_connection,
)
from checks.aws_view import AwsView, fetch_aws_view
from checks.diagnosis.access_log import LogRow, LogRowError, parse_log_rows
from checks.diagnosis.evidence import Observations, path_of
from checks.diagnosis.probe_kinds import ProbeKind
from checks.diagnosis.ranking import rank_verdicts
from checks.models import Check, Probe
from checks.output.reports import Report
from checks.preflight.behavior_match import HANDSHAKE_HEADERS
from checks.probe import interruptible
from checks.probe.interruptible import Interrupted
from checks.probe.kinds import ProbeContext, make_report
from checks.probe.limits import Limits
from checks.probe.probe_request import WITH_AWS, ProbeRequest, longest, parse_routes
from checks.protocol.handshake_options import HandshakeOptions
from checks.protocol.script import parse_script
from checks.protocol.transcript import Transcript
from checks.stored_secrets.sealed_options import SealExpiredError, seal, unseal
from checks.usual_check import heartbeat_of, usual_target, with_usual
from provisioning.models import Endpoint
from provisioning.redaction.masking import KnownSecrets, mask_url
from provisioning.redaction.references import UnknownSecretError, references
from provisioning.secrets.store import readable_secrets, secret_values
from provisioning.spec.app_kinds import APP_KINDS

LONGEST_LOG_ROWS = 60_000
"""Characters of log rows that can be given with one check."""
AWS_SECONDS = 60.0
"""What calls to AWS add to a probe's lease."""
SENT_HEADERS = ("Host", "Upgrade", "Connection", "Origin", *HANDSHAKE_HEADERS)


def request_probe(
    endpoint: Endpoint,
    asked: ProbeRequest,
    *,
    by: str,
    now: datetime,
    check: Check | None = None,
    rows: Sequence[LogRow] = (),
) -> Probe | None:
    """Request a further probe; None while another one of the endpoint is under way.

    Kind LOG_ROWS weighs `check` again with these `rows`.
    """
    probe, path = Probe(id=uuid.uuid4()), mask_url(asked.path)
    probe, new = Probe.objects.get_or_request(
        endpoint,
        by=by,
        now=now,
        id=probe.pk,
        kind=asked.kind,
        number=asked.number,
        path=path,
        sealed=seal(probe.purpose, {"path": asked.path}, {"path": path}, now=now),
        of_check=check,
        rows=[asdict(row) for row in rows],
    )
    return probe if new else None


def probe_under_way(endpoint: Endpoint, asked: ProbeRequest, *, now: datetime) -> Probe | None:
    """The endpoint's probe under way, if it is this one."""
    same = Probe.objects.under_way().filter(kind=asked.kind, number=asked.number, of_check=None)
    probe = same.filter(endpoint=endpoint).first()
    try:
        return probe if probe and _path_of(probe, now) == asked.path else None
    except SealExpiredError:
        return None


def _path_of(probe: Probe, now: datetime) -> str:
    return str(unseal(probe.purpose, probe.sealed, {"path": probe.path}, now=now)["path"])


def read_log_rows(check: Check, text: str) -> tuple[LogRow, ...]:
    """Parse rows of CloudFront's log for a check. If handshake and rows have request IDs, one row
    must be of this handshake, of another client's that ended alike, or of a request that is not a
    handshake. Raises LogRowError.
    """
    rows = parse_log_rows(text)
    if check.transcript_data is None:
        raise LogRowError(
            "The transcript of this check was deleted because it is old. Check again, then paste "
            "the log rows of the new check."
        )
    try:
        seen = Transcript.from_dict(check.transcript_data or {})
    except ValueError as error:
        stored = (
            "Another version of the portal stored this check. Check again, then paste the log rows "
            "of the new check."
        )
        raise LogRowError(stored) from error
    ours = seen.edge_request_id
    path, status = path_of(seen), seen.response.status if seen.response else 0
    if ours and all(
        row.request_id
        and row.request_id != ours
        and not row.of_no_handshake
        and not row.like(path, status)
        for row in rows
    ):
        raise LogRowError(
            f"No row belongs to this handshake. Paste the row whose x-edge-request-id is {ours}, "
            f"or one of another client's handshake with cs-uri-stem {path} and sc-status {status}."
        )
    return rows


def make_probe(probe_id: str, *, clock: Callable[[], datetime]) -> None:
    """Make a due probe that no other worker is making, and store its report.

    A worker that shuts down meanwhile releases the probe to another. A bug of the portal ends it
    too, with a report that says so.
    """
    probe = Probe.objects.select_related("endpoint", "of_check").filter(pk=probe_id).first()
    if probe is None:
        return
    asked = ProbeRequest(ProbeKind(probe.kind), probe.number, probe.path)
    limits = Limits() if asked.kind is ProbeKind.RECONNECT else probe_limits()
    lease = longest(asked, limits.total_s) + LEASE_MARGIN_SECONDS
    if asked.kind in WITH_AWS:
        lease += AWS_SECONDS
    if not probe.claim(clock(), lease):
        return
    changed: dict[str, Any] = {}
    known = KnownSecrets(())
    try:
        if asked.kind is ProbeKind.LOG_ROWS:
            report, changed = _weigh_again(probe)
        else:
            path, values = _sent_path(probe, clock())
            # An app may repeat what CloudFront adds, too.
            names = references(probe.endpoint.spec.origin_headers)
            added = readable_secrets(probe.endpoint.owner, names)
            known = KnownSecrets([*values.values(), *added.values()])
            report = _open_sockets(probe, replace(asked, path=path), limits, values)
    except Interrupted:
        probe.release()
        return
    except DatabaseError:
        raise
    except (UnknownSecretError, SealExpiredError) as fault:
        report = Report(False, str(fault), (), "WSE-SECRET")
    except Exception as fault:
        log_bug(f"probe {probe.pk}", known)
        told = "The portal itself failed; this says nothing about the endpoint."
        report = Report(False, told, (f"{type(fault).__name__}: {fault}"[:300],), "WSE-PROBE")
    renew_connection()
    with transaction.atomic():
        shown = report.masked(known).to_dict()
        finished = probe.finish(clock(), ok=report.ok, report=shown, sealed="")
        if finished and changed and probe.of_check is not None:
            Check.objects.filter(pk=probe.of_check.pk).update(**changed)


def _sent_path(probe: Probe, now: datetime) -> tuple[str, dict[str, str]]:
    """The path to probe, and the stored secrets that it and the usual handshake send. Raises
    UnknownSecretError and SealExpiredError.
    """
    options, endpoint = HandshakeOptions(path=_path_of(probe, now)), probe.endpoint
    names = with_usual(options, endpoint.spec).secret_names
    used_by = f"A probe of {endpoint.name}"
    values = secret_values(endpoint.owner, names, used_by=used_by, now=now)
    return options.resolved(values).path, values


def _open_sockets(
    probe: Probe, asked: ProbeRequest, limits: Limits, secrets: Mapping[str, str]
) -> Report:
    usual = usual_target(probe.endpoint.spec, probe.endpoint.domain_name, secrets)
    view = AwsView()
    if asked.kind in WITH_AWS:
        target = HandshakeOptions(path=asked.path).target(usual.url, usual)
        view = fetch_aws_view(
            probe.endpoint, mask_url(target.url), [(name, "") for name in SENT_HEADERS]
        )
    surroundings = ProbeContext(
        network=probe_network(),
        limits=limits,
        view=view,
        routes=() if secrets else parse_routes(settings.PROBE_ROUTES),
        name=probe.endpoint.name,
        idle_pace=settings.PROBE_IDLE_PACE,
        opening=parse_script(probe.endpoint.spec.check_script),
        heartbeat=heartbeat_of(APP_KINDS[probe.endpoint.spec.app_kind]),
    )
    if not connection.in_atomic_block:
        # The sockets can be silent for minutes; PostgreSQL has better uses for a connection.
        connection.close()
    return interruptible.probes.run(make_report(asked, usual, surroundings))


def _weigh_again(probe: Probe) -> tuple[Report, dict[str, Any]]:
    """Judge the check again with CloudFront's log rows and AWS's current state: the report, and the
    columns of the check that change.
    """
    check = probe.of_check
    if check is None:
        return Report(False, "The check that these log rows belong to no longer exists."), {}
    rows = tuple(LogRow(**row) for row in probe.rows)
    asked = Transcript.from_dict(check.transcript_data or {}).url
    view = fetch_aws_view(check.endpoint, asked, HandshakeOptions.from_dict(check.options).headers)
    seen = replace(
        _observed(check),
        log_rows=rows,
        looked=True,
        behavior=view.behavior,
        preflight=view.preflight,
        vpc_origin_status=view.vpc_origin_status,
        idle_timeouts=view.idle_timeouts,
    )
    conclusion = rank_verdicts(seen)
    first = conclusion.first
    found = {
        "verdict": first.code,
        "findings": [diagnosis.to_dict() for diagnosis in conclusion.diagnoses],
        "next_probe": conclusion.next_probe or "",
    }
    told = "The verdict stays" if first.code == check.verdict else "The verdict is"
    known = {finding["code"] for finding in check.findings}
    news = [
        f"Also: {one.verdict.title}" for one in conclusion.diagnoses[1:] if one.code not in known
    ]
    sure = "" if first.code in ("WSE-LIVE", "WSE-UNKNOWN") else f" ({first.certainty} certainty)"
    return Report(
        True, f"{told}: {first.verdict.title}{sure}", (*map(str, rows), *news), first.code
    ), found


def _observed(check: Check) -> Observations:
    """What the check observed. Raises ValueError if another version of the portal stored it."""
    handshake = Transcript.from_dict(check.transcript_data or {})
    seen = Observations.of(handshake, check.endpoint.spec)
    for made in check.probes:
        transcript = Transcript.from_dict(made["transcript"])
        match made["kind"]:
            case ProbeKind.PLAIN_GET:
                seen = replace(seen, plain_get=transcript)
            case ProbeKind.WITHOUT_ORIGIN:
                seen = replace(seen, without_origin=transcript)
            case ProbeKind.ORIGIN_AS_HOST:
                seen = replace(seen, origin_as_host=transcript)
            case ProbeKind.AS_BROWSER:
                seen = replace(seen, as_browser=transcript)
            case ProbeKind.OTHER_HOST:
                seen = replace(seen, other_hosts=(*seen.other_hosts, (made["route"], transcript)))
            case ProbeKind.AGAIN:
                seen = replace(seen, again=(*seen.again, transcript))
            case ProbeKind.ROUTES:
                seen = replace(seen, routes=(*seen.routes, (made["route"], transcript)))
    return seen
