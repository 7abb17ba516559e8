"""The main job as a ticket system does it: over REST, with polling, and with every way it can be
told no.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.journeys.conftest import LiveEndpoint, Product
from tests.journeys.portal_clients import words_of


def test_a_ticket_becomes_a_live_endpoint_and_asking_twice_makes_one(
    product: Product, live_endpoint: LiveEndpoint
) -> None:
    ana, olga, mona = product.api("ana"), product.api("olga"), product.mona
    ticket = {"external_system": "servicenow", "external_id": "RITM0010042"}
    answers = product.answers("by-ticket", live_endpoint.target, "/by-ticket", **ticket)

    # Asked twice, as a ticket system does that lost the answer; then with another wish under the
    # same number.
    first = mona.post("/requests", answers)
    again = mona.post("/requests", answers)
    other = mona.post("/requests", answers | {"path_patterns": "/elsewhere"})
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert other.json()["code"] == "idempotency_conflict"
    found = mona.get("/requests/by-external/servicenow/RITM0010042")
    assert found.json()["id"] == first.json()["id"]

    # The plan shares the VPC origin that is there, and says so.
    request_id = first.json()["id"]
    planned = ana.await_state(request_id, "awaiting_approval")
    actions = {item["resource"]: item["action"] for item in planned["plan"]["items"]}
    assert actions == {
        "vpc-origin": "reuse",
        "ingress-rule": "keep",
        "origin": "create",
        "behavior": "create",
    }
    assert {check["level"] for check in planned["preflight"]} <= {"pass", "warn"}

    # Four eyes. Mona may approve, but not this; Ana may not at all; Olga may, but not a plan she
    # did not read.
    own = mona.approve(planned)
    assert (own.status_code, own.json()["code"]) == (403, "own_request")
    no_approver = ana.approve(planned)
    assert (no_approver.status_code, no_approver.json()["code"]) == (403, "missing_scope")
    unread = olga.approve(planned | {"plan_digest": "0" * 64})
    assert (unread.status_code, unread.json()["code"]) == (409, "stale_plan")
    assert ana.request(request_id)["state"] == "awaiting_approval"
    approved = olga.approve(planned, reason="Read and agreed.")
    assert (approved.status_code, approved.json()["state"]) == (200, "provisioning")
    twice = olga.approve(planned)
    assert (twice.status_code, twice.json()["code"]) == (409, "wrong_state")

    # Polled with a cursor until it is live; nothing comes twice, nothing is missing.
    live = ana.await_state(request_id, "live")
    assert live["endpoint"]["url"].endswith("/by-ticket")
    early = ana.get(f"/requests/{request_id}/events", limit=5).json()
    rest = ana.events(request_id, after=early["next_after"])
    events = early["events"] + rest
    assert [event["seq"] for event in events] == list(range(1, live["last_seq"] + 1))
    kinds = [event["kind"] for event in events]
    told = (
        "request.submitted",
        "request.planned",
        "request.approved",
        "run.done",
        "check.finished",
        "request.live",
    )
    assert [kind for kind in kinds if kind in told] == list(told)

    # The proof is a handshake: 101 and the right accept.
    proof = next(event for event in events if event["kind"] == "check.finished")
    assert (proof["data"]["ok"], proof["data"]["status"]) == (True, 101)
    check = ana.get(f"/endpoints/{live['endpoint']['id']}/checks/{proof['data']['check']}").json()
    received = {
        line["name"].lower(): line["value"] for line in check["transcript"]["response"]["headers"]
    }
    assert received["sec-websocket-accept"] == check["transcript"]["request"]["expected_accept"]
    assert live["ticket"]["servicenow"]["stage"] == "complete"

    # One id leads from the ticket system's call to what the workers did in AWS and what they told.
    said = {
        name: "\n".join(
            line
            for line in product.stack.log(name).read_text("utf-8").splitlines()
            if live["correlation_id"] in line
        )
        for name in ("web", "provisioning-worker")
    }
    assert first.headers["X-Request-ID"] == live["correlation_id"]
    assert "http.request method=POST path=/api/v1/requests" in said["web"]
    assert "kind=request.submitted" in said["web"]
    assert "task=portal.requests.tasks.plan_request" in said["provisioning-worker"]
    assert "operation=UpdateDistribution" in said["provisioning-worker"]
    assert "kind=run.done" in said["provisioning-worker"]


def test_an_approval_is_void_when_aws_changed_before_it_was_applied(product: Product) -> None:
    ana, olga = product.api("ana"), product.api("olga")
    target = product.account.make_target("int-void")
    asked = ana.ask(**product.answers("void", target, "/void"))
    planned = ana.await_state(asked["id"], "awaiting_approval")
    assert {
        item["action"] for item in planned["plan"]["items"] if item["resource"] == "ingress-rule"
    } == {"keep"}

    with paused(product, "provisioning-worker"):
        assert olga.approve(planned).status_code == 200
        product.account.close_to_cloudfront(target)

    # Nothing was built on the old plan; the new one says what is different and waits for a decision
    # again.
    voided = ana.await_event(asked["id"], "request.voided")
    assert "AWS has changed since the plan was approved" in voided["text"]
    anew = ana.await_state(asked["id"], "awaiting_approval")
    assert anew["plan_digest"] != planned["plan_digest"]
    assert any(
        "Security group: TCP 80 from CloudFront" in change for change in anew["plan_changes"]
    )
    assert product.account.vpc_origins_of(target) == []
    assert product.account.behaviors_of("/void") == []
    page = words_of(product.visitor("olga").get(f"/approvals/{asked['id']}/"))
    assert "Changes since the previous plan" in page
    assert "Security group: TCP 80 from CloudFront" in page

    # The old approval opens nothing any more, nor does its digest.
    stale = olga.approve(planned)
    assert (stale.status_code, stale.json()["code"]) == (409, "stale_plan")

    # The new plan opens the group itself. Cancelled before a decision, it leaves everything as it
    # is.
    assert {
        item["action"] for item in anew["plan"]["items"] if item["resource"] == "ingress-rule"
    } == {"create"}
    assert ana.post(f"/requests/{asked['id']}/cancel").json()["state"] == "cancelled"
    assert olga.approve(anew).json()["code"] == "wrong_state"
    assert product.account.ingress_of(target.group) == []


def test_cancelled_in_the_middle_everything_is_undone_and_aws_is_clean(product: Product) -> None:
    ana, ben, tara = product.api("ana"), product.api("ben"), product.api("tara")
    account = product.account
    target = account.make_target("int-regret", admits_cloudfront=False)
    before = account.distribution()["DistributionConfig"]
    asked = ana.ask(**product.answers("regret", target, "/regret"))
    planned = ana.await_state(asked["id"], "awaiting_approval")
    with product.stopped_clock() as deployed:
        assert product.api("olga").approve(planned).status_code == 200
        ana.await_event(asked["id"], "step.waiting", "vpc-origin")
        deployed()
        ana.await_event(asked["id"], "step.waiting", "behaviors")
        assert len(account.vpc_origins_of(target)) == 1
        assert len(account.behaviors_of("/regret")) == 1
        assert len(account.ingress_of(target.group)) == 1

        # A stranger may not; a colleague may, once.
        assert tara.post(f"/requests/{asked['id']}/cancel").status_code == 404
        cancelled = ben.post(f"/requests/{asked['id']}/cancel", {"reason": "Not needed any more."})
        assert cancelled.status_code == 200, cancelled.text
        assert ben.post(f"/requests/{asked['id']}/cancel").json()["code"] == "wrong_state"

    ana.await_state(asked["id"], "cancelled")
    assert account.vpc_origins_of(target) == []
    assert account.ingress_of(target.group) == []
    after = account.distribution()
    assert after["Status"] == "Deployed"
    assert after["DistributionConfig"]["CacheBehaviors"] == before["CacheBehaviors"]
    assert after["DistributionConfig"]["Origins"] == before["Origins"]
    undone = [event["step"] for event in ana.events(asked["id"]) if event["kind"] == "step.undone"]
    assert undone[:3] == ["behaviors", "ingress", "vpc-origin"]


@contextmanager
def paused(product: Product, part: str) -> Iterator[None]:
    """A process that hangs: it keeps its sockets and does nothing."""
    product.stack.kill(part, signal.SIGSTOP)
    try:
        yield
    finally:
        product.stack.kill(part, signal.SIGCONT)
