"""Every documented rule has a test or a reason, and the README lists them."""

from __future__ import annotations

import pytest

from tests.fidelity.__main__ import README
from tests.fidelity.marks import Mark, WrongMark, all_marks, by_rule, marks_of
from tests.fidelity.rule import GROUPS, Known, Rule
from tests.fidelity.rules import BY_ID, RULES
from tests.fidelity.table import put, standing, table

HOW = "run `.venv/bin/python -m tests.fidelity`"


def test_every_id_is_of_a_group_and_unique() -> None:
    assert len(BY_ID) == len(RULES)
    assert {rule.group for rule in RULES} == set(GROUPS)
    assert not [rule.id for rule in RULES if not (rule.says.endswith(".") and rule.source)]


def test_every_mark_names_a_rule() -> None:
    assert not {mark for mark in all_marks() if mark.rule not in BY_ID}, (
        "add the rule to tests/fidelity, or correct the id"
    )


def test_every_documented_rule_has_a_test_or_a_reason() -> None:
    proven = by_rule(all_marks())
    assert not [rule.id for rule in RULES if rule.must_be_proven and rule.id not in proven]


def test_nothing_is_both_left_out_and_proven() -> None:
    proven = by_rule(all_marks())
    assert not [rule.id for rule in RULES if rule.left_out and rule.id in proven]


def test_the_readmes_table_is_of_today() -> None:
    readme = README.read_text()
    assert readme == put(readme, table(RULES, by_rule(all_marks()))), HOW


def test_marks_are_found_on_functions_classes_rows_and_modules() -> None:
    source = """
import pytest
pytestmark = pytest.mark.rule("m/1")
@pytest.mark.rule("c/1")
class TestThis:
    @pytest.mark.rule("f/1", "f/2")
    def test_it(self): ...
@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.rule("r/1")), 2])
async def test_rows(x): ...
"""
    assert set(marks_of(source, "test_a.py")) == {
        Mark("m/1", "test_a.py"),
        Mark("c/1", "test_a.py::TestThis"),
        Mark("f/1", "test_a.py::TestThis::test_it"),
        Mark("f/2", "test_a.py::TestThis::test_it"),
        Mark("r/1", "test_a.py::test_rows"),
    }


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("@pytest.mark.rule()\ndef test_it(): ...", "needs ids"),
        ("@pytest.mark.rule(NAME)\ndef test_it(): ...", "written out"),
        ('@pytest.mark.rule("a/b")\ndef helper(): ...', "no test carries"),
        (
            'class Stage:\n    @pytest.mark.rule("a/b")\n    def test_it(self): ...',
            "no test carries",
        ),
    ],
)
def test_a_mark_that_proves_nothing_is_refused(source: str, why: str) -> None:
    with pytest.raises(WrongMark, match=why):
        list(marks_of(source, "test_a.py"))


@pytest.mark.parametrize(
    ("known", "left_out", "tests", "expected"),
    [
        (Known.DOCUMENTED, "", ["t"], "implemented"),
        (Known.MODEL, "", ["t"], "implemented"),
        (Known.UNVERIFIED, "", ["t"], "unverified"),
        (Known.DOCUMENTED, "for a reason", [], "left out: for a reason"),
        (Known.DOCUMENTED, "", [], "**no test**"),
        (Known.FIELD, "", [], "not imitated"),
    ],
)
def test_what_a_rule_is_called(
    known: Known, left_out: str, tests: list[str], expected: str
) -> None:
    assert standing(Rule("api/x", "It is so.", "a page", known, left_out), tests) == expected
