"""Registers the package with Django."""

from django.apps import AppConfig


class RequestsConfig(AppConfig):
    name = "portal.requests"
    verbose_name = "Endpoint requests"
