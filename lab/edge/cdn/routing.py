"""Which distribution and which behavior answer a request (PURE).

It decides from the Host header and the path alone, in CloudFront's order: distribution by domain
name or alias, then the behaviors in the order in which they are configured, then the default one.
It must never look at the query string.
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
    """The distribution that serves `host`, case-insensitively, or None.

    1. `dXXX.edge.localhost` is the lab's spelling of `dXXX.cloudfront.net`: browsers resolve it to
       loopback by themselves.
    2. An exact domain name or alias wins over a wildcard alias (`*.example.com`, one label or
       more), and the longer wildcard over the shorter one.
    """
    name, _ = split_host(host)
    if name.endswith(LOCAL_SUFFIX):
        name = name.removesuffix(LOCAL_SUFFIX) + CLOUDFRONT_SUFFIX
    by_wildcard, longest = None, 0
    for distribution in distributions:
        if name == distribution.domain or name in distribution.aliases:
            return distribution
        for alias in distribution.aliases:
            if len(alias) > longest and alias.startswith("*.") and name.endswith(alias[1:]):
                by_wildcard, longest = distribution, len(alias)
    return by_wildcard


def find_behavior(distribution: Distribution, path: str) -> Behavior:
    """The first behavior whose pattern matches the normal form of `path`; the default one if none
    does.
    """
    normal = normalized(path)
    for behavior in distribution.behaviors:
        if behavior.path_pattern is not None and matches(behavior.path_pattern, normal):
            return behavior
    return distribution.default_behavior


def normalized(path: str) -> str:
    """A path as patterns are matched with it; the origin gets it as it came (Developer Guide, "Path
    normalization").

    1. Percent-encoded letters, digits and -._~ are decoded, other escapes get capital letters (RFC
       3986 section 6.2.2).
    2. Runs of slashes become one; the segments `.` and `..` are resolved (section 5.2.4).
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
    """Whether a path pattern matches a path: `*` is any run of characters, `?` exactly one, letters
    keep their case.

    The leading slash of the pattern is optional, and the query string is no part of the path
    (CloudFront Developer Guide, "Path pattern"). So `/ws/*` matches `/ws/` and `/ws/chat` but not
    `/ws`.
    """
    return _compiled(pattern).fullmatch(path.partition("?")[0]) is not None


def _decoded(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    absolute = pattern if pattern.startswith(("/", "*")) else "/" + pattern
    # Runs of stars mean one star; left as they are they would make the regular expression backtrack
    # without end.
    collapsed = re.sub(r"\*+", "*", absolute)
    return re.compile(
        "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in collapsed), re.DOTALL
    )
