"""How far the deletion of each kind of row has come."""

from __future__ import annotations

from django.db import models


class RetentionTask(models.Model):
    """The deletion of one kind of row: due at `next_at`.

    Where it goes through endpoints a day at a time, `done` says by period which day was the last;
    `day` is under way for `periods`, with the endpoints up to `after` done. `deleted` and `emptied`
    (transcripts deleted of checks that are kept) count since the beginning, `last_deleted` and
    `last_emptied` at `last_at`.
    """

    name = models.CharField(max_length=30, primary_key=True)
    next_at = models.DateTimeField()
    done = models.JSONField(default=dict)
    day = models.DateField(null=True)
    periods = models.JSONField(default=list)
    after = models.UUIDField(null=True)
    deleted = models.BigIntegerField(default=0)
    emptied = models.BigIntegerField(default=0)
    last_at = models.DateTimeField(null=True)
    last_deleted = models.IntegerField(default=0)
    last_emptied = models.IntegerField(default=0)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return f"{self.name}: {self.deleted} deleted"
