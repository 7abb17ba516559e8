"""`/livez`, `/readyz` and `/metrics`: for orchestrators and Prometheus, not for people.

They are answered before anything looks at the Host header, since a kubelet asks a pod by its
address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from portal.operations.metrics import registry
from portal.operations.observe import observe
from portal.operations.readiness import Level, components, overall

Handler = Callable[[HttpRequest], HttpResponseBase]


def operations_pages(get_response: Handler) -> Handler:
    """Answers the three addresses itself, and passes everything else on."""
    pages: dict[str, Handler] = {"/livez": livez, "/readyz": readyz, "/metrics": metrics}

    def middleware(request: HttpRequest) -> HttpResponseBase:
        page = pages.get(request.path)
        if page is None:
            return get_response(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        response = page(request)
        response["Cache-Control"] = "no-store"
        return response

    return middleware


def livez(request: HttpRequest) -> HttpResponse:
    """The process answers. Asks nothing else: an orchestrator restarts what fails here."""
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8")


def readyz(request: HttpRequest) -> JsonResponse:
    """503 while pages cannot be served; 200 with `degraded` while only the work behind them waits,
    since another web process would wait as well.
    """
    found = components(observe(timezone.now()))
    level = overall(found)
    body = {
        "status": level,
        "components": [
            {"name": one.name, "status": one.level, "detail": one.text} for one in found
        ],
    }
    return JsonResponse(body, status=503 if level is Level.FAILED else 200)


def metrics(request: HttpRequest) -> HttpResponse:
    """Metrics in Prometheus's text format, for the networks that METRICS_ALLOWED_NETWORKS names."""
    if not _may_scrape(request.META.get("REMOTE_ADDR", "")):
        text = "Metrics are for the networks in METRICS_ALLOWED_NETWORKS only.\n"
        return HttpResponse(text, status=403, content_type="text/plain; charset=utf-8")
    return HttpResponse(generate_latest(registry()), content_type=CONTENT_TYPE_LATEST)


def _may_scrape(address: str) -> bool:
    try:
        client = ipaddress.ip_address(address)
    except ValueError:
        return False
    networks = (ipaddress.ip_network(one) for one in settings.METRICS_ALLOWED_NETWORKS)
    return any(client in network for network in networks)
