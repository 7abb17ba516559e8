"""Which part of moto answers a request: moto's own choice, remembered.

moto lists its folders for it at every request, and imports all of API Gateway's first version for
the second. It must never choose another part than moto would.
"""

from __future__ import annotations

import functools
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

# As many as there are services and Regions in use; requests with nonsense must not fill the memory.
_MOST_HOSTS = 500


class MotoApplication(DomainDispatcherApplication):
    """The WSGI application that moto's server runs, for one process."""

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        self._remembered = functools.lru_cache(_MOST_HOSTS)(super().get_backend_for_host)

    def get_backend_for_host(self, host: str | None) -> Any:
        """The name of the part that answers for a host name."""
        return self._remembered(host)

    def infer_service_region_host(self, environ: dict[str, Any], path: str) -> str | None:
        """The host name that AWS would have been asked under, or the name of a part."""
        host = super().infer_service_region_host(environ, path)
        second = host is not None and host.startswith("apigateway.") and path.startswith("/v2/")
        return "apigatewayv2" if second else host
