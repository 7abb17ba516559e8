"""The lab's own API, `/_lab/*`: what AWS does not have, for the edge, the command line and the
page.

Clients of AWS never need it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from lab.aws.cloudfront.service import CloudFront
from lab.aws.edge_state.document import EdgeState
from lab.aws.replies import HttpReply
from lab.aws.settings import SettingsError
from lab.clock import FASTEST, LabClock, read_step
from lab.endpoint.cross_site import refuse_foreign
from lab.faults.api import PATH as FAULTS_PATH
from lab.faults.api import FaultApi
from lab.faults.manager import FaultManager
from lab.page.page import PATH as PAGE_PATH
from lab.page.page import Page

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
        self._desk = FaultApi(faults, state)
        self._page = Page(self._desk, state, clock, edge_url)

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
            return _json(*self._desk.answer(method, path, body))
        if (method, path) == ("GET", "/_lab/state"):
            asked = parse_qs(query)
            known, follows = asked.get("version", [""])[0], "follow" in asked
            version = int(known) if known.isdecimal() and len(known) < 20 else None
            document = self._state.document(version, follows=follows)
            return HttpReply(204, (), b"") if document is None else _json(200, document)
        if (method, path) == ("GET", "/_lab/calls"):
            calls = dict(self._cloudfront.calls)
            return _json(200, {"cloudfront": calls, "total": sum(calls.values())})
        if (method, path) == ("GET", "/_lab/clock"):
            return _json(200, self._clock.reading())
        if (method, path) == ("GET", "/_lab/settings"):
            return _json(200, self._cloudfront.settings.document())
        if (method, path) == ("POST", "/_lab/settings"):
            return self._change_settings(body)
        if (method, path) == ("GET", "/_lab/hosts"):
            return _json(200, {"hosts": self._state.hosts(), "public": self._public})
        if method == "POST" and path in ("/_lab/clock", "/_lab/hosts", "/_lab/edge"):
            given = _json_object(body)
            if given is None:
                return _json(400, {"error": "The body must be a JSON object."})
            if path == "/_lab/edge":
                return self._take_report(given)
            return self._change_clock(given) if path == "/_lab/clock" else self._map_hosts(given)
        if (method, path) == ("GET", "/_lab/viewers"):
            return _json(200, self._state.viewers())
        if (method, path) == ("POST", "/_lab/viewers"):
            return self._change_viewers(body)
        return _json(404, {"error": f"There is no {method} {path}."})

    def _change_clock(self, given: dict[str, Any]) -> HttpReply:
        """`advance_seconds` or `advance` advances the clock, `scale` changes its speed; both may be
        given.
        """
        seconds = given.get("advance_seconds", 0.0 if "scale" in given else None)
        scale = given.get("scale", self._clock.anchor.scale)
        if "advance" in given:
            try:
                seconds = read_step(str(given["advance"]))
            except ValueError as error:
                return _json(400, {"error": str(error)})
        if (
            isinstance(scale, bool)
            or not isinstance(scale, int | float)
            or not 0 <= scale <= FASTEST
        ):
            return _json(
                400, {"error": f"scale must be a number between 0 (stopped) and {FASTEST:g}."}
            )
        if (
            isinstance(seconds, bool)
            or not isinstance(seconds, int | float)
            or not 0 <= seconds < 10**9
        ):
            return _json(
                400, {"error": "advance_seconds must be a number of seconds, not negative."}
            )
        if not math.isfinite(seconds):
            return _json(400, {"error": "advance_seconds must be finite."})
        if scale != self._clock.anchor.scale:
            self._state.run_clock_at(float(scale))
        self._state.advance_clock(seconds)
        return _json(200, self._clock.reading())

    def _change_settings(self, body: bytes) -> HttpReply:
        given = _json_object(body)
        if given is None:
            return _json(400, {"error": "The body must be a JSON object."})
        try:
            return _json(200, self._cloudfront.settings.change(given))
        except SettingsError as error:
            return _json(400, {"error": str(error)})

    def _take_report(self, given: dict[str, Any]) -> HttpReply:
        """What the edge knows and the account does not: health of targets, addresses of public load
        balancers.
        """
        targets, public = given.get("targets"), given.get("public")
        if not isinstance(targets, list) or not isinstance(public, dict):
            return _json(400, {"error": "targets must be a list, public an object."})
        try:
            news = self._state.take_target_health(targets)
        except (KeyError, TypeError, ValueError, AttributeError):
            return _json(400, {"error": "Every target needs group, id, port and state."})
        self._public = {str(name): str(where) for name, where in public.items()}
        return _json(200, {"news": news})

    def _change_viewers(self, body: bytes) -> HttpReply:
        given = _json_object(body)
        if given is None:
            return _json(400, {"error": "The body must be a JSON object."})
        try:
            self._state.set_viewers(given)
        except ValueError as error:
            return _json(400, {"error": str(error)})
        return _json(200, self._state.viewers())

    def _map_hosts(self, given: dict[str, Any]) -> HttpReply:
        for place, where in given.items():
            if not _is_host_and_port(place) or (where != "" and not _is_host_and_port(where)):
                why = (
                    f"{place!r} and its value must be host:port. An empty value removes the entry."
                )
                return _json(400, {"error": why})
        self._state.set_hosts(given)
        return _json(200, {"hosts": len(given)})


def _is_host_and_port(given: Any) -> bool:
    """Whether it is host:port, such as 10.10.8.180:8080."""
    found = _HOST_AND_PORT.fullmatch(given) if isinstance(given, str) else None
    return found is not None and 0 < int(found[1]) < 65536


def _json(status: int, document: bytes | dict[str, Any]) -> HttpReply:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return HttpReply(status, (("Content-Type", "application/json"),), body)


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return given if isinstance(given, dict) else None
