"""The AWS endpoint's process: one HTTP server, CloudFront to our backend, everything else to moto, /_lab to the edge.

It decides which of the three a request is for, and how the process starts and ends. It must never answer before
state is restored, and never let one broken request or client end the process.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from lab.aws import seed, service_network
from lab.aws.cloudfront.model import API_VERSION
from lab.aws.cloudfront.service import CloudFront
from lab.aws.control import Control
from lab.aws.database import LabDatabase
from lab.aws.edge_state import EdgeState, load_anchor
from lab.aws.gaps import close_gaps
from lab.aws.moto_world import Credential, HttpReply, MotoWorld, error_reply
from lab.aws.settings import LabSettings
from lab.certificates import ensure_certificates
from lab.clock import LabClock
from lab.config import LOOPBACK, LabConfig
from lab.faults.aws import Aws
from lab.faults.calls import CLOUDFRONT
from lab.faults.front import BrokenReply, CallFaults
from lab.faults.keeper import Faults
from lab.origin_certificates import OriginAuthority

log = logging.getLogger(__name__)

MAX_BODY = 16 * 1024 * 1024
# Longer than any client waits for an answer of AWS.
LONGEST_SILENCE = 120.0
_CONNECTION = "lab.connection"
_LAB = "/_lab/"
_REASONS = {status.value: status.phrase for status in HTTPStatus}


def run(config: LabConfig) -> None:
    """Serve until SIGTERM or SIGINT.

    1. Certificates and state from the state directory; moto's journal is replayed.
    2. Listen; at the very first start seed the accounts through this very endpoint.
    3. Say ready, wait for the signal, stop.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # moto asks these before the access key; the lab's accounts are found by key alone.
    os.environ.pop("MOTO_ACCOUNT_ID", None)
    ensure_certificates(config.state_dir)
    close_gaps()
    database = LabDatabase(config.state_dir / "aws.sqlite3")
    clock = LabClock(config.time_scale, load_anchor(database))
    if not database.value(seed.DONE):
        # Planting was interrupted: half an account is worse than none.
        database.clear()
    world = MotoWorld(database, clock.now)
    service_network.register(world)
    world.replay()
    cloudfront = CloudFront(world, database, clock, LabSettings(database, world.lock, config.quotas))
    aws = Aws(config.aws_url)
    faults = Faults(aws, cloudfront, database, clock)
    state = EdgeState(world, cloudfront, clock, database, faults)
    server = make_server(
        LOOPBACK,
        config.aws_port,
        _Endpoint(
            world,
            cloudfront,
            Control(cloudfront, clock, state, faults, f"http://{LOOPBACK}:{config.edge_port}"),
            CallFaults(faults, aws, world.account_of),
        ),
        threaded=True,
        request_handler=_Handler,
    )
    ending = threading.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: ending.set())
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="serve", daemon=True)
    serving.start()
    if not database.value(seed.DONE):
        state.set_hosts(seed.hosts(config.app_address, config.app_port))
        seed.plant(config.aws_url, state.advance_clock, OriginAuthority.kept_in(config.state_dir))
        with world.lock, database.transaction():
            database.put_value(seed.DONE, True)
    else:
        # The apps may have moved to another port since the first start.
        state.set_hosts(seed.hosts(config.app_address, config.app_port))
    print(f"ready aws {config.aws_url}", flush=True)
    ending.wait()
    _stop(server, serving)
    # Taken and never given back: a request that still runs must not meet a closed database on the way out.
    world.lock.acquire()
    database.close()


def _stop(server: BaseWSGIServer, serving: threading.Thread) -> None:
    server.shutdown()
    serving.join(timeout=1)
    # Threads of idle keep-alive connections are daemons: closing the listener is all that is left to do.
    server.socket.close()


