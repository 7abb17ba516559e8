"""A path that requires a sign-in today: what requester and approver read about it, and how one
click carries the sign-in over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from portal.requests.actions import submit_request
from portal.requests.models import EndpointRequest
from tests.lab.account import Lab, listed
from tests.portal.endpoint_requests import distribution, form_answers, plan_again, planned_in_lab
from tests.portal.page_text import text_of
from tests.portal.people import NOW, Cast, signed_in
from tests.provisioning.examples import ACCOUNT

NAMED = "viewer-request function sign-in"
LOST = f"The {NAMED} applies to /ws/chat today, through the default behavior"


@pytest.fixture
def guarded(lab: Lab, empty_cache: None) -> Iterator[Lab]:
    """The lab, with a sign-in function on the default behavior of Chat's distribution."""
    cloudfront = lab.account(ACCOUNT).cloudfront
    shared = distribution(lab)

    def attach(functions: dict[str, Any]) -> None:
        found = cloudfront.get_distribution_config(Id=shared)
        config = found["DistributionConfig"]
        config["DefaultCacheBehavior"]["FunctionAssociations"] = functions
        cloudfront.update_distribution(Id=shared, IfMatch=found["ETag"], DistributionConfig=config)

    function = f"arn:aws:cloudfront::{ACCOUNT}:function/sign-in"
    attach(listed({"FunctionARN": function, "EventType": "viewer-request"}))
    yield lab
    attach({"Quantity": 0})


def test_the_form_names_the_guard_and_one_click_carries_it_over(people: Cast, guarded: Lab) -> None:
    client, said = signed_in(people.ana), form_answers(guarded, "int-orders") | {"preview": "1"}
    del said["send"]
    page = client.post("/requests/new/", said)
    assert LOST in text_of(page)
    assert "Carry over: functions" in text_of(page)
    del said["preview"]
    change = json.dumps({"carry_over": ["functions"]})
    chosen = client.post("/requests/new/", said | {"amend": change})
    assert LOST not in text_of(chosen)
    assert f"The plan carries the {NAMED} over from the default behavior" in text_of(chosen)
    boxes = chosen.content.decode().split('name="carry_over"')[1:]
    ticked = [box.split(">")[0] for box in boxes if " checked" in box.split(">")[0]]
    assert len(boxes) == 5
    assert len(ticked) == 1
    assert 'value="functions"' in ticked[0]


def test_ticked_boxes_are_kept_and_reach_the_request(people: Cast, guarded: Lab) -> None:
    client = signed_in(people.ana)
    said = form_answers(guarded, "int-orders") | {"carry_over": ["functions", "key-groups"]}
    wrong = client.post("/requests/new/", said | {"name": "NOT ok"})
    assert wrong.status_code == 422
    assert wrong.content.decode().count(" checked>") >= 2
    assert client.post("/requests/new/", said).status_code == 302
    assert EndpointRequest.objects.get().spec.carry_over == ("functions", "key-groups")


def test_the_approver_reads_it_beside_the_plan_and_approves_just_that(
    people: Cast, guarded: Lab
) -> None:
    request = planned_in_lab(guarded, people, target="int-orders")
    words = text_of(signed_in(people.olga).get(f"/approvals/{request.pk}/"))
    assert LOST in words
    assert f"Does not apply to it: {NAMED}." in words
    assert request.plan_data["relies_on"]["guards_left_behind"] == [f"/ws/chat: {NAMED} of *"]


def test_a_plan_that_carries_it_over_shows_the_function(people: Cast, guarded: Lab) -> None:
    said = form_answers(guarded, "int-orders")
    names = ("account_id", "name", "path_patterns", "target_arn", "distribution_id")
    asked = {name: said[name] for name in names} | {"carry_over": "functions"}
    request = submit_request(people.ana, people.chat, asked, now=NOW)
    plan_again(request)
    words = text_of(signed_in(people.olga).get(f"/approvals/{request.pk}/"))
    assert LOST not in words
    assert f"Carried over: {NAMED}." in words
    assert f"Functions viewer-request arn:aws:cloudfront::{ACCOUNT}:function/sign-in" in words
