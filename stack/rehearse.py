"""`make rehearse`: the main job without a browser, on a fresh stack, through public interfaces: the
lab's AWS API, the portal's REST API, the console's socket, and a handshake through the edge.

It exits with 0 only after a 101 with the right Sec-WebSocket-Accept and an echo. It never looks
into the database or the processes, so it shows what a ticket system would see.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import httpx
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from stack.demo import REFUSALS, Stopped, ends_on_signals, say, stay
from stack.handshake_witness import NotProven, Witness
from stack.ports import LOOPBACK
from stack.product import Stack

ACCOUNT, TARGET, DISTRIBUTION = "111122223333", "int-chat", "Chat front door"
REQUESTER, APPROVER = "ana", "olga"
PLAN_SECONDS, RUN_SECONDS = 60.0, 240.0
POLL_SECONDS = 0.3
RECONNECTS = 30
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

Print = Callable[[str], None]
PRINT_NOW: Print = partial(print, flush=True)


class RehearsalFailed(Exception):
    """The main job did not complete; says where it failed."""


def run_rehearsal(port: int | None, *, hold: bool, time_scale: float) -> int:
    """Returns the exit code; with `hold`, only after a signal."""
    with tempfile.TemporaryDirectory(prefix="edge-portal-rehearsal-") as directory:
        broken, attended = threading.Event(), os.isatty(0)
        stack = Stack(
            Path(directory) / "state",
            port,
            time_scale=time_scale,
            durable=False,
            say=say,
            on_failure=broken.set,
        )
        try:
            with ends_on_signals():
                say("starting a fresh stack ...")
                with stack:
                    say(
                        f"the portal is at {stack.url}, its lab's AWS at "
                        f"{stack.env['AWS_ENDPOINT_URL']}"
                    )
                    edge = Rehearsal(stack).play()
                    print(
                        f"\nEDGE_URL={edge.url}\nEDGE_HOST={edge.host}\nEDGE_CA={edge.ca_file}",
                        flush=True,
                    )
                    if hold:
                        stay(broken, attended=attended)
                        if stack.supervisor.failure is not None:
                            raise stack.supervisor.failure
            return 0
        except Stopped as stopped:
            return 0 if hold else 128 + stopped.number
        except (RehearsalFailed, NotProven, *REFUSALS) as failure:
            print(f"\nnot proven: {failure}", file=sys.stderr, flush=True)
            return 1


@dataclass(frozen=True)
class Edge:
    """How other clients reach the endpoint: `url` leads to this machine, `host` is the Host."""

    url: str
    host: str
    ca_file: Path


class Rehearsal:
    """One main job: request, read the plan, approve as another person, watch, check."""

    def __init__(self, stack: Stack, show: Print = PRINT_NOW) -> None:
        self._stack = stack
        self._show = show
        self._tokens: dict[str, str] = json.loads(stack.tokens_file.read_text())

    def play(self) -> Edge:
        """:raises RehearsalFailed, NotProven: what did not happen."""
        target_arn, distribution_id = self._find_target()
        request = self._ask(target_arn, distribution_id)
        console = Console(request["links"]["console"], self._tokens[REQUESTER], self._show)
        watching = threading.Thread(target=console.watch, name="console", daemon=True)
        watching.start()
        try:
            request = self._await(request, {"awaiting_approval"}, PLAN_SECONDS)
            self._show_plan(request)
            approve = f"/requests/{request['id']}/approve"
            own = self._send(REQUESTER, "POST", approve, self._decision(request))
            if own.status_code != 403:
                raise RehearsalFailed(
                    f"{REQUESTER} approved their own request: {own.status_code} {own.text[:300]}"
                )
            say(f"{REQUESTER} cannot approve it: {own.status_code} {own.json().get('title', '')}")
            self._call(APPROVER, "POST", approve, self._decision(request), expected=200)
            say(f"{APPROVER} approved exactly this plan")
            request = self._await(request, {"live"}, RUN_SECONDS)
            if not console.finished.wait(PLAN_SECONDS):
                raise RehearsalFailed(
                    f"the console did not say that it finished; last event {console.cursor}"
                )
        finally:
            console.leave()
            watching.join(5)
        if console.missing or console.cursor < request["last_seq"]:
            raise RehearsalFailed(
                f"the console showed {console.cursor} of {request['last_seq']} events"
            )
        return self._prove(request["endpoint"]["url"])

    def _find_target(self) -> tuple[str, str]:
        """ARN and distribution id, as the team would copy them from the AWS console."""
        env = self._stack.env
        own = boto3.Session(
            env["AWS_ACCESS_KEY_ID"],
            env["AWS_SECRET_ACCESS_KEY"],
            region_name=env["AWS_DEFAULT_REGION"],
        )
        role = own.client("sts", endpoint_url=env["AWS_ENDPOINT_URL"]).assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/OrganizationAccountAccessRole",
            RoleSessionName="rehearsal",
        )["Credentials"]
        team = boto3.Session(
            role["AccessKeyId"],
            role["SecretAccessKey"],
            role["SessionToken"],
            region_name=env["AWS_DEFAULT_REGION"],
        )
        balancers = team.client("elbv2", endpoint_url=env["AWS_ENDPOINT_URL"])
        arn = balancers.describe_load_balancers(Names=[TARGET])["LoadBalancers"][0][
            "LoadBalancerArn"
        ]
        listed = team.client(
            "cloudfront", endpoint_url=env["AWS_ENDPOINT_URL"]
        ).list_distributions()
        for item in listed["DistributionList"].get("Items", []):
            if item["Comment"] == DISTRIBUTION:
                return arn, item["Id"]
        raise RehearsalFailed(f"there is no distribution {DISTRIBUTION!r} in {ACCOUNT}")

    def _ask(self, target_arn: str, distribution_id: str) -> dict[str, Any]:
        body = {
            "team": "chat",
            "name": "rehearsal",
            "account_id": ACCOUNT,
            "distribution_id": distribution_id,
            "target_arn": target_arn,
            "path_patterns": "/ws,/ws/*",
            "max_silence_seconds": "30",
            "justification": "Rehearsal of the main job.",
            "external_system": "rehearsal",
            "external_id": "REH0000001",
        }
        request = self._call(REQUESTER, "POST", "/requests", body, expected=201)
        again = self._call(REQUESTER, "POST", "/requests", body, expected=200)
        if again["id"] != request["id"]:
            raise RehearsalFailed("the same ticket, sent twice, created two requests")
        say(
            f"{REQUESTER} requested {TARGET} behind {distribution_id}: {request['links']['portal']}"
        )
        return request

    def _show_plan(self, request: dict[str, Any]) -> None:
        say("preflight:")
        for result in request["preflight"] or []:
            self._show(f"    {result['level']:<8}{result['title']}")
        plan = request["plan"]
        say(f"plan {plan['digest']}, expected {plan['expected_seconds']:.0f} s of AWS's time:")
        for item in plan["items"]:
            what = item.get("title") or item.get("summary") or item.get("resource")
            self._show(f"    {item.get('action', ''):<8}{what}")

    def _decision(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"plan_digest": request["plan_digest"], "reason": "Rehearsal."}

    def _await(self, request: dict[str, Any], wanted: set[str], seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            try:
                request = self._call(REQUESTER, "GET", f"/requests/{request['id']}", expected=200)
            except httpx.TransportError as away:
                say(f"the portal does not respond ({away}); trying again")
            if request["state"] in wanted:
                return request
            if request["settled"] or request["state"] == "blocked":
                raise RehearsalFailed(f"the request is {request['state']}: {request['reason']}")
            if time.monotonic() > deadline:
                raise RehearsalFailed(
                    f"the request is still {request['state']} after {seconds:.0f} s"
                )
            time.sleep(POLL_SECONDS)

    def _prove(self, url: str) -> Edge:
        address = (LOOPBACK, self._stack.ports.edge_tls)
        parts = urlsplit(url)
        host = str(parts.hostname)
        ca_file = Path(self._stack.env["PROBE_CA_FILE"])
        say(f"the handshake, checked independently: {url}")
        witness = Witness()
        try:
            witness.testify(address=address, host=host, path=parts.path, ca_file=ca_file)
        except OSError as error:
            raise NotProven(
                f"{url} could not be reached at {address[0]}:{address[1]}: {error}"
            ) from error
        finally:
            for line in witness.lines:
                self._show(f"    {line}")
        return Edge(f"wss://{LOOPBACK}:{address[1]}{parts.path}", host, ca_file)

    def _call(
        self,
        person: str,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        expected: int,
    ) -> dict[str, Any]:
        answer = self._send(person, method, path, body)
        if answer.status_code != expected:
            raise RehearsalFailed(
                f"{method} {path} as {person}: {answer.status_code}\n{answer.text[:1000]}"
            )
        document: dict[str, Any] = answer.json()
        return document

    def _send(
        self, person: str, method: str, path: str, body: dict[str, Any] | None = None
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._tokens[person]}"}
        # Calls to this machine must not go through a proxy of the environment, and need no
        # certificate authorities: reading these takes longer than the call.
        with httpx.Client(
            base_url=f"{self._stack.url}/api/v1", verify=NO_TLS, trust_env=False, timeout=30
        ) as client:
            return client.request(method, path, json=body, headers=headers)


@dataclass
class Console:
    """The live console as a client sees it: every event once and in order, over any number of
    sockets.
    """

    url: str
    token: str
    show: Print
    cursor: int = 0
    missing: int = 0
    finished: threading.Event = field(default_factory=threading.Event)
    _left: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Follow until it says finished; reconnect from the cursor whenever the socket closes."""
        for _ in range(RECONNECTS):
            try:
                self._follow()
            except (OSError, ConnectionClosed, InvalidHandshake) as gone:
                self.show(
                    f"    console   ({type(gone).__name__}; connecting again after event "
                    f"{self.cursor})"
                )
            if self.finished.is_set() or self._left.wait(0.5):
                return

    def leave(self) -> None:
        """Stop watching."""
        self._left.set()

    def _follow(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        with connect(
            f"{self.url}?after={self.cursor}", additional_headers=headers, proxy=None
        ) as socket:
            while not self._left.is_set():
                try:
                    heard = json.loads(socket.recv(timeout=1))
                except TimeoutError:
                    continue
                if heard["type"] == "event":
                    self._show_event(heard)
                elif heard["type"] == "finished":
                    self.finished.set()
                    return

    def _show_event(self, event: dict[str, Any]) -> None:
        if event["seq"] <= self.cursor:
            return
        if event["seq"] != self.cursor + 1:
            self.missing += event["seq"] - self.cursor - 1
            self.show(f"    console   (events {self.cursor + 1} to {event['seq'] - 1} are missing)")
        self.cursor = event["seq"]
        self.show(
            f"    {event['seq']:>3} {event['at'][11:23]} "
            f"{event['level']:<8}{event['step'] or '-':<22} {event['text']}"
        )
