"""The main job in a real Chromium, by two people: from the form over approval and live console to
an echo.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

from tests.journeys.conftest import LiveEndpoint, Product
from tests.journeys.until import until

pytestmark = pytest.mark.browser

QUIETLY = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
LINES = "[...document.querySelectorAll('#console .log > li')].map(line => Number(line.dataset.seq))"
PORTAL_IS_AWAY = r"net::ERR_|WebSocket connection to |^htmx:sendError"
ANSWERED_WITH_FAULTS = r"status of 422"
OVERTAKEN = re.compile(r"^htmx:(afterRequest|sendAbort), ")
"""What htmx says of a question that a newer one, or the next page, has overtaken."""
PATIENCE = 30_000
"""Milliseconds for a page to show what it shall: a bound for a busy machine, not a pause."""
BUILT_WITHIN = 180_000
"""Milliseconds: a run of ten seconds, of which the web process is away for some."""


class People:
    """Browsers of named people: each a context of its own, each page watched for complaints."""

    def __init__(self, product: Product, browser: Browser) -> None:
        self._product = product
        self._browser = browser
        self._expected = ""
        self.complaints: list[str] = []

    def browser_of(self, person: str, *, script: bool = True) -> Page:
        """A fresh browser in which this person has signed in through the form."""
        page = self.blank(script=script)
        page.goto(f"{self._product.url}/")
        page.get_by_label("Username").fill(person)
        page.get_by_label("Password").fill(self._product.password(person))
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        return page

    def blank(self, *, script: bool = True) -> Page:
        """A fresh browser without a session; it does not know the lab's certificate authority."""
        context = self._browser.new_context(java_script_enabled=script, ignore_https_errors=True)
        context.on("page", self._watch)
        return context.new_page()

    @contextmanager
    def expecting(self, complaint: str) -> Iterator[None]:
        """Meanwhile a browser may complain of this (a regular expression), and of nothing else."""
        self._expected = complaint
        yield
        self._expected = ""

    def _watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("console", lambda line: self._note(page, line))

    def _note(self, page: Page, line: ConsoleMessage) -> None:
        known = OVERTAKEN.search(line.text) or (
            self._expected and re.search(self._expected, line.text)
        )
        if line.type == "error" and not known:
            self.complaints.append(f"{page.url}: {line.text}")


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """One program; everybody has a context of their own in it."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIETLY))
        yield browser
        browser.close()


@pytest.fixture
def people(product: Product, browser: Browser) -> Iterator[People]:
    """Afterwards no page may have broken the content security policy or thrown an error."""
    people = People(product, browser)
    yield people
    for context in browser.contexts:
        context.close()
    assert not people.complaints, "\n".join(people.complaints)


def test_ana_asks_olga_approves_and_everybody_watches_it_come_alive(
    product: Product, unhurried: None, people: People
) -> None:
    ana = people.browser_of("ana")
    request_id = ask_for_orders(product, ana)
    ana.evaluate("window.sameDocument = true")

    # The page works out the plan by itself and shows who decides. Ana has no button, and no other
    # way either.
    expect(ana.locator("#standing-title")).to_have_text("Waiting for approval")
    review = ana.locator("#review")
    expect(review).to_contain_text("Olga Okafor")
    expect(review).to_contain_text("Security group: TCP 80 from CloudFront")
    expect(ana.get_by_role("link", name="Review this plan")).to_have_count(0)
    refused_for_ana(product, ana, request_id)

    olga = people.browser_of("olga")
    digest = approve(olga, product.api("ana").request(request_id)["plan_digest"])
    assert product.api("ana").request(request_id)["plan_digest"] == digest

    # Ana has not touched her page since. It shows the run live; then the web process is killed
    # under it.
    expect(ana.locator("#standing-title")).to_have_text("Building")
    expect(line_of(ana, "step.waiting", "vpc-origin")).to_be_visible()
    expect(ana.locator(".steps .waiting, .steps .doing").first).to_contain_text(
        "Create the VPC origin"
    )
    with people.expecting(PORTAL_IS_AWAY):
        status = ana.locator("[data-console-status]")
        killed = product.stack.kill("web")
        expect(status).not_to_have_text("Live updates on")
        until(lambda: product.stack.pid("web") not in (None, killed), "another web process")
        product.stack.wait_ready("web")
        expect(line_of(ana, "request.live")).to_be_visible(timeout=BUILT_WITHIN)
        expect(status).to_have_text("Live updates on")
    expect(ana.locator("#standing-title")).to_have_text("Live")
    live = product.api("ana").request(request_id)
    assert ana.evaluate(LINES) == list(range(1, live["last_seq"] + 1))
    assert ana.evaluate("window.sameDocument") is True

    see_the_proof_and_test_again(ana)
    talk_through_the_edge(product, people.blank(), live["endpoint"]["url"])


def test_the_form_works_without_script_and_says_what_is_missing(
    product: Product, people: People, live_endpoint: LiveEndpoint
) -> None:
    ana = people.browser_of("ana", script=False)

    # AWS may take longer than a page waits for it; without script it is the person who asks again.
    def offered() -> bool:
        ana.goto(f"{product.url}/requests/new/")
        return ana.locator("label.choice", has_text="pub-web").count() == 1

    def judged(words: str) -> None:
        def looked() -> bool:
            ana.get_by_role("button", name="Check this target").click()
            return words in ana.locator("#form-preflight").inner_text()

        until(looked, f"the preflight {words!r}")

    until(offered, "the account's targets, by loading the page again")
    ana.get_by_label("Purpose").fill("Asked without script.")
    ana.locator("label.choice", has_text="pub-web").click()
    judged("Not ready.")
    ana.locator("label.choice", has_text="int-chat").click()
    ana.get_by_label("Distribution", exact=True).select_option(product.distribution_id)
    judged("Ready to build, with 1 warning.")

    # Without a name and a path it is not sent; with them, everything typed before is still there.
    with people.expecting(ANSWERED_WITH_FAULTS):
        ana.get_by_role("button", name="Create plan").click()
        expect(ana.locator("#id_name_error")).to_be_visible()
    expect(ana.locator("#id_path_patterns_error")).to_be_visible()
    expect(ana.get_by_label("Purpose")).to_have_value("Asked without script.")
    ana.get_by_label("Name", exact=True).fill("scriptless")
    ana.get_by_label("Path", exact=True).fill("/scriptless")
    ana.get_by_role("button", name="Create plan").click()
    expect(ana.get_by_role("heading", name="scriptless", level=1)).to_be_visible()

    def planned() -> bool:
        ana.reload()
        return ana.locator("#standing-title").inner_text() == "Waiting for approval"

    until(planned, "the plan, by reloading")
    expect(ana.locator("#review")).to_contain_text("/scriptless")
    ana.get_by_text("Cancel the request").first.click()
    ana.get_by_role("button", name="Cancel the request").click()
    expect(ana.locator("#standing-title")).to_have_text("Cancelled")


def ask_for_orders(product: Product, ana: Page) -> str:
    """Fill in the form; what the portal says about a target comes while it is being chosen."""
    ana.get_by_role("link", name="Request an endpoint").first.click()
    ana.get_by_label("Purpose").fill("Order updates for the shop floor.")
    ana.locator("label.choice", has_text="pub-web").click()
    expect(ana.locator("#form-preflight")).to_contain_text("Not ready.")
    ana.locator("label.choice", has_text="int-orders").click()
    expect(ana.locator("#form-preflight")).to_contain_text("Ready to build, with 1 warning.")
    expect(ana.locator("#form-preflight")).to_contain_text("Fixed by this plan. No action needed.")
    ana.get_by_label("Distribution", exact=True).select_option(product.distribution_id)
    ana.get_by_label("Name", exact=True).fill("orders")
    ana.get_by_label("Path", exact=True).fill("/ws/orders")
    ana.get_by_role("button", name="Create plan").click()
    expect(ana.get_by_role("heading", name="orders", level=1)).to_be_visible()
    return urlsplit(ana.url).path.strip("/").split("/")[-1]


def refused_for_ana(product: Product, ana: Page, request_id: str) -> None:
    """The decision page tells her why not, and a forged decision tells her again."""
    reason = "Only an approver of the platform team can approve this request."
    other_tab = ana.context.new_page()
    other_tab.goto(f"{product.url}/approvals/{request_id}/")
    expect(other_tab.get_by_role("region", name="Your decision")).to_contain_text(reason)
    expect(other_tab.get_by_role("button", name="Approve plan")).to_have_count(0)
    protection = other_tab.locator("input[name=csrfmiddlewaretoken]").first.input_value()
    digest = product.api("ana").request(request_id)["plan_digest"]
    forged = ana.context.request.post(
        f"{product.url}/requests/{request_id}/decide/",
        form={"csrfmiddlewaretoken": protection, "decision": "approve", "digest": digest},
    )
    assert forged.status == 409
    assert reason in forged.text()
    assert product.api("ana").request(request_id)["state"] == "awaiting_approval"
    other_tab.close()


def approve(olga: Page, digest: str) -> str:
    """From the queue to the decision; the digest that was agreed to."""
    olga.get_by_role("link", name="Approvals").first.click()
    olga.get_by_role("link", name="Review: orders").click()
    expect(olga.get_by_role("region", name="Changes in AWS")).to_contain_text("/ws/orders")
    agreed = olga.locator("input[name=digest]").input_value()
    expect(olga.get_by_text("By approving, you accept these ways past CloudFront")).to_be_visible()
    olga.get_by_label("Reason").fill("The office network may reach orders.")
    olga.get_by_role("button", name=f"Approve plan {digest[:8]}").click()
    expect(olga.get_by_text("Approved. Building starts now.")).to_be_visible()
    return agreed


def line_of(page: Page, kind: str, step: str = "") -> Locator:
    """The console's line of an event."""
    return page.locator(f'#console li[data-kind="{kind}"][data-step="{step}"]')


