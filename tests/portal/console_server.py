"""A real uvicorn with the portal's socket branch in a thread of the test, and a client that keeps
what it hears.

In the same process, so that a test can shorten the console's intervals and look into its hub.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from django.db import connections
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from portal.console.routing import websocket_application
from portal.people.models import Person
from portal.requests.models import EndpointRequest
from portal.websocket_protocol import QuietWebSocketProtocol
from tests.portal.people import signed_in

PATIENCE = 60.0
"""Seconds for what must happen: a bound for a busy machine, not a pause."""


class Console:
    """One connection. `after` as a browser sends it."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.heard: list[dict[str, Any]] = []

    def until(
        self, done: Callable[[dict[str, Any]], bool], patience: float = PATIENCE
    ) -> dict[str, Any]:
        """The first message that satisfies `done`; everything heard on the way is kept."""
        deadline = time.monotonic() + patience
        while True:
            said = json.loads(self.connection.recv(timeout=max(0.0, deadline - time.monotonic())))
            self.heard.append(said)
            if done(said):
                return dict(said)

    def until_seq(self, seq: int, patience: float = PATIENCE) -> None:
        """Listen until this event has come."""
        if seq not in self.seqs:
            self.until(lambda said: said.get("seq") == seq, patience)

    def until_type(self, kind: str, patience: float = PATIENCE) -> dict[str, Any]:
        """Listen until such a message comes."""
        return self.until(lambda said: said["type"] == kind, patience)

    def until_closed(self) -> tuple[int, str]:
        """Listen until the server closes; its code and reason."""
        try:
            while True:
                self.heard.append(json.loads(self.connection.recv(timeout=PATIENCE)))
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")

    @property
    def seqs(self) -> list[int]:
        """Numbers of the events heard, in the order heard."""
        return [said["seq"] for said in self.heard if said["type"] == "event"]


class Server:
    """Where the sockets listen."""

    def __init__(self, port: int) -> None:
        self.url = f"ws://127.0.0.1:{port}"

    @contextmanager
    def console(
        self,
        request: EndpointRequest | str,
        headers: dict[str, str] | None = None,
        *,
        after: int | str = 0,
        **more: Any,
    ) -> Iterator[Console]:
        """Connect to a request's console."""
        path = request if isinstance(request, str) else f"/ws/requests/{request.pk}/?after={after}"
        with connect(
            self.url + path, additional_headers=headers, open_timeout=PATIENCE
        ) as connection:
            yield Console(connection)


@contextmanager
def serving(application: Any = None, port: int = 0) -> Iterator[Server]:
    """Serve the sockets (or a whole `application`) until the block ends."""
    database = connections["default"].settings_dict
    kept, database["CONN_MAX_AGE"] = (
        database["CONN_MAX_AGE"],
        0,
    )  # or the console's threads would keep the database busy
    config = uvicorn.Config(
        application or websocket_application(),
        host="127.0.0.1",
        port=port,
        ws=QuietWebSocketProtocol,
        lifespan="off",
        log_level="warning",
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="uvicorn of the tests", daemon=True)
    thread.start()
    deadline = time.monotonic() + PATIENCE
    while not server.started:
        assert thread.is_alive(), "uvicorn ended"
        assert time.monotonic() < deadline, "uvicorn did not start"
        time.sleep(0.01)
    try:
        yield Server(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        database["CONN_MAX_AGE"] = kept


def browser_headers(person: Person, origin: str | None) -> dict[str, str]:
    """The headers of a browser with a session."""
    cookie = {"Cookie": f"sessionid={signed_in(person).cookies['sessionid'].value}"}
    return cookie if origin is None else cookie | {"Origin": origin}
