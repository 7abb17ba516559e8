"""The pages in a real Chromium: the form answers as it is filled in, focus goes where it helps,
phones are enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, Locator, Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from checks.models import Check, PrivacyAudit, Probe
from checks.output.comparison import Cell
from checks.output.reports import Report
from portal.pages.templatetags import portal_format
from portal.people.models import Person
from portal.requests.lifecycle import State
from portal.requests.models import EndpointRequest
from provisioning.models import Endpoint
from tests.checks.seen import answered, live
from tests.lab.account import Lab
from tests.portal.endpoint_requests import ask, planned_in_lab
from tests.portal.people import Cast, bearer, enter_by_role, make_cast
from tests.portal.test_pages_endpoints import checked
from tests.portal.test_pages_uptime_and_privacy import was_audited

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WIDER_THAN_THE_SCREEN = (
    "document.documentElement.scrollWidth - document.documentElement.clientWidth"
)


@pytest.fixture
def people(transactional_db: None, empty_cache: None, lab: Lab) -> Cast:
    people = make_cast()
    enter_by_role()
    return people


@pytest.fixture
def page(browser: Browser, live_server: LiveServer, people: Cast) -> Iterator[Page]:
    """Ana's browser. A violation of the content security policy, or an error of a script, fails the
    test.
    """
    page = browser.new_context(base_url=live_server.url, reduced_motion="reduce").new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console", lambda line: wrong.append(line.text) if "Content Security" in line.text else None
    )
    enter(page, people.ana)
    yield page
    page.context.close()
    connections.close_all()  # those of the test's own context, which Playwright's loop keeps apart
    assert wrong == []


def enter(page: Page, person: Person) -> None:
    """From here on the browser is this person's."""
    session = Client()
    session.force_login(person)
    cookie = session.cookies["sessionid"].value
    page.context.clear_cookies()
    page.context.add_cookies(
        [{"name": "sessionid", "value": cookie, "domain": "localhost", "path": "/"}]
    )


def test_ana_fills_in_the_form_and_is_answered_as_she_goes(page: Page) -> None:
    page.goto("/requests/new/")
    page.get_by_label("pub-web").check()
    expect(page.locator("#form-preflight")).to_contain_text("Not ready.")
    page.get_by_label("int-orders").check()
    expect(page.locator("#form-preflight")).to_contain_text("In the plan")
    expect(page.get_by_label("int-orders")).to_be_focused()
    page.locator("main").get_by_role("button", name="Create plan").last.click()

    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    summary.get_by_role("link", name="Path").click()
    expect(page.get_by_label("Path", exact=True)).to_be_focused()
    expect(page.get_by_label("int-orders")).to_be_checked()
    page.get_by_label("Purpose").fill("Orders on the kitchen screens")
    page.get_by_label("Distribution", exact=True).select_option(index=1)
    page.get_by_label("Name", exact=True).fill("orders")
    page.get_by_label("Path", exact=True).fill("/ws/orders")
    page.get_by_label("Path", exact=True).press("Enter")
    expect(page.locator("#standing")).to_contain_text("Planning")


def test_an_answer_typed_later_is_judged_too_and_advanced_settings_stay_open(page: Page) -> None:
    page.goto("/requests/new/")
    page.get_by_label("int-admin").check()
    expect(page.locator("#form-preflight")).to_contain_text("8443")
    page.get_by_text("Advanced settings").click()
    expect(page.locator("#id_http_port_helptext")).to_contain_text("8443")
    page.get_by_label("HTTP port", exact=True).fill("9000")
    page.get_by_label("HTTPS port", exact=True).focus()
    expect(page.locator("#form-preflight")).to_contain_text("Not ready.")
    expect(page.get_by_label("HTTP port", exact=True)).to_have_value("9000")
    expect(page.get_by_label("HTTPS port", exact=True)).to_be_focused()


