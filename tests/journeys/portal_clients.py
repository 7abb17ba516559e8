"""Those who use the portal from outside: a ticket system over REST, a person's session over HTTP, a
console's follower.

They know addresses and JSON only. None of them looks into the database or imports the product.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from tests.journeys.until import until

T = TypeVar("T")

AGAIN_AFTER = 0.1
SETTLING_SECONDS = 180.0
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""The portal is on this machine: no client has to read all the world's authorities, which takes
30 ms. This one trusts none.
"""
POLL_AFTER = 0.5
"""Seconds between two looks over the API: many stories at once share one person's token and its 600
calls a minute.
"""


class Api:
    """The REST API with one person's token."""

    def __init__(self, url: str, token: str) -> None:
        self.token = token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # A proxy of the environment must not carry calls to this machine.
        self._client = httpx.Client(
            base_url=f"{url}/api/v1", headers=headers, verify=NO_TLS, trust_env=False, timeout=20
        )

    def get(self, path: str, **query: Any) -> httpx.Response:
        """GET, whatever comes."""
        return self._client.get(path, params=query)

    def post(self, path: str, body: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        """POST, whatever comes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._client.post(path, json=body or {}, headers=named)

    def put(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """PUT, whatever comes."""
        return self._client.put(path, json=body)

    def request(self, request_id: str) -> dict[str, Any]:
        """An endpoint request as it is now, also while the web process is just being restarted."""
        found: dict[str, Any] = self._insisted(f"/requests/{request_id}")
        return found

    def events(self, request_id: str, after: int = 0) -> list[dict[str, Any]]:
        """Its events after a cursor."""
        found: list[dict[str, Any]] = self._insisted(
            f"/requests/{request_id}/events?after={after}&limit=1000"
        )["events"]
        return found

    def ask(self, **body: Any) -> dict[str, Any]:
        """Create a request; only for stories in which that succeeds."""
        answer = self.post("/requests", body)
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    def approve(self, request: dict[str, Any], reason: str = "Agreed.") -> httpx.Response:
        """Agree to the plan that `request` shows."""
        return self.post(
            f"/requests/{request['id']}/approve",
            {"plan_digest": request["plan_digest"], "reason": reason},
        )

    def await_state(
        self, request_id: str, *states: str, seconds: float = SETTLING_SECONDS
    ) -> dict[str, Any]:
        """Poll until it is in one of these states. Another in which it rests fails at once."""

        def look() -> dict[str, Any] | None:
            found = self.request(request_id)
            if found["state"] in states:
                return found
            assert not found["settled"], f"it is {found['state']}: {found['reason']}"
            return None

        return until(look, f"request {request_id} in {states}", seconds, pause=POLL_AFTER)

    def await_event(
        self, request_id: str, kind: str, step: str = "", after: int = 0
    ) -> dict[str, Any]:
        """Poll until such an event stands in the log."""

        def look() -> dict[str, Any] | None:
            found = self.events(request_id, after)
            return next(
                (one for one in found if one["kind"] == kind and one["step"] in ("", step)), None
            )

        return until(look, f"event {kind} {step}", SETTLING_SECONDS, pause=POLL_AFTER)

    def _insisted(self, path: str) -> Any:
        def look() -> dict[str, Any] | None:
            try:
                answer = self._client.get(path)
            except httpx.TransportError:
                return None
            if answer.status_code in (429, 503):
                return None
            assert answer.status_code == 200, answer.text
            return {"body": answer.json()}

        return until(look, f"an answer to GET {path}", SETTLING_SECONDS, pause=POLL_AFTER)["body"]


class Visitor:
    """A person with a session, without a browser: pages as HTML."""

    def __init__(self, url: str, cookies: httpx.Cookies | None = None) -> None:
        self._url = url
        self.http = httpx.Client(
            base_url=url,
            cookies=cookies,
            verify=NO_TLS,
            trust_env=False,
            timeout=20,
            follow_redirects=False,
        )

    def sign_in(self, username: str, password: str) -> Visitor:
        """Through the form, as a browser would."""
        self.http.get("/sign-in/")
        answer = self.post("/sign-in/", username=username, password=password)
        assert answer.status_code == 302, answer.text
        return self

    def another(self) -> Visitor:
        """Another client in the same session."""
        return Visitor(self._url, self.http.cookies)

    def get(self, path: str) -> httpx.Response:
        """A page."""
        return self.http.get(path)

    def post(self, path: str, **fields: str) -> httpx.Response:
        """A form, with the protection a page of ours carries."""
        protection = self.http.cookies.get("csrftoken") or ""
        return self.http.post(path, data={"csrfmiddlewaretoken": protection, **fields})

    @property
    def cookies(self) -> str:
        """The Cookie header."""
        return "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())


def words_of(page: httpx.Response) -> str:
    """What a reader sees of a page: no tags, single spaces."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.text).split())


class Follower:
    """A console that never gives up: it connects again from its cursor, and keeps every event as it
    came.
    """

    def __init__(self, api: Api, request: dict[str, Any]) -> None:
        self.seqs: list[int] = []
        self.finished: list[str] = []
        self.connections = 0
        self.faults: list[str] = []
        self._url = request["links"]["console"]
        self._headers = {"Authorization": f"Bearer {api.token}"}
        self._left = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._follow()), name="follower", daemon=True
        )

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._left.set()
        self._thread.join(20)

    @property
    def cursor(self) -> int:
        """The last event seen."""
        return self.seqs[-1] if self.seqs else 0

    def await_seq(self, seq: int) -> None:
        """Return when event `seq` has come."""
        until(lambda: self.cursor >= seq, f"event {seq} in the console, which has {self.seqs}")

    async def _follow(self) -> None:
        while not self._left.is_set():
            try:
                await self._stay()
            except (
                OSError,
                ConnectionClosed,
                InvalidHandshake,
                InvalidMessage,
                EOFError,
                TimeoutError,
            ) as gone:
                self.faults.append(type(gone).__name__)
            await asyncio.sleep(AGAIN_AFTER)

    async def _stay(self) -> None:
        address = f"{self._url}?after={self.cursor}"
        async with connect(
            address, additional_headers=self._headers, proxy=None, open_timeout=20
        ) as socket:
            self.connections += 1
            while not self._left.is_set():
                try:
                    heard = json.loads(await asyncio.wait_for(socket.recv(), AGAIN_AFTER))
                except TimeoutError:
                    continue
                if heard["type"] == "event":
                    self.seqs.append(heard["seq"])
                elif heard["type"] == "finished":
                    self.finished.append(heard["state"])


def in_own_loop(work: Callable[[], Any]) -> Any:
    """Run a coroutine function in a loop of its own, away from whatever loop this thread may be
    in.
    """
    kept: dict[str, Any] = {}

    def run() -> None:
        try:
            kept["result"] = asyncio.run(work())
        except BaseException as error:
            kept["error"] = error

    thread = threading.Thread(target=run, name="own loop")
    thread.start()
    thread.join()
    if "error" in kept:
        raise kept["error"]
    return kept.get("result")
