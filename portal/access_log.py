"""A line in the log for each HTTP request and each socket: who asked for what, and how it ended.

The address is written without its query, which may hold anything; the route says which view
answered. What orchestrators ask every few seconds is written at DEBUG only.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject
from structlog.contextvars import bind_contextvars, bound_contextvars, clear_contextvars

from portal.log_context import REQUEST_ID_HEADER, request_id_in, request_id_of
from provisioning.redaction.masking import mask_url

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ASKED_ALL_THE_TIME = ("/livez", "/readyz", "/metrics")
log = logging.getLogger(__name__)


def log_requests(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """The outermost middleware: gives the request its id, and writes its line."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        clear_contextvars()
        request_id = request_id_of(request.headers.get(REQUEST_ID_HEADER, ""))
        with bound_contextvars(request_id=request_id):
            response = get_response(request)
            response[REQUEST_ID_HEADER] = request_id
            match = request.resolver_match
            log_answer(
                request.method or "",
                request.path,
                response.status_code,
                time.perf_counter() - began,
                route=f"/{match.route}" if match else "",
                user=_username(request),
            )
        clear_contextvars()
        return response

    return middleware


def log_answer(
    method: str, path: str, status: int, seconds: float, *, route: str = "", user: str = ""
) -> None:
    """The line of one HTTP request. A server error is a warning; its traceback has its own line."""
    level = logging.WARNING if status >= 500 else logging.INFO
    if path in ASKED_ALL_THE_TIME and status < 400:
        level = logging.DEBUG
    if log.isEnabledFor(level):
        fields = {
            "method": method[:20],
            "path": mask_url(path),
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 1),
            "user": user,
        }
        log.log(level, "http.request", extra={"fields": fields})


def log_sockets(application: Application) -> Application:
    """The WebSocket application, with a line when a socket opens and one when it ends."""

    async def logged(scope: Scope, receive: Receive, send: Send) -> None:
        request_id = request_id_in(scope["headers"])
        began = time.perf_counter()
        accepted, code = False, 0

        async def receiving() -> Mapping[str, Any]:
            nonlocal code
            message = await receive()
            if message["type"] == "websocket.disconnect":
                code = code or message.get("code") or 1005
            return message

        async def sending(message: dict[str, Any]) -> None:
            nonlocal accepted, code
            kind = message["type"]
            if kind == "websocket.accept":
                accepted = True
                sent = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
                message = {**message, "headers": sent}
                log.info("websocket.opened")
            elif kind == "websocket.close":
                code = code or message.get("code") or 1000
            await send(message)

        # A task per socket: what is bound here ends with it.
        bind_contextvars(request_id=request_id, path=mask_url(scope["path"]))
        try:
            await application(scope, receiving, sending)
        finally:
            seconds = round(time.perf_counter() - began, 3)
            ended = "websocket.closed" if accepted else "websocket.refused"
            fields = {"seconds": seconds} | ({"code": code} if accepted else {"status": 403})
            log.info(ended, extra={"fields": fields})

    return logged


def _username(request: HttpRequest) -> str:
    """Of the person, if the view has read who it is; else "". Never queries: a page without sign-in
    must not read the session for its log line.
    """
    user = request.__dict__.get("user")
    if user is None or isinstance(user, SimpleLazyObject):
        user = request.__dict__.get("_cached_user")
    return str(user.get_username()) if user is not None else ""
