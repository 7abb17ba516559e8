"""One running product for all stories, and the parts they meet: people, the team's account, an
endpoint that is live.

Each story asks for an endpoint of its own. Whatever fails, the end of every process's log is added
to its report.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from stack.ports import LOOPBACK
from stack.processes import tail
from stack.product import Stack
from tests.journeys.portal_clients import Api, Visitor
from tests.journeys.team_account import CHAT, Target, TeamAccount
from tests.ports import free_port

TIME_SCALE = 90.0
"""A quarter of an hour in ten seconds: long enough to be caught in the middle."""

DEPLOYED_SOON = 300.0
"""How fast AWS's time goes in stories that only wait for what is deployed. The portal's own
intervals keep their scale.
"""

IDLE_SECONDS_OF_AWS, USUAL_IDLE_SECONDS, FASTEST_IDLE_CLOCK = 24, 60, 6
"""The meeting place's load balancer is set to less than the usual 60 s; the lab's idle clocks run
at most six times faster than AWS's.
"""

SECURE_NAME = "secure.chat.example"
"""What the certificate of int-secure names."""

LOG_LINES, LOG_COLUMNS = 15, 400
RUNNING = pytest.StashKey[Stack]()
NOTES = pytest.StashKey[list[str]]()

BOTH_IN_ONE = """
from django.utils import timezone
from portal.people.actions import issue_token
from portal.people.models import Membership, Person, Team
names = {"username": "mona", "first_name": "Mona", "last_name": "Mayer"}
mona = Person.objects.create(**names, role=Person.Role.APPROVER)
Membership.objects.create(person=mona, team=Team.objects.get(slug="chat"))
scopes = ["requests:read", "requests:write", "approvals:write"]
print(issue_token(mona, "journeys", scopes, days=1, now=timezone.now())[0])
"""


class Product:
    """The running product, as seen from outside."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._tokens: dict[str, str] = json.loads(stack.tokens_file.read_text())
        self._sessions: dict[str, Visitor] = {}

    @property
    def url(self) -> str:
        """The portal's address."""
        return self.stack.url

    @property
    def ca_file(self) -> Path:
        """The certificate authority of the lab's edge."""
        return Path(self.stack.env["PROBE_CA_FILE"])

    def api(self, person: str) -> Api:
        """The REST API as one of the demo people; nobody is ""."""
        return Api(self.url, self._tokens[person] if person else "")

    def visitor(self, person: str) -> Visitor:
        """A session of one of the demo people; nobody is "". They sign in once, since that takes
        half a second of work.
        """
        if not person:
            return Visitor(self.url)
        if person not in self._sessions:
            self._sessions[person] = Visitor(self.url).sign_in(person, self.password(person))
        return self._sessions[person].another()

    def password(self, person: str) -> str:
        """What the demo says."""
        return f"demo-{person}-2026"

    @cached_property
    def account(self) -> TeamAccount:
        """Chat's AWS account."""
        return TeamAccount(self.stack.env)

    @cached_property
    def distribution_id(self) -> str:
        """Of Chat."""
        return self.account.distribution_id

    def answers(self, name: str, target: Target, path: str, **more: Any) -> dict[str, Any]:
        """The body of a request of team Chat."""
        return {
            "team": "chat",
            "name": name,
            "account_id": CHAT,
            "distribution_id": self.distribution_id,
            "target_arn": target.arn,
            "path_patterns": path,
            "justification": f"The story of {name}.",
        } | more

    def log_row(self, request_id: str) -> dict[str, Any] | None:
        """CloudFront's log row of a request, as the lab's edge delivers it."""
        rows = httpx.get(
            f"http://{LOOPBACK}:{self.stack.ports.edge}/_lab/logs",
            headers={"Host": "lab.localhost"},
            trust_env=False,
            timeout=10,
        ).json()["rows"]
        return next((row for row in rows if row["x-edge-request-id"] == request_id), None)

    @contextmanager
    def stopped_clock(self) -> Iterator[Callable[[], None]]:
        """AWS's time stands still, so that nothing is deployed while a story looks. What it gives
        advances it by more than any deployment takes.
        """
        self._change_clock(scale=0)
        try:
            yield lambda: self._change_clock(advance="+15m")
        finally:
            self.pace_clock(DEPLOYED_SOON)

    def pace_clock(self, scale: float) -> None:
        """AWS's time goes so many times faster than ours."""
        self._change_clock(scale=scale)

    def lead_to(self, hosts: Mapping[str, str]) -> None:
        """Say where addresses of the account are on this machine, each with its port."""
        self._tell_lab("hosts", hosts)

    def _change_clock(self, **change: float | str) -> None:
        self._tell_lab("clock", change)

    def _tell_lab(self, what: str, change: Mapping[str, float | str]) -> None:
        lab = self.stack.env["AWS_ENDPOINT_URL"]
        httpx.post(
            f"{lab}/_lab/{what}", json=change, trust_env=False, timeout=60
        ).raise_for_status()

    @cached_property
    def mona(self) -> Api:
        """Somebody who is both: member of Chat and approver. The demo has nobody like that."""
        said = self.stack.manage("shell", "--no-imports", "-c", BOTH_IN_ONE)
        return Api(self.url, said.split()[-1])


