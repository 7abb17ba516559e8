"""The handshake bench: a test of one's own, refused field by field, made once, saved, and made
again.
"""

from __future__ import annotations

import pytest
from django.utils import timezone

from checks.actions import request_check, schedule_usual_check
from checks.models import Check, SavedCheck
from checks.protocol.script import parse_script
from portal.requests.models import EndpointRequest
from provisioning.models import Endpoint, Event
from provisioning.spec.app_kinds import APP_KINDS
from tests.portal.page_text import text_of
from tests.portal.people import Cast, signed_in

OWN = {
    "path": "/ws/room?id=1",
    "origin": "none",
    "subprotocols": "chat.v1",
    "headers": "X-Room: 12",
    "compress": "true",
    "script": "send hi {nonce}\nexpect text {nonce} within 2",
}


def test_ana_tests_with_lines_of_her_own(people: Cast, endpoint: Endpoint) -> None:
    address = f"/endpoints/{endpoint.pk}/checks/custom/"
    assert "Step reference" in text_of(signed_in(people.ana).get(address))
    answer = signed_in(people.ana).post(address, OWN)
    check = Check.objects.get()
    assert answer["Location"] == f"/endpoints/{endpoint.pk}/?check={check.pk}#check"
    assert check.options["path"] == "/ws/room?id=1"
    assert check.options["headers"] == "X-Room: 12"
    assert check.requested_by == "ana"


def test_every_fault_is_said_at_its_field_and_nothing_is_lost(
    people: Cast, endpoint: Endpoint
) -> None:
    wrong = OWN | {"path": "room", "headers": "Host: evil", "script": "shout hi"}
    answer = signed_in(people.ana).post(f"/endpoints/{endpoint.pk}/checks/custom/", wrong)
    assert answer.status_code == 422
    words = text_of(answer)
    assert "Fix 2 problems" in words
    assert "start with a slash" in words
    assert "Line 1: begins with 'shout'" in words
    assert "shout hi" in answer.content.decode()
    assert not Check.objects.exists()


def test_a_test_under_way_is_not_replaced_by_another(people: Cast, endpoint: Endpoint) -> None:
    request_check(endpoint, by="ben", stream="", now=timezone.now())
    words = text_of(signed_in(people.ana).post(f"/endpoints/{endpoint.pk}/checks/custom/", OWN))
    assert "Another check of this endpoint is running" in words
    assert Check.objects.count() == 1


def test_a_check_is_saved_shown_made_again_and_dropped(people: Cast, endpoint: Endpoint) -> None:
    address = f"/endpoints/{endpoint.pk}/checks/custom/"
    nameless = signed_in(people.ana).post(address, OWN | {"save": "1"})
    assert "Enter a name for the saved check" in text_of(nameless)
    signed_in(people.ana).post(
        address, OWN | {"save": "1", "name": "Room 1", "every_minutes": "60"}
    )
    saved = SavedCheck.objects.get()
    assert (saved.name, saved.every_minutes, saved.created_by) == ("Room 1", 60, "ana")
    page = signed_in(people.ana).get(f"{address}?saved={saved.pk}")
    assert "expect text {nonce} within 2" in page.content.decode()
    assert "every hour, next in 59 min" in text_of(page)
    signed_in(people.ana).post(f"/endpoints/{endpoint.pk}/checks/saved/{saved.pk}/run/")
    assert Check.objects.get().saved == saved
    signed_in(people.ana).post(f"/endpoints/{endpoint.pk}/checks/saved/{saved.pk}/delete/")
    assert not SavedCheck.objects.exists()
    assert Check.objects.exists()


def events_of(stream: str) -> list[str]:
    return list(Event.objects.filter(stream=stream).order_by("seq").values_list("text", flat=True))


@pytest.mark.parametrize(
    ("options", "goes_stale"), [({}, True), ({"script": "send hi"}, False)], ids=["usual", "own"]
)
def test_deleting_a_scheduled_check_is_confirmed_recorded_and_told_truthfully(
    people: Cast, endpoint: Endpoint, options: dict[str, str], goes_stale: bool
) -> None:
    request = EndpointRequest.objects.get(endpoint=endpoint)
    usual = schedule_usual_check(endpoint, stream=request.stream, now=timezone.now())
    assert usual is not None
    own = SavedCheck.objects.create(
        endpoint=endpoint, name="Smoke", options={"script": "send hi"}, every_minutes=60
    )
    saved = own if options else usual
    client, page = signed_in(people.ana), f"/endpoints/{endpoint.pk}/"
    delete = f"{page}checks/saved/{saved.pk}/delete/"
    assert "every 15 minutes" in text_of(client.get(page))

    question = client.get(f"{page}checks/custom/").content.decode()
    form = question.index(f'action="{delete}"')
    details = question.rindex("<details>", 0, form)
    assert "</details>" not in question[details:form], "one click more, also without JavaScript"
    assert ("go stale" in question[details:form]) is goes_stale

    assert signed_in(people.rita).post(delete).status_code == 302
    assert SavedCheck.objects.filter(pk=saved.pk).exists(), "an auditor only looks"
    client.post(delete)
    client.post(delete)  # again, from another tab: gone, and not recorded twice
    ended = f"ana deleted the saved check “{saved.name}”. It no longer runs on its schedule."
    assert events_of(request.stream).count(ended) == 1
    for address in (page, f"{page}checks/usual/"):
        words = text_of(client.get(address))
        assert ("every 15 minutes" in words) is not goes_stale
        assert ("On demand only" in words) is goes_stale


