"""The life of an endpoint after it is live, over the API: changed, moved to another target,
removed, restored, removed for good; afterwards the account holds nothing of it.
"""

from __future__ import annotations

from typing import Any

from tests.journeys.conftest import Product
from tests.journeys.until import until


def test_an_endpoint_is_changed_moved_removed_restored_and_removed_for_good(
    product: Product,
) -> None:
    ana, olga, account = product.api("ana"), product.api("olga"), product.account
    first, second = (
        account.make_target(name, admits_cloudfront=False) for name in ("int-life", "int-life-2")
    )
    before = account.distribution()["DistributionConfig"]

    def carried_out(request: dict[str, Any], state: str) -> dict[str, Any]:
        planned = ana.await_state(request["id"], "awaiting_approval")
        own = ana.approve(planned)
        assert (own.status_code, own.json()["code"]) == (403, "missing_scope")
        approved = olga.approve(planned)
        assert approved.status_code == 200, approved.text
        return ana.await_state(request["id"], state)

    created = carried_out(ana.ask(**product.answers("whole-life", first, "/life")), "live")
    endpoint = f"/endpoints/{created['endpoint']['id']}"

    # The path changes in one write; the ticket's call is answered once, however often it comes.
    ticket = {"external_system": "servicenow", "external_id": "RITM0099"}
    change = {"ws_path": "/life, /life/v2", **ticket}
    asked, again = (ana.post(f"{endpoint}/change", change) for _ in range(2))
    assert (asked.status_code, again.status_code) == (201, 200), asked.text
    assert asked.json()["id"] == again.json()["id"]
    busy = ana.post(f"{endpoint}/remove")
    assert (busy.status_code, busy.json()["code"]) == (409, "request_under_way")
    changed = carried_out(asked.json(), "live")
    assert [i["action"] for i in changed["plan"]["items"] if i["resource"] == "behavior"] == [
        "keep",
        "create",
    ]
    assert len(account.behaviors_of("/life/v2")) == 1
    assert ana.request(created["id"])["state"] == "superseded"

    # Another target: the twin is there before the switch, and only it is there afterwards.
    moved = ana.post(f"{endpoint}/change", {"target": second.arn})
    assert moved.status_code == 201, moved.text
    carried_out(moved.json(), "live")
    assert (account.vpc_origins_of(first), account.ingress_of(first.group)) == ([], [])
    assert len(account.vpc_origins_of(second)) == 1
    assert ana.get(endpoint).json()["spec"]["target_arn"] == second.arn

    # Removed, and restored within the grace period.
    removal = ana.post(f"{endpoint}/remove", {"grace_days": "30"})
    assert removal.status_code == 201, removal.text
    retired = carried_out(removal.json(), "out_of_service")
    assert account.behaviors_of("/life") == []
    assert len(account.vpc_origins_of(second)) == 1
    assert "restore" in retired["links"]
    assert product.api("tara").post(f"/requests/{retired['id']}/restore").status_code == 404
    restored = ana.post(f"/requests/{retired['id']}/restore", {"reason": "Still used."})
    assert restored.status_code == 200, restored.text
    assert ana.await_state(retired["id"], "restored")["state_title"] == "Restored"
    assert len(account.behaviors_of("/life")) == 1
    assert ana.get(endpoint).json()["state"] == "deployed"

    # Removed for good: nothing of it is left, and another team may have its name.
    gone = carried_out(ana.post(f"{endpoint}/remove", {"grace_days": 0}).json(), "removed")
    assert gone["ticket"]["servicenow"]["stage"] == "complete"
    assert gone["endpoint"]["url"] == ""
    assert ana.request(moved.json()["id"])["state"] == "superseded"
    for target in (first, second):
        assert account.vpc_origins_of(target) == []
        assert account.ingress_of(target.group) == []
    after = account.distribution()["DistributionConfig"]
    assert [o["Id"] for o in after["Origins"]["Items"]] == [
        o["Id"] for o in before["Origins"]["Items"]
    ]
    late = ana.post(f"{endpoint}/remove")
    assert (late.status_code, late.json()["code"]) == (409, "wrong_state")
    kinds = [event["kind"] for event in ana.events(gone["id"])]
    assert [kind for kind in kinds if kind.startswith("request.")] == [
        "request.submitted",
        "request.planned",
        "request.approved",
        "request.removed",
    ]

    # The same names again: nothing of the first life stands in the way of the second.
    reborn = carried_out(ana.ask(**product.answers("whole-life", first, "/life")), "live")
    assert reborn["endpoint"]["id"] != created["endpoint"]["id"]
    assert reborn["endpoint"]["url"] == created["endpoint"]["url"]
    over = f"/endpoints/{reborn['endpoint']['id']}/remove"
    carried_out(ana.post(over, {"grace_days": 0}).json(), "removed")
    assert (account.vpc_origins_of(first), account.ingress_of(first.group)) == ([], [])


def test_where_every_name_is_taken_the_plan_says_whose_and_the_freed_ones_serve_again(
    product: Product,
) -> None:
    ana, olga, account = product.api("ana"), product.api("olga"), product.account
    target = account.make_target("int-taken", admits_cloudfront=False)

    def asked() -> dict[str, Any]:
        return ana.ask(**product.answers("taken", target, "/taken"))

    def carried_out(request: dict[str, Any], state: str) -> dict[str, Any]:
        planned = ana.await_state(request["id"], "awaiting_approval")
        assert olga.approve(planned).status_code == 200
        return ana.await_state(request["id"], state)

    live = carried_out(asked(), "live")
    [ours] = account.vpc_origins_of(target)
    endpoint = f"/endpoints/{live['endpoint']['id']}"
    carried_out(ana.post(f"{endpoint}/remove", {"grace_days": 0}).json(), "removed")

    # Somebody else's VPC origin has the name now.
    foreign = account.make_vpc_origin(str(ours["Name"]), target)
    blocked = ana.await_state(asked()["id"], "blocked")
    assert str(ours["Name"]) in blocked["reason"], blocked["reason"]
    assert foreign in blocked["reason"]
    assert account.behaviors_of("/taken") == []

    account.delete_vpc_origin(foreign)
    until(lambda: not account.vpc_origins_of(target), "the end of the other VPC origin")
    replanned = ana.post(f"/requests/{blocked['id']}/replan")
    assert replanned.status_code == 200, replanned.text
    carried_out(blocked, "live")
    assert len(account.vpc_origins_of(target)) == 1
