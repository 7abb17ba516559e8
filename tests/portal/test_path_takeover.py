"""Two teams share an account and a distribution: neither gets the other's paths unasked."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from portal.requests import actions
from portal.requests.actions import submit_request
from portal.requests.lifecycle import Allowed, Denied, State
from portal.requests.models import EndpointRequest
from provisioning.actions import contested_paths
from provisioning.models import AwsAccount, Event, PathAssignment, Run
from tests.lab.account import Lab
from tests.portal.endpoint_requests import (
    ANSWERS,
    ask,
    deploy,
    distribution,
    form_answers,
    plan_again,
    planned,
    planned_in_lab,
)
from tests.portal.people import Cast, signed_in
from tests.provisioning.examples import ACCOUNT

ASKED = ("account_id", "name", "path_patterns", "target_arn", "distribution_id")


@pytest.fixture
def neighbors(people: Cast) -> Cast:
    """Trading works in Chat's account too."""
    people.trading.accounts.add(AwsAccount.objects.get(pk=ACCOUNT))
    return people


def asks(lab: Lab, people: Cast, path: str, name: str = "prices") -> EndpointRequest:
    """Tara asks for this path, and the worker plans it."""
    said = form_answers(lab, name=name, path_patterns=path)
    request = submit_request(
        people.tara, people.trading, {key: said[key] for key in ASKED}, now=timezone.now()
    )
    plan_again(request)
    return request


def approve(people: Cast, request: EndpointRequest) -> Allowed | Denied:
    return actions.approve_request(
        people.olga, request, plan_digest=request.plan_digest, now=timezone.now()
    )


