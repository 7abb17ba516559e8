"""Which parts of a viewer's request reach the origin (PURE).

Headers, cookies, query string and Host follow from the behavior's cache policy and origin request
policy (Developer Guide, "Request and response behavior for custom origins"). Without an origin
request policy the Sec-WebSocket-* headers are not forwarded: the most common fault of all.
"""

from __future__ import annotations

from collections.abc import Mapping

from lab.edge.account.distributions import Behavior, Origin
from lab.edge.account.policies import RequestPolicy, Selection
from lab.edge.http.messages import EdgeIdentity, Header, OriginRequest, ViewerRequest

# Hop-by-hop, or replaced by CloudFront.
NEVER_FORWARDED = frozenset(
    {
        "connection",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
        "via",
        "x-amz-cf-id",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-real-ip",
    }
)
_NEVER_FORWARDED_PREFIXES = ("cloudfront-", "x-edge-")
# Forwarded whatever the policies say: they describe the body, its framing, or caching.
ALWAYS_FORWARDED = frozenset(
    {
        "cache-control",
        "content-encoding",
        "content-language",
        "content-length",
        "content-type",
        "date",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "max-forwards",
        "pragma",
        "range",
        "transfer-encoding",
    }
)
# Developer Guide, "Headers to determine the viewer's header structure".
_LONGEST_ORDER = 7680
USER_AGENT = "Amazon CloudFront"


def origin_request(
    request: ViewerRequest, behavior: Behavior, origin: Origin, edge: EdgeIdentity
) -> OriginRequest:
    """The request that the origin gets.

    1. Host: the viewer's if a policy forwards it, else the origin's domain name.
    2. X-Forwarded-For with the viewer's address appended, Via, X-Amz-Cf-Id.
    3. For a WebSocket handshake Upgrade and Connection, else Connection: Keep-Alive.
    4. The viewer's headers that are always forwarded or that a policy selects. User-Agent is
       CloudFront's unless selected.
    5. Cookies and query string: the union of both policies.
    6. CloudFront-* headers that a policy names, then the origin's custom headers, which replace the
       viewer's.
    """
    chosen = _HeaderSelection(behavior)
    cookies = _NameSelection(behavior.cache_policy.cookies, behavior.origin_request_policy.cookies)
    custom = {name.lower() for name, _ in origin.custom_headers}
    headers: list[Header] = [
        ("Host", request.header("host") if chosen.passes("host") else origin.domain_name)
    ]
    earlier = request.header("x-forwarded-for")
    headers.append(
        ("X-Forwarded-For", f"{earlier}, {request.address}" if earlier else request.address)
    )
    headers.append(
        ("Via", f"{request.header('via')}, {edge.via}" if request.header("via") else edge.via)
    )
    headers.append(("X-Amz-Cf-Id", edge.request_id))
    if request.is_websocket_handshake:
        headers += [("Upgrade", "websocket"), ("Connection", "upgrade")]
    else:
        headers.append(("Connection", "Keep-Alive"))
    if not chosen.passes("user-agent") and "user-agent" not in custom:
        headers.append(("User-Agent", USER_AGENT))
    for name, value in request.headers:
        lowered = name.lower()
        if (
            lowered in NEVER_FORWARDED
            or lowered in custom
            or lowered.startswith(_NEVER_FORWARDED_PREFIXES)
        ):
            continue
        if lowered == "cookie":
            # Sorted by name, without those that begin with $ (Developer Guide, "Cache content based
            # on cookies").
            pairs = _keep_pairs(value, "; ", cookies).split("; ")
            value = "; ".join(
                sorted(
                    (pair for pair in pairs if pair and not pair.startswith("$")),
                    key=lambda pair: pair.partition("=")[0],
                )
            )
            if not value:
                continue
        elif lowered not in ALWAYS_FORWARDED and not chosen.passes(lowered):
            continue
        headers.append((name, value))
    headers += [
        (name, value)
        for name, value in _cloudfront_headers(request).items()
        if chosen.names(name.lower())
    ]
    headers += origin.custom_headers
    queries = _NameSelection(
        behavior.cache_policy.query_strings, behavior.origin_request_policy.query_strings
    )
    query = _keep_pairs(request.query, "&", queries)
    target = origin.path + request.path + (f"?{query}" if query else "")
    return OriginRequest(request.method, target, tuple(headers))


