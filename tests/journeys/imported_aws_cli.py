"""The AWS CLI, imported once: each call runs in a fork of this process, which saves the second that
its imports take.

`python -m tests.journeys.imported_aws_cli SOCKET` is the server, `CALLER` what stands for `aws`.
"""

from __future__ import annotations

import gc
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STANDARD_FILES = (0, 1, 2)

# Sends what a process has to the server, and exits with the code that comes back.
CALLER = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    call = [os.getcwd(), dict(os.environ), sys.argv[2:]]
    socket.send_fds(server, [b"!"], [0, 1, 2])
    server.sendall(json.dumps(call).encode())
    server.shutdown(socket.SHUT_WR)
    code = server.makefile().read()
sys.exit(int(code or 255))
"""


@contextmanager
def imported_aws_cli(folder: Path) -> Iterator[Path]:
    """A command that works as `aws` does, as long as its server runs."""
    address, command = folder / "server", folder / "aws"
    call = shlex.join([sys.executable, "-I", "-S", "-c", CALLER, str(address)])
    command.write_text(f'#!/bin/sh\nexec {call} "$@"\n')
    command.chmod(0o700)
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.journeys.imported_aws_cli", str(address)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        try:
            yield command
        finally:
            server.terminate()


def serve(address: str) -> None:
    """Answer one call after the other, each in a fork."""
    import awscli.clidriver  # noqa: F401 - for the forks

    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while True:
            caller, _ = listener.accept()
            with caller:
                if os.fork() == 0:
                    answer(caller)
                    os._exit(0)


def answer(caller: socket.socket) -> None:
    """Become what the caller is, call the CLI, and send its exit code."""
    import awscli.clidriver

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, files, _, _ = socket.recv_fds(caller, 1, len(STANDARD_FILES))
    for file, standard in zip(files, STANDARD_FILES, strict=True):
        os.dup2(file, standard)
    folder, environment, arguments = json.loads(caller.makefile().read())
    os.chdir(folder)
    data = os.environ["AWS_DATA_PATH"]  # awscli's own, set by its import
    os.environ.clear()
    os.environ.update(environment | {"AWS_DATA_PATH": data})
    sys.argv = ["aws", *arguments]
    try:
        code = awscli.clidriver.main()
    except SystemExit as ended:
        code = ended.code
    sys.stdout.flush()
    sys.stderr.flush()
    caller.sendall(str(int(code)).encode())


if __name__ == "__main__":
    serve(sys.argv[1])
