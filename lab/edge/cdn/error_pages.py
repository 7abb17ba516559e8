"""Answers that the edge or a load balancer makes by itself, and the headers CloudFront puts on
every answer (PURE).

It decides reason phrases, pages and headers. It must never pretend that the origin answered:
`server` says who did.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from http import HTTPStatus

from lab.edge.cdn.forwarding import EdgeIdentity, Header
from lab.edge.cdn.viewer_rules import Refusal

POP = "LAB50-P1"
# Not registered with IANA; nginx's number, which CloudFront uses too.
UNREGISTERED_REASONS = {494: "Request Header Too Large"}
REPLACED_BY_EDGE = frozenset({"x-cache", "x-amz-cf-id", "x-amz-cf-pop", "via"})
# What RFC 6455 section 1.3 computes for its own sample key, and for no other.
WRONG_ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
BALANCER_SERVER = "awselb/2.0"


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response."""

    status: int
    headers: tuple[Header, ...]
    body: bytes


def reason_phrase(status: int) -> str:
    """The standard reason phrase, or "" for a number without one."""
    if status in UNREGISTERED_REASONS:
        return UNREGISTERED_REASONS[status]
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""


def edge_answer(refusal: Refusal, edge: EdgeIdentity) -> Answer:
    """The page for a request that the edge refused, redirected, or could not bring to its
    origin.
    """
    body = (
        _error_document(refusal) if refusal.code else _edge_page(refusal, edge.request_id)
    ).encode()
    headers: list[Header] = [
        ("Server", "CloudFront"),
        ("Content-Type", refusal_content_type(refusal)),
        ("Content-Length", str(len(body))),
        *refusal.headers,
    ]
    if refusal.location:
        headers.append(("Location", refusal.location))
    return Answer(
        refusal.status,
        (*headers, *_edge_headers(edge, f"{refusal.result_type} from cloudfront", "")),
        body,
    )


def refusal_content_type(refusal: Refusal) -> str:
    """The Content-Type of a refusal's page."""
    return "text/xml" if refusal.code else "text/html; charset=utf-8"


def relayed_headers(
    headers: Iterable[Header], error: bool, edge: EdgeIdentity
) -> tuple[Header, ...]:
    """An origin's response headers as the viewer sees them. Errors of the origin count as errors of
    CloudFront.

    `error` is also true for a custom error response, whatever its status is.
    """
    kept = [(name, value) for name, value in headers if name.lower() not in REPLACED_BY_EDGE]
    earlier = ", ".join(value for name, value in headers if name.lower() == "via")
    return (
        *kept,
        *_edge_headers(edge, "Error from cloudfront" if error else "Miss from cloudfront", earlier),
    )


def with_wrong_accept(headers: Iterable[Header]) -> tuple[Header, ...]:
    """A 101's headers as something on the way that never saw the key would answer."""
    return tuple(
        (name, WRONG_ACCEPT if name.lower() == "sec-websocket-accept" else value)
        for name, value in headers
    )


def balancer_answer(
    status: int, content_type: str = "", body: str = "", location: str = ""
) -> Answer:
    """What the load balancer says by itself: its plain error pages, redirects and fixed
    responses.
    """
    if not content_type and not location:
        content_type = "text/html"
        body = f"<html><head><title>{status} {reason_phrase(status)}</title></head>"
        body += (
            f"<body><h1>{status} {reason_phrase(status)}</h1><p>Answered by the load "
            "balancer.</p></body></html>\n"
        )
    content = body.encode()
    headers: list[Header] = [("Server", BALANCER_SERVER), ("Content-Length", str(len(content)))]
    if content_type:
        headers.append(("Content-Type", content_type))
    if location:
        headers.append(("Location", location))
    return Answer(status, tuple(headers), content)


def json_answer(status: int, document: Mapping[str, object]) -> Answer:
    """What the lab says of itself."""
    body = json.dumps(document).encode()
    return Answer(
        status, (("Content-Type", "application/json"), ("Content-Length", str(len(body)))), body
    )


def _edge_headers(edge: EdgeIdentity, cache: str, earlier_via: str) -> tuple[Header, ...]:
    return (
        ("X-Cache", cache),
        ("Via", f"{earlier_via}, {edge.via}" if earlier_via else edge.via),
        ("X-Amz-Cf-Pop", POP),
        ("X-Amz-Cf-Id", edge.request_id),
    )


def _error_document(refusal: Refusal) -> str:
    """What CloudFront says to requests that a restricted behavior does not let in."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f"<Error><Code>{escape(refusal.code)}</Code><Message>{escape(refusal.why)}</Message></Error>"
    )


def _edge_page(refusal: Refusal, request_id: str) -> str:
    title = (
        "MOVED"
        if refusal.result_type == "Redirect"
        else "ERROR: The request could not be satisfied"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f"<title>{title}</title></head>\n<body>\n"
        f"<h1>{refusal.status} {reason_phrase(refusal.status)}</h1>\n<hr>\n"
        f"<p>{escape(refusal.why)}</p>\n<hr>\n"
        "<pre>Made by the edge (CloudFront), not by the origin.\n"
        f"Request ID: {request_id}</pre>\n"
        "</body>\n</html>\n"
    )
