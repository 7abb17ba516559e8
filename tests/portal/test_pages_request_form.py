"""Asking for an endpoint: what the form offers, what it says of a target, what it refuses, what it
never loses.
"""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from portal.pages.forms import RequestForm
from portal.people.models import Membership
from portal.requests import inventory
from portal.requests.answers import holds_credential
from portal.requests.inventory import FetchCache, Fetched
from portal.requests.lifecycle import State
from portal.requests.models import EndpointRequest
from provisioning.models import AwsAccount, Endpoint
from provisioning.spec.field_kinds import Section
from provisioning.spec.fields import ASKED
from tests.lab.account import Lab
from tests.portal.endpoint_requests import (
    distribution,
    form_answers,
    load_balancer,
    planned_in_lab,
    put,
)
from tests.portal.page_text import faults_untied, text_of
from tests.portal.people import Cast, signed_in
from tests.portal.test_endpoint_changes import built
from tests.provisioning.examples import ACCOUNT

ADVANCED = tuple(row.name for row in ASKED if row.section is Section.ADVANCED)


def test_ana_asks_and_lands_on_the_request(people: Cast, lab: Lab) -> None:
    sent = signed_in(people.ana).post(
        "/requests/new/", form_answers(lab, carries_http_api="true", subprotocols="a, b")
    )
    made = EndpointRequest.objects.get()
    assert sent["Location"] == f"/requests/{made.pk}/"
    assert made.team == people.chat
    assert made.requester == people.ana
    assert made.justification == "Chat for the support desk"
    assert made.answers["path_patterns"] == ["/ws/chat"]
    assert made.answers["max_silence_seconds"] == 30
    assert made.answers["subprotocols"] == ["a", "b"]
    assert made.answers["carries_http_api"] is True
    assert "origin_protocol" not in made.answers


def test_the_form_offers_what_the_account_holds_with_its_state(people: Cast, lab: Lab) -> None:
    page = text_of(signed_in(people.ana).get("/requests/new/"))
    assert "Ready int-chat" in page
    assert "Not supported pub-web" in page
    assert "open to the internet" in page
    assert "Not supported gwlb-inspect" in page
    assert "Chat front door" in page
    assert "Trading front door" not in page
    assert "updated just now" in page


def test_a_link_can_fill_the_form_in(people: Cast, lab: Lab) -> None:
    page = signed_in(people.ana).get(
        "/requests/new/", {"name": "from-a-ticket", "path_patterns": "/ws/t"}
    )
    assert 'value="from-a-ticket"' in page.content.decode()
    assert 'value="/ws/t"' in page.content.decode()


@pytest.mark.parametrize(
    ("said", "ticked"),
    [("true", True), ("True", True), ("false", False), ("False", False), ("0", False), ("", False)],
)
def test_a_link_says_yes_or_no_to_what_can_be_ticked(
    people: Cast, lab: Lab, said: str, ticked: bool
) -> None:
    page = signed_in(people.ana).get("/requests/new/", {"carries_http_api": said})
    (box,) = re.findall(
        r'<input type="checkbox" name="carries_http_api"[^>]*>', page.content.decode()
    )
    assert (" checked" in box) is ticked
    assert page.context["form"].answers().get("carries_http_api", False) is ticked


@pytest.mark.parametrize(
    ("target", "word", "reason"),
    [
        ("int-chat", "Ready to build.", "checks passed"),
        ("int-orders", "In the plan", "does not allow CloudFront"),
        ("pub-web", "Not ready.", "internet-facing"),
        ("gwlb-inspect", "Not ready.", "gateway load balancer"),
    ],
)
def test_a_chosen_target_is_judged_at_once(
    people: Cast, lab: Lab, target: str, word: str, reason: str
) -> None:
    said = {
        "part": "target",
        "team": "chat",
        "account_id": ACCOUNT,
        "target_arn": load_balancer(lab, target),
    }
    fragment = text_of(signed_in(people.ana).get("/requests/new/preview/", said))
    assert word in fragment
    assert reason in fragment


def test_a_target_is_judged_with_whatever_else_is_still_wrong(people: Cast, lab: Lab) -> None:
    said = form_answers(
        lab,
        path_patterns="no slash",
        max_silence_seconds="a while",
        http_port="99999",
        part="target",
    )
    fragment = text_of(signed_in(people.ana).get("/requests/new/preview/", said))
    assert "checks passed" in fragment


