"""Starts and stops servers by name, from npm, from PyPI and written: on this machine, each on a
port that it keeps.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from stack.ports import LOOPBACK
from tests import npm
from tests.journeys.until import until
from tests.ports import free_port

if TYPE_CHECKING:
    from tests.app_kinds.python_servers import Stop

T = TypeVar("T")

PACKAGES = (
    "@microsoft/signalr@10.0.11",
    "@rails/actioncable@8.1.400",
    "aedes@1.2.0",
    "centrifuge@5.8.0",
    "engine.io@6.6.13",
    "graphql@16.15.0",
    "graphql-ws@6.4.2",
    "phoenix@1.8.16",
    "socket.io@4.8.4",
    "socket.io-2@npm:socket.io@2.5.1",
    "socketcluster-server@20.0.1",
    "sockjs@0.3.24",
    "stomp-broker-js@1.3.0",
    "subscriptions-transport-ws@0.11.0",
    "ws@8.23.0",
)
KERNEL = "5fd2b8a4-7a5c-4d6b-9f0e-2b1f3c4d5e6f"
"""Jupyter's one that runs."""
TOKEN = "vEry-s3cret.t0ken-0f-the-4pp"
"""What servers want that let only some in."""
DAPHNE = "daphne"
SECONDS = 30.0


class AppServers:
    """Real servers of apps. Use as a context manager, which stops them all."""

    def __init__(self) -> None:
        self._ports: dict[str, int] = {}
        self._stops: dict[str, Stop] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._node: subprocess.Popen[str] | None = None
        self._daphne: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> AppServers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for name in tuple(self._stops):
            self.stop(name)
        processes: tuple[subprocess.Popen[Any] | None, ...] = (self._node, self._daphne)
        for process in processes:
            if process is not None:
                process.terminate()
                process.wait(SECONDS)
        self._run(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def start(self, name: str) -> int:
        """Start a server, unless it runs, and return its port. Skips the test if it is from npm
        and there is none.
        """
        if name not in self._stops:
            self._ports[name] = self._start(name, self._ports.get(name, 0))
        return self._ports[name]

    def stop(self, name: str) -> None:
        """Stop it, with its connections."""
        self._run(self._stops.pop(name)())

    def _start(self, name: str, port: int) -> int:
        # Every run of any tests reads this module; three frameworks take a second to import.
        from tests.app_kinds.python_servers import PYTHON_SERVERS

        if name in PYTHON_SERVERS:
            listening = socket.create_server((LOOPBACK, port))
            listening.setblocking(False)
            self._stops[name] = self._run(PYTHON_SERVERS[name](listening))
            return int(listening.getsockname()[1])
        if name == DAPHNE:
            return self._start_daphne(port or free_port())
        answer = self._tell_node({"start": name, "port": port})

        async def stop() -> None:
            self._tell_node({"stop": name})

        self._stops[name] = stop
        return int(answer["port"])

    def _start_daphne(self, port: int) -> int:
        site = "tests.app_kinds.channels_site:application"
        daphne = self._daphne = subprocess.Popen(
            [sys.executable, "-m", "daphne", "-v", "0", "-b", LOOPBACK, "-p", str(port), site],
        )

        def listens() -> bool:
            assert daphne.poll() is None, "Daphne has ended"
            with closing(socket.socket()) as client:
                return client.connect_ex((LOOPBACK, port)) == 0

        until(listens, "Daphne listens", SECONDS)

        async def stop() -> None:
            daphne.terminate()
            daphne.wait(SECONDS)

        self._stops[DAPHNE] = stop
        return port

    def _tell_node(self, order: dict[str, Any]) -> dict[str, Any]:
        if self._node is None:
            folder = npm.installed(PACKAGES)
            script = Path(__file__).with_name("npm_servers.cjs")
            self._node = subprocess.Popen(
                ["node", str(script), str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._node.stdin is not None
        assert self._node.stdout is not None
        self._node.stdin.write(json.dumps(order) + "\n")
        self._node.stdin.flush()
        answer: dict[str, Any] = json.loads(self._node.stdout.readline())
        assert "error" not in answer, answer
        return answer

    def _run(self, awaitable: Awaitable[T]) -> T:
        async def wait() -> T:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result(SECONDS)


async def _cancel_others() -> None:
    """End what servers left running on the loop."""
    own = asyncio.current_task()
    others = [task for task in asyncio.all_tasks() if task is not own]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
