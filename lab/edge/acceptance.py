"""Whether the edge serves a request itself: refuses it, redirects it, or lets it go on to the origin (PURE).

It decides size limits, unknown hosts, viewer protocol policy, allowed methods and bodies on GET, in CloudFront's words.
It must never know how the origin is reached.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.edge.distribution_facts import Behavior, Distribution
from lab.edge.forwarding import ViewerRequest
from lab.edge.routing import LOCAL_SUFFIX, split_host

MAX_URL_BYTES = 8192
MAX_HEADER_BYTES = 32768


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that the edge makes by itself.

    `result_type` and `detail` are the log's x-edge-result-type and x-edge-detailed-result-type; `why` is one sentence
    for people, shown on the page.
    """

    status: int
    detail: str
    why: str
    result_type: str = "Error"
    location: str = ""


def refuse_form(request: ViewerRequest) -> Refusal | None:
    """Not HTTP/1.x: 400. URL over 8,192 bytes: 414. Request line and headers over 32,768: 494 (quotas page)."""
    if request.http_version not in ("1.0", "1.1"):
        return Refusal(400, "InvalidRequest", "This edge speaks HTTP/1.1 only.")
    if len(request.target) > MAX_URL_BYTES:
        return Refusal(414, "InvalidRequest", "The URL is longer than 8,192 bytes.")
    if sum(len(name) + len(value) + 4 for name, value in request.headers) + len(request.target) > MAX_HEADER_BYTES:
        return Refusal(494, "InvalidRequestHeader", "The request headers are larger than 32,768 bytes.")
    return None


def refuse_host(distribution: Distribution | None) -> Refusal | None:
    """No distribution answers for the host, or it is disabled: 403."""
    if distribution is None:
        return Refusal(403, "InvalidRequestBlocked", "No distribution answers for this host name.")
    if not distribution.enabled:
        return Refusal(403, "InvalidRequestBlocked", "The distribution for this host name is disabled.")
    return None


def refuse_by_behavior(
    request: ViewerRequest, behavior: Behavior, has_body: bool, plain_port: int, tls_port: int
) -> Refusal | None:
    """What the behavior does not allow.

    1. Plain HTTP under `redirect-to-https`: 301 to the same URL over HTTPS. Under `https-only`: 403.
    2. A method outside the behavior's set: 403.
    3. GET with a body: 403.
    """
    if request.scheme == "http":
        if behavior.viewer_protocol_policy == "redirect-to-https":
            location = _https_location(request, plain_port, tls_port)
            return Refusal(301, "Redirect", "This address is served over HTTPS.", "Redirect", location)
        if behavior.viewer_protocol_policy == "https-only":
            return Refusal(403, "Error", "This address is served over HTTPS only.")
    if request.method not in behavior.allowed_methods:
        return Refusal(403, "InvalidRequestMethod", f"This behavior does not allow the method {request.method}.")
    if request.method == "GET" and has_body:
        return Refusal(403, "InvalidRequest", "A GET request must not carry a body.")
    return None


def _https_location(request: ViewerRequest, plain_port: int, tls_port: int) -> str:
    """CloudFront only knows ports 80 and 443; whoever came by the lab's own plain port is sent to its own TLS port."""
    name, port = split_host(request.header("host"))
    by_lab_port = name.endswith(LOCAL_SUFFIX) or port == str(plain_port)
    return f"https://{name}{f':{tls_port}' if by_lab_port else ''}{request.target}"