def test_no_listener_is_asked_for_on_the_port_of_the_other_leg_while_one_port_is_wrong(
    people: Cast, lab: Lab
) -> None:
    """The leg over HTTP must not pass for the one over HTTPS, whose port nobody can read."""
    both = form_answers(
        lab, "int-chat", origin_protocol="match-viewer", https_port="99999", part="target"
    )
    fragment = text_of(signed_in(people.ana).get("/requests/new/preview/", both))
    assert "HTTPS on 80" not in fragment
    sound = text_of(
        signed_in(people.ana).get("/requests/new/preview/", both | {"https_port": "443"})
    )
    assert "CloudFront would look for HTTPS on 443" in sound


def test_the_form_says_at_once_that_no_client_of_the_kind_would_come(
    lab: Lab, people: Cast
) -> None:
    for path, said in (
        ("/socket.io", "Use /socket.io/*, or set the path that the check requests"),
        ("socket.io", "Paths must start with"),
        ("/socket.io/*", "/socket.io/?EIO=4&transport=websocket"),
    ):
        data = form_answers(lab, path_patterns=path)
        fragment = text_of(signed_in(people.ana).post("/requests/new/preview/", data))
        assert said in fragment, path


def test_advanced_settings_follow_the_target_and_keep_what_was_typed(
    people: Cast, lab: Lab
) -> None:
    said = {
        "part": "target",
        "team": "chat",
        "account_id": ACCOUNT,
        "target_arn": load_balancer(lab, "int-admin"),
    }
    fragment = (
        signed_in(people.ana)
        .get("/requests/new/preview/", said | {"read_timeout": "77"})
        .content.decode()
    )
    assert "<b>8443</b>" in fragment
    assert 'value="77"' in fragment
    assert 'hx-swap-oob="true"' in fragment


def test_without_script_the_button_gives_the_same_and_keeps_everything(
    people: Cast, lab: Lab
) -> None:
    said = form_answers(lab, "gwlb-inspect", preview="1", name="NOT ok", justification="Kept")
    del said["send"]
    page = signed_in(people.ana).post("/requests/new/", said)
    words = text_of(page)
    assert page.status_code == 200
    assert "gateway load balancer" in words
    assert "form-errors-title" not in words
    body = page.content.decode()
    assert 'value="NOT ok"' in body
    assert "Kept</textarea>" in body
    assert f'value="{said["target_arn"]}" checked' in body
    assert not EndpointRequest.objects.exists()


def test_one_click_takes_up_what_the_preflight_proposes_and_nothing_is_sent(
    people: Cast, lab: Lab
) -> None:
    said = form_answers(
        lab,
        "int-orders",
        path_patterns="/ws/*",
        open_security_group="false",
        name="NOT ok",
        preview="1",
    )
    del said["send"]
    client = signed_in(people.ana)
    page = client.post("/requests/new/", said).content.decode()
    assert "Add /ws to the paths" in page
    assert "Let the plan open the security group" in page
    said.pop("preview")
    added = client.post(
        "/requests/new/", said | {"amend": '{"path_patterns": ["/ws/*", "/ws"]}'}
    ).content.decode()
    assert 'value="/ws/*, /ws"' in added
    assert 'value="NOT ok"' in added
    assert "Add /ws to the paths" not in added
    opened = text_of(
        client.post("/requests/new/", said | {"amend": '{"open_security_group": true}'})
    )
    assert "In the plan" in opened
    assert "Let the plan open the security group" not in opened
    for nonsense in (
        "",
        "{",
        "[1]",
        '{"team": "trading"}',
        '{"path_patterns": {"a": 1}}',
        '{"name": "\\ud800"}',
        "9" * 5000,
    ):
        kept = client.post("/requests/new/", said | {"amend": nonsense})
        assert kept.status_code == 200
        assert 'value="/ws/*"' in kept.content.decode()
    assert not EndpointRequest.objects.exists()


def test_all_faults_are_listed_on_top_with_anchors_and_nothing_is_lost(
    people: Cast, lab: Lab
) -> None:
    said = form_answers(
        lab, name="NOT ok", path_patterns="ws", justification="", read_timeout="500"
    )
    page = signed_in(people.ana).post("/requests/new/", said)
    assert page.status_code == 422
    body = page.content.decode()
    assert "Fix 4 problems" in text_of(page)
    for field in ("justification", "name", "path_patterns", "read_timeout"):
        assert f'href="#id_{field}"' in body
        assert f'id="id_{field}"' in body
        assert f'id="id_{field}_error"' in body
    assert "data-focus" in body
    assert 'value="NOT ok"' in body
    assert "<details open>" in body
    assert not EndpointRequest.objects.exists()


