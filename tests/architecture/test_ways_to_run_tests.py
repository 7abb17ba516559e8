"""One test runs wherever a developer starts it: a terminal, an editor, a debugger; without xdist
too.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import PROJECT

ONE_TEST = "tests/architecture/test_layers.py::test_the_rule_about_clocks_sees_a_clock"
BESIDE_PYTHON = Path(sys.executable).parent
IN_A_DEBUGGER = (
    "import sys, pytest; sys.settrace(lambda *_: None); sys.exit(pytest.main(sys.argv[1:]))"
)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param([sys.executable, "-m", "pytest"], id="module"),
        pytest.param([str(BESIDE_PYTHON / "pytest"), "-p", "no:xdist"], id="without xdist"),
        pytest.param([sys.executable, "-c", IN_A_DEBUGGER, "-p", "no:xdist"], id="debugger"),
    ],
)
def test_a_single_test_runs(command: list[str]) -> None:
    run = subprocess.run(
        [*command, ONE_TEST], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 passed" in run.stdout
