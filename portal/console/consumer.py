"""The console's socket: hello, then every event after the cursor, once and in order.

A plain ASGI application: Channels' consumer costs a task and a thread hop for every message of
every socket. Lines come from the hub or from the database, and only the next seq is sent. A closed
socket never means that the request has finished; the message `finished` does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from django.db import DatabaseError
from django.utils import timezone
from structlog.contextvars import bind_contextvars

from portal.console.auth import (
    BAD_REQUEST,
    FORBIDDEN,
    NOT_FOUND,
    UNAUTHENTICATED,
    Admitted,
    Refused,
    admit,
    credentials_of,
)
from portal.console.events import Line, finished, in_database, message, read_after
from portal.console.hub import Subscriber, the_hub

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

RECHECK_SECONDS = 60.0
LONGEST_LIFE_SECONDS = 12 * 3600.0
LARGEST_MESSAGE = 4096
MESSAGES_PER_WINDOW, WINDOW_SECONDS = 20, 10.0
UNSUPPORTED, POLICY, TOO_BIG, INTERNAL, SERVICE_RESTART, TRY_AGAIN_LATER = (
    1003,
    1008,
    1009,
    1011,
    1012,
    1013,
)
LARGEST_SEQ = 2**63 - 1
ALARM_MARGIN_SECONDS = 0.05
"""Keeps an alarm from ringing a clock tick early."""

log = logging.getLogger(__name__)


class Closed(Exception):
    """The socket is to be closed with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason


