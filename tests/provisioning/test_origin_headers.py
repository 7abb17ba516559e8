"""Headers that CloudFront adds for an endpoint's origin: what may be asked for, and that a secret
value is in the distribution and nowhere else.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from django.apps import apps

from lab.aws.cloudfront.rules import distribution_config as aws_rules
from provisioning import actions
from provisioning.aws import distributions
from provisioning.aws.errors import AwsError
from provisioning.drift.observe import observe
from provisioning.facts.distribution import Origin
from provisioning.models import Event, Run, Secret
from provisioning.plan.changes import what_changed
from provisioning.plan.items import Unplannable
from provisioning.plan.path_ownership import PathRights
from provisioning.plan.plan import Plan
from provisioning.plan.planner import make_plan
from provisioning.secrets.encryption import fingerprint
from provisioning.secrets.store import create_secret, delete_secret, replace_secret
from provisioning.spec import origin_headers
from provisioning.spec.origin_headers import can_add
from provisioning.spec.parsing import SpecError
from tests.lab.account import listed
from tests.provisioning.examples import KEY, OWNER, TARGET_FACTS, snapshot, spec
from tests.provisioning.machine import Boundaries, Machine, Site, boundaries

VERIFY = "X-Origin-Verify: ${secret:ORIGIN}"
LONG = "; ".join(["blue"] * 300)


@pytest.mark.parametrize(
    "text",
    [
        "",
        VERIFY,
        "X-Tenant: demo\n" + VERIFY,
        "Authorization: Bearer ${secret:ORIGIN}",
        "X-Note: ${secret:ORIGIN} of ${secret:OTHER}",
        "\n".join(f"X-Room-{number}: blue" for number in range(10)),
    ],
)
def test_these_headers_can_be_asked_for(text: str) -> None:
    assert spec(origin_headers=text).origin_headers == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("X-Tenant", "Write Name: value"),
        ("X-Tenant:", "Write Name: value"),
        ("X Tenant: demo", "Write Name: value"),
        ("X-Tenant: d\u00e9mo", "Write Name: value"),
        ("Host: other.example", "cannot add the header Host"),
        ("x-amz-cf-id: 1", "cannot add the header x-amz-cf-id"),
        ("X-Edge-Location: 1", "cannot add"),
        ("Sec-WebSocket-Key: 1", "each viewer's handshake"),
        ("X-Tenant: demo\nx-tenant: other", "listed twice"),
        ("X-Origin-Verify: hunter2", "looks like a credential"),
        ("Authorization: Bearer abc", "looks like a credential"),
        ("X-Room: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "looks like a credential"),
        ("X-Origin-Verify: ${secret: ORIGIN}", "not a reference to a secret"),
        ("X-Origin-Verify: ${SECRET:ORIGIN}", "not a reference to a secret"),
        ("\n".join(f"X-Room-{number}: blue" for number in range(11)), "at most 10"),
        (f"X-Note: {LONG}{LONG}", "longer than 1,783 characters"),
        (f"X-{'a' * 255}: blue", "longer than 256 characters"),
        ("\n".join(f"X-Note-{n}: {LONG[:1700]}" for n in range(7)), "together"),
    ],
)
def test_these_headers_are_refused_without_their_value(text: str, why: str) -> None:
    with pytest.raises(SpecError) as refused:
        spec(origin_headers=text)
    (error,) = refused.value.errors
    assert (error.field, why in error.message) == ("origin_headers", True), error.message
    assert "hunter2" not in error.message


def test_what_the_portal_refuses_is_what_aws_refuses() -> None:
    assert aws_rules._FORBIDDEN_HEADERS == origin_headers.FORBIDDEN
    assert aws_rules._FORBIDDEN_PREFIXES == origin_headers.FORBIDDEN_PREFIXES
    assert not any(can_add(name.title()) for name in aws_rules._FORBIDDEN_HEADERS)
    assert can_add("X-Origin-Verify")


# --- the plan


def planned(text: str, *origins: Origin, value: str = "one", **more: Any) -> Plan:
    made = spec(origin_headers=text, **more)
    names = [name for name, _ in origin_headers.origin_headers(text)]
    return make_plan(
        made,
        snapshot(distribution={"origins": origins}),
        endpoint_key=KEY,
        owner=OWNER,
        rights=PathRights("team"),
        headers={name: fingerprint(name, value) for name in names},
    )


def headers_of(plan: Plan) -> list[dict[str, str]]:
    after: Any = next(item.after for item in plan.items if item.resource == "origin")
    return list(after["CustomHeaders"].get("Items", []))


def test_a_plan_has_names_and_fingerprints_and_another_value_is_another_plan() -> None:
    plan = planned(VERIFY)
    assert headers_of(plan) == [
        {"HeaderName": "X-Origin-Verify", "ValueFingerprint": fingerprint("X-Origin-Verify", "one")}
    ]
    assert plan.digest == planned(VERIFY).digest
    assert plan.digest != planned(VERIFY, value="two").digest
    assert headers_of(planned("")) == []
    (told,) = what_changed(plan.to_dict(), planned(VERIFY, value="two").to_dict())
    assert told.endswith("(another value of X-Origin-Verify)")
    (told,) = what_changed(plan.to_dict(), planned(VERIFY, origin_domain="a.example").to_dict())[1:]
    assert "another value" not in told


def test_an_own_header_goes_before_the_one_that_is_carried_over() -> None:
    same = Origin("alb", TARGET_FACTS.dns_name, "", header_names=("x-origin-verify", "X-Tenant"))
    both = headers_of(planned(VERIFY, same, carry_over="origin-headers"))
    assert [(one["HeaderName"], len(one)) for one in both] == [
        ("X-Tenant", 1),
        ("X-Origin-Verify", 2),
    ]


def test_a_fingerprint_tells_only_whether_two_values_are_the_same(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = ["k" * 40]
    one = fingerprint("X-Origin-Verify", "hunter2")
    assert one == fingerprint("X-Origin-Verify", "hunter2")
    others = {fingerprint("X-Origin-Verify", "hunter3"), fingerprint("X-Other", "hunter2")}
    settings.ENCRYPTION_KEYS = ["l" * 40, "k" * 40]
    others.add(fingerprint("X-Origin-Verify", "hunter2"))
    assert one not in others
    assert len(others) == 3


# --- in the lab's AWS


@pytest.fixture
def nonce(machine: Machine) -> Iterator[str]:
    """The value of the team's secret ORIGIN. Afterwards it is in no row, as it is or in hex."""
    value = "nonce5f0c7e9a31"
    assert create_secret("team", "ORIGIN", value, by="Ana", now=machine.now)
    yield value
    rows = str([list(model._default_manager.values()) for model in apps.get_models()])
    assert "secret.created" in rows
    assert value not in rows
    assert value.encode().hex() not in rows


