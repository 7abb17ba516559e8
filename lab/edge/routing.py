"""Which distribution and which behavior answer a request (PURE).

It decides from the Host header and the path alone, in CloudFront's order: distribution by domain name or alias, then
the behaviors in the order in which they are configured, then the default one. It must never look at the query string.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from lab.edge.distribution_facts import Behavior, Distribution

CLOUDFRONT_SUFFIX = ".cloudfront.net"
LOCAL_SUFFIX = ".edge.localhost"


def split_host(host: str) -> tuple[str, str]:
    """`Name:8002` → `("name", "8002")`. The port is "" when none was given."""
    name, _, port = host.strip().lower().partition(":")
    return name.rstrip("."), port


def find_distribution(distributions: Iterable[Distribution], host: str) -> Distribution | None:
    """The distribution that serves `host`, case-insensitively, or None.

    1. `dXXX.edge.localhost` is the lab's spelling of `dXXX.cloudfront.net`: browsers resolve it to loopback by
       themselves.
    2. An exact domain name or alias wins over a wildcard alias (`*.example.com`, one label or more).
    """
    name, _ = split_host(host)
    if name.endswith(LOCAL_SUFFIX):
        name = name.removesuffix(LOCAL_SUFFIX) + CLOUDFRONT_SUFFIX
    by_wildcard = None
    for distribution in distributions:
        if name == distribution.domain or name in distribution.aliases:
            return distribution
        if any(alias.startswith("*.") and name.endswith(alias[1:]) for alias in distribution.aliases):
            by_wildcard = by_wildcard or distribution
    return by_wildcard


def find_behavior(distribution: Distribution, path: str) -> Behavior:
    """The first behavior whose pattern matches `path`; the default one if none does."""
    for behavior in distribution.behaviors:
        if behavior.path_pattern is not None and matches(behavior.path_pattern, path):
            return behavior
    return distribution.default_behavior


def matches(pattern: str, path: str) -> bool:
    """Whether a path pattern matches a path: `*` is any run of characters, `?` exactly one, letters keep their case.

    The leading slash of the pattern is optional, and the query string is no part of the path (CloudFront Developer
    Guide, "Path pattern"). So `/ws/*` matches `/ws/` and `/ws/chat` but not `/ws`.
    """
    return _compiled(pattern).fullmatch(path.partition("?")[0]) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    absolute = pattern if pattern.startswith(("/", "*")) else "/" + pattern
    # Runs of stars mean one star; left as they are they would make the regular expression backtrack without end.
    collapsed = re.sub(r"\*+", "*", absolute)
    return re.compile("".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in collapsed), re.DOTALL)
