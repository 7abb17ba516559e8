"""Path patterns as CloudFront reads them, against a slow but obvious oracle."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.facts.path_patterns import (
    covers,
    example_path,
    losing,
    matches,
    overlap,
    same_paths,
    serving,
)

PATTERNS = st.text(alphabet="ab/*?", min_size=0, max_size=7).map(lambda text: f"/{text}")
PATHS = st.text(alphabet="ab/", max_size=7).map(lambda text: f"/{text}")


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/ws/*", "/ws/", True),
        ("/ws/*", "/ws/chat/1", True),
        ("/ws/*", "/ws", False),
        ("/ws", "/ws", True),
        ("/WS", "/ws", False),
        ("/a?c", "/abc", True),
        ("/a?c", "/ac", False),
        ("*", "/anything", True),
        ("ws/*", "/ws/x", True),
        ("/a*", "/a*", True),
    ],
)
def test_matching(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path) is expected


@pytest.mark.parametrize(
    ("one", "other", "meets", "one_covers"),
    [
        ("/ws/*", "/ws/chat", True, True),
        ("/ws/chat", "/ws/*", True, False),
        ("/ws/*", "/*/chat", True, False),
        ("/ws", "/ws/*", False, False),
        ("*", "/x*", True, True),
        ("/?", "/*", True, False),
        ("/?*", "/*a", True, True),
        ("/*a?*", "/*ab*", True, True),
        ("/ws/*", "/ws/?*", True, True),
        ("/ws/?*", "/ws/*", True, False),
        ("/*", "*", True, True),
        ("/ws/chat", "/*.*", False, False),
        ("/a*", "/a*", True, True),
    ],
)
def test_overlap_and_cover(one: str, other: str, meets: bool, one_covers: bool) -> None:
    assert overlap(one, other) is overlap(other, one) is meets
    assert covers(one, other) is one_covers


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ws/chat", "/ws/chat", True),
        ("/ws/**", "/ws/*", True),
        ("/ws/?*", "/ws/*?", True),
        ("/ws/?*?", "/ws/*??", True),
        ("/ws/?*", "/ws/*", False),
        ("/ws", "/ws/", False),
        ("/WS", "/ws", False),
    ],
)
def test_two_ways_of_writing_the_same_paths(one: str, other: str, same: bool) -> None:
    assert same_paths(one, other) is same_paths(other, one) is same


@given(PATTERNS, PATTERNS, PATHS)
def test_the_same_paths_are_matched_by_both_or_by_none(one: str, other: str, path: str) -> None:
    if same_paths(one, other):
        assert matches(one, path) == matches(other, path)


@given(PATTERNS, PATHS)
def test_matching_agrees_with_a_regular_expression(pattern: str, path: str) -> None:
    expression = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    assert matches(pattern, path) == bool(re.fullmatch(expression, path, re.DOTALL))
    assert matches(pattern, path) == fnmatch.fnmatchcase(path, pattern)


@given(PATTERNS, PATTERNS, PATHS)
def test_a_path_matched_by_both_means_overlap_and_cover_means_every_path(
    one: str, other: str, path: str
) -> None:
    if matches(one, path) and matches(other, path):
        assert overlap(one, other)
    if covers(one, other) and matches(other, path):
        assert matches(one, path)


SHORT_PATHS = [
    "/" + "".join(letters) for length in range(7) for letters in product("ab/x", repeat=length)
]


@given(PATTERNS, PATTERNS)
def test_overlap_and_cover_are_exact(one: str, other: str) -> None:
    """A short pattern that overlaps another, or lets through what the other does not, does so with
    a path not longer than both together: try them all, with `x` for every character that neither
    names.
    """
    one, other = one[:4], other[:4]
    both = [matches(one, path) and matches(other, path) for path in SHORT_PATHS]
    only_other = [matches(other, path) and not matches(one, path) for path in SHORT_PATHS]
    assert overlap(one, other) is any(both)
    assert covers(one, other) is not any(only_other)


@pytest.mark.parametrize(
    ("pattern", "before", "path"),
    [
        ("/ws", (), "/ws"),
        ("/ws/*", (), "/ws/"),
        ("/ws/*", ("/ws/",), "/ws/x"),
        ("/ws/*", ("/ws/?*",), "/ws/"),
        ("/ws/*", ("/ws/?*", "/ws/"), None),
        ("/ws/*", ("/*",), None),
        ("/api/kernels/*/channels", (), "/api/kernels/x/channels"),
        ("/api/kernels/*/channels", ("/api/*/x/*",), "/api/kernels/y/channels"),
        ("/*/*/ws", (), "/x/x/ws"),
        ("/ws/*/*", ("/ws/x/*",), "/ws/y/"),
        ("/.*", (), "/.x"),
        ("/.well-known/*", (), "/.well-known/"),
        ("/ws/x*", ("/ws/x", "/ws/xy*"), "/ws/x/"),
        ("/a//b", (), None),
        ("/../*", (), None),
    ],
)
def test_an_example_is_what_this_pattern_and_no_earlier_one_gets(
    pattern: str, before: Sequence[str], path: str | None
) -> None:
    found = example_path(pattern, before)
    if path is None or found is None:
        assert found is path
        return
    assert len(found) == len(path)
    assert serving((*before, pattern), found) == len(before)
    assert serving((*before, pattern), path) == len(before)
    assert normalized(found)


@given(PATTERNS, st.lists(PATTERNS, max_size=3))
def test_an_example_is_found_whenever_there_is_one(pattern: str, before: list[str]) -> None:
    found = example_path(pattern, before)
    if found is None:
        assert not [
            path
            for path in SHORT_PATHS
            if normalized(path) and serving((*before, pattern), path) == len(before)
        ]
    else:
        assert normalized(found)
        assert serving((*before, pattern), found) == len(before)


@pytest.mark.parametrize(
    ("pattern", "place", "order", "losers"),
    [
        ("/ws/?*", 0, ("/ws/*",), ("/ws/*",)),
        ("/ws/?*", 1, ("/ws/*",), ()),
        ("/ws/*/*", 0, ("/ws/*",), ("/ws/*",)),
        ("/*.*", 0, ("/ws/*", "/img/*"), ("/ws/*", "/img/*")),
        ("/*.*", 2, ("/ws/*", "/img/*"), ()),
        ("/ws/x", 0, ("/ws/?", "/ws/*"), ("/ws/?",)),
        ("/ws/x", 1, ("/ws/x", "/ws/*"), ()),
        ("/ws/x*", 1, ("/ws/x", "/ws/*"), ("/ws/*",)),
        ("/login", 0, ("/ws/*",), ()),
        ("/WS/x", 0, ("/ws/*",), ()),
        ("/ws//*", 0, ("/ws/*",), ()),
    ],
)
def test_who_loses_requests_to_a_new_pattern(
    pattern: str, place: int, order: tuple[str, ...], losers: tuple[str, ...]
) -> None:
    assert losing(pattern, place, order) == losers


@given(PATTERNS, st.lists(PATTERNS, min_size=1, max_size=3), st.integers(0, 3), PATHS)
def test_whoever_served_a_path_that_goes_to_the_new_pattern_loses_it(
    pattern: str, order: list[str], place: int, path: str
) -> None:
    place = min(place, len(order))
    before, after = serving(order, path), serving([*order[:place], pattern, *order[place:]], path)
    if before is not None and after == place and normalized(path):
        assert order[before] in losing(pattern, place, order)


def test_patterns_made_to_be_slow_get_the_cautious_answer() -> None:
    slow = "/*a" + "?" * 40 + "b*"
    assert not covers(slow, "/*a*a" + "?" * 40 + "*")
    assert losing(slow, 0, ["/*b" + "?" * 40 + "a*"])
    assert example_path("/*c", [slow, "/*b" + "?" * 40 + "a*"]) == "/c"


def normalized(path: str) -> bool:
    """Whether CloudFront compares `path` as it is (RFC 3986, 6.2.2.3)."""
    return not re.search(r"//|/\.{1,2}(/|$)", path)
