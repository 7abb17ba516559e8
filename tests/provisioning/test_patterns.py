"""Path patterns as CloudFront reads them, against a slow but obvious oracle."""

from __future__ import annotations

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.facts.path_patterns import covers, matches, overlap, same_paths

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
