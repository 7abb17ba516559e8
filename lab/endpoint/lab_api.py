"""The lab's own API, `/_lab/*`, for the edge, the command line and the page.

Clients of AWS never need it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeGuard
from urllib.parse import parse_qs

from lab.aws.cloudfront.service import CloudFront
from lab.aws.edge_state.document import EdgeState
from lab.aws.replies import HttpReply
from lab.clock import FASTEST, LabClock, read_step
from lab.endpoint.cross_site import refuse_foreign
from lab.faults.api import PATH as FAULTS_PATH
from lab.faults.api import FaultApi
from lab.faults.manager import FaultManager
from lab.page.page import PATH as PAGE_PATH
from lab.page.page import Page

JsonObject: TypeAlias = dict[str, Any]

_HOST_AND_PORT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}:([0-9]{1,5})")


class LabApi:
    """Answers requests to `/_lab/*`."""

    def __init__(
        self,
        cloudfront: CloudFront,
        clock: LabClock,
        state: EdgeState,
        faults: FaultManager,
        edge_url: str,
    ) -> None:
        self._cloudfront = cloudfront
        self._clock = clock
        self._state = state
        self._public: dict[str, str] = {}
        self._faults = FaultApi(faults, state)
        self._page = Page(self._faults, state, clock, edge_url)
        self._reads: dict[str, Callable[[], JsonObject]] = {
            "/_lab/calls": self._calls,
            "/_lab/clock": clock.reading,
            "/_lab/hosts": lambda: {"hosts": state.hosts(), "public": self._public},
            "/_lab/settings": cloudfront.settings.document,
            "/_lab/viewers": state.viewers,
        }
        # A ValueError's message is the answer, with status 400.
        self._writes: dict[str, Callable[[JsonObject], JsonObject]] = {
            "/_lab/clock": self._change_clock,
            "/_lab/edge": self._store_report,
            "/_lab/hosts": self._map_hosts,
            "/_lab/settings": cloudfront.settings.change,
            "/_lab/viewers": self._change_viewers,
        }

    def answer(
        self, method: str, path: str, query: str, body: bytes, headers: Mapping[str, str]
    ) -> HttpReply:
        """Answers one request; `path` starts with /_lab/, `headers` have lower-case names."""
        foreign = refuse_foreign(method, headers)
        if foreign is not None:
            return _json(403, {"error": foreign})
        if path == PAGE_PATH and method in ("GET", "HEAD"):
            return self._page.show(query)
        if (method, path) == ("POST", PAGE_PATH):
            return self._page.submit(body)
        if path == FAULTS_PATH or path.startswith(f"{FAULTS_PATH}/"):
            return _json(*self._faults.answer(method, path, body))
        if (method, path) == ("GET", "/_lab/state"):
            return self._show_state(query)
        if method == "GET" and path in self._reads:
            return _json(200, self._reads[path]())
        if method == "POST" and path in self._writes:
            try:
                return _json(200, self._writes[path](_json_object(body)))
            except ValueError as error:
                return _json(400, {"error": str(error)})
        return _json(404, {"error": f"There is no {method} {path}."})

    def _show_state(self, query: str) -> HttpReply:
        asked = parse_qs(query)
        known, follows = asked.get("version", [""])[0], "follow" in asked
        version = int(known) if known.isdecimal() and len(known) < 20 else None
        document = self._state.document(version, follows=follows)
        return HttpReply(204, (), b"") if document is None else _json(200, document)

    def _calls(self) -> JsonObject:
        calls = dict(self._cloudfront.calls)
        return {"cloudfront": calls, "total": sum(calls.values())}

    def _change_clock(self, given: JsonObject) -> JsonObject:
        """`advance_seconds` or `advance` advances the clock, `scale` changes its speed; both may be
        given. A change of speed waits until the edge has applied it, since the idle timeouts of
        its next connections depend on it.
        """
        seconds = given.get("advance_seconds", 0.0 if "scale" in given else None)
        scale = given.get("scale", self._clock.anchor.scale)
        if "advance" in given:
            seconds = read_step(str(given["advance"]))
        if not _is_number(scale) or not 0 <= scale <= FASTEST:
            raise ValueError(f"scale must be a number between 0 (stopped) and {FASTEST:g}.")
        if not _is_number(seconds) or not 0 <= seconds < 10**9:
            raise ValueError("advance_seconds must be a number of seconds, not negative.")
        if scale != self._clock.anchor.scale:
            self._state.run_clock_at(float(scale))
            self._state.wait_for_edge()
        self._state.advance_clock(seconds)
        return self._clock.reading()

    def _store_report(self, given: JsonObject) -> JsonObject:
        """What the edge knows and the account does not: health of targets, addresses of public load
        balancers.
        """
        targets, public = given.get("targets"), given.get("public")
        if not isinstance(targets, list) or not isinstance(public, dict):
            raise ValueError("targets must be a list, public an object.")
        try:
            news = self._state.take_target_health(targets)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ValueError("Every target needs group, id, port and state.") from None
        self._public = {str(name): str(where) for name, where in public.items()}
        return {"news": news}

    def _map_hosts(self, given: JsonObject) -> JsonObject:
        for place, where in given.items():
            if not _is_host_and_port(place) or (where != "" and not _is_host_and_port(where)):
                raise ValueError(
                    f"{place!r} and its value must be host:port. An empty value removes the entry."
                )
        self._state.set_hosts(given)
        return {"hosts": len(given)}

    def _change_viewers(self, given: JsonObject) -> JsonObject:
        self._state.set_viewers(given)
        return self._state.viewers()


def _is_number(given: Any) -> TypeGuard[float]:
    return isinstance(given, int | float) and not isinstance(given, bool)


def _is_host_and_port(given: Any) -> bool:
    """Whether it is host:port, such as 10.10.8.180:8080."""
    found = _HOST_AND_PORT.fullmatch(given) if isinstance(given, str) else None
    return found is not None and 0 < int(found[1]) < 65536


def _json(status: int, document: bytes | JsonObject) -> HttpReply:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return HttpReply(status, (("Content-Type", "application/json"),), body)


def _json_object(body: bytes) -> JsonObject:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise ValueError("The body must be a JSON object.")
    return given