class _Handler(WSGIRequestHandler):
    """HTTP/1.1 with keep-alive; small replies go out at once."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    timeout = 600
    _resets = False

    def make_environ(self) -> dict[str, Any]:
        """With this connection in it, for answers that break off."""
        return {**super().make_environ(), _CONNECTION: self}

    def break_off(self, broken: BrokenReply) -> None:
        """End the connection as a fault wants it.

        :raises ConnectionAbortedError: always; werkzeug then writes nothing.
        """
        self.close_connection = True
        if broken.ending == "half":
            head = [
                f"HTTP/1.1 {broken.reply.status} {_REASONS.get(broken.reply.status, 'Unknown')}",
                *(f"{name}: {text}" for name, text in broken.reply.headers),
            ]
            lines = "\r\n".join([*head, f"Content-Length: {len(broken.reply.body)}", "Connection: close", "", ""])
            self.wfile.write(lines.encode("latin-1") + broken.reply.body[: len(broken.reply.body) // 2])
            self.wfile.flush()
        else:
            self._resets = True
        if broken.ending == "silence":
            deadline = time.monotonic() + LONGEST_SILENCE
            while time.monotonic() < deadline and broken.wanted() and not self._left(0.2):
                pass
        raise ConnectionAbortedError("a fault ended this connection")

    def finish(self) -> None:
        """A reset is an RST: closed with nothing to linger for, before anybody says goodbye with a FIN."""
        super().finish()
        if self._resets:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _left(self, seconds: float) -> bool:
        """Wait a moment; whether the client has gone."""
        readable, _, _ = select.select([self.connection], [], [], seconds)
        try:
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Silent: the edge alone asks ten times a second."""

    def log_error(self, format: str, *args: Any) -> None:
        """Clients that go away are their own affair."""

    def address_string(self) -> str:
        """No name look-ups."""
        return str(self.client_address[0])


class _Endpoint:
    """The WSGI application."""

    def __init__(self, world: MotoWorld, cloudfront: CloudFront, control: Control, call_faults: CallFaults) -> None:
        self._world = world
        self._cloudfront = cloudfront
        self._control = control
        self._call_faults = call_faults

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            reply = self._reply(environ)
        except Exception:
            log.exception("a bug of the lab")
            reply = HttpReply(500, (("Content-Type", "text/plain"),), b"internal error\n")
        if isinstance(reply, BrokenReply):
            environ[_CONNECTION].break_off(reply)
            return []
        headers = [*reply.headers]
        if reply.status != 204:
            headers.append(("Content-Length", str(len(reply.body))))
        start_response(f"{reply.status} {_REASONS.get(reply.status, 'Unknown')}", headers)
        return [reply.body] if environ["REQUEST_METHOD"] != "HEAD" and reply.status != 204 else []

    def _reply(self, environ: dict[str, Any]) -> HttpReply | BrokenReply:
        method = environ["REQUEST_METHOD"]
        path, _, query = str(environ["RAW_URI"]).partition("?")
        headers = tuple(_headers(environ))
        lowered = {name.lower(): text for name, text in headers}
        credential = Credential.of(lowered.get("authorization", ""))
        for_cloudfront = path.startswith(f"/{API_VERSION}/") or (credential and credential.service == CLOUDFRONT)
        service = CLOUDFRONT if for_cloudfront else credential.service if credential else ""
        try:
            body = _read_body(environ)
        except OSError:
            why = "The body is shorter than its header says, or malformed."
            return _unread(path, service, 400, "IncompleteBody", why)
        if body is None:
            return _unread(path, service, 413, "RequestEntityTooLarge", f"The body is longer than {MAX_BODY} bytes.")
        if path.startswith(_LAB):
            return self._control.answer(method, path, query, body, lowered)

        def perform() -> HttpReply:
            if for_cloudfront:
                return self._cloudfront.handle(method, path, query, lowered, body)
            self._cloudfront.settle()
            return self._world.request(method, str(environ["PATH_INFO"]), query, headers, body)

        return self._call_faults.meet(service, method, path, query, lowered, body, perform)


def _read_body(environ: dict[str, Any]) -> bytes | None:
    """The whole body, None if it is too long. Read always, or the next request on the connection is garbled.

    :raises OSError: it is cut short, or its framing is malformed.
    """
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):
        body = bytes(stream.read(MAX_BODY + 1))
        return body if len(body) <= MAX_BODY else None
    length = str(environ.get("CONTENT_LENGTH") or "0")
    if not length.isdecimal() or not length.isascii():
        raise OSError("Content-Length is no number")
    if len(length) > 12 or int(length) > MAX_BODY:
        return None
    body = bytes(stream.read(int(length)))
    if len(body) < int(length):
        raise OSError("the client left in the middle of the body")
    return body


def _unread(path: str, service: str, status: int, code: str, why: str) -> HttpReply:
    """The answer to a request whose body cannot be read; what follows on the connection cannot be either."""
    reply = error_reply(service, status, code, why)
    if path.startswith(_LAB):
        reply = HttpReply(status, (("Content-Type", "application/json"),), json.dumps({"error": why}).encode())
    return HttpReply(status, (*reply.headers, ("Connection", "close")), reply.body)


def _headers(environ: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for name, text in environ.items():
        if name.startswith("HTTP_"):
            yield name[5:].replace("_", "-").title(), str(text)
    if environ.get("CONTENT_TYPE"):
        yield "Content-Type", str(environ["CONTENT_TYPE"])
