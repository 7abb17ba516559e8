"""docs/glossary.md and the code use the same words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.architecture.source import PROJECT, modules, parse

ROW = re.compile(r"^\| (?!term|-)(?P<term>[^|]+) \| [^|]+ \| (?P<code>[^|]*) \| (?P<not>[^|]*) \|$")
IN_CODE_STYLE = re.compile(r"`([^`]+)`")
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def rows() -> list[re.Match[str]]:
    lines = (PROJECT / "docs" / "glossary.md").read_text().splitlines()
    return [row for line in lines if (row := ROW.match(line))]


CODE = sorted({name for row in rows() for name in IN_CODE_STYLE.findall(row["code"])})
FORBIDDEN = sorted({word for row in rows() for word in IN_CODE_STYLE.findall(row["not"])})


@pytest.mark.parametrize("name", CODE)
def test_a_name_of_the_glossary_exists(name: str) -> None:
    assert exists(name), f"docs/glossary.md names {name}, which the code does not have"


@pytest.mark.parametrize("word", FORBIDDEN)
def test_a_word_that_the_glossary_rules_out_names_nothing(word: str) -> None:
    guilty = identifiers_by_word().get(word)
    assert not guilty, f"docs/glossary.md has another word for {word}"


def test_the_rules_of_this_test_see_what_they_shall() -> None:
    assert exists("provisioning.models.Run.fence")
    assert not exists("provisioning.models.Run.nothing")
    assert not exists("provisioning.nothing")
    assert len(rows()) > 40
    assert "job" in FORBIDDEN
    assert (1, "find_job") in identifiers(ast.parse("def find_job(): ..."))
    assert any(name.endswith(" EndpointRequest") for name in identifiers_by_word()["endpoint"])


def exists(name: str) -> bool:
    """Whether a dotted name is a package, a module, or a definition in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        place = PROJECT.joinpath(*parts[:length])
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                return _defined(ast.parse(file.read_text()), parts[length:])
    return False


@cache
def identifiers_by_word() -> dict[str, list[str]]:
    """Lower-case word to the names that contain it in portal, checks and provisioning, each as
    `path:line name`.
    """
    found: dict[str, list[str]] = {}
    for path in modules("portal", "checks", "provisioning"):
        for line, name in identifiers(parse(path)):
            for word in {part.lower() for part in WORD.findall(name)}:
                found.setdefault(word, []).append(f"{path}:{line} {name}")
    return found


def identifiers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, name) of everything that a module defines or assigns."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr


def _defined(scope: ast.Module | ast.ClassDef, names: list[str]) -> bool:
    """Whether a module or class defines the first name, that one the second, and so on."""
    if not names:
        return True
    for node in scope.body:
        if isinstance(node, ast.ClassDef) and node.name == names[0]:
            return _defined(node, names[1:])
        if isinstance(node, ast.FunctionDef) and node.name == names[0]:
            return len(names) == 1
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets += [node.target] if isinstance(node, ast.AnnAssign) else []
        if any(isinstance(target, ast.Name) and target.id == names[0] for target in targets):
            return len(names) == 1
    return False
