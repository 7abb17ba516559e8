"""Starts named child processes, restarts those that die, and ends them all.

It never signals a process that it did not start: children of a killed supervisor are recognized by
pid and start time together, since a pid may have been reused.

One thread owns every start, restart and death, and takes its orders from one queue. The kernel
sends a child its death signal when the *thread* that started it ends, so that thread must live as
long as the children.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

LAUNCHER = Path(__file__).with_name("launch.py")
SAME_START_SECONDS = 1.0
"""How far two readings of a start time may differ: it is computed from the time of boot."""

QUICK_DEATH_SECONDS = 5.0
QUICK_DEATHS_ALLOWED = 5
BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0)
READY_POLL_SECONDS = 0.05
TAIL_LINES = 15
LOG_BYTES_KEPT = 5_000_000
"""A log that is longer when its child is first started becomes NAME.log.1."""

Say = Callable[[str], None]
"""Receives one line for the terminal."""


class ProcessError(Exception):
    """A child did not start or keeps dying; carries its name, the problem and its log."""

    def __init__(self, name: str, problem: str, log: Path) -> None:
        super().__init__(name, problem, log)
        self.name, self.problem, self.log = name, problem, log

    def __str__(self) -> str:
        lines = [
            f"{self.name}: {self.problem}",
            f"the end of {self.log}:",
            *(f"  {line}" for line in tail(self.log)),
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Child:
    """One process to keep alive. It is ready when its port `listens` accepts connections on
    loopback and `ready` returns true.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    listens: int | None = None
    ready: Callable[[], bool] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 5.0
    death_signal: signal.Signals = signal.SIGKILL
    user: str = ""

    def is_ready(self) -> bool:
        """Whether it answers now."""
        if self.listens is not None and not accepts("127.0.0.1", self.listens):
            return False
        return self.ready is None or self.ready()


@dataclass
class _Running:
    child: Child
    process: subprocess.Popen[bytes]
    started: float
    born: float
    ended: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class _Start:
    child: Child
    done: threading.Event


@dataclass(frozen=True)
class _Ended:
    running: _Running
    code: int


class _Stop:
    """Tells the owner thread to end; its children are gone by then."""


