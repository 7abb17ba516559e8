"""CloudFront path patterns: what they match, what two of them share, which request a new one takes
from the others.

PURE and exact. Rules (CloudFront Developer Guide, cache behavior path pattern): `*` matches zero or
more characters, slashes too, `?` exactly one; matching is case-sensitive; the first matching
behavior wins; the query is not looked at. CloudFront removes empty and dot segments from a path
before it compares (RFC 3986, 6.2.2.3), so no pattern ever sees `//`, `/./` or `/../`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

ANY_RUN = "*"
ANY_ONE = "?"
MAX_STATES = 4_000
"""How far a search goes, a few tenths of a second. Patterns that people write need some hundred
states; beyond this limit a question gets its cautious answer.
"""

REMEMBERED = 4_096
"""Answers about the same patterns are asked for again at each plan and each write."""

_WILDCARDS = re.compile(r"\?*\*[*?]*")
_FILLERS = "xyzwvutsrqponmlkjihgfedcbaXYZWVUTSRQPONMLKJIHGFEDCBA0123456789-_~\ue000"
"""What stands for "any other character" in a search: the first that no pattern names."""


class TooComplex(Exception):
    """The patterns need more than MAX_STATES states."""


def matches(pattern: str, path: str) -> bool:
    """Whether `pattern` matches `path`."""
    glob = _Glob.of(pattern)
    state = glob.start
    for character in path:
        state = glob.step(state, character)
    return glob.accepts(state)


@functools.lru_cache(maxsize=REMEMBERED)
def overlap(one: str, other: str) -> bool:
    """Whether some path is matched by both patterns."""
    left, right = _tokens(one), _tokens(other)
    # reachable[j]: the tokens of `left` so far and the first j of `right` have a path in common.
    reachable = [True] + [False] * len(right)
    for j, there in enumerate(right):
        reachable[j + 1] = reachable[j] and there == ANY_RUN
    for here in left:
        row = [reachable[0] and here == ANY_RUN]
        for j, there in enumerate(right):
            if ANY_RUN in (here, there):
                row.append(
                    (here == ANY_RUN and (reachable[j + 1] or row[j]))
                    or (there == ANY_RUN and (row[j] or reachable[j + 1]))
                )
            else:
                row.append(reachable[j] and (here == there or ANY_ONE in (here, there)))
        reachable = row
    return reachable[-1]


@functools.lru_cache(maxsize=REMEMBERED)
def covers(broad: str, narrow: str) -> bool:
    """Whether `broad` matches every path that `narrow` matches. False if that is too complex to
    tell.
    """
    try:
        return _find((narrow,), (broad,)) is None
    except TooComplex:
        return False


def same_paths(one: str, other: str) -> bool:
    """Whether both match exactly the same paths, however they are written: `ws` and `/ws`, `/ws/**`
    and `/ws/*`.
    """
    return one == other or (covers(one, other) and covers(other, one))


def serving(order: Sequence[str], path: str) -> int | None:
    """The index of the first of `order` that matches `path`; None if the default behavior serves
    it.
    """
    return next((index for index, one in enumerate(order) if matches(one, path)), None)


def position_for(pattern: str, existing: Sequence[str]) -> int:
    """The index for a new behavior: before the first one that covers it, else last. Never before a
    narrower one, so that it takes no traffic from anything more specific than itself.
    """
    return next(
        (index for index, other in enumerate(existing) if covers(other, pattern)), len(existing)
    )


def example_path(pattern: str, before: Sequence[str] = ()) -> str | None:
    """A shortest path that `pattern` matches and that none of `before`, the behaviors in front of
    it, does. It has no empty and no dot segment, so CloudFront compares it as it is. None if there
    is no such path, or if that is too complex to tell.
    """
    try:
        return _find((pattern,), before, normalized=True)
    except TooComplex:
        return None


def losing(pattern: str, place: int, order: Sequence[str]) -> tuple[str, ...]:
    """Those of `order` that serve some path today which they lose if `pattern` is inserted at index
    `place`. What is too complex to tell counts as lost.
    """

    return tuple(
        order[index]
        for index in range(place, len(order))
        if _share_what_is_left(pattern, order[index], tuple(order[:index]))
    )


@functools.lru_cache(maxsize=REMEMBERED)
def _share_what_is_left(one: str, other: str, before: tuple[str, ...]) -> bool:
    """Whether both match a path that none of `before` does. True if that is too complex to tell."""
    if not overlap(one, other):
        return False
    try:
        return _find((one, other), before, normalized=True) is not None
    except TooComplex:
        return True


@dataclass(frozen=True)
class _Glob:
    """A pattern as a nondeterministic automaton. A state is a set of positions among its tokens, as
    the bits of an integer; bit `end` is set when all tokens are used up.
    """

    runs: int
    ones: int
    named: dict[str, int]
    end: int

    @classmethod
    def of(cls, pattern: str) -> _Glob:
        runs = ones = 0
        named: dict[str, int] = {}
        tokens = _tokens(pattern)
        for index, token in enumerate(tokens):
            bit = 1 << index
            if token == ANY_RUN:
                runs |= bit
            elif token == ANY_ONE:
                ones |= bit
            else:
                named[token] = named.get(token, 0) | bit
        return cls(runs, ones, named, 1 << len(tokens))

    @property
    def start(self) -> int:
        return 1 | ((1 & self.runs) << 1)

    def step(self, state: int, character: str) -> int:
        moving = state & (self.ones | self.named.get(character, 0))
        reached = (state & self.runs) | (moving << 1)
        # Of adjacent wildcards only one is a run, so one more position suffices.
        return reached | ((reached & self.runs) << 1)

    def accepts(self, state: int) -> bool:
        return bool(state & self.end)

    def accepts_whatever_follows(self, state: int) -> bool:
        return bool(state & self.runs & (self.end >> 1))


def _tokens(pattern: str) -> str:
    """The pattern with a leading slash, which CloudFront takes as given, and of a run of wildcards
    `?` before one `*`.
    """
    pattern = pattern if pattern.startswith(("/", ANY_RUN)) else f"/{pattern}"
    return _WILDCARDS.sub(lambda run: ANY_ONE * run[0].count(ANY_ONE) + ANY_RUN, pattern)


_START, _EMPTY, _DOT, _DOTS, _WORD = range(5)
"""How far the present segment of a path has come."""


def _segment_after(segment: int, character: str) -> int | None:
    """None where a normalized path cannot go on so: after an empty or dot segment."""
    if character == "/":
        return None if segment in (_EMPTY, _DOT, _DOTS) else _EMPTY
    if character == ".":
        return {_EMPTY: _DOT, _DOT: _DOTS}.get(segment, _WORD)
    return _WORD


def is_normalized(path: str) -> bool:
    """Whether CloudFront compares `path` as it is: it has no empty and no dot segment."""
    segment = _START
    for character in path:
        following = _segment_after(segment, character)
        if following is None:
            return False
        segment = following
    return segment not in (_START, _DOT, _DOTS)


def _find(
    wanted: Iterable[str], unwanted: Iterable[str] = (), *, normalized: bool = False
) -> str | None:
    """A shortest path that all of `wanted` match and none of `unwanted` does, or None. Raises
    TooComplex.

    1. One state: a set of positions in each pattern, and how far the present segment has come.
    2. Breadth first, over the characters that the patterns name and one that stands for all others.
    3. A state is dropped as soon as a wanted pattern cannot match any more, or an unwanted one
       matches whatever follows.
    """
    must = [_Glob.of(pattern) for pattern in wanted]
    must_not = [_Glob.of(pattern) for pattern in unwanted]
    globs = (*must, *must_not)
    literals = {character for glob in globs for character in glob.named}
    filler = next(one for one in _FILLERS if one not in literals)
    letters = (filler, *sorted(literals))
    first = (_START, *(glob.start for glob in globs))
    came_from: dict[tuple[int, ...], tuple[tuple[int, ...], str] | None] = {first: None}
    layer = [first]

    def following(state: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
        for letter in "/" if state[0] == _START else letters:
            segment = _segment_after(state[0], letter) if normalized else _WORD
            if segment is None:
                continue
            after = [glob.step(one, letter) for glob, one in zip(globs, state[1:], strict=True)]
            if not all(after[: len(must)]):
                continue
            rest = zip(must_not, after[len(must) :], strict=True)
            if not any(glob.accepts_whatever_follows(one) for glob, one in rest):
                yield letter, (segment, *after)

    def is_answer(state: tuple[int, ...]) -> bool:
        verdicts = [glob.accepts(one) for glob, one in zip(globs, state[1:], strict=True)]
        ended_well = state[0] not in (_START, _DOT, _DOTS)
        return ended_well and all(verdicts[: len(must)]) and not any(verdicts[len(must) :])

    while layer:
        reached = []
        for state in layer:
            for letter, after in following(state):
                if after in came_from:
                    continue
                came_from[after] = (state, letter)
                if is_answer(after):
                    return _spelled(after, came_from)
                reached.append(after)
        if len(came_from) > MAX_STATES:
            raise TooComplex
        layer = reached
    return None


def _spelled(
    state: tuple[int, ...], came_from: dict[tuple[int, ...], tuple[tuple[int, ...], str] | None]
) -> str:
    letters = []
    while (step := came_from[state]) is not None:
        state, letter = step
        letters.append(letter)
    return "".join(reversed(letters))
