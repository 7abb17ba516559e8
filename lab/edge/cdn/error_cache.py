"""How long the edge keeps an error in mind, and the errors that it has in mind.

It decides as the Developer Guide has it under "How CloudFront caches HTTP 4xx and 5xx status
codes". It must never keep an error of a behavior whose cache policy has caching disabled, nor grow
without bound.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from lab.edge.account.distributions import ERROR_CACHING_SECONDS, Behavior, Distribution
from lab.edge.cdn.forwarding import policy_selection
from lab.edge.http.messages import Header, Refusal, ViewerRequest

ALWAYS_CACHED = frozenset({404, 414, 500, 501, 502, 503, 504})
CACHED_IF_CONFIGURED = frozenset({400, 403, 405, 412, 415})
CACHED_METHODS = frozenset({"GET", "HEAD"})
MAX_ERRORS = 200
# A longer error page is cut.
MAX_BODY_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class CachedErrorResponse:
    """An error of the origin: status, its end-to-end headers and its body."""

    status: int
    headers: tuple[Header, ...]
    body: bytes


CachedError = Refusal | CachedErrorResponse


def error_ttl(
    distribution: Distribution, behavior: Behavior, status: int, headers: Iterable[Header]
) -> float:
    """For how many seconds of AWS's time the edge answers with this error again; 0 for not at all.

    1. Never with caching disabled.
    2. 404, 414 and most 5xx always: for the error caching minimum TTL (10 s if nobody set one), or
       for the origin's max-age if that is longer.
    3. 400, 403, 405, 412 and 415 only if the origin sends a max-age, or the distribution has a
       custom error response for that status.
    """
    if not behavior.cache_policy.caches:
        return 0.0
    mapping = next(
        (item for item in distribution.error_mappings if item.error_code == status), None
    )
    asked = _max_age(headers)
    if status in ALWAYS_CACHED or (
        status in CACHED_IF_CONFIGURED and (asked or mapping is not None)
    ):
        return max(ERROR_CACHING_SECONDS if mapping is None else mapping.caching_seconds, asked)
    return 0.0


def cache_key(distribution: Distribution, behavior: Behavior, request: ViewerRequest) -> Hashable:
    """What makes two requests the same to the cache: the path, and what the cache policy selects of
    the rest.
    """
    return (distribution.id, request.path, policy_selection(behavior.cache_policy, request))


class ErrorCache:
    """Errors by cache key; times are seconds of any clock that runs steadily."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[float, CachedError]] = OrderedDict()

    def find(self, key: Hashable, now: float) -> CachedError | None:
        """The error kept for `key`, unless its time is over."""
        until, error = self._kept.get(key, (0.0, None))
        if error is not None and now >= until:
            del self._kept[key]
            return None
        return error

    def keep(self, key: Hashable, error: CachedError, until: float) -> None:
        """Answer `key` with this error until then; the oldest one makes room."""
        self._kept.pop(key, None)
        self._kept[key] = (until, error)
        if len(self._kept) > MAX_ERRORS:
            self._kept.popitem(last=False)


def _max_age(headers: Iterable[Header]) -> float:
    """s-maxage before max-age, as for every shared cache (RFC 9111 section 5.2.2.10)."""
    control = ",".join(value for name, value in headers if name.lower() == "cache-control").lower()
    if "no-store" in control or "no-cache" in control or "private" in control:
        return 0.0
    found: dict[str, str] = dict(re.findall(r"\b(s-maxage|max-age)\s*=\s*\"?(\d{1,10})", control))
    return float(found.get("s-maxage") or found.get("max-age") or 0)
