"""A row that one worker at a time works on under a lease: requested, claimed, then finished
once.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar

from django.db import models
from django.db.models import Q

from provisioning.due_work import Work, announce
from provisioning.models import Endpoint
from provisioning.truncated_field import TruncatedCharField

Row = TypeVar("Row", bound="LeasedRow", covariant=True)


class LeasedQuerySet(models.QuerySet[Row]):
    """Sets of leased rows."""

    def under_way(self) -> Self:
        """Requested and not finished."""
        return self.filter(finished_at__isnull=True)

    def finished(self) -> Self:
        """Finished."""
        return self.filter(finished_at__isnull=False)

    def due(self, now: datetime) -> Self:
        """Under way, due, and leased by no worker."""
        free = Q(lease_until__isnull=True) | Q(lease_until__lte=now)
        return self.under_way().filter(free, due_at__lte=now)

    def get_or_request(
        self, endpoint: Endpoint, *, by: str, now: datetime, **values: Any
    ) -> tuple[Row, bool]:
        """The endpoint's row under way, or a new one; and whether it is new. `id` can be given with
        the values.
        """
        values.setdefault("id", uuid.uuid4())
        while True:
            under_way = self.under_way().filter(endpoint=endpoint).first()
            if under_way is not None:
                return under_way, False
            # Another request may win the race, and its row may be finished before we look again.
            # ON CONFLICT DO NOTHING: a lost race is no error, whose statement PostgreSQL would log.
            row = self.model(
                endpoint=endpoint, requested_by=by, requested_at=now, due_at=now, **values
            )
            self.bulk_create([row], ignore_conflicts=True)
            announce(Work.CHECKS)
            made = self.filter(pk=row.pk).first()
            if made is not None:
                return made, True


LeasedManager = models.Manager.from_queryset(LeasedQuerySet)


class LeasedRow(models.Model):
    """Work on an endpoint: at most one row of each kind is under way for an endpoint."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="%(class)ss")
    requested_by = TruncatedCharField(max_length=150, blank=True)
    requested_at = models.DateTimeField()
    due_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = LeasedManager()

    class Meta:
        abstract = True
        ordering = ("-requested_at",)
        constraints = (
            models.UniqueConstraint(
                fields=["endpoint"],
                condition=Q(finished_at__isnull=True),
                name="%(class)s_one_at_a_time_per_endpoint",
            ),
        )
        indexes = (
            models.Index(fields=["endpoint", "-requested_at"], name="%(class)s_by_endpoint"),
            models.Index(
                fields=["due_at"], condition=Q(finished_at__isnull=True), name="%(class)s_due"
            ),
        )

    def claim(self, now: datetime, seconds: float) -> bool:
        """Lease the row; False if it is not due, or another worker has it."""
        until = now + timedelta(seconds=seconds)
        rows = type(self).objects.due(now).filter(pk=self.pk)
        if rows.update(lease_until=until) != 1:
            return False
        self.lease_until = until
        return True

    def renew(self, now: datetime, seconds: float) -> None:
        """Extend our lease, unless it ended and another worker has the row."""
        until = now + timedelta(seconds=seconds)
        if self._ours().update(lease_until=until):
            self.lease_until = until

    def release(self, **values: Any) -> None:
        """End our lease, unless another worker has the row: it is due again, or at a new
        `due_at`.
        """
        self._ours().update(lease_until=None, **values)

    def finish(self, now: datetime, **values: Any) -> bool:
        """Store the result. The first to finish wins, even if its lease ended: False for the
        rest.
        """
        rows = type(self).objects.under_way().filter(pk=self.pk)
        return rows.update(finished_at=now, lease_until=None, **values) == 1

    def _ours(self) -> models.QuerySet[Any]:
        return type(self).objects.under_way().filter(pk=self.pk, lease_until=self.lease_until)
