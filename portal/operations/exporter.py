"""Serves the metrics of a worker or the ticker, which answer no HTTP otherwise."""

from __future__ import annotations

import logging

from django.conf import settings
from prometheus_client import start_http_server

log = logging.getLogger(__name__)


def serve_metrics() -> None:
    """Listen on METRICS_PORT, unless it is 0. A port that is taken is no reason to stop working."""
    if not settings.METRICS_PORT:
        return
    try:
        start_http_server(settings.METRICS_PORT)
    except OSError as error:
        log.warning("metrics are not served on port %s: %s", settings.METRICS_PORT, error)
