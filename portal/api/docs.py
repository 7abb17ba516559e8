"""The API's documents: the OpenAPI file at a fixed address, its rendering for people, and a page
per problem code.

Public, because they hold nothing but what the API is; no script and nothing from another host. They
change nothing, so that any other method is refused as such, before anybody asks for a form's
protection.
"""

from __future__ import annotations

import functools
import json
from typing import Any, cast

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

from portal.problems import PROBLEMS

METHODS = ("get", "post", "put", "patch", "delete")


@csrf_exempt
@require_safe
def openapi(request: HttpRequest) -> HttpResponse:
    """The OpenAPI 3.0.3 document, JSON."""
    return HttpResponse(_json(), content_type="application/json")


@csrf_exempt
@require_safe
def browse(request: HttpRequest) -> HttpResponse:
    """The same for people."""
    document = api_document()
    operations = [
        _operation(method, url, operation, document)
        for url, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]
    return render(
        request,
        "api/docs.html",
        {"document": document, "operations": operations, "problems": PROBLEMS},
    )


@csrf_exempt
@require_safe
def problem(request: HttpRequest, code: str) -> HttpResponse:
    """What a code means and what to do."""
    known = PROBLEMS.get(code)
    if known is None:
        raise Http404
    return render(request, "api/problem.html", {"code": code, "problem": known})


@functools.cache
def api_document() -> dict[str, Any]:
    """The document as a dict. It changes only with the code."""
    from portal.api.urls import requests_and_endpoints  # the routes import this module

    generator: Any = SchemaGenerator(  # type: ignore[no-untyped-call]
        patterns=[path("api/v1/", include(requests_and_endpoints))], api_version="v1"
    )
    document = cast("dict[str, Any]", generator.get_schema(request=None, public=True))
    document["servers"] = [{"url": settings.PORTAL_URL}]
    return cast("dict[str, Any]", _plain(document, document["components"]["schemas"]))


@functools.cache
def _json() -> str:
    return json.dumps(api_document(), ensure_ascii=False, indent=1)


def _plain(node: Any, schemas: dict[str, Any]) -> Any:
    """The same without allOf, which tools that import the document do not understand: what it names
    is put there.
    """
    if isinstance(node, list):
        return [_plain(inner, schemas) for inner in node]
    if not isinstance(node, dict):
        return node
    if set(node.get("allOf", [{}])[0]) == {"$ref"}:
        named = schemas[node["allOf"][0]["$ref"].rpartition("/")[2]]
        node = named | {key: value for key, value in node.items() if key != "allOf"}
    return {key: _plain(inner, schemas) for key, inner in node.items()}


def _operation(
    method: str, url: str, operation: dict[str, Any], document: dict[str, Any]
) -> dict[str, Any]:
    """What the page shows of one operation."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    example = _example(content)
    answers = operation["responses"]
    good: dict[str, Any] = next(
        (answer for status, answer in answers.items() if status.startswith("2")), {}
    )
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "url": url,
        "opens": method == "get" and "{" not in url,
        "summary": operation.get("summary", ""),
        "description": operation.get("description", "").split("\n\n"),
        "parameters": operation.get("parameters", []),
        "fields": _fields(content.get("schema", {}), document),
        "body": example,
        "answer": _example(good.get("content", {}).get("application/json", {})),
        "responses": [
            (status, answer.get("description", "")) for status, answer in answers.items()
        ],
        "curl": _curl(method.upper(), url, example),
    }


def _fields(schema: dict[str, Any], document: dict[str, Any]) -> list[dict[str, Any]]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found = document["components"]["schemas"].get(name, schema)
    required = found.get("required", [])
    return [
        {
            "name": field,
            "type": about.get("type", ""),
            "choices": about.get("enum", []),
            "text": about.get("description", ""),
            "required": field in required,
        }
        for field, about in found.get("properties", {}).items()
    ]


def _example(content: dict[str, Any]) -> str:
    for example in content.get("examples", {}).values():
        return json.dumps(example["value"], ensure_ascii=False, indent=2)
    return ""


def _curl(method: str, url: str, body: str) -> str:
    lines = [
        f"curl -X {method} {settings.PORTAL_URL}{url} \\",
        '  -H "Authorization: Bearer $TOKEN"',
    ]
    if body:
        compact = json.dumps(json.loads(body), ensure_ascii=False)
        lines[-1] += " \\"
        lines += ['  -H "Content-Type: application/json" \\', f"  -d '{compact}'"]
    return "\n".join(lines)