@pytest.mark.parametrize("answering", [True, False])
def test_every_fault_is_read_out_with_its_field(
    people: Cast, lab: Lab, monkeypatch: pytest.MonkeyPatch, answering: bool
) -> None:
    wrong = dict.fromkeys(("name", "path_patterns", "max_silence_seconds", *ADVANCED), "NOT ok")
    said = form_answers(
        lab, justification="", target_arn="", distribution_id="", subprotocols="a b/c", **wrong
    )
    if not answering:
        AwsAccount.objects.filter(pk=ACCOUNT).update(external_id="nowhere")
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setattr(inventory, "_cache", FetchCache(wait_seconds=20))
    page = signed_in(people.ana).post("/requests/new/", said)
    body = page.content.decode()
    assert ('id="target-arn-input"' in body) is not answering
    assert faults_untied(page) == []
    for field in ("target_arn", "distribution_id", *wrong):
        assert f'id="id_{field}_error"' in body, field
    for typed in ("target_arn", "distribution_id", "http_port", "forward_host"):
        marked = rf'<(?:select|input type="text") name="{typed}"[^>]* aria-invalid="true"'
        assert bool(re.search(marked, body)) is not (answering and typed == "target_arn"), typed


def test_nothing_chosen_at_all_names_every_question(people: Cast, lab: Lab) -> None:
    Membership.objects.create(person=people.ana, team=people.trading)
    words = text_of(signed_in(people.ana).post("/requests/new/", {"send": "1"}))
    for label in (
        "Team",
        "AWS account",
        "Purpose",
        "Target",
        "Distribution",
        "Name",
        "Path",
    ):
        assert f"{label} :" in words
    assert "The ARN of" not in words, "people choose from a list"


def test_another_teams_account_is_neither_shown_nor_accepted(people: Cast, lab: Lab) -> None:
    client = signed_in(people.ana)
    look = text_of(
        client.get(
            "/requests/new/preview/",
            {"part": "account", "team": "trading", "account_id": "444455556666"},
        )
    )
    assert "int-quotes" not in look
    page = client.post("/requests/new/", form_answers(lab, account_id="444455556666"))
    assert page.status_code == 422
    assert "int-quotes" not in text_of(page)
    foreign = form_answers(
        lab, target_arn="arn:aws:elasticloadbalancing:us-east-1:444455556666:loadbalancer/app/x/1"
    )
    assert "another account" in text_of(client.post("/requests/new/", foreign))
    assert not EndpointRequest.objects.exists()


def test_choosing_the_team_brings_its_accounts(people: Cast, lab: Lab) -> None:
    Membership.objects.create(person=people.ana, team=people.trading)
    client = signed_in(people.ana)
    assert "Choose a team first" in text_of(client.get("/requests/new/"))
    fragment = text_of(client.get("/requests/new/preview/", {"part": "team", "team": "trading"}))
    assert "444455556666" in fragment
    assert "int-quotes" in fragment


def test_an_account_aws_refuses_is_said_in_words_and_is_no_dead_end(people: Cast, lab: Lab) -> None:
    AwsAccount.objects.filter(pk=ACCOUNT).update(external_id="nowhere")
    lab_down = "http://127.0.0.1:9"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", lab_down)
        patch.setattr(inventory, "_cache", FetchCache(wait_seconds=20))
        page = signed_in(people.ana).get("/requests/new/")
    assert page.status_code == 200
    assert "could not read this account" in text_of(page)
    assert 'id="target-arn-input"' in page.content.decode()
    sent = signed_in(people.ana).post("/requests/new/", form_answers(lab))
    assert sent.status_code == 302


def test_a_slow_aws_does_not_keep_the_page_waiting(
    people: Cast, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "_cache", FetchCache(wait_seconds=0))
    page = signed_in(people.ana).get("/requests/new/")
    assert "Waiting for AWS to answer" in text_of(page)
    assert 'hx-trigger="load delay:2s"' in page.content.decode()
    monkeypatch.setattr(inventory._cache, "_wait_seconds", 20)
    assert "int-chat" in text_of(signed_in(people.ana).get("/requests/new/"))


