"""What people can do about drift: read it, have it looked for now, agree to it until a date.

To restore what was approved, or to accept what AWS has, a person makes a request
(`portal.requests.endpoint_changes`): nothing here writes to AWS.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from portal.people.models import Person
from portal.people.visibility import visible_endpoints
from portal.requests.lifecycle import Denied
from provisioning.drift import reports
from provisioning.drift.comparison import distribution_source
from provisioning.models import AwsAccount, DriftFinding, DriftReport, Endpoint, Event, Run
from provisioning.redaction.masking import mask_prose
from provisioning.redaction.printable import on_one_line

IGNORE_DAYS = (1, 7, 30, 90)
LONGEST_IGNORED_DAYS = 90
LONGEST_REASON = 500


def visible_findings(person: Person) -> QuerySet[DriftFinding]:
    """Open findings that this person may see: of the endpoints that they may see; orphans belong to
    no team, so only those who see everything see them.
    """
    found = DriftFinding.objects.open().select_related("endpoint", "account")
    if person.sees_everything:
        return found
    return found.filter(endpoint__in=visible_endpoints(person))


def compare_now(
    person: Person, account: AwsAccount, endpoint: Endpoint | None, *, now: datetime
) -> DriftReport | Denied:
    """Request a report of the account. For the platform team, and for the team of an `endpoint`
    there.
    """
    if not (person.decides or (endpoint is not None and person.belongs_to(endpoint.owner))):
        return Denied(
            "not_your_team", "Only its team and the platform team can compare it with AWS."
        )
    return reports.request_report(account, by=str(person), now=now)


def may_ignore(person: Person, finding: DriftFinding) -> bool:
    """Whether this person can agree to a finding: the endpoint's team and the platform team."""
    return person.decides or (
        finding.endpoint is not None and person.belongs_to(finding.endpoint.owner)
    )


def ignore_finding(
    person: Person, finding: DriftFinding, *, reason: str, days: int, now: datetime
) -> Denied | None:
    """Agree to a finding for some days. It is shown as ignored, and counts again as soon as it
    changes.
    """
    reason = mask_prose(on_one_line(reason), LONGEST_REASON).strip()
    if not may_ignore(person, finding):
        return _NOT_YOURS
    if not reason:
        return Denied("reason_required", "Say why this may stay. Others read it.")
    until = now + timedelta(days=days)
    with transaction.atomic():
        changed = DriftFinding.objects.open().filter(pk=finding.pk, seen=finding.seen)
        said = {"ignored_until": until, "ignored_by": str(person)[:150], "ignored_reason": reason}
        if not changed.update(**said):
            return Denied("wrong_state", "It has changed or is over. Reload, and look again.")
        text = f"{person} agreed to drift until {until:%-d %B %Y}: {finding.text} Reason: {reason}"
        _record(finding, "endpoint.drift_ignored", text, person, now)
    return None


def stop_ignoring(person: Person, finding: DriftFinding, *, now: datetime) -> Denied | None:
    """Let an ignored finding count again."""
    if not may_ignore(person, finding):
        return _NOT_YOURS
    with transaction.atomic():
        ignored = DriftFinding.objects.ignored(now).filter(pk=finding.pk)
        if ignored.update(ignored_until=None, ignored_by="", ignored_reason=""):
            text = f"{person} no longer agrees to drift: {finding.text}"
            _record(finding, "endpoint.drift_counts_again", text, person, now)
    return None


def last_reports(account: AwsAccount) -> tuple[DriftReport | None, DriftReport | None]:
    """The last finished report, and the one under way."""
    made = account.drift_reports
    return (
        made.filter(finished_at__isnull=False).first(),
        made.filter(finished_at__isnull=True).first(),
    )


def overtaken(report: DriftReport, endpoint: Endpoint | None = None) -> bool:
    """Whether a run of the endpoint (None: of any in the account) has ended since the report was
    requested, so that it says nothing about what is there now.
    """
    ended = Run.objects.filter(
        endpoint__account=report.account_id, finished_at__gt=report.requested_at
    )
    return (ended.filter(endpoint=endpoint) if endpoint else ended).exists()


def troubles_for(endpoint: Endpoint, report: DriftReport) -> list[str]:
    """What AWS did not show of an endpoint; nothing about other distributions of the account."""
    own = distribution_source(endpoint.spec_data["distribution_id"])
    others = distribution_source("")
    return [one for one in report.troubles if one.startswith(own) or not one.startswith(others)]


_NOT_YOURS = Denied(
    "not_your_team", "Only the endpoint's team and the platform team can agree to this."
)


def _record(finding: DriftFinding, kind: str, text: str, person: Person, now: datetime) -> None:
    if finding.endpoint is not None:
        reports.tell(finding.endpoint, kind, text, Event.Level.INFO, now, by=person.username)
