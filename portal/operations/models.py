"""The ticker's own record: which part of it ran when."""

from __future__ import annotations

from django.db import models


class TickRecord(models.Model):
    """The last tick of one package. `failing_since` and `error` are set while it fails."""

    name = models.CharField(max_length=80, primary_key=True)
    at = models.DateTimeField()
    failing_since = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=120, blank=True)

    def __str__(self) -> str:
        return f"{self.name} at {self.at}"