def see_the_proof_and_test_again(ana: Page) -> None:
    """The endpoint's page: the handshake line by line, and another one on demand."""
    ana.get_by_role("link", name="View the endpoint, its handshake and how to connect").click()
    check = ana.locator("#check")
    expect(check).to_contain_text("HTTP/1.1 101 Switching Protocols")
    expect(check).to_contain_text(re.compile("sec-websocket-accept:", re.IGNORECASE))
    expect(check).to_contain_text("computed by the portal")
    expect(check).to_contain_text("requested by the portal")
    ana.get_by_role("button", name="Check now").click()
    expect(check).to_contain_text("requested by Ana Alves")
    expect(check).to_contain_text("HTTP/1.1 101 Switching Protocols")
    expect(ana.get_by_text("wscat").first).to_be_visible()


def talk_through_the_edge(product: Product, visitor: Page, endpoint_url: str) -> None:
    """The chat page comes through the edge too, from the public origin; its socket goes to the
    private one.
    """
    address = urlsplit(endpoint_url)
    label = str(address.hostname).split(".")[0]
    visitor.goto(f"https://{label}.edge.localhost:{product.stack.ports.edge_tls}/")
    visitor.get_by_label("WebSocket path on this host").fill(address.path)
    visitor.get_by_role("button", name="Connect").click()
    log = visitor.get_by_role("log")
    expect(log).to_contain_text("welcome")
    visitor.get_by_label("Message", exact=True).fill("hello through the edge")
    visitor.get_by_role("button", name="Send").click()
    expect(log.locator("li", has_text="echo")).to_contain_text("hello through the edge")
