"""A text column that cuts what is too long."""

from __future__ import annotations

from typing import Any

from django.db import models


class TruncatedCharField(models.CharField):  # type: ignore[type-arg]  # at runtime it takes none
    """Cuts what is too long: a long name must not keep anyone from asking."""

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        """Sets the value on the instance too, so that it matches the row."""
        cut: str = super().pre_save(model_instance, add)[: self.max_length]
        setattr(model_instance, self.attname, cut)
        return cut

    def deconstruct(self) -> Any:
        """Migrations see a plain CharField."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs
