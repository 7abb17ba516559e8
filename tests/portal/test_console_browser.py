"""The console's script in a real Chromium: nothing lost, nothing twice, and always said how it is
connected.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from a2wsgi import WSGIMiddleware
from channels.routing import ProtocolTypeRouter
from django.core.wsgi import get_wsgi_application
from django.db import connections
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, Page, Route, WebSocketRoute, expect

from portal.console.routing import websocket_application
from portal.people.models import Membership
from portal.requests.lifecycle import State
from portal.requests.models import EndpointRequest
from provisioning.models import Event, EventStream
from tests.portal.console_server import serving
from tests.portal.endpoint_requests import ask, happen, put
from tests.portal.people import Cast, make_cast

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SEQS = "[...document.querySelectorAll('#console .log > li')].map(line => Number(line.dataset.seq))"
TWO_FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture
def people(transactional_db: None) -> Cast:
    return make_cast()


@pytest.fixture
def site(transactional_db: None, redis_url: str, settings: Any) -> Iterator[str]:
    """The whole portal as portal.asgi serves it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings.PORTAL_URL = f"http://127.0.0.1:{port}"
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [{"address": redis_url, "socket_connect_timeout": 2}]},
        }
    }
    wsgi: Any = get_wsgi_application()
    http = WSGIMiddleware(wsgi, workers=4)
    with serving(ProtocolTypeRouter({"http": http, "websocket": websocket_application()}), port):
        yield settings.PORTAL_URL
    http.executor.shutdown()


@pytest.fixture
def page(browser: Browser, site: str, people: Cast) -> Iterator[Page]:
    """Ana's browser. A violation of the content security policy, or an error of a script, fails the
    test.
    """
    session = Client()
    session.force_login(people.ana)
    context = browser.new_context(reduced_motion="reduce")
    context.add_cookies(
        [{"name": "sessionid", "value": session.cookies["sessionid"].value, "url": site}]
    )
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console", lambda line: wrong.append(line.text) if "Content Security" in line.text else None
    )
    yield page
    context.close()
    connections.close_all()  # those of the test's own context, which Playwright's loop keeps apart
    assert wrong == []


def open_console(page: Page, site: str, request: EndpointRequest) -> None:
    page.goto(f"{site}/requests/{request.pk}/")
    expect(status(page)).to_have_text("Live updates on")


def status(page: Page) -> Any:
    return page.locator("[data-console-status]")


def spoken(page: Page) -> Any:
    """What a screen reader announces of the log."""
    return page.locator("#console p[role=status].visually-hidden")


def test_lines_come_by_themselves_and_go_on_where_the_page_ended(
    page: Page, site: str, people: Cast
) -> None:
    request = ask(people.ana, people.chat)
    happen(request, "<script>alert(1)</script> & so on", times=2)
    open_console(page, site, request)
    happen(request, "<img src=x onerror=alert(1)>", times=3)
    expect(page.locator("#L6")).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.evaluate(SEQS) == [1, 2, 3, 4, 5, 6]
    happen(request, "The handshake went through.", state=State.LIVE)
    expect(spoken(page)).to_have_text("State: Live.")
    expect(status(page)).to_have_text("Live updates on")
    happen(request, "Tested again.")
    expect(page.locator("#L8")).to_be_visible()
    assert page.evaluate(SEQS) == list(range(1, 9))


def test_a_lost_connection_is_said_and_resumed_without_loss(
    page: Page, site: str, people: Cast
) -> None:
    request, routes = ask(people.ana, people.chat), []

    def pass_on(route: WebSocketRoute) -> None:
        routes.append(route)
        route.connect_to_server()

    page.route_web_socket(re.compile("/ws/requests/"), pass_on)
    open_console(page, site, request)
    routes[0].close(code=1012, reason="restart")
    expect(status(page)).to_have_text("Reconnecting…")
    happen(request, times=5)
    expect(page.locator("#L6")).to_be_visible()
    expect(status(page)).to_have_text("Live updates on")
    assert page.evaluate(SEQS) == list(range(1, 7))


