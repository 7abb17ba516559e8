"""The whole product on one machine as one object: its processes, their order and arguments.

The demo, the rehearsal and the journeys use it. It starts the product's commands and knows their
ports, and nothing else about them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType

from stack.environment import DEFAULT_TIME_SCALE, inherited, product_environment
from stack.ports import LOOPBACK, Ports
from stack.processes import Child, Say, Supervisor, launched
from stack.services import Postgres, Redis
from stack.state import StateDir

PROJECT = Path(__file__).resolve().parent.parent
WEB_OPTIONS = (
    # Ends connections whose head never arrives or whose response is never read.
    *("--http", "portal.http_protocol:BoundedH11Protocol"),
    *("--ws", "portal.websocket_protocol:QuietWebSocketProtocol"),
    # portal.asgi believes the proxies that TRUSTED_PROXIES names, uvicorn any on this machine.
    "--no-proxy-headers",
    *("--lifespan", "off", "--no-access-log", "--log-level", "warning"),
    # Compression doubles the memory of an idle console and halves its speed.
    *("--ws-per-message-deflate", "false", "--ws-max-size", "65536"),
    # Consoles stay open for hours; when closed on a stop, they reconnect and resume.
    *("--timeout-graceful-shutdown", "2"),
)
"""uvicorn's options, the image's too, but for the log level and a shorter stop."""
SERVICES = ("postgres", "redis")
LAB = ("aws", "apps", "edge")
PORTAL = ("web", "provisioning-worker", "checks-worker", "ticker")
WORKER_THREADS = {"provisioning": 4, "checks": 32}
"""By queue. A thread of the checks worker can wait two minutes for a silent socket."""
EVERYTHING = (*SERVICES, *LAB, *PORTAL)
TOKENS_LAST_SECONDS = 23 * 86_400
"""seed_demo's tokens expire after thirty days; a demo may stay up for a week."""


class CommandFailed(Exception):
    """A management command did not succeed; carries its words."""

    def __init__(self, command: tuple[str, ...], output: str) -> None:
        super().__init__(command, output)
        self.command, self.output = command, output

    def __str__(self) -> str:
        return f"manage.py {' '.join(self.command)} failed:\n{self.output}"


