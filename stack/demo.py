"""`make demo`: starts the product, prints its addresses and users, and runs until it is stopped.

However it ends, it leaves nothing running.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from stack.ports import LOOPBACK, NoFreePorts, PortTaken
from stack.processes import ProcessError
from stack.product import CommandFailed, Stack
from stack.services import ServiceError
from stack.state import StateError

REFUSALS = (StateError, PortTaken, NoFreePorts, ServiceError, ProcessError, CommandFailed)
"""What prevents the product from starting or running; the message is for the terminal."""


class Stopped(BaseException):
    """A signal asked us to end. Not an Exception, so that no handler swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_demo(state_dir: Path, port: int, *, clean: bool, time_scale: float) -> int:
    """Returns the exit code: 0 after Ctrl-C, 1 if the product did not start or gave up."""
    broken, attended = threading.Event(), os.isatty(0)
    begun = time.monotonic()
    stack = Stack(state_dir, port, time_scale=time_scale, say=say, on_failure=broken.set)
    say(f"starting the portal and its lab from {stack.state.path} ...")
    try:
        with ends_on_signals():
            try:
                stack.start(clean=clean)
                show(_welcome(stack, time.monotonic() - begun))
                stay(broken, attended=attended)
            except Stopped:
                _ignore_signals()
                say("stopping ...")
            finally:
                stack.stop()
    except REFUSALS as refusal:
        print(f"\n{refusal}", file=sys.stderr, flush=True)
        return 1
    if stack.supervisor.failure is not None:
        print(f"\n{stack.supervisor.failure}", file=sys.stderr, flush=True)
        return 1
    say("stopped; the data is kept. `make demo CLEAN=1` starts from scratch.")
    return 0


@contextlib.contextmanager
def ends_on_signals() -> Iterator[None]:
    """Ctrl-C, `kill` and, unless under nohup, a closed terminal raise Stopped in the main thread,
    once.
    """
    heeded = [
        n for n in ENDING_SIGNALS if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN
    ]
    before = {number: signal.signal(number, _raise_stopped) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stay(until: threading.Event, *, attended: bool) -> None:
    """Wait for `until`. Raises Stopped if we had a terminal (`attended`) that disappears without a
    signal: when `make` is the terminal's first process, only it gets the hang-up.
    """
    while not until.wait(LOOK_SECONDS):
        if attended and not os.isatty(0):
            raise Stopped(signal.SIGHUP)


def say(line: str) -> None:
    """One line with the time."""
    show(f"{time.strftime('%H:%M:%S')}  {line}")


def show(text: str) -> None:
    """Print immediately. A terminal that is gone must not end the product."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


LOOK_SECONDS = 0.5
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _raise_stopped(number: int, frame: FrameType | None) -> None:
    _ignore_signals()
    raise Stopped(number)


def _ignore_signals() -> None:
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _welcome(stack: Stack, seconds: float) -> str:
    ports, relative = stack.ports, stack.state.path
    if relative.is_relative_to(Path.cwd()):
        relative = relative.relative_to(Path.cwd())
    edge = f"https://{LOOPBACK}:{ports.edge_tls} and http://{LOOPBACK}:{ports.edge}"
    aws = f"http://{LOOPBACK}:{ports.aws}"
    ca = f"{relative}/lab/ca.pem"
    scale = float(stack.env["LAB_TIME_SCALE"])
    return f"""
The portal:  {stack.url}    (ready after {seconds:.0f} s)

{stack.people.rstrip()}

API:         {stack.url}/api/v1/docs    their tokens: {relative}/tokens.json
The lab:     AWS   {aws}
                   AWS_ACCESS_KEY_ID=111122223333 AWS_SECRET_ACCESS_KEY=lab \\
                   aws --region us-east-1 --endpoint-url {aws} cloudfront list-distributions
             edge  {edge}, certificate authority {ca}
             apps  http://{LOOPBACK}:{ports.apps}
             page  {aws}/_lab/    a picture of the accounts; buttons for faults and clock
             clock {scale:g} times AWS's: 15 minutes take {900 / scale:.0f} s
Try it:      sign in as ana and request an endpoint on int-orders; approve it as olga.
             Then, with the host and path that the endpoint's page shows:
             wscat --ca {ca} --host dXXXX.cloudfront.net -c wss://{LOOPBACK}:{ports.edge_tls}/ws
Logs:        {relative}/logs/
Ctrl-C stops everything; the data is kept.
"""
