"""The project's source as rules see it: files and syntax trees, never imports."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("portal", "provisioning", "checks", "lab", "stack")


def modules(*packages: str) -> Iterator[Path]:
    """Every module of these packages that a person wrote (migrations are generated), relative to
    the project.
    """
    for package in packages or PACKAGES:
        for path in sorted((PROJECT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path.relative_to(PROJECT)


@cache
def parse(path: Path) -> ast.Module:
    """The syntax tree of a module given relative to the project; shared, so never change it."""
    return ast.parse((PROJECT / path).read_text(), filename=str(path))


def imported_by(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, top-level package) of every import, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.lineno, node.module.split(".")[0]


def pure_modules() -> list[Path]:
    """The modules that the import contract calls pure; a package stands for all of its modules."""
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    (pure,) = [contract for contract in contracts if contract["name"].startswith("Pure modules")]
    return sorted({path for name in pure["source_modules"] for path in _files_of(name)})


def _files_of(module: str) -> Iterator[Path]:
    """The file of a module, or every file of a package."""
    path = Path(*module.split("."))
    if (PROJECT / path).is_dir():
        yield from modules(str(path))
    else:
        yield path.with_suffix(".py")