def sent(site: Site, run: Run) -> dict[str, str]:
    """What the distribution has for the endpoint's origin."""
    ours = f"edge-portal-{run.endpoint.key}"
    (origin,) = [one for one in site.config()["Origins"]["Items"] if one["Id"] == ours]
    items = origin["CustomHeaders"].get("Items", [])
    return {one["HeaderName"]: one["HeaderValue"] for one in items}


def replaced(machine: Machine, value: str) -> None:
    replace_secret(Secret.objects.get(), value, by="Ana", now=machine.now)


def test_the_distribution_gets_the_header_and_no_row_has_its_value(
    machine: Machine, nonce: str
) -> None:
    site = machine.site()
    run = site.start(origin_headers=f"{VERIFY}\nX-Tenant: demo")
    machine.finish(run)
    site.assert_built(run)
    assert sent(site, run) == {"X-Origin-Verify": nonce, "X-Tenant": "demo"}
    used = f"The origin of {run.endpoint.name} used the secret ORIGIN."
    assert used in Event.objects.values_list("text", flat=True)
    assert Secret.objects.get().last_used_at is not None
    assert observe(site.row).differences == []
    # A replaced secret is sent by a change; until then nothing changes in AWS.
    with pytest.raises(Unplannable, match="already"):
        site.change(run)
    replaced(machine, "nonce-of-today")
    assert sent(site, run)["X-Origin-Verify"] == nonce
    assert observe(site.row).differences == []
    changing = site.change(run)
    machine.finish(changing)
    assert changing.state == Run.State.DONE
    assert sent(site, run) == {"X-Origin-Verify": "nonce-of-today", "X-Tenant": "demo"}
    # What is restored after a removal began gets the value of today.
    removal = site.remove(run, grace_seconds=3600)
    machine.until(removal, "behaviors")
    replaced(machine, nonce)
    assert actions.cancel_run(removal, reason="Still needed.", now=machine.now)
    machine.finish(removal)
    assert removal.state == Run.State.UNDONE
    assert sent(site, run) == {"X-Origin-Verify": nonce, "X-Tenant": "demo"}
    # Somebody removes the headers: drift names them, and a change puts them back.
    reply = site.account.cloudfront.get_distribution_config(Id=site.distribution_id)
    for origin in reply["DistributionConfig"]["Origins"]["Items"]:
        origin["CustomHeaders"] = listed()
    site.account.cloudfront.update_distribution(
        Id=site.distribution_id,
        IfMatch=reply["ETag"],
        DistributionConfig=reply["DistributionConfig"],
    )
    (difference,) = observe(site.row).differences
    assert (difference.approved, difference.seen) == ("X-Origin-Verify, X-Tenant", "nothing")
    machine.finish(site.change(run))
    assert sent(site, run) == {"X-Origin-Verify": nonce, "X-Tenant": "demo"}


