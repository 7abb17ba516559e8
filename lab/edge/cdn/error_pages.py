"""Answers that the edge or a load balancer makes by itself, and the headers CloudFront puts on
every answer (PURE).

It decides reason phrases, pages and headers. It must never pretend that the origin answered:
`server` says who did.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from lab.edge.http.messages import POP, Answer, EdgeIdentity, Header, Refusal, reason_phrase

REPLACED_BY_EDGE = frozenset({"x-cache", "x-amz-cf-id", "x-amz-cf-pop", "via"})
# What RFC 6455 section 1.3 computes for its own sample key, and for no other.
WRONG_ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


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
