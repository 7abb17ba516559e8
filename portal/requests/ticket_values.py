"""What a ticket should show for a request: values ready for ServiceNow and Jira, so that no script
is needed there.

PURE. It maps the portal's state to the ticket's fields by one table. It never speaks to a ticket
system and never decides anything about the request. An empty value means: leave the ticket's field
as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portal.requests.lifecycle import State

S = State

OPEN, PENDING, WORK_IN_PROGRESS, CLOSED_COMPLETE, CLOSED_INCOMPLETE, CLOSED_SKIPPED = (
    "1",
    "-5",
    "2",
    "3",
    "4",
    "7",
)
"""ServiceNow's task states as they come out of the box."""


@dataclass(frozen=True)
class ServiceNowValues:
    """Fields of a requested item. `work_notes` is for the fulfillers, `close_notes` only set when
    it is closed.
    """

    state: str
    stage: str
    approval: str
    work_notes: str = ""
    close_notes: str = ""


@dataclass(frozen=True)
class JiraValues:
    """Fields of an issue: the status it should be in, the transition's usual name, the comment, the
    resolution.
    """

    status: str
    transition: str
    comment: str = ""
    resolution: str = ""


@dataclass(frozen=True)
class Row:
    """One line of the mapping."""

    servicenow: ServiceNowValues
    jira: JiraValues
    closes: bool = False


MAPPING: Mapping[State, Row] = {
    S.PLANNING: Row(
        ServiceNowValues(OPEN, "", "not requested"),
        JiraValues("Waiting for support", "Back to support"),
    ),
    S.BLOCKED: Row(
        ServiceNowValues(PENDING, "", "not requested"),
        JiraValues("Waiting for customer", "Respond to customer"),
    ),
    S.AWAITING_APPROVAL: Row(
        ServiceNowValues(PENDING, "waiting_for_approval", "requested"),
        JiraValues("Waiting for approval", "Request approval"),
    ),
    S.PROVISIONING: Row(
        ServiceNowValues(WORK_IN_PROGRESS, "fulfillment", "approved"),
        JiraValues("In progress", "Start progress"),
    ),
    S.VERIFYING: Row(
        ServiceNowValues(WORK_IN_PROGRESS, "fulfillment", "approved"),
        JiraValues("In progress", "Start progress"),
    ),
    S.LIVE: Row(
        ServiceNowValues(CLOSED_COMPLETE, "complete", "approved"),
        JiraValues("Done", "Resolve", resolution="Done"),
        True,
    ),
    S.UNANSWERED: Row(
        ServiceNowValues(WORK_IN_PROGRESS, "fulfillment", "approved"),
        JiraValues("Escalated", "Escalate"),
    ),
    S.FAILING: Row(
        ServiceNowValues(CLOSED_COMPLETE, "complete", "approved"),
        JiraValues("Done", "Resolve", resolution="Done"),
        True,
    ),
    S.FAILED: Row(
        ServiceNowValues(CLOSED_INCOMPLETE, "", "approved"),
        JiraValues("Done", "Resolve", resolution="Failed"),
        True,
    ),
    S.STUCK: Row(
        ServiceNowValues(WORK_IN_PROGRESS, "fulfillment", "approved"),
        JiraValues("Escalated", "Escalate"),
    ),
    S.QUARANTINED: Row(
        ServiceNowValues(WORK_IN_PROGRESS, "fulfillment", "approved"),
        JiraValues("Escalated", "Escalate"),
    ),
    S.OUT_OF_SERVICE: Row(
        ServiceNowValues(WORK_IN_PROGRESS, "fulfillment", "approved"),
        JiraValues("In progress", "Start progress"),
    ),
    S.REMOVED: Row(
        ServiceNowValues(CLOSED_COMPLETE, "complete", "approved"),
        JiraValues("Done", "Resolve", resolution="Done"),
        True,
    ),
    S.SUPERSEDED: Row(
        ServiceNowValues(CLOSED_COMPLETE, "complete", "approved"),
        JiraValues("Done", "Resolve", resolution="Done"),
        True,
    ),
    S.CLOSED: Row(
        ServiceNowValues(CLOSED_INCOMPLETE, "", "approved"),
        JiraValues("Done", "Resolve", resolution="Failed"),
        True,
    ),
    S.REJECTED: Row(
        ServiceNowValues(CLOSED_INCOMPLETE, "request_cancelled", "rejected"),
        JiraValues("Done", "Decline", resolution="Declined"),
        True,
    ),
    S.RESTORED: Row(
        ServiceNowValues(CLOSED_SKIPPED, "request_cancelled", ""),
        JiraValues("Done", "Cancel request", resolution="Cancelled"),
        True,
    ),
    S.CANCELLED: Row(
        ServiceNowValues(CLOSED_SKIPPED, "request_cancelled", ""),
        JiraValues("Done", "Cancel request", resolution="Cancelled"),
        True,
    ),
}


def ticket_values(
    state: State, *, title: str, next_step: str, reason: str, url: str, endpoint_url: str
) -> dict[str, Any]:
    """The ticket's fields for a request in `state`, JSON-ready. `url` is the request's page."""
    row = MAPPING[state]
    parts = [f"{title}. {next_step}"]
    if reason:
        parts.append(f"Reason: {reason}")
    if endpoint_url and state is State.LIVE:
        parts.append(f"Connect to {endpoint_url}")
    parts.append(url)
    note = "\n".join(parts)
    return {
        "servicenow": vars(row.servicenow)
        | {"work_notes": note, "close_notes": note if row.closes else ""},
        "jira": vars(row.jira) | {"comment": note},
    }
