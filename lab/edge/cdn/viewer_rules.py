"""Whether the edge serves a request itself: refuses it, redirects it, or lets it go on to the
origin (PURE).

It decides size limits, unknown hosts, misdirected connections, countries, viewer protocol policy,
allowed methods and bodies on GET, in CloudFront's words. Signatures and web ACLs have modules of
their own. It must never know how the origin is reached.
"""

from __future__ import annotations

from lab.edge.account.distributions import Behavior, Distribution
from lab.edge.http.hosts import CLOUDFRONT_SUFFIX, LOCAL_SUFFIX, is_host, split_host
from lab.edge.http.messages import Refusal, ViewerRequest

MAX_NESTED = 2
MAX_URL_BYTES = 8192
MAX_HEADER_BYTES = 32768
_CLOUDFRONTS_NAMES = (CLOUDFRONT_SUFFIX, LOCAL_SUFFIX)
_LAST = (("Connection", "close"),)


def refuse_malformed(request: ViewerRequest) -> Refusal | None:
    """URL over 8,192 bytes: 414. Request line and headers over 32,768: 494 (quotas page). A Host
    that is none: 400.

    After the first two CloudFront ends the connection ("Maximum length of a request"), and does not
    log it (standard logging reference).
    """
    if len(request.target) > MAX_URL_BYTES:
        return Refusal(
            414,
            "InvalidRequest",
            "The URL is longer than 8,192 bytes.",
            headers=_LAST,
            logged=False,
        )
    if (
        sum(len(name) + len(value) + 4 for name, value in request.headers) + len(request.target)
        > MAX_HEADER_BYTES
    ):
        why = "The request headers are larger than 32,768 bytes."
        return Refusal(494, "InvalidRequestHeader", why, headers=_LAST, logged=False)
    if not is_host(request.header("host")):
        return Refusal(400, "InvalidRequestHeader", "The Host header is not a host name.")
    return None


def refuse_host(distribution: Distribution | None) -> Refusal | None:
    """No distribution answers for the host, it is disabled, or it is a staging one, which no viewer
    may call: 403.
    """
    if distribution is None:
        return Refusal(403, "InvalidRequestBlocked", "No distribution answers for this host name.")
    if distribution.staging:
        return Refusal(
            403, "InvalidRequestBlocked", "A staging distribution cannot be called by its own name."
        )
    return refuse_disabled(distribution)


def refuse_disabled(distribution: Distribution) -> Refusal | None:
    """A disabled distribution: 403."""
    if distribution.enabled:
        return None
    return Refusal(403, "InvalidRequestBlocked", "The distribution for this host name is disabled.")


def refuse_nesting(request: ViewerRequest) -> Refusal | None:
    """A request that came through two distributions already: 403 (quotas page). Via says how many
    there were.
    """
    if request.header("via").count("(CloudFront)") < MAX_NESTED:
        return None
    return Refusal(403, "Error", "The request came through too many distributions (CloudFront).")


def refuse_misdirected(
    distribution: Distribution, named_by_tls: Distribution | None, request: ViewerRequest
) -> Refusal | None:
    """TLS was made for a distribution of another account than the one that Host names: 421 (RFC
    9110 section 15.5.20).

    CloudFront's guard against domain fronting (Developer Guide, "Restrictions on using alternate
    domain names"). A Host that the certificate covers passes: CloudFront's own covers all of
    CloudFront's names, a customer's is taken to cover what the aliases with a star do. Names in TLS
    that lead to no distribution say nothing.
    """
    if named_by_tls is None or named_by_tls.account == distribution.account:
        return None
    host, _ = split_host(request.header("host"))
    if request.server_name.endswith(_CLOUDFRONTS_NAMES):
        covered = host.endswith(_CLOUDFRONTS_NAMES)
    else:
        stars = (alias[1:] for alias in named_by_tls.aliases if alias.startswith("*."))
        covered = any(host.endswith(star) and "." not in host.removesuffix(star) for star in stars)
    if covered:
        return None
    why = (
        "The certificate of this TLS connection belongs to another AWS account than the "
        "requested host."
    )
    return Refusal(421, "InvalidRequestCertificate", why)


def refuse_country(distribution: Distribution, country: str) -> Refusal | None:
    """A country that the geo restriction keeps out: 403. A viewer whose country nobody knows comes
    in.
    """
    listed = country in distribution.geo.countries
    kept_out = {"whitelist": not listed, "blacklist": listed}.get(distribution.geo.kind, False)
    if not country or not kept_out:
        return None
    why = "The Amazon CloudFront distribution is configured to block access from your country."
    return Refusal(403, "ClientGeoBlocked", why, pageable=True)


def refuse_by_behavior(
    request: ViewerRequest, behavior: Behavior, has_body: bool, plain_port: int, tls_port: int
) -> Refusal | None:
    """What the behavior does not allow.

    1. Plain HTTP under `redirect-to-https`: GET and HEAD 301 to the same URL over HTTPS; other
       methods 307, so that their body is sent again, or 403 below HTTP/1.1, which has no 307. Under
       `https-only`: 403.
    2. A method outside the behavior's set: 403.
    3. GET with a body: 403.
    """
    if request.scheme == "http":
        if behavior.viewer_protocol_policy == "redirect-to-https":
            status = 301 if request.method in ("GET", "HEAD") else 307
            if status == 307 and request.http_version == "1.0":
                return Refusal(
                    403, "Error", "This method is redirected to HTTPS from HTTP/1.1 on only."
                )
            location = _https_location(request, plain_port, tls_port)
            return Refusal(
                status, "Redirect", "This address is served over HTTPS.", "Redirect", location
            )
        if behavior.viewer_protocol_policy == "https-only":
            return Refusal(403, "Error", "This address is served over HTTPS only.")
    if request.method not in behavior.allowed_methods:
        why = (
            "This distribution is not configured to allow the HTTP request method that was used "
            "for this request."
        )
        return Refusal(403, "InvalidRequestMethod", why)
    if request.method == "GET" and has_body:
        return Refusal(403, "InvalidRequest", "A GET request must not carry a body.")
    return None


def _https_location(request: ViewerRequest, plain_port: int, tls_port: int) -> str:
    """CloudFront only knows ports 80 and 443; whoever came by the lab's own plain port is sent to
    its own TLS port.
    """
    name, port = split_host(request.header("host"))
    by_lab_port = name.endswith(LOCAL_SUFFIX) or port == str(plain_port)
    return f"https://{name}{f':{tls_port}' if by_lab_port else ''}{request.target}"
