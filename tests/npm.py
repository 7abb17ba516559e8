"""Packages from npm, installed into .venv/npm, where no commit goes.

It never installs twice, and fails no machine without Node: that is a reason to skip, said aloud.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest

CLIENTS = ("ws@8.23.0", "wscat@6.1.0")
"""Node's WebSocket clients."""
CACHE = Path(__file__).resolve().parents[1] / ".venv" / "npm"
SECONDS = 90


def installed(packages: Sequence[str] = CLIENTS) -> Path:
    """The folder whose node_modules hold them; installs them at the first call on a machine.

    Skips the test, with a warning in the summary, when there is no Node or npm fails.
    """
    folder = CACHE / hashlib.sha256(" ".join(packages).encode()).hexdigest()[:16]
    if (folder / "node_modules").is_dir():
        return folder
    if shutil.which("node") is None or shutil.which("npm") is None:
        _give_up("there is no node with npm on PATH")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as fresh:
        command = [
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--fetch-retries",
            "0",
        ]
        command += ["--fetch-timeout", "20000", "--prefix", fresh, *packages]
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            _give_up(f"npm installed nothing in {SECONDS} s")
        if ran.returncode != 0:
            _give_up(f"npm install failed: {ran.stderr.strip()[-300:]}")
        try:
            # Whole or not at all, whoever else installs meanwhile.
            os.rename(fresh, folder)
        except OSError:
            assert (folder / "node_modules").is_dir()
        else:
            # What TemporaryDirectory will remove.
            os.mkdir(fresh)
    return folder


def _give_up(why: str) -> None:
    warnings.warn(f"Packages from npm were not tried: {why}", stacklevel=3)
    pytest.skip(f"Packages from npm are not here: {why}")
