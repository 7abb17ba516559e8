"""Renders the lab's page and handles its forms.

A form is answered by a redirect, or by the page with an error. Cross-site requests were already
refused (`cross_site.py`).
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lab.aws.edge_state.document import EdgeState
from lab.aws.replies import HttpReply
from lab.clock import LabClock, read_step
from lab.edge.account.state import parse_state
from lab.faults.api import FaultApi
from lab.faults.catalogue.fault import ENDPOINT, Fault, FaultKind
from lab.faults.catalogue.registry import FAULTS
from lab.faults.targeting import FaultRefused
from lab.page.picture import build_picture

PATH = "/_lab/"
_HERE = Path(__file__).parent
_EDGE_TIMEOUT = 1.0
# The messages after a redirect, by `?done=`; other values show none.
_DONE = {
    "set": "Fault set.",
    "cleared": "Cleared. All changes were undone.",
    "stepped": "Clock stepped.",
}
_HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri "
        "'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)


class Page:
    """The page of one lab; `edge_url` is the edge's plain port."""

    def __init__(
        self, faults_api: FaultApi, state: EdgeState, clock: LabClock, edge_url: str
    ) -> None:
        self._faults = faults_api
        self._state = state
        self._clock = clock
        self._edge_url = edge_url
        self._pages = Environment(
            loader=FileSystemLoader(_HERE),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
        )
        # Our own file, not input: its quotes must not be escaped.
        self._style = Markup((_HERE / "style.css").read_text())  # noqa: S704

    def show(self, query: str, message: str = "", *, failed: bool = False) -> HttpReply:
        """Render the page, with the message of a form."""
        asked = parse_qs(query)
        sockets = self._sockets()
        document = json.loads(self._state.document(None) or b"{}")
        faults = self._faults.listing()
        text = self._pages.get_template("page.html").render(
            style=self._style,
            live="live" in asked,
            message=message or _DONE.get("".join(asked.get("done", [])), ""),
            failed=failed,
            clock=self._clock.reading(),
            set=faults,
            registry=FAULTS,
            picture=build_picture(parse_state(document), document, faults, sockets or ()),
            edge=self._edge_url,
            edge_answers=sockets is not None,
            calls=_faults_of(FaultKind.CALLS),
            endpoint=[
                (kind.value, _faults_of(kind))
                for kind in (FaultKind.ACCOUNT, FaultKind.APP, FaultKind.DATA_PLANE)
            ],
        )
        return HttpReply(400 if failed else 200, _HEADERS, text.encode())

    def submit(self, body: bytes) -> HttpReply:
        """Handle one form."""
        form = {
            name: values[0].strip()
            for name, values in parse_qs(body.decode("utf-8", "replace")).items()
        }
        action = _FORMS.get(form.pop("do", ""))
        if action is None:
            return self.show("", "Unknown form.", failed=True)
        try:
            done = action(self, form)
        except (FaultRefused, ValueError) as refused:
            return self.show("", f"Failed: {refused}.", failed=True)
        return HttpReply(303, (("Location", f"{PATH}?done={done}"),), b"")

    def set(self, form: Mapping[str, str]) -> str:
        """Set a fault. The form's own endpoint is left out if the fault takes none; typed fields
        never are.
        """
        fault = FAULTS.get(form.get("name", ""))
        left_out = [key for key in ENDPOINT if fault is not None and key not in fault.takes]
        self._faults.set(
            {key: value for key, value in form.items() if value and key not in left_out}
        )
        return "set"

    def clear(self, form: Mapping[str, str]) -> str:
        """Clear one fault."""
        self._faults.clear(form.get("id") or "none")
        return "cleared"

    def clear_all(self, form: Mapping[str, str]) -> str:
        """Clear every fault."""
        self._faults.clear()
        return "cleared"

    def step(self, form: Mapping[str, str]) -> str:
        """Step the clock."""
        self._state.advance_clock(read_step(form.get("step", "")))
        return "stepped"

    def _sockets(self) -> list[Any] | None:
        """The open sockets of the edge; None if it does not answer."""
        where = urlsplit(self._edge_url)
        connection = http.client.HTTPConnection(
            where.hostname or "", where.port, timeout=_EDGE_TIMEOUT
        )
        try:
            connection.request("GET", "/_lab/sockets", headers={"Host": "lab.localhost"})
            answer = json.loads(connection.getresponse().read())
            return list(answer["sockets"])
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return None
        finally:
            connection.close()


_FORMS: Mapping[str, Callable[[Page, Mapping[str, str]], str]] = {
    "set": Page.set,
    "clear": Page.clear,
    "clear-all": Page.clear_all,
    "step": Page.step,
}


def _faults_of(kind: FaultKind) -> list[Fault]:
    return [fault for fault in FAULTS.values() if fault.kind is kind]
