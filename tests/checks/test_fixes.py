"""Command lines and Terraform that a verdict or a preflight answer offers are such as the tools
take.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from checks.diagnosis.verdicts import VERDICTS

PREFLIGHT = Path(__file__).parents[2] / "checks/preflight"
COMMAND = re.compile(r"\baws ([a-z][a-z0-9]+) ([a-z][a-z0-9]*(?:-[a-z0-9]+)*) ?([^\n]*)")
OF_ANY_COMMAND = {"query", "output", "region"}


def texts(node: ast.AST) -> Iterator[str]:
    """Every text below a node; an f-string is one, with 0 in place of each value."""
    if isinstance(node, ast.JoinedStr):
        yield "".join(
            str(part.value) if isinstance(part, ast.Constant) else "0" for part in node.values
        )
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    else:
        for child in ast.iter_child_nodes(node):
            yield from texts(child)


def offered() -> Iterator[str]:
    for path in sorted(PREFLIGHT.glob("*.py")):
        yield from texts(ast.parse(path.read_text()))
    for verdict in VERDICTS.values():
        yield from (verdict.cause, verdict.fix, verdict.confirm)


COMMANDS = sorted({found.groups() for text in offered() for found in COMMAND.finditer(text)})
BLOCKS = sorted(
    {text for text in offered() if re.search(r"^(?:resource|# in the) ", text) and "{" in text}
)


@pytest.fixture(scope="module")
def services() -> Any:
    from awscli.clidriver import create_clidriver  # imports for half a second

    return create_clidriver()._get_command_table()


def test_every_command_line_is_one_that_the_aws_cli_takes(services: Any) -> None:
    assert len(COMMANDS) > 30
    for service, operation, rest in COMMANDS:
        line = f"aws {service} {operation} {rest}"
        assert service in services, line
        operations = services[service]._get_command_table()
        assert operation in operations, line
        if operation == "wait":
            operations, operation = operations["wait"].subcommand_table, rest.split()[0]
            assert operation in operations, line
        takes = operations[operation].arg_table
        given = {
            option[2:] for option in re.findall(r"(?<!\S)--[a-z0-9-]+", rest.partition("$(")[0])
        }
        assert given <= {*takes, *OF_ANY_COMMAND}, line
        needs = {name for name, option in takes.items() if getattr(option, "required", False)}
        assert needs <= given or "$(" in rest, line


def test_terraform_on_one_line_has_one_argument_at_most() -> None:
    """HCL ends an argument with the line, never with a comma."""
    assert len(BLOCKS) > 5
    for block in BLOCKS:
        assert block.count("{") == block.count("}"), block
        assert not re.search(r"\{[^}\n]*=[^}\n]*,\s*\w+\s*=", block), block