@pytest.mark.parametrize(
    ("step", "code"), [("AuthorizeSecurityGroupIngress", "secret_replaced"), ("", "plan_stale")]
)
def test_a_secret_that_is_replaced_after_the_approval_is_not_sent(
    machine: Machine, nonce: str, step: str, code: str
) -> None:
    site = machine.site()
    run = site.start(origin_headers=VERIFY)

    def replace_it(operation: str) -> None:
        if operation == step:
            replaced(machine, "another-value")

    if not step:
        replaced(machine, "another-value")
    with boundaries(Boundaries(), fail=replace_it):
        machine.finish(run)
    assert (run.state, run.failure["code"]) == (Run.State.UNDONE, code)
    site.assert_clean(run)


def test_a_secret_that_is_gone_makes_no_plan_and_stops_a_run(machine: Machine, nonce: str) -> None:
    site = machine.site()
    run = site.start(origin_headers=VERIFY)
    delete_secret(Secret.objects.get(), by="Ana", now=machine.now)
    with pytest.raises(Unplannable, match="The secret ORIGIN no longer exists"):
        site.plan(origin_headers=VERIFY)
    machine.finish(run)
    assert run.failure["code"] == "plan_stale"
    site.assert_clean(run)


def test_a_value_that_is_too_long_for_cloudfront_makes_no_plan(
    machine: Machine, nonce: str
) -> None:
    replaced(machine, "x" * 1784)
    with pytest.raises(Unplannable, match="X-Origin-Verify is longer than 1,783") as refused:
        machine.site().plan(origin_headers=VERIFY)
    assert "xxx" not in str(refused.value)


def test_what_aws_quotes_of_a_header_that_it_refuses_is_masked(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = machine.site()
    site_client = site.row.client()
    record = distributions.read(site_client, site.distribution_id)
    assert record is not None
    config = record.config
    config["Origins"]["Items"][0]["CustomHeaders"] = listed(
        {"HeaderName": "X-Origin-Verify", "HeaderValue": "hunter2hunter2"}
    )

    def refuse(**_: Any) -> None:
        told = "The value hunter2hunter2 is not valid."
        reply: Any = {"Error": {"Code": "InvalidArgument", "Message": told}}
        raise ClientError(reply, "UpdateDistribution")

    monkeypatch.setattr(site_client.cloudfront_write, "update_distribution", refuse)
    with pytest.raises(AwsError, match="is not valid") as refused:
        distributions.write(site_client, record, config)
    assert "hunter2" not in "".join(map(str, itertools.chain([refused.value], refused.value.args)))
    assert refused.value.code == "InvalidArgument"