def test_looks_are_shared_while_fresh_and_made_anew_on_wish() -> None:
    cache, now, asked = FetchCache(wait_seconds=5), timezone.now(), []

    def ask() -> int:
        asked.append(1)
        return len(asked)

    assert cache.fetch(("x", "1"), ask, now).value == 1
    assert cache.fetch(("x", "1"), ask, now).value == 1
    assert cache.fetch(("x", "1"), ask, now + timedelta(seconds=40)).value == 2
    cache.forget("1")
    assert cache.fetch(("x", "1"), ask, now).value == 3


def test_an_unforeseen_fault_is_not_remembered() -> None:
    cache, now = FetchCache(wait_seconds=5), timezone.now()

    def broken() -> int:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        cache.fetch(("x",), broken, now)
    assert cache.fetch(("x",), lambda: 7, now) == Fetched(7, cache.fetch(("x",), lambda: 8, now).at)


def test_editing_shows_what_was_asked_and_plans_anew(people: Cast, lab: Lab) -> None:
    request = planned_in_lab(lab, people)
    digest = request.plan_digest
    client = signed_in(people.ben)
    page = client.get(f"/requests/{request.pk}/edit/").content.decode()
    assert 'value="/ws/chat"' in page
    assert f'value="{load_balancer(lab, "int-chat")}" checked' in page
    assert f'value="{distribution(lab)}" selected' in page
    saved = client.post(
        f"/requests/{request.pk}/edit/", form_answers(lab, path_patterns="/ws/other")
    )
    assert saved["Location"] == f"/requests/{request.pk}/"
    request.refresh_from_db()
    assert request.state == "planning"
    assert request.last_editor == people.ben
    assert request.plan_digest != digest
    assert request.answers["path_patterns"] == ["/ws/other"]


def test_a_decided_request_is_not_edited_any_more(people: Cast, lab: Lab) -> None:
    request = planned_in_lab(lab, people)
    EndpointRequest.objects.filter(pk=request.pk).update(state="rejected")
    for answer in (
        signed_in(people.ana).get(f"/requests/{request.pk}/edit/", follow=True),
        signed_in(people.ana).post(f"/requests/{request.pk}/edit/", form_answers(lab), follow=True),
    ):
        assert "This request cannot be changed" in text_of(answer)
    rita = signed_in(people.rita).get(f"/requests/{request.pk}/edit/", follow=True)
    assert "Only members of the requesting team" in text_of(rita)


def test_what_people_type_is_shown_as_text(people: Cast, lab: Lab) -> None:
    nasty = "<script>alert(1)</script>"
    client = signed_in(people.ana)
    page = client.post(
        "/requests/new/", form_answers(lab, name=nasty, justification=nasty)
    ).content.decode()
    assert nasty not in page
    sent = client.post("/requests/new/", form_answers(lab, justification=nasty))
    assert nasty not in client.get(sent["Location"]).content.decode()


def test_the_form_asks_aws_nothing_once_the_account_is_known(people: Cast, lab: Lab) -> None:
    client = signed_in(people.ana)
    client.get("/requests/new/")
    asked = lab.get("/_lab/calls")["total"]
    assert asked
    client.get("/requests/new/")
    assert lab.get("/_lab/calls")["total"] == asked


def test_a_taken_name_is_said_on_leaving_its_field_and_when_the_form_is_sent(
    people: Cast, endpoint: Endpoint, lab: Lab
) -> None:
    taken = f"already has an endpoint named {endpoint.name}"
    said, client = form_answers(lab, name=endpoint.name), signed_in(people.ana)
    field = client.get("/requests/new/preview/", said | {"part": "name", "path_patterns": "x"})
    assert taken in text_of(field)
    assert "slash" not in text_of(field), "nothing about other fields"
    assert taken in text_of(client.post("/requests/new/", said))
    free = client.get("/requests/new/preview/", said | {"part": "name", "name": "another"})
    assert "field-error" not in free.content.decode()