def test_a_gap_is_fetched_and_a_repetition_ignored(page: Page, site: str, people: Cast) -> None:
    request = ask(people.ana, people.chat)

    def tamper(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def on_message(message: str | bytes) -> None:
            if b'"seq":3' in (message if isinstance(message, bytes) else message.encode()):
                return
            route.send(message)
            route.send(message)

        server.on_message(on_message)

    page.route_web_socket(re.compile("/ws/requests/"), tamper)
    open_console(page, site, request)
    happen(request, times=6)
    expect(page.locator("#L7")).to_be_visible()
    assert page.evaluate(SEQS) == list(range(1, 8))


def withhold_a_line(page: Page, held: list[Route]) -> list[WebSocketRoute]:
    """The first connection never brings line 2, and fetches wait in `held` for their answer. Gives
    the connections.
    """
    connections: list[WebSocketRoute] = []

    def pass_on(route: WebSocketRoute) -> None:
        connections.append(route)
        server = route.connect_to_server()
        if len(connections) == 1:
            server.on_message(
                lambda message: None if '"seq":2,' in str(message) else route.send(message)
            )

    page.route_web_socket(re.compile("/ws/requests/"), pass_on)
    page.route(re.compile(r"/events\?after="), lambda route: held.append(route))
    return connections


def fetch_begun(page: Page, held: list[Route]) -> Route:
    for _ in range(1000):
        if held:
            return held.pop()
        page.wait_for_timeout(20)
    raise AssertionError("the console asked for nothing")


def test_what_comes_during_a_fetch_that_fails_is_not_lost(
    page: Page, site: str, people: Cast
) -> None:
    request, held = ask(people.ana, people.chat), list[Route]()
    connections = withhold_a_line(page, held)
    open_console(page, site, request)
    happen(request, times=2)
    fetch = fetch_begun(page, held)
    happen(request, times=2)
    fetch.abort()
    expect(page.locator("#L5")).to_be_visible()
    assert page.evaluate(SEQS) == [1, 2, 3, 4, 5]
    expect(status(page)).to_have_text("Live updates on")
    assert len(connections) == 2, "it went on from its last line"


def test_a_fetch_that_nobody_answers_is_given_up(page: Page, site: str, people: Cast) -> None:
    request, held = ask(people.ana, people.chat), list[Route]()
    page.add_init_script(
        "const usual = AbortSignal.timeout; AbortSignal.timeout = (wait) => "
        "usual.call(AbortSignal, wait / 50);"
    )
    withhold_a_line(page, held)
    open_console(page, site, request)
    happen(request, times=2)
    fetch_begun(page, held)
    expect(page.locator("#L3")).to_be_visible()
    assert page.evaluate(SEQS) == [1, 2, 3]


@pytest.mark.parametrize("answered", [True, False])
def test_the_last_line_comes_also_where_it_is_still_being_fetched(
    page: Page, site: str, people: Cast, answered: bool
) -> None:
    request, held = ask(people.ana, people.chat), list[Route]()
    connections = withhold_a_line(page, held)
    open_console(page, site, request)
    happen(request, times=2)
    fetch = fetch_begun(page, held)
    happen(request, "Use /chat.", state=State.REJECTED)
    expect(spoken(page)).to_have_text("State: Rejected.")
    expect(status(page)).to_have_text("Live updates on")
    if answered:
        fetch.continue_()
        fetch_begun(page, held).continue_()
    else:
        fetch.abort()
    expect(page.locator("#L4")).to_contain_text("Use /chat.")
    expect(status(page)).to_have_text("Log complete")
    assert page.evaluate(SEQS) == [1, 2, 3, 4]
    assert len(connections) == (1 if answered else 2)


def test_polling_ends_when_what_had_settled_is_over(page: Page, site: str, people: Cast) -> None:
    request = ask(people.ana, people.chat)
    asked, answered = list[str](), list[str]()
    page.route_web_socket(re.compile("/ws/requests/"), lambda route: route.close(code=1006))
    page.on("request", lambda one: asked.append(one.url) if "/events?" in one.url else None)
    page.on("response", lambda one: answered.append(one.url) if "/events?" in one.url else None)
    page.on(
        "requestfailed", lambda one: answered.append(one.url) if "/events?" in one.url else None
    )
    page.clock.install()
    page.goto(f"{site}/requests/{request.pk}/")
    seq = happen(request, state=State.BLOCKED)
    for _ in range(6):
        page.clock.run_for(4000)
    expect(page.locator(f"#L{seq}")).to_be_visible()
    expect(status(page)).to_have_text("Polling")
    happen(request, state=State.PLANNING)
    page.clock.run_for(5000)
    expect(status(page)).to_have_text("Polling")
    for settled in (State.BLOCKED, State.CANCELLED):
        seq = happen(request, state=settled)
        page.clock.run_for(5000)
        expect(page.locator(f"#L{seq}")).to_be_visible()
    # A poll may have read the state just before it changed; the next one ends the polling. The
    # clock stands still while an answer is on its way, however slow the machine.
    for _ in range(3):
        until_answered(page, asked, answered)
        so_far = len(asked)
        page.clock.run_for(60_000)
        until_answered(page, asked, answered)
        if len(asked) == so_far:
            expect(status(page)).to_have_text("Log complete")
            return
    pytest.fail("it polls although nothing more can come")


def until_answered(page: Page, asked: list[str], answered: list[str]) -> None:
    """Wait in real time until no poll is under way."""
    for _ in range(600):
        page.wait_for_timeout(100)
        if len(answered) >= len(asked):
            return
    pytest.fail("a poll was never answered")


def test_without_sockets_it_polls(page: Page, site: str, people: Cast) -> None:
    request = ask(people.ana, people.chat)
    page.route_web_socket(re.compile("/ws/requests/"), lambda route: route.close(code=1006))
    page.clock.install()
    page.goto(f"{site}/requests/{request.pk}/")
    for _ in range(6):
        page.clock.run_for(4000)
    expect(status(page)).to_have_text("Polling")
    happen(request, times=3)
    page.clock.run_for(5000)
    expect(page.locator("#L4")).to_be_visible()
    assert page.evaluate(SEQS) == [1, 2, 3, 4]
    happen(request, state=State.REJECTED)
    page.clock.run_for(5000)
    expect(status(page)).to_have_text("Log complete")


def test_who_may_not_see_it_any_more_is_told(page: Page, site: str, people: Cast) -> None:
    request, routes = ask(people.ana, people.chat), []

    def pass_on(route: WebSocketRoute) -> None:
        routes.append(route)
        route.connect_to_server()

    page.route_web_socket(re.compile("/ws/requests/"), pass_on)
    open_console(page, site, request)
    Membership.objects.all().delete()
    routes[0].close(code=1012)
    expect(status(page)).to_have_text("Disconnected")
    expect(page.locator("#console .note.bad")).to_contain_text("belongs to another team")
    assert len(routes) == 2, "it does not try again"


def test_following_filtering_and_searching(page: Page, site: str, people: Cast) -> None:
    request = ask(people.ana, people.chat)
    happen(request, "Waiting for AWS.", times=60)
    open_console(page, site, request)
    log = page.locator("#console .log")
    follow = page.get_by_role("button", name="Follow")
    expect(follow).to_have_text("Following")
    assert log.evaluate("log => log.scrollHeight - log.scrollTop - log.clientHeight") < 24
    wide = page.viewport_size
    assert wide is not None
    page.set_viewport_size({"width": 240, "height": 600})
    at_the_end = (
        "log => innerWidth < 300 && log.scrollHeight - log.scrollTop - log.clientHeight < 24"
    )
    page.wait_for_function(at_the_end, arg=log.element_handle())
    expect(follow).to_have_text("Following")
    page.set_viewport_size(wide)
    page.evaluate(
        TWO_FRAMES
    )  # that it is wide again has been told by then, and does not come between
    log.evaluate("log => { log.scrollTop = 0; }")
    expect(follow).to_have_text("Follow")
    happen(request, times=3)
    expect(follow).to_have_text("Follow (3 new lines)")
    assert log.evaluate("log => log.scrollTop") == 0
    page.keyboard.press("f")
    expect(follow).to_have_text("Follow (3 new lines)")
    log.press("f")
    expect(follow).to_have_text("Following")
    assert log.evaluate("log => log.scrollHeight - log.scrollTop - log.clientHeight") < 24

    page.get_by_label("Step").select_option("vpc-origin")
    expect(page.locator("#L1")).to_be_hidden()
    expect(page.locator("#L2")).to_be_visible()
    page.get_by_label("Step").select_option("")
    page.keyboard.press("Escape")
    page.get_by_label("Show").select_option("errors")
    expect(page.locator("#console .log > li:visible")).to_have_count(0)
    page.get_by_label("Show").select_option("")
    expect(page.locator("#console .log > li:visible")).to_have_count(64)


def fill_log(request: EndpointRequest, last: int) -> None:
    """Lines up to this number, in one go."""
    stream = EventStream.objects.get(name=request.stream)
    now = timezone.now()
    Event.objects.bulk_create(
        Event(
            stream=stream,
            seq=seq,
            at=now,
            kind="step.waiting",
            level="info",
            step="vpc-origin",
            text=f"Waiting for AWS, look {seq}." + (" Needle." if seq % 1000 == 7 else ""),
        )
        for seq in range(stream.last_seq + 1, last + 1)
    )
    EventStream.objects.filter(name=request.stream).update(last_seq=last)


def test_a_long_log_is_searched_without_a_pause_and_shown_in_parts(
    page: Page, site: str, people: Cast
) -> None:
    request = ask(people.ana, people.chat)
    fill_log(request, 5200)
    open_console(page, site, request)
    lines, search = page.locator("#console .log > li"), page.get_by_label("Search lines")
    expect(lines).to_have_count(500)
    page.get_by_role("link", name="Earlier lines").click()
    expect(page.locator("#L4201")).to_be_attached()
    expect(page.locator("#L4701")).to_be_in_viewport()

    count = page.locator("[data-console-controls] [role=status]")
    search.fill("needle")
    expect(count).to_have_text("6 of 6")
    expect(page.locator("#L5007.current")).to_be_in_viewport()
    page.get_by_role("button", name="Previous match").click()
    expect(page.locator("#L4007.current")).to_be_in_viewport()
    expect(count).to_have_text("5 of 6")
    search.press("Enter")
    search.press("Enter")
    expect(page.locator("#L7.current")).to_be_in_viewport()
    expect(count).to_have_text("1 of 6")
    assert lines.count() <= 1500
    pauses = page.evaluate(
        """() => ["look", "look 5", "look 51", "nothing", "needle"].map(words => {
            const input = document.querySelector("#console input[type=search]");
            input.value = words;
            const began = performance.now();
            input.dispatchEvent(new Event("input"));
            document.querySelector("#console .log").getBoundingClientRect();
            return performance.now() - began;
        })"""
    )
    print("searching 5,200 lines:", pauses)
    assert min(pauses) < 100, f"milliseconds: {pauses}"
    search.fill("no such line")
    expect(count).to_have_text("No matches")
    expect(page.get_by_role("button", name="Next match")).to_be_disabled()

    happen(request, "Another needle.")
    follow = page.get_by_role("button", name="Follow")
    expect(follow).to_have_text("Follow (1 new line)")
    search.fill("needle")
    expect(count).to_have_text("7 of 7")
    page.get_by_role("button", name="Previous match").click()
    expect(count).to_have_text("6 of 7")
    search.fill("")
    expect(page.get_by_role("button", name="Next match")).to_be_hidden()
    follow.click()
    expect(follow).to_have_text("Following")
    expect(page.locator("#console .log > li").last).to_have_id("L5201")
    log = page.locator("#console .log")
    assert log.evaluate("log => log.scrollHeight - log.scrollTop - log.clientHeight") < 24


@pytest.mark.parametrize("line", [1100, 3])
def test_a_link_to_a_line_shows_it_wherever_it_is(
    page: Page, site: str, people: Cast, line: int
) -> None:
    request = ask(people.ana, people.chat)
    fill_log(request, 2200)
    page.goto(f"{site}/requests/{request.pk}/#L{line}")
    expect(page.locator(f"#L{line}.linked")).to_be_in_viewport()
    expect(status(page)).to_have_text("Live updates on")
    happen(request)
    expect(page.get_by_role("button", name="Follow")).to_have_text("Follow (1 new line)")
    expect(page.locator(f"#L{line}")).to_be_in_viewport()
    page.evaluate("location.hash = '#L1'")
    expect(page.locator("#L1.linked")).to_be_in_viewport()
    page.evaluate("location.hash = '#L999999'")
    expect(page.locator("#L1.linked")).to_be_in_viewport()


def test_without_scripts_earlier_lines_are_a_page_of_their_own(site: str, people: Cast) -> None:
    request = ask(people.ana, people.chat)
    fill_log(request, 1100)
    client = Client()
    client.force_login(people.ana)
    newest = client.get(f"/requests/{request.pk}/").content.decode()
    assert 'href="?before=601#console"' in newest
    earlier = client.get(f"/requests/{request.pk}/?before=601").content.decode()
    assert [number in earlier for number in ('id="L101"', 'id="L600"', 'id="L601"')] == [1, 1, 0]
    for odd in ("x", "9" * 30):
        assert client.get(f"/requests/{request.pk}/?before={odd}").status_code == 200


def test_a_hidden_tab_rests_and_catches_up(page: Page, site: str, people: Cast) -> None:
    request = ask(people.ana, people.chat)
    page.clock.install()
    open_console(page, site, request)
    hide = (
        "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, "
        "configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')); }"
    )
    page.evaluate(hide, True)
    page.clock.run_for(6000)
    expect(status(page)).to_contain_text("Paused")
    happen(request, times=4)
    page.evaluate(hide, False)
    expect(page.locator("#L5")).to_be_visible()
    assert page.evaluate(SEQS) == [1, 2, 3, 4, 5]
    put(request, State.CANCELLED)
