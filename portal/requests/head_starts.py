"""Which requests get a head start, and when it ends. Off unless HEAD_START_HOURS is set."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from portal.requests.lifecycle import State
from portal.requests.models import EndpointRequest
from provisioning import head_starts
from provisioning.facts.snapshot import Snapshot
from provisioning.models import HeadStart
from provisioning.plan.items import CREATE
from provisioning.spec.parsing import read_spec

LEFT_FREE = 5
"""VPC origins of the account's quota that head starts leave to requests that were approved."""
ENDED: Mapping[State, str] = {
    State.REJECTED: "the request was rejected.",
    State.CANCELLED: "the request was cancelled.",
    State.BLOCKED: "the request is not ready to build any more.",
}
OTHER_ORIGIN = "the request was changed and needs another VPC origin."
KEPT_IN = frozenset({State.PLANNING, State.AWAITING_APPROVAL, State.PROVISIONING})


def begin_if_wanted(
    request: EndpointRequest, plan_data: Mapping[str, Any], snapshot: Snapshot, now: datetime
) -> None:
    """Begin the head start of a request that has just been planned, in the same transaction."""
    free = snapshot.vpc_origin_quota - len(snapshot.vpc_origins)
    if settings.HEAD_START_HOURS and creates_vpc_origin(plan_data) and free > LEFT_FREE:
        spec = read_spec(plan_data["spec"])
        for one in HeadStart.objects.filter(stream=request.stream, released_at=None):
            if one.spec.vpc_origin_key != spec.vpc_origin_key:
                head_starts.release(one, reason=OTHER_ORIGIN, now=now)
        head_starts.begin(spec.account_id, spec, stream=request.stream, now=now)


def end_unneeded(now: datetime) -> None:
    """End every head start whose request does not need it any more."""
    held = {one.stream: one for one in HeadStart.objects.filter(released_at=None)}
    if not held:
        return
    requests = {one.stream: one for one in EndpointRequest.objects.filter(stream__in=held)}
    for stream, head_start in held.items():
        request = requests.get(stream)
        reason = (
            "the request no longer exists."
            if request is None
            else reason_to_end(
                State(request.state),
                request.plan_data,
                head_start.spec.vpc_origin_key,
                age=now - head_start.created_at,
            )
        )
        if reason is not None:
            head_starts.release(head_start, reason=reason, now=now)


def reason_to_end(
    state: State, plan_data: Mapping[str, Any], key: str, *, age: timedelta
) -> str | None:
    """Why a head start ends: None if it goes on, "" if the request was built or failed. `key` is
    the VPC origin's, `plan_data` the request's newest plan, if it has one.
    """
    if state not in KEPT_IN:
        return ENDED.get(state, "")
    if state is not State.AWAITING_APPROVAL:
        return None
    if not plan_data or read_spec(plan_data["spec"]).vpc_origin_key != key:
        return OTHER_ORIGIN
    hours = settings.HEAD_START_HOURS
    if age > timedelta(hours=hours) / settings.PROVISIONING_PACE:
        return f"the request was not approved within {hours} hours."
    return None


def creates_vpc_origin(plan_data: Mapping[str, Any]) -> bool:
    """Whether a plan (its dict) creates a VPC origin."""
    return any(
        item["resource"] == "vpc-origin" and item["action"] == CREATE for item in plan_data["items"]
    )
