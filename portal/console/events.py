"""What the console reads from PostgreSQL, in a few threads of its own, and how events become lines.

A line is rendered once for all readers. Nothing here knows about sockets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

from channels.db import DatabaseSyncToAsync
from django.db.models import OuterRef, Subquery

from portal.requests.event_line import event_line
from portal.requests.lifecycle import SETTLED, State, title_of
from portal.requests.models import EndpointRequest
from provisioning.models import Event, EventStream

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 4
PAGE = 200

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="console")


class Line(NamedTuple):
    """An event as sent. `after` is a message that follows it, or ""."""

    seq: int
    text: str
    after: str = ""


@dataclass(frozen=True)
class EventPage:
    """Lines in order; `more` if the stream continues after them."""

    lines: tuple[Line, ...]
    more: bool


async def in_database(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that reads the database, in one of the console's threads."""
    hop = DatabaseSyncToAsync(function, thread_sensitive=False, executor=_threads)
    return cast("T", await hop(*args, **kwargs))


def read_after(stream: str, cursor: int) -> EventPage:
    """The next lines after `cursor`.

    Events and the request's state come from one statement, hence one snapshot: a settled state is
    sent right after the event that settled it.
    """
    followed = EndpointRequest.objects.filter(stream=OuterRef("stream_id"))
    events = list(
        Event.objects.after(stream, cursor).annotate(
            request_state=Subquery(followed.values("state")[:1]),
            request_action=Subquery(followed.values("action")[:1]),
        )[: PAGE + 1]
    )
    more = len(events) > PAGE
    lines = [Line(event.seq, _event(event)) for event in events[:PAGE]]
    if lines and not more:
        last: Any = events[-1]
        settled = finished(last.request_state, last.request_action)
        lines[-1] = lines[-1]._replace(after=settled)
    return EventPage(tuple(lines), more)


def last_seqs(streams: Iterable[str]) -> dict[str, int]:
    """The last seq of each stream, in one query."""
    return dict(EventStream.objects.filter(name__in=list(streams)).values_list("name", "last_seq"))


def finished(state: str | None, action: str | None) -> str:
    """The message for a settled request, or "" while something is going on."""
    if state is None or action is None or State(state) not in SETTLED:
        return ""
    return message("finished", state=state, title=title_of(State(state), action))


def message(kind: str, /, **members: Any) -> str:
    """A message of the socket."""
    return json.dumps({"type": kind, **members}, ensure_ascii=False, separators=(",", ":"))


def _event(event: Event) -> str:
    return message("event", **event.to_dict(), html=event_line(event))
