"""The API for people: a reference, Swagger UI, and a page per problem code.

Public, because they hold nothing but what the API is; nothing from another host. They change
nothing, so that any other method is refused as such, before a form's protection is asked for.
"""

from __future__ import annotations

import json
from typing import Any

from csp.constants import SELF
from csp.decorators import csp_update
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt, ensure_csrf_cookie
from django.views.decorators.http import require_safe

from portal.api.docs import api_document
from portal.problems import PROBLEMS


@csrf_exempt
@require_safe
def reference(request: HttpRequest) -> HttpResponse:
    """Every operation; works without scripts."""
    document = api_document()
    operations = [
        {**operation, **_shown(method.upper(), url, operation, document)}
        for url, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    context = {"document": document, "operations": operations, "problems": PROBLEMS}
    return render(request, "api/docs.html", context)


@csrf_exempt
@require_safe
@ensure_csrf_cookie
@csp_update({"img-src": [SELF, "data:"]})  # its style sheet has icons
def swagger_ui(request: HttpRequest) -> HttpResponse:
    """The same to try out, with a token or as the person who is signed in."""
    return render(request, "api/swagger_ui.html")


@csrf_exempt
@require_safe
def problem(request: HttpRequest, code: str) -> HttpResponse:
    """What a code means and what to do."""
    known = PROBLEMS.get(code)
    if known is None:
        raise Http404
    return render(request, "api/problem.html", {"code": code, "problem": known})


def _shown(
    method: str, url: str, operation: dict[str, Any], document: dict[str, Any]
) -> dict[str, Any]:
    """What the reference shows of an operation besides what the document has."""
    sent = _json_content(operation.get("requestBody", {}))
    name = sent.get("schema", {}).get("$ref", "").rpartition("/")[2]
    body = document["components"]["schemas"].get(name, {})
    successes = [answer for status, answer in operation["responses"].items() if status < "300"]
    curl = [
        f"curl -X {method} {settings.PORTAL_URL}{url}",
        '  -H "Authorization: Bearer $TOKEN"',
    ]
    if example := _example(sent):
        compact = json.dumps(example, ensure_ascii=False)
        curl += ['  -H "Content-Type: application/json"', f"  -d '{compact}'"]
    return {
        "method": method,
        "url": url,
        "opens": method == "GET" and "{" not in url,
        "fields": [
            {"name": field, "needed": field in body.get("required", ()), **about}
            for field, about in body.get("properties", {}).items()
        ],
        "answer": json.dumps(_example(_json_content(successes[0])), ensure_ascii=False, indent=2),
        "curl": " \\\n".join(curl),
    }


def _json_content(message: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = message.get("content", {}).get("application/json", {})
    return content


def _example(content: dict[str, Any]) -> Any:
    return next((example["value"] for example in content.get("examples", {}).values()), None)