def assign(*words: str) -> str:
    out = StringIO()
    call_command("assign_path", *words, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("path", ["/ws/?*", "/ws/*/*", "/*.*", "/ws/prices"])
def test_a_live_endpoint_of_another_team_keeps_its_paths(
    neighbors: Cast, lab: Lab, path: str
) -> None:
    deploy(planned_in_lab(lab, neighbors, path_patterns="/ws/*"))
    request = asks(lab, neighbors, path)
    assert request.state == State.BLOCKED
    assert "endpoint team-chat of team chat" in request.reason
    (owned,) = [one for one in request.preflight_data if one["code"] == "PF-PATH-OWNER"][:1]
    assert owned["level"] == "block"
    assert "ask team chat" in owned["fix"]["console"]
    free = asks(lab, neighbors, "/prices/*", "prices-2")
    assert free.state == State.AWAITING_APPROVAL


def test_the_form_names_the_team_before_anything_is_sent(neighbors: Cast, lab: Lab) -> None:
    deploy(planned_in_lab(lab, neighbors, path_patterns="/ws/*"))
    tara, said = (
        signed_in(neighbors.tara),
        form_answers(lab, team="trading", name="prices", preview="1"),
    )
    del said["send"]
    page = tara.post("/requests/new/", said | {"path_patterns": "/ws/?*"}).content.decode()
    assert "endpoint team-chat of team chat" in page
    page = tara.post("/requests/new/", said | {"path_patterns": "/prices"}).content.decode()
    assert "endpoint team-chat of team chat" not in page


def test_of_two_that_wait_for_the_same_paths_the_first_approved_gets_them(
    neighbors: Cast, lab: Lab
) -> None:
    theirs = asks(lab, neighbors, "/ws/?*")
    colleagues = planned_in_lab(lab, neighbors, name="rooms", path_patterns="/ws/rooms")
    first = planned_in_lab(lab, neighbors, path_patterns="/ws/*")
    assert isinstance(approve(neighbors, first), Allowed)
    refused = approve(neighbors, theirs)
    assert isinstance(refused, Denied)
    assert refused.code == "path_contested"
    assert "team-chat of team chat" in refused.reason
    assert isinstance(approve(neighbors, colleagues), Allowed)
    assert set(Run.objects.values_list("endpoint__name", flat=True)) == {"team-chat", "rooms"}


def test_with_its_owners_consent_a_part_is_shared_and_everybody_sees_it(
    neighbors: Cast, lab: Lab
) -> None:
    victim = planned_in_lab(lab, neighbors, path_patterns="/ws/*")
    deploy(victim)
    assert asks(lab, neighbors, "/ws/prices/*").state == State.BLOCKED
    words = (distribution(lab), "/ws/prices/*", "trading", "--account", ACCOUNT)
    assert "is assigned to Trading" in assign(*words)
    request = asks(lab, neighbors, "/ws/prices/*", "prices-2")
    assert request.state == State.AWAITING_APPROVAL
    said = "overlaps /ws/*, the path of endpoint team-chat of team chat"
    assert said in signed_in(neighbors.tara).get(f"/requests/{request.pk}/").content.decode()
    assert said in signed_in(neighbors.olga).get(f"/requests/{request.pk}/").content.decode()
    assert isinstance(approve(neighbors, request), Allowed)
    shared = Event.objects.get(stream_id=victim.stream, kind="endpoint.paths_shared")
    assert shared.text == (
        "/ws/prices/*, part of /ws/*, goes to endpoint prices-2 of Trading once it is built."
    )


def test_consent_that_is_taken_back_before_the_approval_counts_no_more(
    neighbors: Cast, lab: Lab
) -> None:
    """The claim is in the plan, but nobody permits it now."""
    deploy(planned_in_lab(lab, neighbors, path_patterns="/ws/*"))
    words = (distribution(lab), "/ws/prices/*", "trading", "--account", ACCOUNT)
    assign(*words)
    request = asks(lab, neighbors, "/ws/prices/*")
    assign(*words, "--remove")
    refused = approve(neighbors, request)
    assert isinstance(refused, Denied)
    assert refused.code == "path_contested"
    assign(*words)
    assert isinstance(approve(neighbors, request), Allowed)


def test_paths_are_assigned_listed_and_taken_back(neighbors: Cast) -> None:
    words = (str(ANSWERS["distribution_id"]), "/ws/*", "chat")
    assert "/ws/* of" in assign(*words)
    assert assign(*words) == assign(*words)
    assert assign(words[0]) == "/ws/*\tchat\n"
    for wrong, says in (
        (("E1", "/ws/*", "nobody"), "no team nobody"),
        (("not an id", "/ws/*", "chat"), "Choose a distribution"),
        ((words[0], "ws", "chat"), "Paths must start"),
        ((words[0], "/x", "chat", "--remove"), "no such assignment"),
        ((words[0], "/x", "trading"), "--account"),
    ):
        with pytest.raises(CommandError, match=says):
            assign(*wrong)
    assign(*words, "--remove")
    assert not PathAssignment.objects.exists()


@pytest.mark.parametrize(
    ("state", "held"),
    [("running", True), ("undoing", True), ("stuck", True), ("undone", False)],
)
def test_a_change_under_way_has_its_new_paths_too(neighbors: Cast, state: str, held: bool) -> None:
    built = deploy(planned(ask(neighbors.ana, neighbors.chat)))
    spec = {**built.spec_data, "path_patterns": ["/ws/new/*", "/ws/chat"]}
    now = timezone.now()
    Run.objects.create(
        endpoint=built,
        saga="change-endpoint",
        stream="",
        plan_data={"spec": spec},
        plan_digest="",
        state=state,
        due_at=now,
        created_at=now,
    )
    account = AwsAccount.objects.get(pk=ACCOUNT)
    claims = account.path_rights(built.spec_data["distribution_id"], "trading").claims
    mine = ["/ws/chat", "/ws/new/*"] if held else ["/ws/chat"]
    assert sorted(one.pattern for one in claims) == mine
    wanted = replace(built.spec, path_patterns=("/ws/new/prices",), name="prices")
    contested = contested_paths(wanted, uuid4(), "trading")
    assert [one.endpoint for one in contested] == (["team-chat"] if held else [])
