"""Serves the lab's page and takes its forms.

It decides which form does what; the answer to every form is a redirect or the page with the reason.
Whether a form came from this page at all is decided before (`cross_site.py`).
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
from lab.page.picture import draw

PATH = "/_lab/"
_HERE = Path(__file__).parent
_EDGE_PATIENCE = 1.0
# What a redirect may say; other words in an address are not shown.
_DONE = {
    "set": "The fault is set.",
    "cleared": "Cleared: all is put back.",
    "stepped": "The clock is stepped.",
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

    def __init__(self, desk: FaultApi, state: EdgeState, clock: LabClock, edge_url: str) -> None:
        self._desk = desk
        self._state = state
        self._clock = clock
        self._edge_url = edge_url
        self._pages = Environment(
            loader=FileSystemLoader(_HERE),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
        )
        # Our own words, not anybody's input: quotes in it must stay quotes.
        self._style = Markup((_HERE / "style.css").read_text())  # noqa: S704

    def show(self, query: str, message: str = "", *, failed: bool = False) -> HttpReply:
        """The page; a message is what a form has to say."""
        asked = parse_qs(query)
        sockets = self._sockets()
        document = json.loads(self._state.document(None) or b"{}")
        faults = self._desk.listing()
        text = self._pages.get_template("page.html").render(
            style=self._style,
            live="live" in asked,
            message=message or _DONE.get("".join(asked.get("done", [])), ""),
            failed=failed,
            clock=self._clock.reading(),
            set=faults,
            registry=FAULTS,
            picture=draw(parse_state(document), document, faults, sockets or ()),
            edge=self._edge_url,
            edge_answers=sockets is not None,
            calls=_of(FaultKind.CALLS),
            endpoint=[
                (kind.value, _of(kind))
                for kind in (FaultKind.ACCOUNT, FaultKind.APP, FaultKind.DATA_PLANE)
            ],
        )
        return HttpReply(400 if failed else 200, _HEADERS, text.encode())

    def take(self, body: bytes) -> HttpReply:
        """One form."""
        form = {
            name: values[0].strip()
            for name, values in parse_qs(body.decode("utf-8", "replace")).items()
        }
        do = _FORMS.get(form.pop("do", ""))
        if do is None:
            return self.show("", "This form is none of this page's.", failed=True)
        try:
            done = do(self, form)
        except (FaultRefused, ValueError) as refused:
            return self.show("", f"Not done: {refused}.", failed=True)
        return HttpReply(303, (("Location", f"{PATH}?done={done}"),), b"")

    def set(self, form: Mapping[str, str]) -> str:
        """Set a fault; where a form stands is left out if the fault has no place, what somebody
        typed never is.
        """
        fault = FAULTS.get(form.get("name", ""))
        left_out = [key for key in ENDPOINT if fault is not None and key not in fault.takes]
        self._desk.set({key: value for key, value in form.items() if value and key not in left_out})
        return "set"

    def clear(self, form: Mapping[str, str]) -> str:
        """Clear one fault."""
        self._desk.clear(form.get("id") or "none")
        return "cleared"

    def clear_all(self, form: Mapping[str, str]) -> str:
        """Clear every fault."""
        self._desk.clear()
        return "cleared"

    def step(self, form: Mapping[str, str]) -> str:
        """Step the clock."""
        self._state.advance_clock(read_step(form.get("step", "")))
        return "stepped"

    def _sockets(self) -> list[Any] | None:
        """What goes through the edge now; None if it does not answer."""
        where = urlsplit(self._edge_url)
        connection = http.client.HTTPConnection(
            where.hostname or "", where.port, timeout=_EDGE_PATIENCE
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


def _of(kind: FaultKind) -> list[Fault]:
    return [fault for fault in FAULTS.values() if fault.kind is kind]
