"""How the API shows a request, an endpoint and a page of them, read with values() in a constant
number of queries.

It shows what the caller may see and nothing else: every query here starts from a set somebody else
has narrowed.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import OuterRef, Q, QuerySet, Subquery

from portal.problems import ApiProblem
from portal.requests.lifecycle import NEXT_STEPS, SETTLED, TITLES, State
from portal.requests.models import EndpointRequest, EndpointRequestQuerySet
from portal.requests.ticket_values import ticket_values
from portal.timestamps import parse_timestamp
from provisioning.models import Endpoint, EventStream

SUMMARY = (
    "id", "action", "state", "reason", "revision", "justification", "spec_data", "plan_digest", "planned_at",
    "team__slug", "requester__username", "beneficiary__username",
    "endpoint_id", "endpoint__domain_name", "endpoint__state", "endpoint__spec_data",
    "run_id", "run__state", "run__created_at", "run__finished_at",
    "external_system", "external_id", "external_url", "correlation_id", "created_at", "updated_at",
)  # fmt: skip
DETAIL = (*SUMMARY, "plan_data", "plan_changes", "preflight_data")
ENDPOINT = (
    "id",
    "owner",
    "name",
    "state",
    "account_id",
    "domain_name",
    "spec_data",
    "created_at",
    "deployed_at",
)

LARGEST_PAGE = 100


def get_request(requests: EndpointRequestQuerySet) -> dict[str, Any] | None:
    """The first of a set, in full. One query."""
    row = _with_last_seq(requests).values(*DETAIL, "last_seq").first()
    return None if row is None else _detail(row)


def list_requests(requests: EndpointRequestQuerySet, cursor: str, limit: int) -> dict[str, Any]:
    """One page, newest first, and the cursor of the next. One query whatever the page holds."""
    rows = page(_with_last_seq(requests), cursor, limit, (*SUMMARY, "last_seq"))
    return {
        "requests": [_summary(row) for row in rows[:limit]],
        "next_cursor": next_cursor(rows, limit),
    }


def list_endpoints(endpoints: QuerySet[Endpoint], cursor: str, limit: int) -> dict[str, Any]:
    """One page of endpoints, newest first."""
    rows = page(endpoints, cursor, limit, ENDPOINT)
    return {
        "endpoints": [_endpoint(row) for row in rows[:limit]],
        "next_cursor": next_cursor(rows, limit),
    }


def get_endpoint(endpoints: QuerySet[Endpoint]) -> dict[str, Any] | None:
    """The first of a set. One query."""
    row = endpoints.values(*ENDPOINT).first()
    return None if row is None else _endpoint(row)


def retry_after(state: str) -> int | None:
    """Seconds until it is worth looking again, or None when nothing is going on."""
    if State(state) in SETTLED:
        return None
    seconds = {State.AWAITING_APPROVAL: 60.0, State.PROVISIONING: 15.0}.get(State(state), 2.0)
    pace: float = settings.PROVISIONING_PACE
    return max(1, round(seconds / max(1.0, pace)))


def time(at: datetime | None) -> str | None:
    """RFC 3339 in UTC, milliseconds."""
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _with_last_seq(requests: EndpointRequestQuerySet) -> QuerySet[EndpointRequest]:
    """`last_seq`: where the request's event stream stands, in the same query."""
    stream = EventStream.objects.filter(name=OuterRef("stream"))
    return requests.annotate(last_seq=Subquery(stream.values("last_seq")[:1]))


def _detail(row: Mapping[str, Any]) -> dict[str, Any]:
    plan = row["plan_data"]
    return _summary(row) | {
        "justification": row["justification"],
        "spec": row["spec_data"],
        "plan": {
            "digest": row["plan_digest"],
            "planned_at": time(row["planned_at"]),
            "expected_seconds": plan.get("expected_seconds"),
            "items": plan.get("items", []),
            "relies_on": plan.get("relies_on", {}),
        }
        if plan
        else None,
        "plan_changes": row["plan_changes"],
        "preflight": row["preflight_data"],
    }


