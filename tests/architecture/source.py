"""The project's source as rules see it: files and syntax trees, never imports."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
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


def parse(path: Path) -> ast.Module:
    """The syntax tree of a module given relative to the project."""
    return ast.parse((PROJECT / path).read_text(), filename=str(path))


def imported_by(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, top-level package) of every import, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.lineno, node.module.split(".")[0]


def pure_modules() -> list[Path]:
    """The modules that the import contract calls pure."""
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    (pure,) = [contract for contract in contracts if contract["name"].startswith("Pure modules")]
    return [_file_of(name) for name in pure["source_modules"]]


def _file_of(module: str) -> Path:
    """The file of a module or a package."""
    path = Path(*module.split("."))
    return path / "__init__.py" if (PROJECT / path).is_dir() else path.with_suffix(".py")
