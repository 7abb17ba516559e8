"""Which environment variables the product reads and which the example names; found by parsing, not
by importing.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLE = PROJECT / ".env.example"
EXAMPLE_LINE = re.compile(r"^#?([A-Z][A-Z0-9_]+)=", re.MULTILINE)


def variables_in_example() -> list[str]:
    """Every NAME= of .env.example, also where it is commented out as a default."""
    return EXAMPLE_LINE.findall(EXAMPLE.read_text())


def values_of_example() -> dict[str, str]:
    """What a copy of .env.example sets."""
    return dict(re.findall(r"^([A-Z][A-Z0-9_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE))


def lab_lines_of_example() -> dict[str, str]:
    """What it says to set for the lab in containers."""
    lines = EXAMPLE.read_text().partition("# --- docker compose --profile lab")[2]
    return dict(re.findall(r"^# ([A-Z][A-Z0-9_]+)=(.*)$", lines, re.MULTILINE))


def variables_read_by_settings(settings: Path = PROJECT / "portal" / "settings.py") -> set[str]:
    """First arguments of env(...) and env.anything(...)."""
    names = set()
    for node in ast.walk(ast.parse(settings.read_text())):
        if (
            isinstance(node, ast.Call)
            and _is_env(node.func)
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            names.add(str(node.args[0].value))
    return names


def variables_read_by_lab(package: Path = PROJECT / "lab") -> set[str]:
    """String constants that are LAB_ names."""
    names = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                names |= {node.value} if re.fullmatch(r"LAB_[A-Z_]+", node.value) else set()
    return names


def _is_env(function: ast.expr) -> bool:
    named = function.value if isinstance(function, ast.Attribute) else function
    return isinstance(named, ast.Name) and named.id == "env"
