"""The edge and the chat app as processes, before a hand-written account; and clients that know the
way to them.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import json
import os
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.http11 import Response

from lab.apps import rfc6455
from tests.ports import free_ports

Json = dict[str, Any]
T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
# Generous: no test may fail because the machine is busy.
PATIENCE = 60.0


class StubAws:
    """Serves `/_lab/state` as the AWS process would, and knows which version the edge has taken
    over.
    """

    def __init__(self, account: Json) -> None:
        self.account = account
        self.taken_over: int | None = None
        self.questions = 0
        self.report: Json = {}
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stub.questions += 1
                asked = parse_qs(urlsplit(self.path).query).get("version", [None])[0]
                if asked is not None:
                    stub.taken_over = int(asked)
                unchanged = asked == str(stub.account["version"])
                body = b"" if unchanged else json.dumps(stub.account).encode()
                self.send_response(204 if unchanged else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                stub.report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def publish(self, account: Json) -> None:
        """Serve another account, and wait until the edge has it."""
        version = self.account["version"] + 1
        self.account = {**account, "version": version}
        wait_until(lambda: self.taken_over == version)

    def wait_for_questions(self, count: int) -> None:
        wait_until(lambda: self.questions >= count)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class OddOrigin:
    """An HTTP origin that misbehaves as its path says; it reads the request's head, and nothing
    else unasked.
    """

    ANSWERS: Mapping[str, bytes] = {
        "/garbage": b"\x00\x01 not http\r\n\r\n",
        "/silence": b"",
        "/switch": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
        b"Upgrade\r\n\r\n",
        "/half": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        "/early": b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n",
        "/to-the-end": b"HTTP/1.0 200 OK\r\n\r\nuntil I close",
        "/chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
        b"chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        "/cookies": b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nVia: 1.0 "
        b"x\r\nContent-Length: 0\r\n\r\n",
        "/endless-headers": b"HTTP/1.1 200 OK\r\n"
        + b"X-More: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 10_000,
        "/long-headers": b"HTTP/1.1 200 OK\r\n"
        + b"X-More: aaaaaaaaaaaaaaaa\r\n" * 1400
        + b"Content-Length: 0\r\n\r\n",
        "/half-and-wait": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        "/missing": b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: "
        b"5\r\n\r\ngone\n",
        "/large": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000,
        "/early-frame": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
        b"Upgrade\r\n\r\nframe!",
        "/two-framings": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "/continue": b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n",
        "/continues": b"HTTP/1.1 100 Continue\r\n\r\n" * 2
        + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n",
        "/late": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n",
    }

    def __init__(self) -> None:
        origin = self
        self.bodies: list[bytes] = []
        self.asked: list[str] = []
        # Paths of connections that the other side closed.
        self.left: list[str] = []
        self.may_answer_late = threading.Event()

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                target = self.rfile.readline().split(b" ")[1].decode()
                path = target.partition("?")[0]
                origin.asked.append(target)
                headers = dict(
                    line.lower().split(b": ", 1) for line in iter(self.rfile.readline, b"\r\n")
                )
                if path == "/body":
                    origin.bodies.append(origin.read_body(self.rfile, headers))
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    return
                if path == "/late":
                    origin.may_answer_late.wait(PATIENCE)
                with contextlib.suppress(OSError):
                    self.wfile.write(origin.ANSWERS[path])
                if path.startswith(("/early-frame", "/switch", "/half-and-wait", "/late")):
                    self.rfile.read()
                    origin.left.append(path)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @staticmethod
    def read_body(file: io.BufferedIOBase, headers: Mapping[bytes, bytes]) -> bytes:
        if b"content-length" in headers:
            return file.read(int(headers[b"content-length"]))
        body = b""
        while size := int(file.readline(), 16):
            body += file.read(size)
            file.readline()
        file.readline()
        return body

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Recorder:
    """A WebSocket server that keeps every byte a client sent, and says only what it is told to.

    All by the path that a client asked for. On the paths in `to_end` a client's close frame ends
    the connection.
    """

    def __init__(self) -> None:
        recorder = self
        self.heads: dict[str, bytes] = {}
        self.heard: dict[str, bytes] = {}
        self.to_say: dict[str, bytes] = {}
        self.to_end: set[str] = set()

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += self.request.recv(65536)
                request = rfc6455.parse_request(head.partition(b"\r\n\r\n")[0])
                recorder.heads[request.target] = head
                self.request.sendall(
                    rfc6455.switching(rfc6455.accept_for(request.headers["sec-websocket-key"]))
                )
                self.request.sendall(recorder.to_say.get(request.target, b""))
                heard = bytearray()
                finder = rfc6455.CloseFinder()
                while piece := self.request.recv(65536):
                    heard += piece
                    recorder.heard[request.target] = bytes(heard)
                    if request.target in recorder.to_end and finder.found_in(piece):
                        return

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 64

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Process:
    """One of the lab's processes; its lines of standard output are kept."""

    def __init__(self, name: str, environment: dict[str, str]) -> None:
        self.lines: list[str] = []
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "lab", name],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.complaints: list[str] = []
        assert self._popen.stdout is not None
        assert self._popen.stderr is not None
        self._readers = [
            threading.Thread(target=self._read, args=(file, into), daemon=True)
            for file, into in (
                (self._popen.stdout, self.lines),
                (self._popen.stderr, self.complaints),
            )
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    def wait_ready(self) -> None:
        wait_until(
            lambda: (
                any(line.startswith("ready ") for line in self.lines)
                or self._popen.poll() is not None
            )
        )
        assert self._popen.poll() is None, "the process ended before it was ready"

    def entries(self) -> list[Json]:
        """Its JSON log lines so far."""
        return [json.loads(line) for line in list(self.lines) if line.startswith("{")]

    def wait_for_entry(self, holds: Callable[[Json], bool]) -> Json:
        wait_until(lambda: any(holds(entry) for entry in self.entries()))
        return next(entry for entry in reversed(self.entries()) if holds(entry))

    def end(self) -> int:
        """Send SIGTERM and wait; the exit code."""
        self._popen.send_signal(signal.SIGTERM)
        try:
            return self._popen.wait(timeout=PATIENCE)
        finally:
            self._popen.kill()
            for reader in self._readers:
                reader.join()

    def wait_ended(self) -> int:
        """Wait until it has ended by itself; the exit code."""
        code = self._popen.wait(timeout=PATIENCE)
        for reader in self._readers:
            reader.join()
        return code

    def running(self) -> bool:
        return self._popen.poll() is None

    @staticmethod
    def _read(file: IO[str], into: list[str]) -> None:
        for line in file:
            into.append(line.rstrip("\n"))


class Client:
    """A WebSocket client for tests that tell their story line by line; its event loop runs in a
    thread of its own.

    Not `websockets.sync`: over TLS it uses one SSL object from two threads, which Python 3.11 does
    not guard, and one handshake in some hundreds then waits for ever.
    """

    def __init__(self, connecting: connect) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

        async def opened() -> ClientConnection:
            return await connecting

        try:
            self.connection = self.call(opened())
        except BaseException:
            self._stop()
            raise

    @property
    def response(self) -> Response:
        """The answer to the handshake."""
        assert self.connection.response is not None
        return self.connection.response

    def send(self, message: str | bytes) -> None:
        self.call(self.connection.send(message))

    def ping(self) -> None:
        """Send a ping and wait for its pong."""

        async def pinged() -> None:
            await (await self.connection.ping())

        self.call(asyncio.wait_for(pinged(), PATIENCE))

    def recv(self, timeout: float = PATIENCE) -> Any:
        """The next message, read as JSON.

        :raises TimeoutError: none came in time.
        """
        return json.loads(self.call(asyncio.wait_for(self.connection.recv(), timeout)))

    def wait_closed(self) -> int | None:
        """Wait until the other side has ended the connection; the close code."""
        self.call(self.connection.wait_closed())
        return self.connection.close_code

    def wait_closed_for(self, seconds: float) -> int | None:
        """Wait a while until the other side has ended the connection; the close code, None if it
        has not.
        """
        with contextlib.suppress(TimeoutError):
            self.call(asyncio.wait_for(self.connection.wait_closed(), seconds))
        return self.connection.close_code

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self._loop.is_running():
            self.call(self.connection.close(code, reason))
            self._stop()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run this in the client's loop, and wait for what it gives."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE + 5)

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Stage:
    """Everything that runs, and how to reach it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        ports = free_ports()
        self.tls_port, self.plain_port, self.app_port = ports.edge_tls, ports.edge, ports.apps
        self.environment: dict[str, str] = {}
        self.odd = OddOrigin()
        self.recorder = Recorder()
        self.aws: StubAws
        self.edge: Process
        self.chat: Process

    @contextlib.contextmanager
    def play(self, account: Json) -> Iterator[Stage]:
        self.aws = StubAws(account)
        self.environment = {
            **os.environ,
            "LAB_STATE_DIR": str(self.directory),
            "LAB_AWS_PORT": str(self.aws.port),
            "LAB_EDGE_TLS_PORT": str(self.tls_port),
            "LAB_EDGE_PORT": str(self.plain_port),
            "LAB_APP_PORT": str(self.app_port),
        }
        self.chat = Process("apps", self.environment)
        self.edge = Process("edge", self.environment)
        try:
            self.chat.wait_ready()
            self.edge.wait_ready()
            yield self
        finally:
            ended = [self.edge.end(), self.chat.end()]
            self.aws.close()
            self.odd.close()
            self.recorder.close()
        assert ended == [0, 0]
        assert [
            line for line in self.edge.complaints if not line.startswith("edge: cannot read")
        ] == []
        assert self.chat.complaints == [], self.chat.complaints

    @property
    def authority(self) -> Path:
        return self.directory / "ca.pem"

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))

    @contextlib.contextmanager
    def websocket(
        self, name: str, path: str = "/ws/chat", *, tls: bool = True, **options: Any
    ) -> Iterator[Client]:
        """A client connected through the distribution `<name>.cloudfront.net`."""
        url = f"{'wss' if tls else 'ws'}://{name}.cloudfront.net{path}"
        where = {"host": "127.0.0.1", "port": self.tls_port if tls else self.plain_port}
        secure = {"ssl": self.trust()} if tls else {}
        plain = {"proxy": None, "ping_interval": None, "open_timeout": PATIENCE, "close_timeout": 3}
        client = Client(connect(url, **{**plain, **secure, **where, **options}))
        try:
            yield client
        finally:
            client.close()

    def request(
        self,
        name: str,
        method: str = "GET",
        path: str = "/",
        headers: Json | None = None,
        body: bytes = b"",
        tls: bool = True,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """A plain request to the distribution; status, headers and body of the answer."""
        with self.raw(f"{name}.cloudfront.net", tls=tls) as raw:
            host = (headers or {}).get("Host", f"{name}.cloudfront.net")
            lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
            lines += [f"{key}: {value}" for key, value in (headers or {}).items() if key != "Host"]
            if body:
                lines.append(f"Content-Length: {len(body)}")
            raw.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            response = http.client.HTTPResponse(raw, method=method)
            response.begin()
            return response.status, response.headers, response.read()

    def open_sockets(self) -> list[Json]:
        """The open tunnels of the edge and the load balancers, oldest first."""
        with self.raw(tls=False) as raw:
            raw.sendall(
                b"GET /_lab/sockets HTTP/1.1\r\nHost: lab.localhost\r\nConnection: close\r\n\r\n"
            )
            response = http.client.HTTPResponse(raw)
            response.begin()
            found: list[Json] = json.loads(response.read())["sockets"]
            return found

    def raw(
        self, server_name: str = "localhost", *, tls: bool = True, alpn: list[str] | None = None
    ) -> socket.socket:
        """A socket to the edge, for those who want to speak for themselves."""
        plain = socket.create_connection(
            ("127.0.0.1", self.tls_port if tls else self.plain_port), timeout=PATIENCE
        )
        if not tls:
            return plain
        context = self.trust()
        if alpn:
            context.set_alpn_protocols(alpn)
        return context.wrap_socket(plain, server_hostname=server_name)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
