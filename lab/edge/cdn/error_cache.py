"""CloudFront's error caching (PURE).

Developer Guide, "How CloudFront caches HTTP 4xx and 5xx status codes". The cache is bounded, and
keeps nothing for behaviors whose cache policy disables caching.
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
# Longer error pages are truncated.
MAX_BODY_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class CachedErrorResponse:
    """An origin's error response, without hop-by-hop headers."""

    status: int
    headers: tuple[Header, ...]
    body: bytes


CachedError = Refusal | CachedErrorResponse


def error_ttl(
    distribution: Distribution, behavior: Behavior, status: int, headers: Iterable[Header]
) -> float:
    """How long the edge caches this error, in AWS's seconds; 0 if it does not.

    1. Never if caching is disabled.
    2. 404, 414 and most 5xx: for the error caching minimum TTL (default 10 s), or for the origin's
       max-age if that is longer.
    3. 400, 403, 405, 412 and 415: only if the origin sends a max-age, or the distribution has a
       custom error response for that status.
    """
    if not behavior.cache_policy.caches:
        return 0.0
    mapping = next(
        (item for item in distribution.error_mappings if item.error_code == status), None
    )
    control = ",".join(value for name, value in headers if name.lower() == "cache-control").lower()
    max_age = 0.0
    if not any(directive in control for directive in ("no-store", "no-cache", "private")):
        # s-maxage wins over max-age in a shared cache (RFC 9111 section 5.2.2.10).
        found = dict(re.findall(r"\b(s-maxage|max-age)\s*=\s*\"?(\d{1,10})", control))
        max_age = float(found.get("s-maxage") or found.get("max-age") or 0)
    if status in ALWAYS_CACHED or (
        status in CACHED_IF_CONFIGURED and (max_age or mapping is not None)
    ):
        return max(ERROR_CACHING_SECONDS if mapping is None else mapping.caching_seconds, max_age)
    return 0.0


def cache_key(distribution: Distribution, behavior: Behavior, request: ViewerRequest) -> Hashable:
    """The cache key: distribution, path, and what the cache policy selects."""
    return (distribution.id, request.path, policy_selection(behavior.cache_policy, request))


class ErrorCache:
    """Cached errors by cache key. Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._errors: OrderedDict[Hashable, tuple[float, CachedError]] = OrderedDict()

    def get(self, key: Hashable, now: float) -> CachedError | None:
        """The error cached for `key`, unless it has expired."""
        until, error = self._errors.get(key, (0.0, None))
        if error is not None and now >= until:
            del self._errors[key]
            return None
        return error

    def put(self, key: Hashable, error: CachedError, until: float) -> None:
        """Cache an error for `key`; the oldest entry is evicted if the cache is full."""
        self._errors.pop(key, None)
        self._errors[key] = (until, error)
        if len(self._errors) > MAX_ERRORS:
            self._errors.popitem(last=False)