def policy_selection(
    policy: RequestPolicy, request: ViewerRequest
) -> tuple[str, str, tuple[Header, ...]]:
    """What one policy selects from a request: query string, cookies, headers."""
    headers = tuple(
        (name.lower(), value)
        for name, value in request.headers
        if name.lower() != "cookie" and _HeaderSelection.selects(policy.headers, name.lower())
    )
    cookies = _keep_pairs(request.header("cookie"), "; ", _NameSelection(policy.cookies))
    return _keep_pairs(request.query, "&", _NameSelection(policy.query_strings)), cookies, headers


def forwards_header(behavior: Behavior, name: str) -> bool:
    """Whether a policy of the behavior forwards the header of that name (in lower case)."""
    chosen = _HeaderSelection(behavior)
    return chosen.passes(name) or chosen.names(name)


def forwards_cookies(behavior: Behavior) -> bool:
    """Whether a behavior forwards any cookie."""
    return any(
        policy.cookies.behavior != "none"
        for policy in (behavior.cache_policy, behavior.origin_request_policy)
    )


class _HeaderSelection:
    """Which viewer headers the two policies of a behavior forward."""

    def __init__(self, behavior: Behavior) -> None:
        self._selections = (behavior.cache_policy.headers, behavior.origin_request_policy.headers)

    def passes(self, name: str) -> bool:
        return any(self.selects(selection, name) for selection in self._selections)

    def names(self, name: str) -> bool:
        """Whether a policy names a header that CloudFront generates; "all viewer headers" does
        not.
        """
        return any(
            name in selection.names
            and selection.behavior in ("whitelist", "allViewerAndWhitelistCloudFront")
            for selection in self._selections
        )

    @staticmethod
    def selects(selection: Selection, name: str) -> bool:
        match selection.behavior:
            case "allViewer" | "allViewerAndWhitelistCloudFront":
                return True
            case "allExcept":
                return name not in selection.names
            case "whitelist":
                return name in selection.names
            case _:
                return False


class _NameSelection:
    """Which cookies, or which query strings, the policies of a behavior forward."""

    def __init__(self, *selections: Selection) -> None:
        self._selections = selections

    def passes(self, name: str) -> bool:
        return any(
            selection.behavior == "all"
            or (selection.behavior == "whitelist" and name in selection.names)
            or (selection.behavior == "allExcept" and name not in selection.names)
            for selection in self._selections
        )


def _keep_pairs(text: str, separator: str, choice: _NameSelection) -> str:
    """Keep the `name=value` pairs whose name is selected, in order and unchanged."""
    kept = (
        pair
        for pair in text.split(separator.strip())
        if choice.passes(pair.strip().partition("=")[0])
    )
    return separator.join(pair.strip() if separator != "&" else pair for pair in kept)


def _cloudfront_headers(request: ViewerRequest) -> Mapping[str, str]:
    """The headers about the viewer that CloudFront can add, as far as the lab knows the values."""
    address = f"[{request.address}]" if ":" in request.address else request.address
    made = {
        "CloudFront-Forwarded-Proto": request.scheme,
        "CloudFront-Viewer-Address": f"{address}:{request.port}",
        "CloudFront-Viewer-Http-Version": request.http_version,
        "CloudFront-Viewer-Header-Count": str(len(request.headers)),
        "CloudFront-Viewer-Header-Order": ":".join(name for name, _ in request.headers)[
            :_LONGEST_ORDER
        ],
        **_device_headers(request.header("user-agent").lower()),
    }
    if request.country:
        made["CloudFront-Viewer-Country"] = request.country
    if request.tls:
        made["CloudFront-Viewer-TLS"] = f"{request.tls}:fullHandshake"
    return made


def _device_headers(agent: str) -> Mapping[str, str]:
    """The device type from User-Agent. A tablet is mobile too; anything unknown is a desktop."""
    ios = any(name in agent for name in ("iphone", "ipad", "ipod"))
    android = "android" in agent
    tablet = "ipad" in agent or "tablet" in agent or (android and "mobile" not in agent)
    tv = "smart-tv" in agent or "smarttv" in agent or "tizen" in agent
    mobile = tablet or "mobile" in agent or "iphone" in agent
    found = {
        "Is-Android-Viewer": android,
        "Is-Desktop-Viewer": not (mobile or tv),
        "Is-IOS-Viewer": ios,
        "Is-Mobile-Viewer": mobile,
        "Is-SmartTV-Viewer": tv,
        "Is-Tablet-Viewer": tablet,
    }
    return {f"CloudFront-{name}": str(holds).lower() for name, holds in found.items()}