def _summary(row: Mapping[str, Any]) -> dict[str, Any]:
    state = State(row["state"])
    api, page = (
        f"{settings.PORTAL_URL}/api/v1/requests/{row['id']}",
        f"{settings.PORTAL_URL}/requests/{row['id']}/",
    )
    url = _url(row["endpoint__domain_name"], row["endpoint__spec_data"])
    return {
        "id": str(row["id"]),
        "url": api,
        "action": row["action"],
        "name": row["spec_data"]["name"],
        "state": state.value,
        "state_title": TITLES[state],
        "next_step": NEXT_STEPS[state],
        "settled": state in SETTLED,
        "reason": row["reason"],
        "team": row["team__slug"],
        "requester": row["requester__username"],
        "requested_for": row["beneficiary__username"],
        "revision": row["revision"],
        "plan_digest": row["plan_digest"],
        "endpoint": {
            "id": str(row["endpoint_id"]),
            "state": row["endpoint__state"],
            "url": url,
            "link": f"{settings.PORTAL_URL}/api/v1/endpoints/{row['endpoint_id']}",
        }
        if row["endpoint_id"]
        else None,
        "run": {
            "id": row["run_id"],
            "state": row["run__state"],
            "started_at": time(row["run__created_at"]),
            "finished_at": time(row["run__finished_at"]),
        }
        if row["run_id"]
        else None,
        "external": {
            "system": row["external_system"],
            "id": row["external_id"],
            "url": row["external_url"],
        },
        "correlation_id": row["correlation_id"],
        "ticket": ticket_values(
            state,
            title=TITLES[state],
            next_step=NEXT_STEPS[state],
            reason=row["reason"],
            url=page,
            endpoint_url=url,
        ),
        "links": {
            "portal": page,
            "console": f"{settings.PORTAL_URL.replace('http', 'ws', 1)}/ws/requests/{row['id']}/",
            "events": f"{api}/events",
            "approve": f"{api}/approve",
            "reject": f"{api}/reject",
            "cancel": f"{api}/cancel",
            "replan": f"{api}/replan",
        },
        "created_at": time(row["created_at"]),
        "updated_at": time(row["updated_at"]),
        "last_seq": row["last_seq"] or 0,
    }


def _endpoint(row: Mapping[str, Any]) -> dict[str, Any]:
    api = f"{settings.PORTAL_URL}/api/v1/endpoints/{row['id']}"
    return {
        "id": str(row["id"]),
        "url": api,
        "name": row["name"],
        "team": row["owner"],
        "account_id": row["account_id"],
        "state": row["state"],
        "endpoint_url": _url(row["domain_name"], row["spec_data"]),
        "spec": row["spec_data"],
        "links": {
            "portal": f"{settings.PORTAL_URL}/endpoints/{row['id']}/",
            "checks": f"{api}/checks",
            "probes": f"{api}/probes",
            "saved_checks": f"{api}/saved-checks",
        },
        "created_at": time(row["created_at"]),
        "deployed_at": time(row["deployed_at"]),
    }


def _url(domain_name: str | None, spec_data: Mapping[str, Any] | None) -> str:
    return (
        Endpoint(domain_name=domain_name, spec_data=spec_data).url
        if domain_name and spec_data
        else ""
    )


def page(
    rows: QuerySet[Any], cursor: str, limit: int, fields: Sequence[str], *, at: str = "created_at"
) -> list[dict[str, Any]]:
    """`limit` + 1 rows after the cursor by (`at`, id), newest first: keyset, never an offset, never
    a count.
    """
    if cursor:
        moment, last_id = _read_cursor(cursor)
        rows = rows.filter(**{f"{at}__lte": moment}).exclude(Q(**{at: moment}) & Q(id__gte=last_id))
    return list(rows.order_by(f"-{at}", "-id").values(*fields)[: limit + 1])


def next_cursor(
    rows: Sequence[Mapping[str, Any]], limit: int, *, at: str = "created_at"
) -> str | None:
    """What leads to the page after these rows; None after the last."""
    if len(rows) <= limit:
        return None
    last = rows[limit - 1]
    return base64.urlsafe_b64encode(
        json.dumps([last[at].isoformat(), last["id"].hex]).encode()
    ).decode()


def _read_cursor(cursor: str) -> tuple[datetime, uuid.UUID]:
    try:
        at, last_id = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
        return parse_timestamp(at), uuid.UUID(last_id)
    except (binascii.Error, ValueError, TypeError, AttributeError, RecursionError):
        raise ApiProblem("bad_cursor") from None


def states(values: Iterable[str]) -> list[State]:
    """The states named; raises ValueError for one that does not exist."""
    return [State(value) for value in values]
