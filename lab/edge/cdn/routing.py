"""Which distribution and which behavior answer a request, by host and path (PURE).

CloudFront's order: a distribution by domain name or alias, then its behaviors in configured order,
then the default one. The query string is ignored.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from functools import lru_cache

from lab.edge.account.distributions import Behavior, Distribution
from lab.edge.http.hosts import CLOUDFRONT_SUFFIX, LOCAL_SUFFIX, split_host

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~")


def find_distribution(distributions: Iterable[Distribution], host: str) -> Distribution | None:
    """The distribution that serves `host` (case-insensitive), or None.

    1. `dXXX.edge.localhost` is the lab's alias of `dXXX.cloudfront.net`: browsers resolve it to
       loopback.
    2. A multi-tenant distribution has no name of its own, and the lab has no distribution tenants.
    3. An exact domain name or alias wins over a wildcard alias (`*.example.com`, one or more
       labels), and a longer wildcard over a shorter one.
    """
    name, _ = split_host(host)
    if name.endswith(LOCAL_SUFFIX):
        name = name.removesuffix(LOCAL_SUFFIX) + CLOUDFRONT_SUFFIX
    by_wildcard, longest = None, 0
    for distribution in distributions:
        if distribution.tenant_only:
            continue
        if name == distribution.domain or name in distribution.aliases:
            return distribution
        for alias in distribution.aliases:
            if len(alias) > longest and alias.startswith("*.") and name.endswith(alias[1:]):
                by_wildcard, longest = distribution, len(alias)
    return by_wildcard


def find_behavior(distribution: Distribution, path: str) -> Behavior:
    """The first behavior whose pattern matches the normalized `path`, else the default one."""
    normal = normalized(path)
    for behavior in distribution.behaviors:
        if behavior.path_pattern is not None and matches(behavior.path_pattern, normal):
            return behavior
    return distribution.default_behavior


def normalized(path: str) -> str:
    """The form of a path against which patterns are matched; the origin gets the raw path
    (Developer Guide, "Path normalization").

    1. Percent-encoded letters, digits and -._~ are decoded; other escapes become upper case (RFC
       3986 section 6.2.2).
    2. Repeated slashes become one; the segments `.` and `..` are resolved (section 5.2.4).
    """
    if "%" in path:
        path = _ESCAPE.sub(_decoded, path)
    if "//" not in path and "/." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    inside = kept and segments[-1] in ("", ".", "..")
    return "/" + "/".join(kept) + ("/" if inside else "")


def matches(pattern: str, path: str) -> bool:
    """Whether a path pattern matches a path: `*` is any characters, `?` exactly one, case matters.

    The pattern's leading slash is optional; a query string is ignored (Developer Guide, "Path
    pattern"). So `/ws/*` matches `/ws/` and `/ws/chat` but not `/ws`.
    """
    return _compiled(pattern).fullmatch(path.partition("?")[0]) is not None


def _decoded(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    absolute = pattern if pattern.startswith(("/", "*")) else "/" + pattern
    # Repeated stars mean one; kept, they would make the regular expression backtrack
    # catastrophically.
    collapsed = re.sub(r"\*+", "*", absolute)
    return re.compile(
        "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in collapsed), re.DOTALL
    )
