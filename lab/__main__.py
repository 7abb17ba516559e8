"""`python -m lab aws|edge|apps`: starts one of the lab's processes.

It decides nothing but which one. Each process prints one line "ready ..." when it listens and ends on SIGTERM.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from lab.config import ConfigError, LabConfig

# Imported by name, so that the edge does not pay for moto's import nor the AWS endpoint for the edge's.
PROCESSES = {"aws": "lab.aws.server", "edge": "lab.edge.server", "apps": "lab.apps.server"}


def main(arguments: list[str] | None = None) -> int:
    """Run the named process until it is told to end; the exit code is for the shell."""
    parser = argparse.ArgumentParser(prog="python -m lab", description="The lab: AWS, edge and apps on this machine.")
    parser.add_argument("process", choices=PROCESSES)
    chosen = parser.parse_args(arguments).process
    try:
        config = LabConfig.from_environment(os.environ)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    importlib.import_module(PROCESSES[chosen]).run(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
