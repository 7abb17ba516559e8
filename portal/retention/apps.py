"""Registers the package with Django."""

from django.apps import AppConfig


class RetentionConfig(AppConfig):
    """Holds the record of what was deleted."""

    name = "portal.retention"
    label = "retention"
