"""Which tests prove which rule, read from the tests' source (PURE but for reading files).

A mark is `pytest.mark.rule("id", …)` on a test function, a test class, a row of a parametrized
test, or a module's `pytestmark`. No test is imported or run, so this is fast.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A rule's id on a test; `test` is the file below tests/ and the names in it, as pytest prints
    them.
    """

    rule: str
    test: str


class WrongMark(Exception):
    """An invalid mark: where it is, and why it is invalid."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(where, why)
        self.where, self.why = where, why

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


def all_marks(tests: Path = TESTS) -> list[Mark]:
    """Every mark of every test below a folder.

    :raises WrongMark: a mark without an id, or one that is not on a test.
    """
    found: set[Mark] = set()
    for path in sorted(tests.rglob("test_*.py")):
        found.update(marks_of(path.read_text(), path.relative_to(tests).as_posix()))
    return sorted(found)


def marks_of(source: str, file: str) -> Iterator[Mark]:
    """The marks of one file.

    :raises WrongMark: as `all_marks`.
    """
    if "mark.rule" not in source:
        return
    tree = ast.parse(source, file)
    used: set[int] = set()
    for node in tree.body:
        if (
            isinstance(node, ast.Assign | ast.AnnAssign)
            and node.value is not None
            and _is_pytestmark(node)
        ):
            yield from _marks_in([node.value], file, file, used)
        yield from _of_definition(node, file, (), used)
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and _is_rule(call.func) and id(call) not in used:
            raise WrongMark(f"{file}:{call.lineno}", "no test carries this mark")


def _of_definition(
    node: ast.stmt, file: str, outer: tuple[str, ...], used: set[int]
) -> Iterator[Mark]:
    if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
        names = (*outer, node.name)
        yield from _marks_in(node.decorator_list, file, "::".join((file, *names)), used)
        for inner in node.body:
            yield from _of_definition(inner, file, names, used)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
        yield from _marks_in(node.decorator_list, file, "::".join((file, *outer, node.name)), used)


def _marks_in(expressions: list[ast.expr], file: str, test: str, used: set[int]) -> Iterator[Mark]:
    for expression in expressions:
        for node in ast.walk(expression):
            if not (isinstance(node, ast.Call) and _is_rule(node.func)):
                continue
            used.add(id(node))
            if not node.args or node.keywords:
                raise WrongMark(f"{file}:{node.lineno}", "a rule mark needs ids, and nothing else")
            for argument in node.args:
                if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                    raise WrongMark(
                        f"{file}:{node.lineno}", "an id must be written out as a string"
                    )
                yield Mark(argument.value, test)


def _is_rule(function: ast.expr) -> bool:
    """Whether this is `pytest.mark.rule` (or `mark.rule`)."""
    return (
        isinstance(function, ast.Attribute)
        and function.attr == "rule"
        and (
            (isinstance(function.value, ast.Attribute) and function.value.attr == "mark")
            or (isinstance(function.value, ast.Name) and function.value.id == "mark")
        )
    )


def _is_pytestmark(node: ast.Assign | ast.AnnAssign) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in targets)


def by_rule(marks: list[Mark]) -> Mapping[str, list[str]]:
    """Rule id -> the tests that prove it."""
    found: dict[str, list[str]] = {}
    for mark in marks:
        found.setdefault(mark.rule, []).append(mark.test)
    return found