def test_saving_a_check_is_recorded_and_schedules_the_usual_one_again(
    people: Cast, endpoint: Endpoint
) -> None:
    request = EndpointRequest.objects.get(endpoint=endpoint)
    client, page = signed_in(people.ana), f"/endpoints/{endpoint.pk}/"
    assert "On demand only" in text_of(client.get(page))
    empty = {"save": "1", "name": "Usual", "every_minutes": "60", "after_changes": "on"}
    client.post(f"{page}checks/custom/", empty)
    said = "ana saved the check “Usual”. It runs every 60 minutes and after changes."
    assert said in events_of(request.stream)
    assert "then every 60 minutes" in text_of(client.get(page))


def test_a_token_is_used_once_and_refused_for_saving(people: Cast, endpoint: Endpoint) -> None:
    address = f"/endpoints/{endpoint.pk}/checks/custom/"
    secret = OWN | {"headers": "Authorization: Bearer s3cret", "save": "1", "name": "x"}
    page = text_of(signed_in(people.ana).post(address, secret))
    assert "Authorization looks like a credential" in page
    assert not SavedCheck.objects.exists()


def test_an_auditor_looks_and_another_team_sees_nothing(people: Cast, endpoint: Endpoint) -> None:
    address = f"/endpoints/{endpoint.pk}/checks/custom/"
    page = signed_in(people.rita).get(address)
    assert "Only its team and the platform team can check" in text_of(page)
    assert "Check now" not in text_of(page)
    signed_in(people.rita).post(address, OWN)
    assert not Check.objects.exists()
    assert signed_in(people.tara).get(address).status_code == 404
    assert signed_in(people.ana).get(f"{address}?saved=999").status_code == 404


def test_what_is_not_deployed_is_not_tested(people: Cast, endpoint: Endpoint) -> None:
    Endpoint.objects.update(state=Endpoint.State.WANTED, domain_name="")
    answer = signed_in(people.ana).post(f"/endpoints/{endpoint.pk}/checks/custom/", OWN)
    assert answer.status_code == 302
    assert not Check.objects.exists()


def test_the_page_of_a_test_that_has_not_ended_waits_for_it(
    people: Cast, endpoint: Endpoint
) -> None:
    check = request_check(endpoint, by="ana", stream="", now=timezone.now())
    page = signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/?check={check.pk}#check")
    assert page.status_code == 200
    assert "Making a WebSocket handshake through CloudFront" in text_of(page)


def test_the_step_reference_has_the_messages_that_join_a_namespace(
    people: Cast, endpoint: Endpoint
) -> None:
    address = f"/endpoints/{endpoint.pk}/checks/custom/"
    assert "40/chat" not in text_of(signed_in(people.ana).get(address))
    endpoint.spec_data |= {"app_kind": "socketio"}
    endpoint.save()
    assert 'send 40/chat,{"token":"${secret:NAME}"}' in text_of(signed_in(people.ana).get(address))
    for kind in APP_KINDS.values():
        assert len(parse_script("\n".join(line for line, _ in kind.examples))) == len(kind.examples)


def test_a_custom_check_is_marked_and_leaves_the_status_alone(
    people: Cast, endpoint: Endpoint
) -> None:
    endpoint.spec_data |= {"app_kind": "socketio"}
    endpoint.save()
    page = f"/endpoints/{endpoint.pk}/"

    def finished(options: dict[str, str], *, ok: bool, verdict: str) -> None:
        check = request_check(endpoint, by="ana", stream="", now=timezone.now())
        found = [{"code": verdict, "certainty": "high", "evidence": []}]
        Check.objects.filter(pk=check.pk).update(
            finished_at=timezone.now(), options=options, ok=ok, verdict=verdict, findings=found
        )

    finished({}, ok=True, verdict="WSE-LIVE")
    words = text_of(signed_in(people.ana).get(page))
    assert "whether your middleware lets a client in" in words
    assert "custom check. It does not change" not in words
    assert "Custom check:" not in words
    finished({"script": "send 40"}, ok=False, verdict="WSE-SCRIPT")
    words = text_of(signed_in(people.ana).get(page))
    assert "This is a custom check. It does not change the endpoint’s status" in words
    assert words.count("Custom check:") == 1
    assert "whether your middleware lets a client in" not in words