async def console(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application behind /ws/requests/<uuid>/."""
    await _Console(scope, receive, send).run()


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """Every other path: accepted and closed, so that a browser can read the reason."""
    await receive()
    await send({"type": "websocket.accept"})
    await send(
        {
            "type": "websocket.close",
            "code": NOT_FOUND,
            "reason": "There is no console at this path.",
        }
    )


class _Console:
    """One connection: a task that listens to the client, one that follows the stream."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.request_id: uuid.UUID = scope["url_route"]["kwargs"]["request_id"]
        self.query = scope.get("query_string", b"")
        self.credentials = credentials_of(scope["headers"])
        self.receive = receive
        self.send = send
        self.cursor = 0

    async def run(self) -> None:
        """1. Accept, so that a browser can read the code of a refusal. 2. Check access. 3. Join
        the hub. 4. Follow.
        """
        await self.receive()
        await self.send({"type": "websocket.accept"})
        hub, subscriber = the_hub(), None
        try:
            admitted = await self._admitted()
            bind_contextvars(user=admitted.username)
            subscriber = hub.join(admitted.stream, admitted.last_seq)
            await self._converse(subscriber, admitted)
        except Closed as close:
            await self._close(close.code, close.reason)
        except OSError:
            pass  # The client is gone.
        except DatabaseError as error:
            log.warning("console of %s: %s", self.request_id, error)
            await self._close(TRY_AGAIN_LATER, "The database is unavailable. Reconnect.")
        except Exception:
            log.exception("console of %s", self.request_id)
            await self._close(INTERNAL, "Internal error. Reconnect.")
        finally:
            if subscriber is not None:
                hub.leave(subscriber)

    async def _converse(self, subscriber: Subscriber, admitted: Admitted) -> None:
        """Until the client leaves, misbehaves, loses access, or has been connected for 12 hours."""
        tasks = [
            asyncio.create_task(self._listen()),
            asyncio.create_task(self._follow(subscriber, admitted)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, subscriber: Subscriber, admitted: Admitted) -> None:
        loop = asyncio.get_running_loop()
        # Spread, not secret
        until = loop.time() + LONGEST_LIFE_SECONDS * random.uniform(0.95, 1)  # noqa: S311
        self.cursor = min(self._after(), admitted.last_seq)
        await self._send_message(
            "hello", stream=admitted.stream, last_seq=admitted.last_seq, state=admitted.state
        )
        if not await self._catch_up(subscriber.stream):
            await self._send(finished(admitted.state, admitted.action))
        recheck_at = loop.time() + RECHECK_SECONDS * random.uniform(0.8, 1)  # noqa: S311
        alarm = loop.call_at(min(recheck_at, until) + ALARM_MARGIN_SECONDS, subscriber.wake)
        try:
            while True:
                await subscriber.wait()
                lines, lost = subscriber.take()
                if lost:
                    await self._send_message("resync", after=self.cursor)
                    await self._catch_up(subscriber.stream)
                await self._deliver(lines, subscriber.stream)
                now = loop.time()
                if now >= until:
                    raise Closed(
                        SERVICE_RESTART, "The connection has been open for 12 hours. Reconnect."
                    )
                if now >= recheck_at:
                    await self._recheck()
                    recheck_at = loop.time() + RECHECK_SECONDS
                    alarm = loop.call_at(
                        min(recheck_at, until) + ALARM_MARGIN_SECONDS, subscriber.wake
                    )
        finally:
            alarm.cancel()

    async def _deliver(self, lines: tuple[Line, ...], stream: str) -> None:
        """Send the next lines; skip those already sent; read those that are missing between."""
        for line in lines:
            if line.seq > self.cursor + 1:
                await self._catch_up(stream)
            if line.seq == self.cursor + 1:
                await self._send_line(line)

    async def _catch_up(self, stream: str) -> bool:
        """Send everything committed after the cursor; return whether there was anything."""
        before = self.cursor
        while True:
            page = await in_database(read_after, stream, self.cursor)
            for line in page.lines:
                await self._send_line(line)
            if not page.more:
                return self.cursor > before

    async def _send_line(self, line: Line) -> None:
        await self.send({"type": "websocket.send", "text": line.text})
        self.cursor = line.seq
        if line.after:
            await self._send(line.after)

    async def _listen(self) -> None:
        """A client may send ping. Anything else gets an error, and too much of it a close."""
        loop = asyncio.get_running_loop()
        times: deque[float] = deque(maxlen=MESSAGES_PER_WINDOW)
        while True:
            heard = await self.receive()
            if heard["type"] == "websocket.disconnect":
                return
            now = loop.time()
            if len(times) == MESSAGES_PER_WINDOW and now - times[0] < WINDOW_SECONDS:
                raise Closed(POLICY, "Too many messages.")
            times.append(now)
            text = heard.get("text")
            if text is None:
                raise Closed(UNSUPPORTED, "Send text messages only.")
            if (
                len(text) > LARGEST_MESSAGE
                or len(text.encode("utf-8", "replace")) > LARGEST_MESSAGE
            ):
                raise Closed(TOO_BIG, f"A message can have at most {LARGEST_MESSAGE} bytes.")
            if _is_ping(text):
                await self._send_message("pong")
            else:
                await self._send_message(
                    "error", code="unknown_message", message='Send {"type":"ping"} only.'
                )

    async def _admitted(self) -> Admitted:
        self._after()
        answer = await in_database(admit, self.credentials, self.request_id, timezone.now())
        if isinstance(answer, Refused):
            raise Closed(answer.code, answer.reason)
        return answer

    async def _recheck(self) -> None:
        try:
            await self._admitted()
        except Closed as close:
            if close.code == UNAUTHENTICATED:
                raise
            raise Closed(FORBIDDEN, "You no longer have access to this request.") from None

    def _after(self) -> int:
        text = parse_qs(self.query.decode("latin-1")).get("after", ["0"])[-1]
        if text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= LARGEST_SEQ:
            return int(text)
        raise Closed(BAD_REQUEST, "after must be the number of the last event that you have.")

    async def _send_message(self, kind: str, **members: Any) -> None:
        await self._send(
            message(kind, **members, server_time=timezone.now().isoformat(timespec="milliseconds"))
        )

    async def _send(self, text: str) -> None:
        if text:
            await self.send({"type": "websocket.send", "text": text})

    async def _close(self, code: int, reason: str) -> None:
        try:
            await self.send({"type": "websocket.close", "code": code, "reason": reason})
        except (OSError, RuntimeError):
            log.debug("console of %s was closed already", self.request_id)


def _is_ping(text: str) -> bool:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.get("type") == "ping"
