"""`python -m stack test-services -- COMMAND`: a fresh PostgreSQL and Redis for as long as one
command runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from stack.demo import REFUSALS, Stopped, ends_on_signals, say
from stack.product import SERVICES, Stack


def run_with_services(command: list[str]) -> int:
    """Run it with DATABASE_URL, REDIS_URL and the rest set; returns its exit code."""
    if not command:
        print("usage: python -m stack test-services -- COMMAND", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="edge-portal-") as directory:
        stack = Stack(Path(directory), parts=SERVICES, durable=False, say=say)
        try:
            with ends_on_signals(), stack:
                env = os.environ | stack.env
                return subprocess.run(command, env=env, check=False).returncode  # noqa: S603
        except Stopped as stopped:
            return 128 + stopped.number
        except REFUSALS as refusal:
            print(refusal, file=sys.stderr)
            return 1
