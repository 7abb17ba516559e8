"""`python -m lab`: starts one of the lab's processes, or runs a command against a running lab.

Each process prints one line "ready ..." when it listens, and ends on SIGTERM.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence

from lab import commands
from lab.config import ConfigError, LabConfig

# Imported by name, so that no process imports another's code, such as moto.
PROCESSES = {"aws": "lab.endpoint.server", "edge": "lab.edge.server", "apps": "lab.apps.server"}


def main(arguments: Sequence[str] | None = None, program: str = "python -m lab") -> int:
    """Run the named process until it is stopped, or one command; gives the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if len(given) != 1 or given[0] not in PROCESSES:
        return commands.main(given, program)
    try:
        config = LabConfig.from_environment(os.environ)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    # Modules are never garbage; collecting while importing takes a sixth of the start.
    gc.disable()
    process = importlib.import_module(PROCESSES[given[0]])
    gc.freeze()
    gc.enable()
    process.run(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
