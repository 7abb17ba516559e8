"""What the tests of the pages share: browsers of named people, the lab's AWS behind the form, and a
real plan.

People and teams are those of api_stage: Ana and Ben of Chat, Tom of Trading, Petra approves, Otto
audits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.test import Client
from django.utils import timezone

from portal.people.models import Person
from portal.requests import planning
from portal.requests.actions import submit_request
from portal.requests.models import EndpointRequest
from provisioning.models import AwsAccount
from tests.lab.account import Lab
from tests.portal.api_stage import ACCOUNT, Stage


def browser(person: Person) -> Client:
    """A browser in which this person has signed in."""
    client = Client()
    client.force_login(person)
    return client


def text_of(response: Any) -> str:
    """What stands on a page, as a reader meets it: no tags, single spaces."""
    words = re.sub(
        r"<(script|style).*?</\1>|<[^>]+>", " ", response.content.decode(), flags=re.DOTALL
    )
    for entity, sign in (
        ("&amp;", "&"),
        ("&#x27;", "'"),
        ("&quot;", '"'),
        ("&lt;", "<"),
        ("&gt;", ">"),
    ):
        words = words.replace(entity, sign)
    return " ".join(words.split())


def faults_untied(response: Any) -> list[str]:
    """Faults on a page that are read out with no field, and what fields name although it is not
    there.
    """
    body = response.content.decode()
    faults = re.findall(r'<p class="field-error"(?: id="([\w-]+)")?', body)
    named = {one for ids in re.findall(r'aria-describedby="([^"]+)"', body) for one in ids.split()}
    there = set(re.findall(r'\sid="([\w-]+)"', body))
    return [one or "a fault without id" for one in faults if one not in named] + sorted(
        named - there
    )


def streamed(response: Any) -> str:
    """All of a download."""
    return b"".join(response.streaming_content).decode()


def load_balancer(lab: Lab, name: str) -> str:
    """The ARN of a seeded load balancer of Chat's account."""
    return next(
        str(one["arn"]) for one in lab.get("/_lab/state")["load_balancers"] if one["name"] == name
    )


def distribution(lab: Lab, account: str = ACCOUNT) -> str:
    """The id of the seeded distribution of an account."""
    return next(
        str(one["id"])
        for one in lab.get("/_lab/state")["distributions"]
        if one["account"] == account
    )


def answers(lab: Lab, target: str = "int-chat", **others: Any) -> dict[str, Any]:
    """A filled-in form."""
    return {
        "team": "chat",
        "account_id": ACCOUNT,
        "justification": "Chat for the support desk",
        "name": "team-chat",
        "path_patterns": "/ws/chat",
        "max_silence_seconds": "30",
        "target_arn": load_balancer(lab, target),
        "distribution_id": distribution(lab),
        "send": "1",
    } | others


def planned(lab: Lab, stage: Stage, person: Person | None = None, **others: Any) -> EndpointRequest:
    """A request that waits for approval, or is blocked, with a plan made of what the lab holds."""
    said = answers(lab, **others)
    asked: Mapping[str, Any] = {
        key: said[key]
        for key in ("account_id", "name", "path_patterns", "target_arn", "distribution_id")
    }
    request = submit_request(
        person or stage.ana,
        stage.chat,
        asked,
        now=timezone.now(),
        justification=said["justification"],
    )
    plan_again(request)
    return request


def plan_again(request: EndpointRequest) -> None:
    """What a worker does with a request to plan."""
    planning.work_out_plan(str(request.pk), now=timezone.now())
    request.refresh_from_db()


def enter_by_role() -> None:
    """The portal comes into both accounts by their roles, as it does into real ones."""
    for account in AwsAccount.objects.all():
        account.role_arn = f"arn:aws:iam::{account.account_id}:role/edge-portal"
        account.external_id = "pages"
        account.save()
