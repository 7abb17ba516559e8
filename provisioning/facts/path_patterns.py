"""CloudFront path patterns: what they match, whether two can match the same path, whether one
covers another.

PURE. Rules (CloudFront Developer Guide, cache behavior path pattern): `*` matches zero or more
characters, `?` exactly one; matching is case-sensitive; the first matching behavior wins; the query
is not looked at.
"""

import re
from collections.abc import Callable, Sequence

ANY_RUN = "*"
ANY_ONE = "?"
_WILDCARDS = re.compile(r"\?*\*[*?]*")


def matches(pattern: str, path: str) -> bool:
    """Whether `pattern` matches `path`."""
    return _meet(_tokens(pattern), [f"={character}" for character in path], _fits)


def overlap(one: str, other: str) -> bool:
    """Whether some path is matched by both patterns."""
    return _meet(_tokens(one), _tokens(other), lambda a, b: a == b or ANY_ONE in (a, b))


def covers(broad: str, narrow: str) -> bool:
    """Whether every path that `narrow` matches is surely matched by `broad` (never true
    wrongly).
    """
    symbols = [f"={token}" if token in (ANY_RUN, ANY_ONE) else token for token in _tokens(narrow)]
    return _meet(
        _tokens(broad), symbols, lambda a, b: a == b or (a == ANY_ONE and b != f"={ANY_RUN}")
    )


def same_paths(one: str, other: str) -> bool:
    """Whether both match exactly the same paths, however they are written: `ws` and `/ws`, `/ws/**`
    and `/ws/*`.
    """
    return covers(one, other) and covers(other, one)


def _tokens(pattern: str) -> list[str]:
    """Wildcards as they are, of a run of them `?` before one `*`; every other character as `=c`.
    CloudFront takes a leading slash as given.
    """
    pattern = pattern if pattern.startswith(("/", ANY_RUN)) else f"/{pattern}"
    pattern = _WILDCARDS.sub(lambda run: ANY_ONE * run[0].count(ANY_ONE) + ANY_RUN, pattern)
    return [
        character if character in (ANY_RUN, ANY_ONE) else f"={character}" for character in pattern
    ]


def _fits(token: str, symbol: str) -> bool:
    return token in (symbol, ANY_ONE)


def _meet(left: Sequence[str], right: Sequence[str], fits: Callable[[str, str], bool]) -> bool:
    """Whether the two sequences can be laid on each other; `*` on either side takes any run of the
    other.
    """
    reachable = [False] * (len(right) + 1)
    reachable[0] = True
    for j, token in enumerate(right):
        reachable[j + 1] = reachable[j] and token == ANY_RUN
    for here in left:
        row = [reachable[0] and here == ANY_RUN]
        for j, there in enumerate(right):
            if here == ANY_RUN or there == ANY_RUN:
                skip_here = here == ANY_RUN and (reachable[j + 1] or row[j])
                skip_there = there == ANY_RUN and (row[j] or reachable[j + 1])
                row.append(skip_here or skip_there)
            else:
                row.append(reachable[j] and fits(here, there))
        reachable = row
    return reachable[-1]
