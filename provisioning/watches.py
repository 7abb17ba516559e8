"""What AWS last said about each resource, so that a thousand waiting runs cost as few calls as one.

`record_write` is for our own change, `record_observation` for a read. A read that began before our
last write must not overrule it. When the status changes, the runs that wait for it are woken.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from provisioning.facts.watched import Watched
from provisioning.models import AwsAccount, Run, Watch


def record_write(
    account: AwsAccount,
    resource: str,
    aws_id: str,
    status: str,
    detail: Mapping[str, Any],
    now: datetime,
) -> Watch:
    """AWS answered our write with this status. Wakes every run that waits for the resource."""
    with transaction.atomic():
        watch, _ = Watch.objects.update_or_create(
            account=account,
            resource=resource,
            aws_id=aws_id,
            defaults={"status": status, "detail": dict(detail), "written_at": now, "seen_at": now},
        )
        wake(watch, now)
    return watch


def record_observation(
    account: AwsAccount,
    resource: str,
    aws_id: str,
    status: str,
    detail: Mapping[str, Any] | None,
    *,
    began: datetime,
    now: datetime,
) -> bool:
    """A read that began at `began` saw this. False if a later write of ours outdates it, or nothing
    changed.
    """
    with transaction.atomic():
        # Two runs may be the first at the same time; the row of the faster one stays.
        first = {
            "status": status,
            "detail": dict(detail or {}),
            "written_at": began,
            "seen_at": now,
        }
        key = {"account": account, "resource": resource, "aws_id": aws_id}
        watch, made = Watch.objects.select_for_update().get_or_create(**key, defaults=first)
        if made:
            return True
        known = Watched(watch.status, watch.detail, watch.written_at, watch.seen_at)
        after = known.observed(status, detail, began=began, now=now)
        if after is None:
            return False
        changed = watch.status != after.status
        watch.status, watch.seen_at, watch.detail = after.status, after.seen_at, dict(after.detail)
        watch.save(update_fields=["status", "seen_at", "detail"])
        if changed:
            wake(watch, now)
    return changed


def wake(watch: Watch, now: datetime) -> int:
    """Make every run that waits for this resource due. Returns the number of runs."""
    woken: int = Run.objects.active().filter(watch=watch, lease_until__isnull=True).make_due(now)
    return woken
