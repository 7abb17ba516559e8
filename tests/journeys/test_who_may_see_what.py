"""Who may see what, at every door: pages, API, console socket. A foreign thing answers like one
that is not there.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.journeys.conftest import LiveEndpoint, Product
from tests.journeys.portal_clients import in_own_loop, words_of

NOWHERE = str(uuid.UUID(int=7))
SECRETS = ("meeting-place", "int-chat", "Chat", "Ana")


def test_another_team_cannot_tell_a_foreign_request_from_none(
    product: Product, live_endpoint: LiveEndpoint
) -> None:
    tara, ana = product.api("tara"), product.api("ana")
    doors = {
        f"/requests/{live_endpoint.request_id}": f"/requests/{NOWHERE}",
        f"/requests/{live_endpoint.request_id}/events": f"/requests/{NOWHERE}/events",
        f"/endpoints/{live_endpoint.endpoint_id}": f"/endpoints/{NOWHERE}",
    }
    for there, nowhere in doors.items():
        assert ana.get(there).status_code == 200
        foreign, absent = tara.get(there), tara.get(nowhere)
        assert (foreign.status_code, absent.status_code) == (404, 404)
        assert shape(foreign.json()) == shape(absent.json())
    for verb in ("approve", "reject", "cancel", "replan"):
        foreign = product.api("tara").post(f"/requests/{live_endpoint.request_id}/{verb}")
        absent = product.api("tara").post(f"/requests/{NOWHERE}/{verb}")
        assert (foreign.status_code, shape(foreign.json())) == (
            absent.status_code,
            shape(absent.json()),
        )
        assert foreign.status_code in (403, 404)
    assert tara.post(f"/endpoints/{live_endpoint.endpoint_id}/checks").status_code == 404
    assert ana.get("/requests").json()["requests"]
    assert tara.get("/requests").json()["requests"] == []
    assert tara.get("/endpoints").json()["endpoints"] == []


def test_another_team_gets_the_page_for_what_does_not_exist(
    product: Product, live_endpoint: LiveEndpoint
) -> None:
    ana, tara = product.visitor("ana"), product.visitor("tara")
    doors = {
        f"/requests/{live_endpoint.request_id}/": f"/requests/{NOWHERE}/",
        f"/requests/{live_endpoint.request_id}/standing/": f"/requests/{NOWHERE}/standing/",
        f"/requests/{live_endpoint.request_id}/events.txt": f"/requests/{NOWHERE}/events.txt",
        f"/approvals/{live_endpoint.request_id}/": f"/approvals/{NOWHERE}/",
        f"/endpoints/{live_endpoint.endpoint_id}/": f"/endpoints/{NOWHERE}/",
        f"/endpoints/{live_endpoint.endpoint_id}/privacy/": f"/endpoints/{NOWHERE}/privacy/",
    }
    for there, nowhere in doors.items():
        assert ana.get(there).status_code == 200, there
        foreign, absent = tara.get(there), tara.get(nowhere)
        assert (foreign.status_code, absent.status_code) == (404, 404)
        assert words_of(foreign) == words_of(absent)
        assert not any(secret in words_of(foreign) for secret in SECRETS)
    assert tara.post(f"/endpoints/{live_endpoint.endpoint_id}/checks/run/").status_code == 404
    assert "meeting-place" in ana.get("/requests/").text
    assert "meeting-place" not in tara.get("/requests/").text


def test_the_console_closes_on_another_team_as_on_nothing(
    product: Product, live_endpoint: LiveEndpoint
) -> None:
    def with_token(person: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {product.api(person).token}"}

    def with_session(person: str) -> dict[str, str]:
        return {"Cookie": product.visitor(person).cookies, "Origin": product.url}

    for credentials in (with_token, with_session):
        heard, code = console(product, live_endpoint.request_id, credentials("ana"))
        assert (heard[0]["type"], code) == ("hello", None)
        foreign = console(product, live_endpoint.request_id, credentials("tara"))
        absent = console(product, NOWHERE, credentials("tara"))
        assert foreign == absent == ([], 4404)
    assert console(product, live_endpoint.request_id, {"Origin": product.url}) == ([], 4401)

    # A page of somebody else, in Ana's own browser, gets no socket at all.
    elsewhere = with_session("ana") | {"Origin": "https://elsewhere.example"}
    with pytest.raises(InvalidStatus) as refusal:
        console(product, live_endpoint.request_id, elsewhere)
    assert refusal.value.response.status_code == 403


def test_the_auditor_reads_everything_and_changes_nothing(
    product: Product, live_endpoint: LiveEndpoint
) -> None:
    ana, rita, olga = product.api("ana"), product.api("rita"), product.api("olga")
    asked = ana.ask(**product.answers("audited", live_endpoint.target, "/audited"))
    planned = ana.await_state(asked["id"], "awaiting_approval")

    pages = product.visitor("rita")
    assert rita.request(asked["id"])["plan_digest"] == planned["plan_digest"]
    assert rita.events(asked["id"])
    assert rita.get(f"/endpoints/{live_endpoint.endpoint_id}").status_code == 200
    page = pages.get(f"/approvals/{asked['id']}/")
    assert "Only an approver of the platform team can approve this request." in words_of(page)
    assert 'value="approve"' not in page.text

    assert rita.approve(planned).status_code == 403
    forged = pages.post(
        f"/requests/{asked['id']}/decide/", decision="approve", digest=planned["plan_digest"]
    )
    assert forged.status_code == 409
    assert rita.post(f"/requests/{asked['id']}/cancel").status_code == 403
    assert rita.post(f"/endpoints/{live_endpoint.endpoint_id}/checks").status_code == 403
    assert pages.get("/requests/new/").status_code == 403
    assert ana.request(asked["id"])["state"] == "awaiting_approval"

    # Olga, on the very same page, has the button.
    assert 'value="approve"' in product.visitor("olga").get(f"/approvals/{asked['id']}/").text
    rejected = olga.post(f"/requests/{asked['id']}/reject", {"reason": "Only to be looked at."})
    assert (rejected.status_code, rejected.json()["state"]) == (200, "rejected")


def test_without_signing_in_there_is_only_the_sign_in_page(
    product: Product, live_endpoint: LiveEndpoint
) -> None:
    nobody = product.visitor("")
    for path in (
        "/",
        "/requests/",
        f"/requests/{live_endpoint.request_id}/",
        f"/requests/{NOWHERE}/",
        f"/endpoints/{live_endpoint.endpoint_id}/",
        f"/endpoints/{live_endpoint.endpoint_id}/privacy/",
        "/approvals/",
        "/tokens/",
        "/help/",
    ):
        answer = nobody.get(path)
        assert answer.status_code == 302, path
        assert answer.headers["Location"].startswith("/sign-in/"), path
    assert nobody.get("/sign-in/").status_code == 200
    wrong = nobody.post("/sign-in/", username="ana", password="demo-ana-2025")
    assert "Incorrect username or password." in words_of(wrong)

    api = product.api("")
    for path in (
        f"/requests/{live_endpoint.request_id}",
        f"/requests/{NOWHERE}",
        "/requests",
        "/endpoints",
    ):
        assert api.get(path).status_code == 401, path
    assert api.post("/requests", {}).status_code == 401


def shape(problem: dict[str, Any]) -> dict[str, Any]:
    """A problem document without what names this one call."""
    return {
        key: value for key, value in problem.items() if key not in ("instance", "correlation_id")
    }


def console(
    product: Product, request_id: str, headers: dict[str, str]
) -> tuple[list[dict[str, Any]], int | None]:
    """What a console says first, and the code with which it was closed (None: it stays open)."""
    address = f"{product.url.replace('http', 'ws', 1)}/ws/requests/{request_id}/"
    origin = headers.get("Origin")
    others = {name: value for name, value in headers.items() if name != "Origin"}

    async def look() -> tuple[list[dict[str, Any]], int | None]:
        async with connect(address, additional_headers=others, origin=origin, proxy=None) as socket:  # type: ignore[arg-type]
            try:
                return [json.loads(await socket.recv())], None
            except ConnectionClosed as closed:
                return [], closed.rcvd.code if closed.rcvd else 1006

    answer: tuple[list[dict[str, Any]], int | None] = in_own_loop(look)
    return answer
