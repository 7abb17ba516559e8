"""Names that say nothing are refused, and every module says what it decides."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.source import PROJECT, modules, parse

FORBIDDEN = {
    "utils",
    "util",
    "common",
    "core",
    "helpers",
    "helper",
    "misc",
    "services_layer",
    "selectors",
    "repository",
}
LEFT_OVER = re.compile(r"#\s*(TODO|FIXME|XXX|HACK)\b")


def test_no_module_is_named_after_nothing() -> None:
    names = {part.removesuffix(".py").strip("_"): path for path in modules() for part in path.parts}
    assert not {str(names[name]) for name in FORBIDDEN & set(names)}


@pytest.mark.parametrize("package", ["portal", "provisioning", "checks", "lab", "stack"])
def test_every_module_opens_with_what_it_is(package: str) -> None:
    silent = [
        str(path)
        for path in modules(package)
        if _has_code(path) and ast.get_docstring(parse(path)) is None
    ]
    assert not silent


def test_nothing_is_left_to_do_in_comments() -> None:
    found = [
        f"{path}:{number}"
        for path in modules()
        for number, line in enumerate((PROJECT / path).read_text().splitlines(), 1)
        if LEFT_OVER.search(line)
    ]
    assert not found, "finish it, or open an issue"


def _has_code(path: Path) -> bool:
    return bool(parse(path).body)