def test_a_form_that_meets_an_ended_session_comes_back_filled_in_and_is_not_submitted(
    people: Cast, lab: Lab
) -> None:
    people.ana.set_password("only-for-this-test")
    people.ana.save()
    client = Client()
    said = form_answers(lab, "int-orders", carry_over=["functions", "key-groups"], name="NOT ok")
    said |= {"check_headers": "Authorization: Bearer abcdefghijkl", "unknown": "dropped"}
    refused = client.post("/requests/new/?name=linked", said)
    assert refused.status_code == 403
    assert "Your session has ended. Nothing was submitted" in text_of(refused)
    hidden = dict(refused.context["form"].initial) | {
        name: refused.context[name] for name in ("next", "answers")
    }
    wrong = client.post("/sign-in/", hidden | {"username": "ana", "password": "wrong"})
    assert wrong.context["answers"] == hidden["answers"]
    right = client.post("/sign-in/", hidden | {"username": "ana", "password": "only-for-this-test"})
    assert right["Location"] == "/requests/new/?name=linked"
    for _ in range(2):
        page = client.get(right["Location"])
        assert "Not submitted yet." in text_of(page)
        assert "a credential: Headers of the check." in text_of(page)
        form = page.context["form"]
        assert form.text("name") == "NOT ok"
        assert form.text("justification") == "Chat for the support desk"
        assert form.answers()["carry_over"] == ("functions", "key-groups")
        assert f'value="{said["target_arn"]}" checked' in page.content.decode()
        assert "abcdefghijkl" not in page.content.decode()
    assert "abcdefghijkl" not in str(dict(client.session))
    assert "dropped" not in str(dict(client.session))
    assert not EndpointRequest.objects.exists()
    assert "Not submitted yet" not in text_of(client.get("/tokens/"))
    client.post("/requests/new/", said | {"name": "orders", "check_headers": ""})
    assert EndpointRequest.objects.count() == 1
    assert "Not submitted yet" not in text_of(client.get("/requests/new/"))


def test_a_form_from_an_older_session_comes_back_too_and_can_be_discarded(
    people: Cast, lab: Lab
) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.ana)
    client.get("/requests/new/")
    stale = form_answers(lab, name="from-another-tab") | {"csrfmiddlewaretoken": "x" * 64}
    assert client.post("/requests/new/", stale)["Location"] == "/requests/new/"
    page = client.get("/requests/new/")
    assert page.context["form"].text("name") == "from-another-tab"
    fresh = {"csrfmiddlewaretoken": client.cookies["csrftoken"].value, "discard": "1"}
    assert client.post("/requests/new/", fresh)["Location"] == "/requests/new/"
    assert client.get("/requests/new/").context["form"].text("name") == ""
    assert not EndpointRequest.objects.exists()
    cross_site = client.post("/requests/new/", stale, headers={"Origin": "https://evil.example"})
    assert cross_site.status_code == 403
    assert client.get("/requests/new/").context["form"].text("name") == ""


@pytest.mark.parametrize(
    ("name", "text", "secret"),
    [
        ("check_path", "/ws?token=abcdefgh12345", True),
        ("check_path", "/socket.io/?EIO=4&transport=websocket", False),
        ("subprotocols", "graphql-ws, bearer, abcdefgh", True),
        ("subprotocols", "graphql-transport-ws", False),
        ("check_headers", "X-Tenant: demo\nX-Api-Key: abcdefgh", True),
        ("check_headers", "X-Tenant: demo\nX-Key: ${secret:API_KEY}\nhalf a line", False),
        ("origin_headers", "X-Origin-Verify: abcdefgh", True),
        ("origin_headers", "X-Origin-Verify: ${secret:ORIGIN}\nX-Tenant: demo", False),
        ("check_script", 'send {"type": "auth", "token": "abcdefgh12345"}', True),
        ("check_script", 'expect json $.type == "welcome"', False),
        ("justification", "Chat; password: hunter2hunter2", True),
        ("justification", "Chat for the support desk", False),
        (
            "target_arn",
            "arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/Int/50dC6c495",
            False,
        ),
    ],
)
def test_an_answer_that_may_be_a_credential_is_kept_nowhere(
    name: str, text: str, secret: bool
) -> None:
    assert holds_credential(name, text) is secret
    if name != "justification":
        marked = RequestForm({name: text}, teams=[]).fields[name].widget.attrs.get("data-draft")
        assert (marked == "never") is secret


