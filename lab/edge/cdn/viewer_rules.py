"""The viewer rules of CloudFront: refuse, redirect, or let a request go on to the origin (PURE).

Size limits, unknown hosts, misdirected connections, countries, viewer protocol policy, allowed
methods, bodies on GET. Signatures and web ACLs have modules of their own.
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
    """URL over 8,192 bytes: 414. URL and headers over 32,768 bytes: 494 (quotas page). A malformed
    Host: 400.

    After the first two CloudFront closes the connection ("Maximum length of a request") and writes
    no log row (standard logging reference).
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
    """No distribution for the host, a disabled one, or a staging one (which viewers cannot call by
    name): 403.
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
    """A request that already passed through two distributions, by its Via header: 403 (quotas
    page).
    """
    if request.header("via").count("(CloudFront)") < MAX_NESTED:
        return None
    return Refusal(403, "Error", "The request passed through too many distributions (CloudFront).")


def refuse_misdirected(
    distribution: Distribution, named_by_tls: Distribution | None, request: ViewerRequest
) -> Refusal | None:
    """SNI and Host name distributions of two accounts: 421 (RFC 9110 section 15.5.20).

    CloudFront's protection against domain fronting (Developer Guide, "Restrictions on using
    alternate domain names"). A Host that the certificate covers passes: CloudFront's own covers all
    cloudfront.net names, a customer's is assumed to cover the wildcard aliases. An SNI without a
    distribution is ignored.
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
    """A country blocked by the geo restriction: 403. A viewer of unknown country passes."""
    listed = country in distribution.geo.countries
    blocked = {"whitelist": not listed, "blacklist": listed}.get(distribution.geo.kind, False)
    if not country or not blocked:
        return None
    why = "The Amazon CloudFront distribution is configured to block access from your country."
    return Refusal(403, "ClientGeoBlocked", why, pageable=True)


def refuse_by_behavior(
    request: ViewerRequest, behavior: Behavior, has_body: bool, plain_port: int, tls_port: int
) -> Refusal | None:
    """What the behavior does not allow.

    1. Plain HTTP under `redirect-to-https`: 301 for GET and HEAD, 307 for other methods, so that
       their body is sent again; below HTTP/1.1, which has no 307, 403. Under `https-only`: 403.
    2. A method that is not allowed: 403.
    3. GET with a body: 403.
    """
    if request.scheme == "http":
        if behavior.viewer_protocol_policy == "redirect-to-https":
            status = 301 if request.method in ("GET", "HEAD") else 307
            if status == 307 and request.http_version == "1.0":
                return Refusal(
                    403, "Error", "This method can be redirected to HTTPS only from HTTP/1.1."
                )
            # CloudFront itself knows only ports 80 and 443. A viewer on the lab's plain port goes
            # to the lab's TLS port.
            name, port = split_host(request.header("host"))
            on_lab_port = name.endswith(LOCAL_SUFFIX) or port == str(plain_port)
            location = f"https://{name}{f':{tls_port}' if on_lab_port else ''}{request.target}"
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
