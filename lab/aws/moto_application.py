"""Which of moto's backends answers a request: moto's own choice, cached.

moto lists its directories for every request. The second patch keeps it from importing all of API
Gateway v1 for v2.
"""

from __future__ import annotations

import functools
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

# Enough for all services and Regions in use. Bounded, since clients choose the host name.
_MAX_HOSTS = 500


class MotoApplication(DomainDispatcherApplication):
    """moto's WSGI application, for one process."""

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        self._remembered = functools.lru_cache(_MAX_HOSTS)(super().get_backend_for_host)

    def get_backend_for_host(self, host: str | None) -> Any:
        """The name of the backend for a host name."""
        return self._remembered(host)

    def infer_service_region_host(self, environ: dict[str, Any], path: str) -> str | None:
        """The host name under which AWS would have been called, or the name of a backend."""
        host = super().infer_service_region_host(environ, path)
        second = host is not None and host.startswith("apigateway.") and path.startswith("/v2/")
        return "apigatewayv2" if second else host