@pytest.mark.parametrize(("who", "kept"), [("ana", True), ("tara", False)])
def test_answers_are_kept_for_who_gave_them_and_not_for_who_signs_in_instead(
    people: Cast, who: str, kept: bool
) -> None:
    form = signed_in(people.ana).get("/requests/new/").content.decode()
    whose = re.search(r'name="answers_of" value="(\d+)"', form)
    assert whose
    person = getattr(people, who)
    person.set_password("a long enough word")
    person.save()
    browser = Client()
    lost = {"team": "chat", "justification": "Chat's own plan", "answers_of": whose[1]}
    waiting = browser.post("/requests/new/", lost).context["answers"]
    sign_in = {"username": who, "password": "a long enough word", "answers": waiting}
    assert browser.post("/sign-in/?next=/requests/new/", sign_in).status_code == 302
    assert ("own plan" in browser.get("/requests/new/").content.decode()) == kept


def test_what_is_typed_never_stands_in_an_address(people: Cast, lab: Lab) -> None:
    said = form_answers(lab, check_headers="X-Api-Key: hunter2")
    client = signed_in(people.ana)
    page = client.get("/requests/new/").content.decode()
    assert 'hx-post="/requests/new/preview/?part=' in page
    for part in ("team", "account", "target", "name"):
        fragment = client.post(f"/requests/new/preview/?part={part}", said)
        assert fragment.status_code == 200
        assert "hx-get" not in page + fragment.content.decode()


def test_the_hint_on_the_path_follows_the_kind_of_app(people: Cast, lab: Lab) -> None:
    ana = signed_in(people.ana)
    said = form_answers(lab, path_patterns="/chat")
    hint = re.compile(r'<p class="help-text" id="id_path_patterns_helptext"[^>]*>([^<]*)</p>')
    told = {}
    for kind in ("", "ws", "socketio", "engineio"):
        page = ana.post("/requests/new/preview/?part=target", said | {"app_kind": kind})
        [told[kind]] = hint.findall(page.content.decode())
    assert told[""] == told["ws"]
    assert "for example /ws/chat, or /socket.io/* for Socket.IO" in told[""]
    assert "/socket.io/* unless your server sets the path option. A namespace" in told["socketio"]
    assert "/engine.io/* unless your server sets the path option." in told["engineio"]
    # Without script, the page itself says it.
    page = ana.post("/requests/new/", said | {"app_kind": "socketio", "preview": "1"})
    assert hint.findall(page.content.decode()) == [told["socketio"]]


def test_ana_changes_a_path_in_the_form_and_corrects_it_before_it_is_approved(
    people: Cast, lab: Lab
) -> None:
    endpoint, client = built(people), signed_in(people.ana)
    form = f"/endpoints/{endpoint.pk}/change/"
    shown = client.get(form)
    assert shown.status_code == 200
    assert endpoint.spec.path_patterns[0] in shown.content.decode()
    kept = {one: getattr(endpoint.spec, one) for one in ("name", "account_id", "distribution_id")}
    for fixed, value in kept.items():
        hidden = f'<input type="hidden" name="{fixed}" value="{value}"'
        assert hidden in shown.content.decode(), fixed
    answers = form_answers(lab, path_patterns="/ws/new") | kept
    sent = client.post(form, answers)
    change = EndpointRequest.objects.get(action="change")
    assert sent["Location"] == f"/requests/{change.pk}/"
    assert (change.endpoint, change.spec.path_patterns) == (endpoint, ("/ws/new",))
    assert change.spec.name == endpoint.spec.name

    put(change, State.AWAITING_APPROVAL)
    again = client.get(f"/requests/{change.pk}/edit/")
    assert again.status_code == 200
    assert "/ws/new" in again.content.decode()
    refused = client.post(f"/requests/{change.pk}/edit/", answers | {"path_patterns": "ws"})
    assert refused.status_code == 422
    edited = client.post(
        f"/requests/{change.pk}/edit/", answers | {"path_patterns": "/ws/newer"}, follow=True
    )
    change.refresh_from_db()
    assert change.spec.path_patterns == ("/ws/newer",), text_of(edited)


def test_the_form_of_a_change_opens_for_an_adopted_endpoint_and_for_no_other_team(
    people: Cast, lab: Lab
) -> None:
    endpoint = built(people)
    endpoint.spec_data |= {"origin_id": "chat-app", "vpc_origin_id": "vo_Cg6A14otX0DB1yyDQ6Nond"}
    endpoint.save()
    form = f"/endpoints/{endpoint.pk}/change/"
    assert signed_in(people.ana).get(form).status_code == 200
    assert signed_in(people.tara).get(form).status_code == 404