class Stack:
    """PostgreSQL, Redis, lab, web, workers and ticker, or some `parts` of them, under one
    supervisor.

    `port_base` None takes free ports. `time_scale` is how many times faster than AWS the lab is.
    `settings` are variables that shall differ from what stack/environment.py decides. After
    `start`, `env` is the environment of every part: what a client of the product on this machine
    needs to know is in it.
    """

    def __init__(
        self,
        state_dir: Path,
        port_base: int | None = None,
        *,
        time_scale: float = DEFAULT_TIME_SCALE,
        parts: Collection[str] = EVERYTHING,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
        say: Say = lambda line: None,
        on_failure: Callable[[], None] | None = None,
    ) -> None:
        if unknown := set(parts) - set(EVERYTHING):
            raise ValueError(f"unknown parts {sorted(unknown)}; there are {EVERYTHING}")
        self.state = StateDir(state_dir)
        self.ports = Ports.free() if port_base is None else Ports.from_base(port_base)
        self.parts = tuple(name for name in EVERYTHING if name in parts)
        self.say = say
        self.people = ""
        self._on_failure = on_failure
        self._time_scale = time_scale
        self._settings = dict(settings or {})
        self._postgres = Postgres(self.state.path / "postgres", durable=durable)
        self._supervisor: Supervisor | None = None
        self._children: dict[str, Child] = {}
        self.env: dict[str, str] = {}

    # Life

    def start(self, *, clean: bool = False) -> None:
        """Start everything and return when it answers. `clean` empties the state folder first.

        :raises StateError, PortTaken, ServiceError, ProcessError, CommandFailed: with nothing left
        running.
        """
        self.state.take()
        try:
            self._supervisor = Supervisor(
                self.state.run, self.state.logs, self.say, self._on_failure
            )
            for name in self._supervisor.end_left_overs():
                self.say(f"ended {name}, left over from a run that was killed")
            self.ports.check()
            if clean:
                self.state.empty()
                self._supervisor = Supervisor(
                    self.state.run, self.state.logs, self.say, self._on_failure
                )
            self._start_parts()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every process. Safe to call twice."""
        if self._supervisor is not None:
            self._supervisor.stop()
            self._postgres.tidy()
        self.state.release()

    def __enter__(self) -> Stack:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def supervisor(self) -> Supervisor:
        """:raises RuntimeError: not started."""
        if self._supervisor is None:
            raise RuntimeError("the stack is not started")
        return self._supervisor

    @property
    def url(self) -> str:
        """The portal's address."""
        return self.env["PORTAL_URL"]

    @property
    def tokens_file(self) -> Path:
        """API tokens of the demo people, as JSON {username: token}; mode 600."""
        return self.state.path / "tokens.json"

    def pid(self, name: str) -> int | None:
        """Pid of a part; None while it is down."""
        return self.supervisor.pid(name)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Kill a part as an accident would; it is restarted. Returns the pid it had."""
        return self.supervisor.kill(name, number)

    def wait_ready(self, name: str, seconds: float = 60.0) -> None:
        """Return when the part answers (again)."""
        self.supervisor.wait_ready(self._children[name], seconds)

    def log(self, name: str) -> Path:
        """The part's output."""
        return self.supervisor.log_path(name)

    def manage(self, *command: str) -> str:
        """Run `manage.py command` in the product's environment and return what it printed.

        :raises CommandFailed: it did not exit with 0.
        """
        done = subprocess.run(  # noqa: S603 - our own interpreter and manage.py
            launched([sys.executable, "manage.py", *command], death_signal=signal.SIGKILL),
            cwd=PROJECT,
            env=self._child_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
            start_new_session=True,
        )
        if done.returncode != 0:
            raise CommandFailed(command, done.stdout)
        return done.stdout

    def _start_parts(self) -> None:
        redis = Redis(self.state.path / "redis", self.ports.redis, self.state.secret("redis"))
        self.state.signing_key("evidence-key")
        self.env = (
            product_environment(
                state_dir=self.state.path,
                ports=self.ports,
                time_scale=self._time_scale,
                database_url=self._postgres.url(),
                redis_url=redis.url,
                secret_key=self.state.secret("django"),
                encryption_key=self.state.secret("encryption"),
            )
            | self._settings
        )
        if "postgres" in self.parts:
            self._postgres.prepare()
            self._start(self._postgres.child(self._child_environment()))
        if "redis" in self.parts:
            redis.prepare()
            self._start(redis.child(self._child_environment()))
        # The lab starts while the database is created and migrated.
        listens = {"aws": self.ports.aws, "apps": self.ports.apps, "edge": self.ports.edge_tls}
        for name in LAB:
            self._start_python(name, ["-m", "lab", name], listens=listens[name])
        if "postgres" in self.parts:
            self.wait_ready("postgres")
            self._postgres.ensure_database()
        with_portal = any(name in self.parts for name in PORTAL)
        if with_portal:
            # Without checks, which would import every view; the ticker runs them.
            self.manage("migrate", "--no-input", "-v", "0", "--skip-checks")
        web = ["-m", "uvicorn", "portal.asgi:application", *WEB_OPTIONS]
        listen = ["--host", LOOPBACK, "--port", str(self.ports.web)]
        self._start_python("web", [*web, *listen], listens=self.ports.web)
        for queue, threads in WORKER_THREADS.items():
            command = [
                *("-m", "celery", "-A", "portal", "worker", "-Q", queue, "-n", f"{queue}@%h"),
                *("--pool", "threads", "--concurrency", str(threads)),
                *("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "warning"),
            ]
            self._start_python(f"{queue}-worker", command, grace_seconds=10.0)
        self._start_python("ticker", ["manage.py", "tick"])
        # Users and tokens are created while these import.
        if with_portal and "aws" in self.parts:
            self._seed()
        for name in self.parts:
            self.wait_ready(name)

    def _seed(self) -> None:
        """Create the demo's users. Their tokens are shown only once, so new ones are issued only if
        the file is lost or the old ones expire soon.
        """
        known = (
            self.tokens_file.exists()
            and time.time() - self.tokens_file.stat().st_mtime < TOKENS_LAST_SECONDS
        )
        self.people = self.manage(
            "seed_demo", *([] if known else ["--tokens", str(self.tokens_file)])
        )

    def _start_python(
        self,
        name: str,
        arguments: list[str],
        *,
        listens: int | None = None,
        grace_seconds: float = 5.0,
    ) -> None:
        if name in self.parts:
            command = [sys.executable, *arguments]
            environment = self._child_environment()
            self._start(
                Child(
                    name,
                    command,
                    environment,
                    PROJECT,
                    listens=listens,
                    grace_seconds=grace_seconds,
                )
            )

    def _start(self, child: Child) -> None:
        self._children[child.name] = child
        self.supervisor.start(child)

    def _child_environment(self) -> dict[str, str]:
        return {**inherited(os.environ), **self.env}
