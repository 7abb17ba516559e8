"""What a request must be before Django sees it: whole, of bounded size, in bounded time, and in the
form of WSGI; and how responses leave, without a thread that waits for a slow reader.

Django answers in a few threads, and WSGI knows neither bodies without a length nor query strings
beyond ASCII. So the body is awaited here, in the event loop, where a thousand slow senders cost
nothing: what is sent in chunks gets a length, what is too long or too slow is refused, and what its
sender did not finish never reaches a view. Whatever encoding a client names, what it sends is read
as UTF-8. It decides nothing about what a request says.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import quote

from django.http import JsonResponse
from django.template.loader import render_to_string
from structlog.contextvars import bound_contextvars

from portal.access_log import log_answer
from portal.log_context import REQUEST_ID_HEADER, request_id_in
from portal.problems import MEDIA_TYPE, PROBLEMS, ApiProblem, problem_body

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

LARGEST_BODY = 262_144
"""Bytes; Django's own limit for forms (DATA_UPLOAD_MAX_MEMORY_SIZE) is the same."""

WHOLE_WITHIN_SECONDS = 30.0
LINGER_SECONDS = 2.0
LARGEST_UNSENT = 16 * 1024 * 1024
"""Bytes of one response that wait in memory for their reader; beyond that its thread waits too."""


_BOUNDARY = re.compile(rb';\s*(boundary=(?:"[^"]*"|[^;\s"]+))', re.IGNORECASE)


class Unfinished(Exception):
    """The sender went away in the middle."""


def arriving_whole(
    application: Application, *, within_seconds: float = WHOLE_WITHIN_SECONDS
) -> Application:
    """The HTTP application, called only with requests that have arrived."""

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        headers = known_headers(scope["headers"])
        fit = {**scope, "headers": headers, "query_string": as_ascii(scope["query_string"])}
        if not any(name in (b"content-length", b"transfer-encoding") for name, _ in headers):
            await application(fit, receive, send)
            return
        if _two_lengths(headers):
            await _refuse(scope, receive, send, "bad_request")
            return
        try:
            body = await asyncio.wait_for(_body(headers, receive), within_seconds)
        except Unfinished:
            return
        except TimeoutError:
            await _refuse(scope, receive, send, "too_slow")
            return
        except ApiProblem as problem:
            await _refuse(scope, receive, send, problem.code)
            return
        fit["headers"] = with_length(headers, len(body))
        await application(fit, _once(body, receive), send)

    return waiting


def sending_aside(application: Application) -> Application:
    """The HTTP application, which hands over its responses and never waits until they are read.

    Django answers in a few threads. A reader who takes nothing would hold one for as long as it
    likes, so responses wait here, in the event loop. portal.http_protocol ends connections whose
    reader takes nothing for too long.
    """

    async def aside(scope: Scope, receive: Receive, send: Send) -> None:
        outbox = _Outbox(send)
        sending = asyncio.create_task(outbox.empty())
        try:
            await application(scope, receive, outbox.put)
            outbox.close()
            await sending
        finally:
            sending.cancel()

    return aside


class _Outbox:
    """Messages on their way to one client, in order."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: asyncio.Queue[Message | None] = asyncio.Queue()
        self._unsent = 0
        self._room = asyncio.Event()
        self._room.set()

    async def put(self, message: Message) -> None:
        await self._room.wait()
        self._unsent += len(message.get("body", b""))
        if self._unsent > LARGEST_UNSENT:
            self._room.clear()
        self._waiting.put_nowait(message)

    def close(self) -> None:
        self._waiting.put_nowait(None)

    async def empty(self) -> None:
        while (message := await self._waiting.get()) is not None:
            await self._send(message)
            self._unsent -= len(message.get("body", b""))
            if self._unsent <= LARGEST_UNSENT:
                self._room.set()


def _two_lengths(headers: Headers) -> bool:
    """Content-Length beside Transfer-Encoding: two servers may see two different requests in it
    (RFC 9112, 6.1 and 11.2).
    """
    return {b"content-length", b"transfer-encoding"} <= {name for name, _ in headers}


def known_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Without names that hold an underscore: WSGI cannot tell X_Forwarded_Proto from the proxy's
    X-Forwarded-Proto. And without what nobody here reads of a Content-Type.
    """
    return [
        (name, plain_type(value) if name == b"content-type" else value)
        for name, value in headers
        if b"_" not in name
    ]


def plain_type(value: bytes) -> bytes:
    """The media type and a form's boundary. By any other charset Django would read the query string
    too, be it base64, and it fails before any view over parameters that it cannot decode.
    """
    boundary = _BOUNDARY.search(value)
    return value.partition(b";")[0] + (b"; " + boundary[1] if boundary else b"")


def as_ascii(query: bytes) -> bytes:
    """The query string with every byte beyond ASCII as %XX: what a client should have sent."""
    return query if query.isascii() else quote(query, safe="%/?:@!$&'()*+,;=-._~[]").encode()


def with_length(headers: Headers, length: int) -> Headers:
    """Of a body that has arrived the length is known, however it was announced."""
    kept = [
        (name, value)
        for name, value in headers
        if name not in (b"content-length", b"transfer-encoding")
    ]
    return [*kept, (b"content-length", str(length).encode())]


async def _body(headers: Headers, receive: Receive) -> bytes:
    announced = [value for name, value in headers if name == b"content-length"]
    if any(value.isdigit() and int(value[:20]) > LARGEST_BODY for value in announced):
        raise ApiProblem("too_large")
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Unfinished
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            raise ApiProblem("too_large")
        if not message.get("more_body", False):
            return bytes(body)


async def _rest(receive: Receive) -> None:
    while (await receive()).get("more_body", False):
        pass


def _once(body: bytes, receive: Receive) -> Receive:
    left = [body]

    async def replay() -> Message:
        return (
            {"type": "http.request", "body": left.pop(), "more_body": False}
            if left
            else await receive()
        )

    return replay


async def _refuse(scope: Scope, receive: Receive, send: Send, code: str) -> None:
    """For API paths a problem, for pages a page; then the connection ends. What is too much is read
    a moment longer: a sender whose connection breaks in the middle never reads the answer.
    """
    status = PROBLEMS[code].status
    request_id = request_id_in(scope["headers"])
    with bound_contextvars(request_id=request_id):
        log_answer(scope["method"], scope["path"], status, 0.0)
    if scope["path"].startswith("/api/"):
        problem = problem_body(ApiProblem(code), request_id)
        content, kind = JsonResponse(problem).content, MEDIA_TYPE
    else:
        content, kind = render_to_string(f"{status}.html").encode(), "text/html; charset=utf-8"
    headers = [
        (b"content-type", kind.encode()),
        (b"connection", b"close"),
        (REQUEST_ID_HEADER.lower().encode(), request_id.encode()),
    ]
    headers = with_length(headers, len(content))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content, "more_body": True})
    if code == "too_large":
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_rest(receive), LINGER_SECONDS)
    await send({"type": "http.response.body", "body": b""})
