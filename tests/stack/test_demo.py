"""`make demo` as a person meets it: what it prints, whom it refuses, and that Ctrl-C leaves nothing
running.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import httpx
import psutil
import pytest

from stack.__main__ import main
from stack.demo import Stopped, ends_on_signals, stay
from stack.product import EVERYTHING
from tests.ports import free_ports

PATIENCE_SECONDS = 90.0


class Demo:
    """A demo process, and the lines it has printed so far."""

    def __init__(self, state: Path, port: int) -> None:
        command = [
            sys.executable,
            "-m",
            "stack",
            "demo",
            "--state",
            str(state),
            "--port",
            str(port),
        ]
        # A suite that runs under nohup hands on that hang-ups are ignored.
        hears = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdout=pipe, stderr=subprocess.STDOUT, text=True, preexec_fn=hears
        )
        self.lines: list[str] = []
        self.welcomed = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def said(self) -> str:
        return "\n".join(self.lines)

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send the signal and return the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_SECONDS)
        self._reader.join(5)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if "Ctrl-C stops everything" in line:
                self.welcomed.set()
        self.process.stdout.close()
        self.welcomed.set()


@pytest.fixture
def state() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="st") as directory:
        yield Path(directory) / "state"


def recorded(state: Path) -> dict[str, psutil.Process]:
    """The processes that the demo says it runs."""
    pids = json.loads((state / "run" / "children.json").read_text())
    return {name: psutil.Process(int(pid)) for name, (pid, _) in pids.items()}


def started_so_far(state: Path) -> list[psutil.Process]:
    return list(recorded(state).values()) if (state / "run" / "children.json").exists() else []


def still_there(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if process.is_running()]


def refused(state: Path, port: int) -> str:
    """What a demo says that is refused at once."""
    command = [sys.executable, "-m", "stack", "demo", "--state", str(state), "--port", str(port)]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    return ended.stderr


@pytest.mark.stack
def test_a_demo_ended_while_it_starts_then_from_welcome_to_ctrl_c(state: Path) -> None:
    ports = free_ports()
    ended_while_it_starts(state, ports.web)

    demo = Demo(state, ports.web)
    try:
        assert demo.welcomed.wait(PATIENCE_SECONDS)
        assert f"http://localhost:{ports.web}" in demo.said
        assert re.search(r"^ana\s+demo-ana-2026", demo.said, re.MULTILINE)
        assert f"{state}/lab/ca.pem" in demo.said
        page = f"http://127.0.0.1:{ports.web}/sign-in/"
        answer = httpx.get(page, trust_env=False, timeout=PATIENCE_SECONDS)
        assert answer.status_code == 200
        parts = recorded(state)
        assert set(parts) == set(EVERYTHING)
        family = [
            each for part in parts.values() for each in (part, *part.children(recursive=True))
        ]
        assert len(still_there(family)) == len(family)

        assert "already runs from" in refused(state, free_ports().web)
        with tempfile.TemporaryDirectory(prefix="st") as elsewhere:
            assert f"port {ports.web} (the portal) is taken" in refused(
                Path(elsewhere) / "state", ports.web
            )
        assert demo.process.poll() is None, "the refused ones must not have disturbed it"
    finally:
        code = demo.end()
    assert code == 0
    assert not still_there(family)
    assert (state / "tokens.json").stat().st_mode & 0o777 == 0o600


def ended_while_it_starts(state: Path, port: int) -> None:
    """A demo whose terminal is closed as soon as it runs a process: it leaves none."""
    demo = Demo(state, port)
    try:
        while not started_so_far(state):
            assert not demo.welcomed.wait(0.02), "too late to interrupt its start"
        parts = started_so_far(state)
    finally:
        code = demo.end(signal.SIGHUP)
    assert code == 0
    assert not still_there(parts)


# That a second start asks for no new tokens is tested in test_services.py, too.
@pytest.mark.slow
@pytest.mark.stack
def test_a_second_start_keeps_what_the_first_made(state: Path) -> None:
    ports = free_ports()
    tokens: list[str] = []
    for number in (signal.SIGTERM, signal.SIGHUP):
        demo = Demo(state, ports.web)
        try:
            assert demo.welcomed.wait(PATIENCE_SECONDS)
            tokens.append((state / "tokens.json").read_text())
            parts = recorded(state)
        finally:
            code = demo.end(number)
        assert code == 0
        assert not still_there(parts.values())
    assert tokens[0] == tokens[1]


def test_a_folder_of_somebody_else_is_refused_also_with_clean(state: Path) -> None:
    state.mkdir()
    (state / "thesis.tex").write_text("ten years of work")
    command = [sys.executable, "-m", "stack", "demo", "--state", str(state), "--clean"]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert ended.returncode == 1
    assert "not ours" in ended.stderr
    assert (state / "thesis.tex").exists()


def test_under_nohup_a_closed_terminal_ends_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ends_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
            with pytest.raises(Stopped):
                os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_terminal_that_is_gone_without_a_signal_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stack.demo.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("os.isatty", lambda descriptor: False)
    with pytest.raises(Stopped):
        stay(threading.Event(), attended=True)
    broken = threading.Event()
    threading.Timer(0.1, broken.set).start()
    stay(broken, attended=False)


def test_ctrl_c_while_the_modules_load_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("stack.demo.run_demo", Mock(side_effect=KeyboardInterrupt))
    monkeypatch.setattr("os.chdir", Mock())
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "stopped\n"


def test_a_port_that_is_none_is_refused_in_one_line() -> None:
    for port in ("80", "web", "70000"):
        command = [sys.executable, "-m", "stack", "demo", "--port", port]
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
        assert ended.returncode == 2
        assert "not a port between 1024 and 65530" in ended.stderr


def test_a_taken_port_names_its_holder(state: Path) -> None:
    ports = free_ports()
    with socket.create_server(("127.0.0.1", ports.redis)):
        assert f"taken by {psutil.Process().name()} (pid {os.getpid()})" in refused(
            state, ports.web
        )