@pytest.fixture(scope="package")
def product(request: pytest.FixtureRequest) -> Iterator[Product]:
    """PostgreSQL, Redis, lab, web, workers and ticker; all ended afterwards.

    Endpoints are checked only when a story asks: a check is a client of the chat app too, and all
    other clients hear what it says.
    """
    with tempfile.TemporaryDirectory(prefix="edge-portal-journeys-") as directory:
        notes: list[str] = []
        request.config.stash[NOTES] = notes
        stack = Stack(
            Path(directory) / "state",
            free_port(),
            time_scale=TIME_SCALE,
            durable=False,
            settings={"CHECK_EVERY_MINUTES": "0"},
            say=notes.append,
        )
        with stack:
            request.config.stash[RUNNING] = stack
            product = Product(stack)
            product.pace_clock(DEPLOYED_SOON)
            yield product
            del request.config.stash[RUNNING]


@pytest.fixture(scope="module")
def unhurried(product: Product) -> Iterator[None]:
    """For stories that look, or kill, in the middle of a deployment: it takes seconds."""
    product.pace_clock(TIME_SCALE)
    yield
    product.pace_clock(DEPLOYED_SOON)


@dataclass(frozen=True)
class LiveEndpoint:
    """An endpoint that clients can connect to.

    `edge` is where its host leads on this machine, `idle_seconds` after how many of our seconds
    silence is cut.
    """

    request_id: str
    endpoint_id: str
    host: str
    path: str
    edge: tuple[str, int]
    target: Target
    idle_seconds: float


@pytest.fixture(scope="package")
def endpoints(product: Product) -> dict[str, LiveEndpoint]:
    """Ana's endpoints where several stories meet, by target: approved by Olga, and live. Made at
    the same time, they cost the time of one.
    """
    chat, secure = (product.account.target(name) for name in ("int-chat", "int-secure"))
    product.account.set_idle_timeout(chat, IDLE_SECONDS_OF_AWS)
    own_name = {
        "origin_protocol": "https-only",
        "origin_domain": SECURE_NAME,
        "forward_host": "false",
    }
    asked = {
        chat: product.answers("meeting-place", chat, "/ws,/ws/*", max_silence_seconds="12"),
        secure: product.answers("meeting-in-private", secure, "/secure", **own_name),
    }
    ana, olga = product.api("ana"), product.api("olga")
    made = {target: ana.ask(**answers)["id"] for target, answers in asked.items()}
    for request_id in made.values():
        assert olga.approve(ana.await_state(request_id, "awaiting_approval")).status_code == 200
    return {
        "int-chat": reached(product, made[chat], chat, IDLE_SECONDS_OF_AWS),
        "int-secure": reached(product, made[secure], secure, USUAL_IDLE_SECONDS),
    }


@pytest.fixture(scope="package")
def live_endpoint(endpoints: dict[str, LiveEndpoint]) -> LiveEndpoint:
    """The one on int-chat, to which CloudFront speaks plain HTTP."""
    return endpoints["int-chat"]


@pytest.fixture(scope="package")
def secure_endpoint(endpoints: dict[str, LiveEndpoint]) -> LiveEndpoint:
    """The one on int-secure, to which CloudFront speaks TLS."""
    return endpoints["int-secure"]


def reached(
    product: Product, request_id: str, target: Target, idle_seconds_of_aws: int
) -> LiveEndpoint:
    """The endpoint of an approved request, when it is live."""
    live = product.api("ana").await_state(request_id, "live")
    address = urlsplit(live["endpoint"]["url"])
    edge = (LOOPBACK, product.stack.ports.edge_tls)
    return LiveEndpoint(
        request_id=request_id,
        endpoint_id=live["endpoint"]["id"],
        host=str(address.hostname),
        path=address.path,
        edge=edge,
        target=target,
        idle_seconds=idle_seconds_of_aws / FASTEST_IDLE_CLOCK,
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every story of this folder needs the whole running product."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.stack)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the end of every process's log to the report of a story that failed."""
    report = yield
    stack = item.config.stash.get(RUNNING, None)
    if report.failed and stack is not None:
        notes = item.config.stash[NOTES]
        report.sections.append(("what the supervisor saw", "\n".join(notes)))
        for name in stack.parts:
            lines = [line[:LOG_COLUMNS] for line in tail(stack.log(name), LOG_LINES)]
            report.sections.append((f"end of {name}.log", "\n".join(lines)))
    return report