class Supervisor:
    """Starts children, restarts those that die and stops all, in reverse order.

    `run_dir` holds the pid file, `log_dir` one NAME.log per child. `say` gets a line for each
    restart and failure. When a child dies too often, `failure` is set and `on_failure` is called.
    """

    def __init__(
        self, run_dir: Path, log_dir: Path, say: Say, on_failure: Callable[[], None] | None = None
    ) -> None:
        self.run_dir, self.log_dir, self.say = run_dir, log_dir, say
        self.failure: ProcessError | None = None
        self._on_failure = on_failure or (lambda: None)
        self._orders: queue.Queue[_Start | _Ended | _Stop] = queue.Queue()
        self._running: dict[str, _Running] = {}
        self._due: dict[str, tuple[float, Child]] = {}
        self._quick_deaths: dict[str, int] = {}
        self._stopping = False
        self._owner: threading.Thread | None = None
        run_dir.mkdir(parents=True, exist_ok=True)
        log_dir.mkdir(parents=True, exist_ok=True)

    def start(self, child: Child) -> None:
        """Start it and return; it is supervised from now on."""
        if self._owner is None:
            self._owner = threading.Thread(target=self._own, name="supervisor", daemon=True)
            self._owner.start()
        log = self.log_path(child.name)
        if log.exists() and log.stat().st_size > LOG_BYTES_KEPT:
            log.replace(log.with_suffix(".log.1"))
        done = threading.Event()
        self._orders.put(_Start(child, done))
        done.wait()

    def wait_ready(self, child: Child, seconds: float = 60.0) -> None:
        """Return when it is ready.

        :raises ProcessError: it was not ready in time, or keeps dying.
        """
        deadline = time.monotonic() + seconds
        while not self._answers(child):
            if self.failure is not None:
                raise self.failure
            if time.monotonic() > deadline:
                raise ProcessError(
                    child.name, f"did not answer within {seconds:.0f} s", self.log_path(child.name)
                )
            time.sleep(READY_POLL_SECONDS)

    def pid(self, name: str) -> int | None:
        """Pid of a running child, None while it is down."""
        running = self._running.get(name)
        return None if running is None or running.ended.is_set() else running.process.pid

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a child a signal, as an accident would; it is restarted. Returns its pid."""
        pid = self.pid(name)
        if pid is None:
            raise ProcessLookupError(f"{name} is not running")
        os.kill(pid, number)
        return pid

    def log_path(self, name: str) -> Path:
        """Where a child's output goes."""
        return self.log_dir / f"{name}.log"

    def stop(self) -> None:
        """End every child, the last started first. Safe to call twice."""
        self._stopping = True
        for running in reversed(list(self._running.values())):
            self._end(running)
        if self._owner is not None:
            self._orders.put(_Stop())
            self._owner.join()
            self._owner = None
        # A child may have been restarted meanwhile.
        for running in reversed(list(self._running.values())):
            self._end(running)
        self._running.clear()
        self._due.clear()
        self._pid_file.unlink(missing_ok=True)

    def end_left_overs(self) -> list[str]:
        """End what a killed supervisor with the same `run_dir` left running; returns the names."""
        ended = []
        try:
            recorded: dict[str, list[float]] = json.loads(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            recorded = {}
        for name, (pid, started) in recorded.items():
            if abs(started_at(int(pid)) - started) <= SAME_START_SECONDS:
                end_process(int(pid))
                ended.append(name)
        self._pid_file.unlink(missing_ok=True)
        return ended

    # The owner thread

    def _own(self) -> None:
        while True:
            next_restart = min((due for due, _ in self._due.values()), default=None)
            try:
                order = self._orders.get(
                    timeout=next_restart and max(0.0, next_restart - time.monotonic())
                )
            except queue.Empty:
                now = time.monotonic()
                for name, (due, child) in list(self._due.items()):
                    if due <= now:
                        del self._due[name]
                        if not self._stopping:
                            self._try_to_spawn(child)
                continue
            match order:
                case _Start(child, done):
                    try:
                        self._try_to_spawn(child)
                    finally:
                        done.set()
                case _Ended(running, code):
                    self._buried(running, code)
                case _Stop():
                    return

    def _try_to_spawn(self, child: Child) -> None:
        """A lack of processes, memory or disk is reported and must not end this thread."""
        try:
            command = launched(child.command, death_signal=child.death_signal, user=child.user)
            with self.log_path(child.name).open("ab") as log:
                process = subprocess.Popen(  # noqa: S603 - commands are built by this package
                    command,
                    cwd=child.directory,
                    env=child.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            running = _Running(child, process, time.monotonic(), started_at(process.pid))
            self._running[child.name] = running
            threading.Thread(
                target=self._await_end, args=(running,), name=f"wait-{child.name}", daemon=True
            ).start()
            self._write_pid_file()
        except OSError as error:
            self.failure = ProcessError(
                child.name, f"cannot be started: {error}", self.log_path(child.name)
            )
            self._on_failure()

    def _await_end(self, running: _Running) -> None:
        process = running.process
        if hasattr(os, "waitid"):
            # Until the dead leader is reaped, its group number cannot be reused.
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
                _signal_group(process.pid, signal.SIGKILL)
        code = process.wait()
        running.ended.set()
        self._orders.put(_Ended(running, code))

    def _buried(self, running: _Running, code: int) -> None:
        child = running.child
        if self._stopping or self._running.get(child.name) is not running:
            return
        quick = time.monotonic() - running.started < QUICK_DEATH_SECONDS
        deaths = self._quick_deaths.get(child.name, 0) if quick else 0
        # A kill -9 from outside, however often, does not mean that it cannot run.
        deaths = self._quick_deaths[child.name] = deaths + (code != -signal.SIGKILL)
        if deaths >= QUICK_DEATHS_ALLOWED:
            problem = f"{how_it_ended(code)}; {deaths} times in a row, giving up"
            self.say(f"{child.name} {problem}")
            self.failure = ProcessError(child.name, problem, self.log_path(child.name))
            self._on_failure()
            return
        self.say(f"{child.name} {how_it_ended(code)}; starting it again")
        delay = BACKOFF_SECONDS[min(max(deaths, 1), len(BACKOFF_SECONDS)) - 1]
        self._due[child.name] = (time.monotonic() + delay, child)

    @property
    def _pid_file(self) -> Path:
        return self.run_dir / "children.json"

    def _write_pid_file(self) -> None:
        pids = {
            name: (running.process.pid, running.born) for name, running in self._running.items()
        }
        fresh = self._pid_file.with_suffix(".new")
        fresh.write_text(json.dumps(pids))
        fresh.replace(self._pid_file)

    def _answers(self, child: Child) -> bool:
        return self.pid(child.name) is not None and child.is_ready()

    def _end(self, running: _Running) -> None:
        if running.ended.is_set():
            return
        _signal_group(running.process.pid, running.child.stop_signal)
        if not running.ended.wait(running.child.grace_seconds):
            self.say(
                f"{running.child.name} did not end within {running.child.grace_seconds:.0f} "
                "s; killed"
            )
            _signal_group(running.process.pid, signal.SIGKILL)
            running.ended.wait()


def launched(command: Sequence[str], *, death_signal: signal.Signals, user: str = "") -> list[str]:
    """The command line that ends with this process (Linux) and runs as `user`, if given."""
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER), f"--parent={os.getpid()}"]
    return [*launcher, f"--death-signal={int(death_signal)}", f"--user={user}", "--", *command]


def how_it_ended(code: int) -> str:
    """An exit code of Popen in words."""
    return f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"


def tail(log: Path, lines: int = TAIL_LINES) -> list[str]:
    """The last lines of a log, without reading all of it."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []


def started_at(pid: int) -> float:
    """When a process started, in seconds since the epoch; 0 if there is none."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def accepts(host: str, port: int) -> bool:
    """Whether a server accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False


def end_process(
    pid: int, number: signal.Signals = signal.SIGTERM, grace_seconds: float = 5.0
) -> None:
    """Terminate, then kill, a process that is not our child; the caller verified whose it is."""
    try:
        process = psutil.Process(pid)
        process.send_signal(number)
        process.wait(grace_seconds)
    except psutil.TimeoutExpired:
        with contextlib.suppress(psutil.Error):
            process.kill()
            process.wait(grace_seconds)
    except psutil.Error:
        return


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)
