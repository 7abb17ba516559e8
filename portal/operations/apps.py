"""The Django application of operations."""

from typing import Any

from django.apps import AppConfig


class OperationsConfig(AppConfig):
    """Holds the ticker's record, and lets workers serve their metrics."""

    name = "portal.operations"
    label = "operations"

    def ready(self) -> None:
        """A worker that takes work also serves its metrics."""
        from celery.signals import worker_ready
        from prometheus_client import metrics

        untyped: Any = metrics
        untyped.disable_created_metrics()  # one more series for each, that nothing here needs
        worker_ready.connect(_serve_metrics)


def _serve_metrics(**_: Any) -> None:
    from portal.operations.exporter import serve_metrics

    serve_metrics()
