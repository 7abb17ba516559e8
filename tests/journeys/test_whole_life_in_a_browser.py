"""The life of an endpoint after it is live, by two people in a real Chromium: changed, moved to
another target, altered in AWS by hand and restored, removed, restored, removed for good.
"""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Product
from tests.journeys.team_account import Target
from tests.journeys.test_main_job_in_a_browser import (
    BUILT_WITHIN,
    People,
    browser,
    line_of,
    people,
)

__all__ = ["browser", "people"]
pytestmark = pytest.mark.browser

PATH, NEW_PATH = "/browser-life", "/browser-life/v2"


def test_ana_changes_moves_restores_and_removes_her_endpoint(
    product: Product, people: People
) -> None:
    account = product.account
    first, second = (
        account.make_target(name, admits_cloudfront=False) for name in ("int-page", "int-page-2")
    )
    before = account.distribution()["DistributionConfig"]
    page_of_endpoint = live_endpoint_of(product, first)
    ana, olga = people.browser_of("ana"), people.browser_of("olga")

    # The path, in the form.
    ana.goto(page_of_endpoint)
    ana.get_by_role("link", name="Change", exact=True).click()
    ana.get_by_label("Path", exact=True).fill(NEW_PATH)
    ask(ana)
    carried_out(olga, ana, NEW_PATH, "Live")
    assert (len(account.behaviors_of(NEW_PATH)), account.behaviors_of(PATH)) == (1, [])

    # Another target: the console shows the replacement.
    ana.goto(page_of_endpoint)
    ana.get_by_role("link", name="Change", exact=True).click()
    ana.get_by_role("button", name="Refresh").click()
    ana.locator("label.choice", has=ana.get_by_text("int-page-2", exact=True)).click()
    ask(ana)
    carried_out(olga, ana, "int-page-2", "Live")
    expect(line_of(ana, "step.ready", "old-vpc-origin")).to_be_visible()
    assert account.vpc_origins_of(first) == []
    assert len(account.vpc_origins_of(second)) == 1

    # Somebody alters the behavior in AWS; the page shows it, and Ana has it restored.
    [approved] = account.behaviors_of(NEW_PATH)
    loosen(product)
    ana.goto(page_of_endpoint)
    ana.get_by_role("button", name="Compare now").click()
    restore = ana.get_by_role("button", name="Request to restore what was approved")
    expect(restore).to_be_visible()
    restore.click()
    carried_out(olga, ana, NEW_PATH, "Live")
    assert account.behaviors_of(NEW_PATH) == [approved]

    # Removed, and back within the grace period; then removed for good.
    remove(ana, page_of_endpoint, days="30")
    carried_out(olga, ana, NEW_PATH, "Out of service")
    assert account.behaviors_of(NEW_PATH) == []
    ana.get_by_role("button", name="Restore the endpoint").first.click()
    expect(ana.locator("#standing-title")).to_have_text("Restored", timeout=BUILT_WITHIN)
    assert len(account.behaviors_of(NEW_PATH)) == 1

    remove(ana, page_of_endpoint, days="0")
    carried_out(olga, ana, NEW_PATH, "Removed")
    for target in (first, second):
        assert account.vpc_origins_of(target) == []
        assert account.ingress_of(target.group) == []
    after = account.distribution()["DistributionConfig"]
    assert ids(after) == ids(before)


def ids(config: dict[str, object]) -> list[str]:
    """The origins of a distribution."""
    return [one["Id"] for one in config["Origins"]["Items"]]  # type: ignore[index]


def live_endpoint_of(product: Product, target: Target) -> str:
    """The page of an endpoint that was asked for over the API."""
    ana, olga = product.api("ana"), product.api("olga")
    asked = ana.ask(**product.answers("browser-life", target, PATH))
    planned = ana.await_state(asked["id"], "awaiting_approval")
    assert olga.approve(planned).status_code == 200
    live = ana.await_state(asked["id"], "live")
    return f"{product.url}/endpoints/{live['endpoint']['id']}/"


def ask(ana: Page) -> None:
    """Send the form of a change."""
    ana.get_by_label("Purpose").fill("A new version of the app.")
    ana.get_by_role("button", name="Create plan").click()


def carried_out(olga: Page, ana: Page, shows: str, state: str) -> None:
    """Olga approves the plan that Ana's page shows; Ana sees it come to its end."""
    expect(ana.locator("#standing-title")).to_have_text("Waiting for approval")
    olga.goto(ana.url.replace("/requests/", "/approvals/"))
    expect(olga.get_by_role("region", name="Changes in AWS")).to_contain_text(shows)
    olga.get_by_role("button", name=re.compile("^Approve plan")).click()
    expect(olga.get_by_text("Approved. Building starts now.")).to_be_visible()
    expect(ana.locator("#standing-title")).to_have_text(state, timeout=BUILT_WITHIN)


def remove(ana: Page, page_of_endpoint: str, *, days: str) -> None:
    """Ask for the removal on the endpoint's page."""
    ana.goto(page_of_endpoint)
    ana.get_by_role("link", name="Remove", exact=True).click()
    ana.get_by_label("Days to keep it restorable").fill(days)
    ana.get_by_label("Reason").fill("The app is switched off.")
    ana.get_by_role("button", name="Request the removal").click()


def loosen(product: Product) -> None:
    """Somebody lets viewers come without TLS, by hand."""
    cloudfront, distribution = product.account.cloudfront, product.account.distribution_id
    reply = cloudfront.get_distribution_config(Id=distribution)
    config = reply["DistributionConfig"]
    [behavior] = (
        one for one in config["CacheBehaviors"]["Items"] if one["PathPattern"] == NEW_PATH
    )
    behavior["ViewerProtocolPolicy"] = "allow-all"
    cloudfront.update_distribution(
        Id=distribution, IfMatch=reply["ETag"], DistributionConfig=config
    )
