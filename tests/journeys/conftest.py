"""One running product for all stories, and the parts they meet: people, the team's account, an endpoint that is live.

Each story asks for an endpoint of its own. Whatever fails, the end of every process's log is added to its report.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from stack.ports import LOOPBACK
from stack.processes import tail
from stack.product import Stack
from tests.journeys.portal_clients import Api, Visitor
from tests.journeys.team_account import CHAT, Target, TeamAccount
from tests.ports import free_port

TIME_SCALE = 90.0
"""A quarter of an hour in ten seconds: long enough to be caught in the middle."""

IDLE_SECONDS_OF_AWS, FASTEST_IDLE_CLOCK = 24, 6
"""The meeting place's load balancer is set to less than the usual 60 s; the lab's idle clocks run at most six times
faster than AWS's."""

LOG_LINES, LOG_COLUMNS = 15, 400
RUNNING = pytest.StashKey[Stack]()
NOTES = pytest.StashKey[list[str]]()

BOTH_IN_ONE = """
from django.utils import timezone
from portal.actions import issue_token
from portal.models import Membership, Person, Team
mona = Person.objects.create(username="mona", first_name="Mona", last_name="Mayer", role=Person.Role.APPROVER)
Membership.objects.create(person=mona, team=Team.objects.get(slug="chat"))
scopes = ["requests:read", "requests:write", "approvals:write"]
print(issue_token(mona, "journeys", scopes, days=1, now=timezone.now())[0])
"""


class Product:
    """The running product, as seen from outside."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._tokens: dict[str, str] = json.loads(stack.tokens_file.read_text())

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
        """A session of one of the demo people; nobody is ""."""
        visitor = Visitor(self.url)
        return visitor.sign_in(person, self.password(person)) if person else visitor

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

    def wish(self, name: str, target: Target, path: str, **more: Any) -> dict[str, Any]:
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

    @cached_property
    def mona(self) -> Api:
        """Somebody who is both: member of Chat and approver. The demo has nobody like that."""
        said = self.stack.manage("shell", "--no-imports", "-c", BOTH_IN_ONE)
        return Api(self.url, said.split()[-1])


@pytest.fixture(scope="package")
def product(request: pytest.FixtureRequest) -> Iterator[Product]:
    """PostgreSQL, Redis, lab, web, worker and ticker; all ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="edge-portal-journeys-") as directory:
        notes: list[str] = []
        request.config.stash[NOTES] = notes
        stack = Stack(Path(directory) / "state", free_port(), time_scale=TIME_SCALE, durable=False, say=notes.append)
        with stack:
            request.config.stash[RUNNING] = stack
            yield Product(stack)
            del request.config.stash[RUNNING]


@dataclass(frozen=True)
class LiveEndpoint:
    """An endpoint that clients can connect to.

    `edge` is where its host leads on this machine, `idle_seconds` after how many of our seconds silence is cut.
    """

    request_id: str
    endpoint_id: str
    host: str
    path: str
    edge: tuple[str, int]
    target: Target
    idle_seconds: float


@pytest.fixture(scope="package")
def live_endpoint(product: Product) -> LiveEndpoint:
    """Ana's endpoint on int-chat, approved by Olga, live. Several stories meet there."""
    ana, target = product.api("ana"), product.account.target("int-chat")
    product.account.set_idle_timeout(target, IDLE_SECONDS_OF_AWS)
    asked = ana.ask(**product.wish("meeting-place", target, "/ws,/ws/*", max_silence_seconds="12"))
    planned = ana.await_state(asked["id"], "awaiting_approval")
    assert product.api("olga").approve(planned).status_code == 200
    live = ana.await_state(asked["id"], "live")
    address = urlsplit(live["endpoint"]["url"])
    edge = (LOOPBACK, product.stack.ports.edge_tls)
    return LiveEndpoint(
        request_id=asked["id"],
        endpoint_id=live["endpoint"]["id"],
        host=str(address.hostname),
        path=address.path,
        edge=edge,
        target=target,
        idle_seconds=IDLE_SECONDS_OF_AWS / FASTEST_IDLE_CLOCK,
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every story of this folder needs the whole running product."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.stack)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
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
