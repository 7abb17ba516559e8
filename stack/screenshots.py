"""Takes the README's pictures: the main job in a real browser, by two people, on a fresh stack of
this build.

It decides nothing; it clicks as a person would and stops with a message when a page is not as it
should be.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from stack.browser import find_browser
from stack.product import Stack

if TYPE_CHECKING:
    from playwright.sync_api import Page, ViewportSize

SIZE: ViewportSize = {"width": 1200, "height": 860}
FLAGS = "--no-sandbox --disable-gpu --no-first-run --disable-sync --disable-background-networking"


def take_screenshots(folder: Path) -> int:
    """Write form.png, decision.png, console.png and endpoint.png into `folder`. The exit code is
    for the shell.
    """
    from playwright.sync_api import (
        sync_playwright,
    )  # only this command needs it, and it takes a while to load

    browser = find_browser()
    if browser is None:
        print("There is no Chromium. `make test` fetches one; then run this again.")
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="edge-shots-") as state,
        Stack(Path(state)) as stack,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=browser, args=FLAGS.split())
        ana, olga = (chromium.new_context(viewport=SIZE).new_page() for _ in range(2))
        url = stack.env["PORTAL_URL"]
        _sign_in(ana, url, "ana")
        _sign_in(olga, url, "olga")
        _ask(ana, url)
        _shoot(ana, folder / "form.png")
        ana.get_by_role("button", name="Create plan").click()
        ana.get_by_text("Waiting for approval").first.wait_for()
        olga.goto(f"{url}/approvals/")
        olga.locator("main").get_by_role("link", name="orders-feed").first.click()
        olga.get_by_role("heading", name="Your decision").wait_for()
        _shoot(olga, folder / "decision.png")
        olga.get_by_label("Reason").fill("The office network may reach orders.")
        olga.get_by_role("button", name="Approve").first.click()
        ana.get_by_text("Created VPC origin").first.wait_for()
        _shoot(ana, folder / "console.png")
        ana.get_by_text("Clients can connect").first.wait_for(timeout=120_000)
        ana.locator('main a[href^="/endpoints/"]').first.click()
        ana.get_by_role("heading", name="The handshake, line by line").wait_for()
        _shoot(ana, folder / "endpoint.png")
        chromium.close()
    return 0


def _sign_in(page: Page, url: str, name: str) -> None:
    page.goto(url)
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", f"demo-{name}-2026")
    page.press("input[name=password]", "Enter")
    page.get_by_role("link", name="Sign out").or_(
        page.get_by_role("button", name="Sign out")
    ).first.wait_for()


def _ask(page: Page, url: str) -> None:
    page.goto(f"{url}/requests/new/")
    page.fill("textarea[name=justification]", "Order updates for the shop.")
    page.locator("label", has_text="int-orders").first.click()
    page.select_option("select[name=distribution_id]", index=1)
    page.fill("input[name=name]", "orders-feed")
    page.fill("input[name=path_patterns]", "/ws/orders, /ws/orders/*")
    page.get_by_text("Ready to build").first.wait_for()


def _shoot(page: Page, file: Path) -> None:
    page.screenshot(path=file)
    print(f"wrote {file}")
