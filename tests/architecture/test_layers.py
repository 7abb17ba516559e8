"""Who may import whom, who may read the clock, who may speak to AWS."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import PROJECT, imported_by, modules, parse, pure_modules

CLOCK_READS = {
    "now",
    "utcnow",
    "today",
    "time",
    "monotonic",
    "perf_counter",
    "localtime",
    "gmtime",
    "timezone_now",
}
CLOCK_OWNERS = {"datetime", "date", "timezone", "time", "dt"}


def test_the_import_contract_holds() -> None:
    """The contract is in pyproject.toml; `make check` shows the same."""
    script = (
        "from importlinter.cli import lint_imports; import sys; "
        "sys.exit(lint_imports(no_cache=True))"
    )
    linted = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_every_module_that_calls_itself_pure_is_under_the_contract() -> None:
    """ "(PURE)" or "PURE." in the opening paragraph is a promise, and the contract is what
    keeps it.
    """
    promised = {path for path in modules() if _calls_itself_pure(path)}
    assert promised - set(pure_modules()) == set(), (
        "add them to the contract 'Pure modules' in pyproject.toml"
    )


@pytest.mark.parametrize("path", pure_modules(), ids=str)
def test_a_pure_module_reads_no_clock(path: Path) -> None:
    reads = [f"{path}:{line}" for node in ast.walk(parse(path)) if (line := _clock_read_at(node))]
    assert not reads, f"`now` is an argument here, the clock is read by the caller: {reads}"


def test_the_rule_about_clocks_sees_a_clock() -> None:
    for guilty in (
        "datetime.now(UTC)",
        "timezone.now()",
        "time.monotonic()",
        "datetime.datetime.utcnow()",
    ):
        assert any(_clock_read_at(node) for node in ast.walk(ast.parse(guilty))), guilty
    for innocent in ("now.isoformat()", "decide(steps, now)", "clock()"):
        assert not any(_clock_read_at(node) for node in ast.walk(ast.parse(innocent))), innocent


def test_only_the_edge_imports_boto3() -> None:
    """AWS's dictionaries end where provisioning/aws ends; above it there are dataclasses."""
    guilty = [
        f"{path}:{line} imports {package}"
        for path in modules("portal", "provisioning", "checks")
        if not path.is_relative_to("provisioning/aws")
        for line, package in imported_by(parse(path))
        if package in ("boto3", "botocore", "moto")
    ]
    assert not guilty


def test_the_product_has_no_switch_for_tests_or_the_lab() -> None:
    """The same code runs against AWS and against the lab; only endpoint URLs and name resolution
    differ.
    """
    guilty = []
    for path in modules("portal", "provisioning", "checks"):
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.If | ast.IfExp) and _names(node.test) & {
                "testing",
                "TESTING",
                "is_lab",
                "IN_LAB",
            }:
                guilty.append(f"{path}:{node.lineno}")
    assert not guilty


def _calls_itself_pure(path: Path) -> bool:
    opening = (ast.get_docstring(parse(path)) or "").split("\n\n")
    return any("(PURE)" in paragraph or paragraph.startswith("PURE.") for paragraph in opening[:2])


def _clock_read_at(node: ast.AST) -> int:
    """The line of a call such as datetime.now(), or 0."""
    if not (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCK_READS
    ):
        return 0
    owner = node.func.value
    name = (
        owner.attr
        if isinstance(owner, ast.Attribute)
        else owner.id
        if isinstance(owner, ast.Name)
        else ""
    )
    return node.lineno if name in CLOCK_OWNERS else 0


def _names(expression: ast.expr) -> set[str]:
    names = {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}
    return names | {node.attr for node in ast.walk(expression) if isinstance(node, ast.Attribute)}