def test_relative_times_on_the_page_read_like_the_portals(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.goto("/requests/new/")
    now = timezone.now()
    monkeypatch.setattr(portal_format, "timezone", SimpleNamespace(now=lambda: now))
    for seconds in (0, 5, 59, 60, 3_599, 3_600, 86_399, 86_400, 200_000):
        for kind, words in (
            ("since", portal_format.since(now - timedelta(seconds=seconds))),
            ("lasting", portal_format.lasting(now - timedelta(seconds=seconds))),
            ("until", portal_format.until(now + timedelta(seconds=seconds))),
        ):
            said = page.evaluate("([kind, s]) => relativeWords(kind, s)", [kind, seconds])
            assert f">{said}<" in str(words), (kind, seconds)
    assert page.locator("time[data-relative=since]").count() == 1


def test_a_problem_leaves_the_summary_when_its_field_is_answered(page: Page) -> None:
    page.goto("/requests/new/")
    page.locator("main").get_by_role("button", name="Create plan").last.click()
    summary = page.get_by_role("alert")
    expect(summary).to_contain_text("Fix 5 problems")
    page.get_by_label("Distribution", exact=True).select_option(index=1)
    expect(summary).to_contain_text("Fix 4 problems")
    expect(page.locator("#id_distribution_id_error")).to_have_count(0)
    expect(page.locator("#id_distribution_id")).not_to_have_attribute("aria-invalid", "true")
    expect(page.locator("#id_justification_error")).to_have_count(1)
    page.get_by_label("int-orders").check()
    expect(summary).to_contain_text("Fix 3 problems")


def test_the_form_loses_nothing(page: Page, people: Cast) -> None:
    """Reload, an ended session, Back after an error and after sending; and what is not kept."""
    note, name = page.locator("#draft-note"), page.get_by_label("Name", exact=True)
    page.goto("/requests/new/")
    page.get_by_label("int-orders").check()
    name.fill("orders")
    page.get_by_text("Change what the check requests and sends").click()
    page.get_by_label("Messages of the check").fill("expect text hello")
    page.get_by_label("Headers of the check").fill("Cookie: sid=hunter2hunter2")
    page.get_by_label("Connect as").focus()
    expect(page.get_by_label("Headers of the check")).to_have_attribute("data-draft", "never")
    page.reload()
    expect(note.get_by_text("Your unsent answers are back.")).to_be_visible()
    expect(note.get_by_text("What may be a credential")).to_be_visible()
    expect(page.get_by_label("int-orders")).to_be_checked()
    expect(name).to_have_value("orders")
    expect(page.get_by_label("Messages of the check")).to_have_value("expect text hello")
    assert "hunter2" not in page.evaluate("JSON.stringify(sessionStorage)")

    page.context.clear_cookies(name="sessionid")
    page.get_by_label("pub-web").click()  # leads to the sign-in page, where check() would look on
    expect(page.get_by_role("alert")).to_contain_text("Your session has ended.")
    enter(page, people.ana)
    page.goto("/requests/new/")
    expect(page.get_by_label("pub-web")).to_be_checked()
    expect(name).to_have_value("orders")

    page.locator("main").get_by_role("button", name="Create plan").last.click()
    expect(page.get_by_role("alert")).to_be_focused()
    page.go_back()
    expect(name).to_have_value("orders")
    page.get_by_label("Purpose").fill("Orders on the kitchen screens")
    page.get_by_label("int-orders").check()
    page.get_by_label("Distribution", exact=True).select_option(index=1)
    page.get_by_label("Path", exact=True).fill("/ws/orders")
    page.locator("main").get_by_role("button", name="Create plan").last.click()
    expect(page.locator("#standing")).to_contain_text("Planning")
    page.go_back()
    expect(note.get_by_text("Submitting them again")).to_be_visible()
    expect(page.get_by_label("Path", exact=True)).to_have_value("/ws/orders")
    page.goto("/requests/new/")
    expect(name).to_have_value("")
    expect(note).to_be_hidden()

    name.fill("another")
    page.reload()
    expect(name).to_have_value("another")
    note.get_by_role("button", name="Discard answers").click()
    expect(name).to_have_value("")
    name.fill("for-nobody-else")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Password")).to_be_visible()
    assert "for-nobody-else" not in page.evaluate("JSON.stringify(sessionStorage)")


def test_a_late_answer_of_the_portal_replaces_nothing_that_was_typed_in_the_meantime(
    page: Page,
) -> None:
    held: list[Route] = []
    page.goto("/requests/new/")
    page.get_by_text("Change what the check requests and sends").click()
    page.get_by_label("Path", exact=True).fill("/ws/orders")
    page.get_by_label("Connect as").focus()
    expect(page.locator("#check-summary")).to_contain_text("/ws/orders")
    page.route("**/requests/new/preview/**", lambda route: held.append(route), times=1)
    with page.expect_request("**/requests/new/preview/**"):
        page.get_by_label("int-orders").check()
    messages = page.get_by_label("Messages of the check")
    messages.press_sequentially("expect text hello")
    with page.expect_response("**/requests/new/preview/**"):
        held[0].continue_()
    expect(page.locator("#form-preflight")).to_contain_text("In the plan")
    expect(messages).to_have_value("expect text hello")
    expect(messages).to_be_focused()
    expect(page.locator("#check-summary")).to_contain_text("hello")


def test_a_decision_takes_one_click_after_its_error(page: Page, lab: Lab, people: Cast) -> None:
    request = planned_in_lab(lab, people, target="int-orders")
    enter(page, people.olga)
    page.goto(f"/approvals/{request.pk}/")
    approve = page.get_by_role("button", name="Approve plan")
    approve.click()
    reason = page.get_by_label("Reason")
    expect(reason).to_have_attribute("aria-invalid", "true")
    reason.press_sequentially("Known offices.")
    expect(page.locator("#id_reason_error")).to_have_count(0)
    box = approve.bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_url(f"**/requests/{request.pk}/")


def test_the_page_follows_the_request_by_itself(page: Page, lab: Lab, people: Cast) -> None:
    request = planned_in_lab(lab, people)
    EndpointRequest.objects.filter(pk=request.pk).update(state="planning")
    page.goto(f"/requests/{request.pk}/")
    expect(page.locator("#standing")).to_contain_text("Planning")
    EndpointRequest.objects.filter(pk=request.pk).update(state="awaiting_approval")
    expect(page.locator("#standing")).to_contain_text("Waiting for approval")
    expect(page.locator("#review")).to_contain_text("Changes in AWS")
    expect(page.locator("#announce")).to_contain_text("team-chat: Waiting for approval.")
    expect(page.get_by_role("link", name="Change the request")).to_be_visible()


def test_the_result_of_a_check_takes_the_focus_and_all_that_depends_on_it_follows(
    page: Page, endpoint: Endpoint
) -> None:
    checked(endpoint, live(), minutes_ago=9)
    page.goto(f"/endpoints/{endpoint.pk}/?uptime=7d")
    expect(page.locator("#uptime")).to_contain_text("No failures.")
    page.get_by_role("button", name="Check now").press("Enter")
    expect(page.locator("#check")).to_contain_text("Making a WebSocket handshake")
    expect(page.locator("#check")).to_be_focused()
    refused = answered("HTTP/1.1 403 Forbidden\r\nServer: app\r\n")
    finish(Check.objects.get(finished_at=None), checked(endpoint, refused))
    expect(page.locator("#check-title")).to_have_text("Handshake failing")
    expect(page.locator("#check")).to_be_focused()
    expect(page.locator("#announce")).to_contain_text("Check finished: ")
    expect(page.locator("#uptime")).to_contain_text("1 of 2 checks passed in the last 7 days")
    expect(page.locator("#uptime")).to_contain_text("Last failure just now")
    expect(page.locator("#check-history li")).to_have_count(2)
    page.get_by_role("link", name="Help").focus()
    page.evaluate("document.getElementById('check-now').form.requestSubmit()")
    expect(page.locator("#check")).to_contain_text("Making a WebSocket handshake")
    expect(page.get_by_role("link", name="Help")).to_be_focused()


def finish(running: Check, as_seen: Check) -> None:
    """What a worker does: the running check has found what the other one found."""
    as_seen.delete()
    as_seen.pk = running.pk
    as_seen.save()


def test_audits_and_probes_take_the_focus_too(page: Page, endpoint: Endpoint) -> None:
    page.goto(f"/endpoints/{endpoint.pk}/privacy/")
    expect(page.locator("#audits")).to_contain_text("No audits yet.")
    page.get_by_role("button", name="Audit now").press("Enter")
    expect(page.locator("#privacy")).to_contain_text("Reading the configuration")
    expect(page.locator("#privacy")).to_be_focused()
    PrivacyAudit.objects.all().delete()
    was_audited(endpoint, "fail")
    expect(page.locator("#privacy")).to_contain_text("Something other than CloudFront")
    expect(page.locator("#privacy")).to_be_focused()
    expect(page.locator("#announce")).to_contain_text("Audit finished: ")
    expect(page.locator("#audits tbody tr")).to_have_count(1)

    page.goto(f"/endpoints/{endpoint.pk}/probes/")
    page.get_by_role("button", name="Run: ").first.press("Enter")
    expect(page.locator("#probe")).to_contain_text("Running")
    expect(page.locator("#probe")).to_be_focused()
    report = Report(ok=True, headline="All the same.").to_dict()
    Probe.objects.update(finished_at=timezone.now(), ok=True, report=report)
    expect(page.locator("#announce")).to_contain_text("Probe finished: All the same.")
    expect(page.locator("#probe")).to_be_focused()


def test_nothing_is_wider_than_a_phone(page: Page, lab: Lab, people: Cast) -> None:
    request = planned_in_lab(lab, people, target="int-orders")
    blocked = planned_in_lab(lab, people, target="pub-web", name="other")
    enter(page, people.olga)
    page.set_viewport_size({"width": 390, "height": 850})
    for path in (
        "/",
        "/requests/",
        f"/requests/{request.pk}/",
        f"/requests/{blocked.pk}/",
        "/approvals/",
        f"/approvals/{request.pk}/",
        "/tokens/",
        "/help/",
        "/help/verdicts/WSE-504-SG/",
        "/no/such/page/",
    ):
        page.goto(path)
        assert page.evaluate(WIDER_THAN_THE_SCREEN) <= 0, path
    enter(page, people.ana)
    page.goto("/requests/new/")
    page.get_by_label("int-orders").check()
    expect(page.locator("#form-preflight")).to_contain_text("In the plan")
    page.get_by_text("Advanced settings").click()
    assert page.evaluate(WIDER_THAN_THE_SCREEN) <= 0


def test_a_header_trace_fits_its_card_on_every_screen(page: Page, endpoint: Endpoint) -> None:
    long = "permessage-deflate;client_max_window_bits;server_no_context_takeover;x=" + "y" * 90
    cells = (Cell("info", long), Cell("good", "forwarded"), Cell("bad", long))
    report = Report(
        ok=False,
        headline="Lost on the way: Sec-WebSocket-Extensions.",
        columns=("Sent", "By the policy", "As the app received it"),
        rows=(("Sec-WebSocket-Extensions", cells), ("X-Amz-Cf-Id", cells)),
    ).to_dict()
    now = timezone.now()
    Probe.objects.create(
        endpoint=endpoint,
        kind="journey",
        requested_at=now,
        due_at=now,
        finished_at=now,
        ok=False,
        report=report,
    )
    beyond = "[...document.querySelectorAll('#probe table, #probe table :is(td, th)')].map(part =>"
    beyond += " part.getBoundingClientRect().right - document.querySelector('#probe')"
    beyond += ".getBoundingClientRect().right)"
    page.goto(f"/endpoints/{endpoint.pk}/probes/")
    for width in (320, 390, 680, 1000, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert max(page.evaluate(beyond)) <= 0, width
        assert page.evaluate(WIDER_THAN_THE_SCREEN) <= 0, width


def test_forced_colors_keep_the_current_tab_and_the_state_of_steps(page: Page) -> None:
    page.emulate_media(forced_colors="active")
    page.goto("/requests/")
    border = "part => getComputedStyle(part).borderBottomColor"
    tabs = page.locator("header nav a")
    current = page.locator("header nav a[aria-current]").evaluate(border)
    assert [tab.evaluate(border) for tab in tabs.all()].count(current) == 1
    shapes = page.evaluate(
        """() => ["todo", "done", "waiting", "failed", "undone"].map(state => {
            const list = document.createElement("ol");
            list.className = "steps";
            list.append(document.createElement("li"));
            list.firstChild.className = state;
            document.querySelector("main").append(list);
            const mark = getComputedStyle(list.firstChild, "::before");
            return [mark.borderTopWidth, mark.borderTopStyle, mark.borderRadius].join(" ");
        })"""
    )
    assert len(set(shapes)) == len(shapes), shapes


def test_the_keyboard_reaches_the_content_first(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()


@pytest.mark.parametrize("by_token", [True, False], ids=["a token", "the session"])
def test_swagger_ui_calls_the_api(page: Page, people: Cast, by_token: bool) -> None:
    request = ask(people.ana, people.chat)
    if by_token:
        page.context.clear_cookies()
    page.goto("/api/v1/docs/try")
    if by_token:
        call(page, "getRequest", request_id=str(request.pk))
        expect(answer(page, "getRequest")).to_contain_text("401")
        token = bearer(people.ana)["Authorization"].removeprefix("Bearer ")
        page.get_by_role("button", name="Authorize", exact=True).first.click()
        page.get_by_label("auth-bearer-value").fill(token)
        scheme = page.locator(".auth-container").filter(has_text="bearer")
        scheme.get_by_role("button", name="Apply credentials").click()
        scheme.get_by_role("button", name="Close").click()
    call(page, "getRequest", request_id=str(request.pk))
    expect(answer(page, "getRequest")).to_contain_text("200")
    expect(answer(page, "getRequest")).to_contain_text(f'"id": "{request.pk}"')
    call(page, "cancelRequest", request_id=str(request.pk))
    expect(answer(page, "cancelRequest")).to_contain_text('"state": "cancelled"')
    request.refresh_from_db()
    assert request.state == State.CANCELLED


def operation(page: Page, name: str) -> Locator:
    return page.locator(f'.opblock[id$="-{name}"]')


def call(page: Page, name: str, **parameters: str) -> None:
    """Try an operation out."""
    shown = operation(page, name)
    if "is-open" not in (shown.get_attribute("class") or ""):
        shown.locator(".opblock-summary-control").click()
    for parameter, value in parameters.items():
        shown.locator(f'[data-param-name="{parameter}"] input').fill(value)
    shown.get_by_role("button", name="Execute").click()


def answer(page: Page, name: str) -> Locator:
    """What the portal answered, not the examples of the document."""
    return operation(page, name).locator(".live-responses-table")
