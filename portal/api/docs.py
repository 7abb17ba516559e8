"""The OpenAPI document of the API, at a fixed address.

Public, because it holds nothing but what the API is. It changes nothing, so that any other method
is refused as such, before a form's protection is asked for.
"""

from __future__ import annotations

import functools
import json
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

from portal import openapi_objects  # noqa: F401  registers how objects become components


@csrf_exempt
@require_safe
def openapi(request: HttpRequest) -> HttpResponse:
    """The OpenAPI 3.0.3 document, JSON."""
    document = json.dumps(api_document(), ensure_ascii=False, indent=1)
    return HttpResponse(document, content_type="application/json")


@functools.cache
def api_document() -> dict[str, Any]:
    """The document of every API view among the routes. It changes only with the code."""
    generator: Any = SchemaGenerator(api_version="v1")  # type: ignore[no-untyped-call]
    document: dict[str, Any] = generator.get_schema(request=None, public=True)
    return document | {"servers": [{"url": settings.PORTAL_URL}]}
