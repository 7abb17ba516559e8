"""Registers the package with Django."""

from django.apps import AppConfig


class RequestsConfig(AppConfig):
    name = "portal.requests"
    verbose_name = "Endpoint requests"

    def ready(self) -> None:
        """Runs start only while the people behind them are entitled to."""
        from portal.requests.entitlement import unmet_by_people
        from provisioning.run_conditions import register_condition

        register_condition(unmet_by_people)
