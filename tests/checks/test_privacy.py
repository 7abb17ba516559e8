"""The privacy audit: what passes, what each opening is told as, what was not seen, and the evidence
that is kept.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from django.core.management import CommandError, call_command

from checks.models import PrivacyAudit
from checks.preflight import Level, PreflightSubject, evaluate
from checks.preflight.results import EXPOSED_BY
from checks.privacy import actions, signing
from checks.privacy.keys import KeyFault, signing_key
from checks.privacy.rules import (
    QUESTIONS,
    Acceptance,
    Answer,
    Outcome,
    audit,
    facts_seen,
    in_words,
    not_seen,
    outcome_of,
)
from portal.system_checks import evidence_can_be_signed
from provisioning.aws.errors import AwsError
from provisioning.facts.distribution import Origin
from provisioning.facts.names import Arn, SecurityGroupId, VpcOriginId
from provisioning.facts.snapshot import Gap, Snapshot, VpcOriginFacts
from provisioning.models import AwsAccount, Endpoint, Event
from provisioning.plan.planner import make_plan
from provisioning.plan.reliance import exposures_of
from tests.architecture.source import PROJECT
from tests.checks.conftest import NOW
from tests.checks.test_preflight import READY, SUBNETS
from tests.provisioning.examples import OWNER, RIGHTS, TARGET, behavior, rule, snapshot, spec

SUBJECT = PreflightSubject.of(spec(), origin_id="edge-portal-1")
OURS: dict[str, Any] = {
    "behaviors": tuple(
        behavior(pattern, "edge-portal-1") for pattern in ("/ws/chat", "/ws/chat/*")
    ),
    "origins": (Origin("web", "web.example.com", ""), Origin("edge-portal-1", "internal", "vo_1")),
}
VPC_ORIGINS = (VpcOriginFacts(VpcOriginId("vo_1"), "edge-portal-x", TARGET, "Deployed"),)


def seen(
    target: dict[str, Any] | None = None, distribution: dict[str, Any] | None = None, **changes: Any
) -> Snapshot:
    """A private endpoint, with some facts changed."""
    facts = {"service_role": True, "vpc_origins": VPC_ORIGINS} | changes
    return snapshot(
        target=READY | (target or {}), distribution=OURS | (distribution or {}), **facts
    )


def not_passed(facts: Snapshot) -> dict[str, Outcome]:
    return {
        one.code: one.outcome for one in audit(SUBJECT, facts) if one.outcome is not Outcome.PASS
    }


def test_an_endpoint_that_only_cloudfront_reaches_passes_every_question() -> None:
    answers = audit(SUBJECT, seen())
    assert outcome_of(answers) is Outcome.PASS
    assert {one.code for one in answers} == set(QUESTIONS) - {"PF-IPV6"}
    by_group = audit(SUBJECT, seen({"ingress": (rule("group", "sg-service"),)}))
    assert outcome_of(by_group) is Outcome.PASS


OPENINGS: tuple[tuple[dict[str, Any], set[str]], ...] = (
    ({"kind": "instance", "scheme": "internet-facing"}, {"PF-SCHEME"}),
    ({"public_addresses": ("203.0.113.7",)}, {"PF-PUBLIC-ADDRESS"}),
    ({"addresses_behind": ("203.0.113.7",)}, {"PF-PUBLIC-ADDRESS"}),
    (
        {"kind": "instance", "subnets": (replace(SUBNETS[0], maps_public=True),)},
        {"PF-PUBLIC-ADDRESS"},
    ),
    ({"subnets": (replace(SUBNETS[0], public=True),)}, {"PF-SUBNET"}),
    ({"ingress": (rule(), rule("cidr", "0.0.0.0/0"))}, {"PF-PUBLIC", "PF-ONLY-CLOUDFRONT"}),
    ({"ingress": (rule(), rule("cidr", "8.8.8.0/24", port=22))}, {"PF-PUBLIC"}),
    ({"ingress": (rule(), rule("cidr", "10.10.0.0/16"))}, {"PF-ONLY-CLOUDFRONT"}),
    ({"ingress": (rule(), rule("group", "sg-web"))}, {"PF-ONLY-CLOUDFRONT"}),
    ({"internet_facing_load_balancers": ("pub-nlb",)}, {"PF-OTHER-ROUTE"}),
    ({"api_gateway_links": ("HTTP API orders",)}, {"PF-OTHER-ROUTE"}),
    (
        {"ip_address_type": "dualstack", "attributes": (("ipv6.deny_all_igw_traffic", "false"),)},
        {"PF-IPV6"},
    ),
)


@pytest.mark.parametrize(("target", "codes"), OPENINGS)
def test_what_the_preflight_warns_of_is_what_the_audit_finds(
    target: dict[str, Any], codes: set[str]
) -> None:
    """So the approver knows of everything that would be red, and can accept it: just that, and no
    more.
    """
    facts = seen(target)
    warned = {
        one.code
        for one in evaluate(SUBJECT, facts)
        if one.code in EXPOSED_BY and one.level is not Level.PASS
    }
    assert warned == codes
    assert not_passed(facts) == dict.fromkeys(codes, Outcome.FAIL)
    plan = make_plan(spec(), facts, endpoint_key="1", owner=OWNER, rights=RIGHTS)
    left_open = exposures_of(plan.to_dict())
    found = {exposure for one in audit(SUBJECT, facts) for exposure in one.exposes}
    assert left_open == sorted(found) != []
    accepted = [acceptance(exposure) for exposure in left_open]
    answers = audit(SUBJECT, facts, accepted)
    assert {one.code for one in answers if one.outcome is Outcome.ACCEPTED} == codes
    assert outcome_of(answers) is Outcome.ACCEPTED
    assert outcome_of(audit(SUBJECT, facts, accepted[1:])) is Outcome.FAIL


def test_an_accepted_exception_covers_nothing_that_comes_later() -> None:
    office = rule("cidr", "10.10.0.0/16")
    accepted = (acceptance("sg-1 allows tcp 80 from 10.10.0.0/16"),)
    known = audit(SUBJECT, seen({"ingress": (rule(), office)}), accepted)
    assert outcome_of(known) is Outcome.ACCEPTED
    assert "passed with accepted exceptions: sg-1 allows tcp 80" in in_words(known)
    for later in (
        rule("cidr", "10.10.0.0/15"),
        rule("group", "sg-web"),
        replace(office, from_port=0),
        replace(office, group_id=SecurityGroupId("sg-2")),
    ):
        later = replace(later, rule_id="sgr-later")
        answers = audit(SUBJECT, seen({"ingress": (rule(), office, later)}), accepted)
        (told,) = [one for one in answers if one.outcome is Outcome.FAIL]
        assert (told.accepted, len(told.not_accepted)) == (accepted, 1)
        assert "sgr-later" in told.fix
        assert str(office.rule_id) not in told.fix, "that one is accepted"
    gone = audit(SUBJECT, seen(), accepted)
    assert outcome_of(gone) is Outcome.PASS
    unseen = seen({"ingress": (rule(), office)}, gaps=(Gap("ingress", "The role may not ask."),))
    assert outcome_of(audit(SUBJECT, unseen, accepted)) is Outcome.UNKNOWN


def test_what_was_not_approved_cannot_be_accepted() -> None:
    """A path that leads elsewhere, a balancer that became public: no exception fits."""
    for facts in (
        seen(distribution={"behaviors": ()}),
        seen({"scheme": "internet-facing"}),
    ):
        wrong = [one for one in audit(SUBJECT, facts) if one.outcome is Outcome.FAIL]
        assert [one.exposes for one in wrong] == [()]


def acceptance(exposure: str) -> Acceptance:
    return Acceptance(exposure, "Olga", "Known.", "2026-11-21T09:00Z", "2027-02-19T00:00Z")


@pytest.mark.parametrize(
    ("target", "distribution", "codes"),
    [
        ({"scheme": "internet-facing"}, {}, {"PF-SCHEME"}),
        ({"public_addresses": ("203.0.113.7",)}, {}, {"PF-PUBLIC-ADDRESS"}),
        ({"subnets": (replace(SUBNETS[0], public=True),)}, {}, {"PF-SUBNET"}),
        ({"ingress": (rule(), rule("cidr", "0.0.0.0/0"))}, {}, {"PF-PUBLIC", "PF-ONLY-CLOUDFRONT"}),
        ({"ingress": (rule(), rule("cidr", "10.10.0.0/16"))}, {}, {"PF-ONLY-CLOUDFRONT"}),
        ({"ingress": (rule(), rule("group", "sg-web"))}, {}, {"PF-ONLY-CLOUDFRONT"}),
        ({"internet_facing_load_balancers": ("pub-nlb",)}, {}, {"PF-OTHER-ROUTE"}),
        (
            {
                "ip_address_type": "dualstack",
                "attributes": (("ipv6.deny_all_igw_traffic", "false"),),
            },
            {},
            {"PF-IPV6"},
        ),
        (
            {},
            {"behaviors": (behavior("/ws/chat", "web"), behavior("/ws/chat/*", "web"))},
            {"PA-VPC-ORIGIN"},
        ),
        ({}, {"behaviors": ()}, {"PA-VPC-ORIGIN"}),
    ],
)
def test_every_opening_fails_its_own_question(
    target: dict[str, Any], distribution: dict[str, Any], codes: set[str]
) -> None:
    found = not_passed(seen(target, distribution))
    assert found == dict.fromkeys(codes, Outcome.FAIL)
    assert all(
        one.fix for one in audit(SUBJECT, seen(target, distribution)) if one.outcome is Outcome.FAIL
    )


def test_a_behavior_that_takes_the_whole_path_leads_past_the_vpc_origin() -> None:
    first = {"behaviors": (behavior("/ws/*", "web"), *OURS["behaviors"])}
    assert not_passed(seen(distribution=first)) == {"PA-VPC-ORIGIN": Outcome.FAIL}
    last = {"behaviors": (*OURS["behaviors"], behavior("/ws/*", "web"))}
    assert not_passed(seen(distribution=last)) == {}


def test_cloudfront_is_known_by_either_of_its_lists() -> None:
    """The same list not known to be CloudFront's admits whoever is on it."""
    both = {"ingress": (rule(), rule("prefix-list", "pl-6"))}
    assert not_passed(seen(both | {"origin_facing_ipv6_list": "pl-6"})) == {}
    assert not_passed(seen(both)) == {
        "PF-PUBLIC": Outcome.UNKNOWN,
        "PF-ONLY-CLOUDFRONT": Outcome.FAIL,
    }


def test_a_path_that_leads_to_an_origin_group_is_told_as_that() -> None:
    grouped = tuple(replace(one, target_origin_id="pair") for one in OURS["behaviors"])
    (told,) = [
        one
        for one in audit(SUBJECT, seen(distribution={"behaviors": grouped}))
        if one.code == "PA-VPC-ORIGIN"
    ]
    assert (told.outcome, told.seen) == (Outcome.FAIL, "/ws/chat points to the origin group pair.")
    (none,) = [
        one
        for one in audit(SUBJECT, seen(distribution={"behaviors": ()}))
        if one.code == "PA-VPC-ORIGIN"
    ]
    assert (none.outcome, none.seen) == (Outcome.FAIL, "/ws/chat has no behavior of its own.")


def test_a_rule_for_another_port_leads_nowhere_near_the_endpoint() -> None:
    assert not_passed(seen({"ingress": (rule(), rule("cidr", "10.10.0.0/16", port=22))})) == {}


def test_a_vpc_origin_made_for_another_target_fails_and_a_foreign_one_is_not_known() -> None:
    elsewhere = (replace(VPC_ORIGINS[0], target_arn=Arn(TARGET.replace("int-chat", "int-web"))),)
    assert not_passed(seen(vpc_origins=elsewhere)) == {"PA-VPC-ORIGIN": Outcome.FAIL}
    assert not_passed(seen(vpc_origins=())) == {"PA-VPC-ORIGIN": Outcome.UNKNOWN}


@pytest.mark.parametrize(
    ("gap", "codes"),
    [
        ("subnets", {"PF-SUBNET"}),
        ("addresses", {"PF-PUBLIC-ADDRESS"}),
        ("internet_facing_load_balancers", {"PF-OTHER-ROUTE"}),
        ("ingress", {"PF-PUBLIC", "PF-ONLY-CLOUDFRONT"}),
        ("service_group", {"PF-ONLY-CLOUDFRONT"}),
        ("vpc_origins", {"PA-VPC-ORIGIN"}),
    ],
)
def test_what_could_not_be_seen_never_looks_like_a_pass(gap: str, codes: set[str]) -> None:
    facts = seen(gaps=(Gap(gap, "The role may not ask."),))
    assert not_passed(facts) == dict.fromkeys(codes, Outcome.UNKNOWN)
    assert outcome_of(audit(SUBJECT, facts)) is Outcome.UNKNOWN
    assert facts_seen(facts)["not_seen"] == [{"what": gap, "reason": "The role may not ask."}]


def test_without_a_target_or_an_answer_nothing_is_promised() -> None:
    gone = audit(SUBJECT, replace(seen(), target=None))
    assert {one.code for one in gone if one.outcome is Outcome.PASS} == {"PA-VPC-ORIGIN"}
    assert outcome_of(gone) is Outcome.UNKNOWN
    assert outcome_of(not_seen("AWS did not answer.")) is Outcome.UNKNOWN
    assert outcome_of(()) is Outcome.UNKNOWN
    both = (Answer("PF-SCHEME", Outcome.UNKNOWN, ""), Answer("PF-SUBNET", Outcome.FAIL, ""))
    assert outcome_of(both) is Outcome.FAIL


@pytest.fixture
def key(tmp_path: Path, settings: Any) -> Ed25519PrivateKey:
    """A portal with a key."""
    made = Ed25519PrivateKey.generate()
    file = tmp_path / "key.pem"
    file.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    settings.EVIDENCE_KEY_FILE = str(file)
    return made


class Aws:
    """What AWS says, one look after the other; an error is raised."""

    def __init__(self, *looks: Snapshot | Exception) -> None:
        self.looks: Iterator[Snapshot | Exception] = iter(looks)

    def __call__(self, *_: object, **__: object) -> Snapshot:
        found = next(self.looks)
        if isinstance(found, Exception):
            raise found
        return found


def audited(endpoint: Endpoint, minutes: int = 0) -> PrivacyAudit:
    at = NOW + timedelta(minutes=minutes)
    asked = actions.request_audit(endpoint, by="rita", stream="request:1", now=at)
    actions.make_audit(str(asked.pk), clock=lambda: at)
    asked.refresh_from_db()
    return asked


def test_people_are_told_when_the_outcome_changes(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = seen({"internet_facing_load_balancers": ("pub-nlb",)})
    refused = AwsError("DescribeLoadBalancers", "AccessDenied", "Not allowed.", transient=False)
    monkeypatch.setattr(
        AwsAccount, "snapshot_for", Aws(seen(), seen(), opened, opened, refused, seen())
    )
    told = []
    for turn in range(6):
        audited(endpoint, turn)
        told.append(Event.objects.count())
    assert told == [0, 0, 1, 1, 2, 3]
    first, second, third = Event.objects.order_by("seq")
    assert (first.level, first.kind) == ("error", "privacy.audited")
    assert "No other public route to the target. pub-nlb" in first.text
    assert (second.level, third.level) == ("warning", "good")
    assert list(
        PrivacyAudit.objects.order_by("requested_at").values_list("outcome", flat=True)
    ) == [*("pass", "pass", "fail", "fail", "unknown", "pass")]


def test_one_audit_at_a_time_and_each_is_made_once(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Gap("vpc_origins", "The budget of calls is spent.", 30.0)
    monkeypatch.setattr(AwsAccount, "snapshot_for", Aws(seen(gaps=(held,)), seen()))
    asked = audited(endpoint)
    assert asked.finished_at is None
    assert actions.request_audit(endpoint, by="ana", stream="", now=NOW).pk == asked.pk
    for seconds in (10, 31, 32):
        at = NOW + timedelta(seconds=seconds)
        actions.make_audit(str(asked.pk), clock=partial(lambda moment: moment, at))
    made = PrivacyAudit.objects.get()
    assert (made.outcome, made.finished_at) == ("pass", NOW + timedelta(seconds=31))


def test_an_audit_that_another_worker_has_taken_up_is_left_to_it(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = NOW + timedelta(minutes=9)

    def asleep(*_: object, **__: object) -> Snapshot:
        PrivacyAudit.objects.update(lease_until=others)
        return seen(gaps=(Gap("vpc_origins", "The budget of calls is spent.", 30.0),))

    monkeypatch.setattr(AwsAccount, "snapshot_for", asleep)
    assert (audited(endpoint).lease_until, PrivacyAudit.objects.get().due_at) == (others, NOW)
    monkeypatch.setattr(AwsAccount, "snapshot_for", Aws(seen()))
    assert audited(endpoint, minutes=9).outcome == "pass"


def test_what_is_kept_can_be_verified_and_every_change_shows(
    endpoint: Endpoint,
    key: Ed25519PrivateKey,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(AwsAccount, "snapshot_for", Aws(seen()))
    made = audited(endpoint)
    kept = signing.sealed(made.document, made.digest, made.signature)
    assert signing.what_is_wrong(json.dumps(kept).encode(), key.public_key()) == []
    file, public = tmp_path / "audit.json", tmp_path / "public.pem"
    file.write_text(json.dumps(kept, indent=2))
    public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    call_command("verify_evidence", str(file))
    call_command("verify_evidence", str(file), "--key", str(public))
    assert "is unchanged and signed with key" in capsys.readouterr().out

    forged = json.loads(json.dumps(kept))
    forged["document"]["questions"][1]["outcome"] = "unknown"
    assert len(signing.what_is_wrong(json.dumps(forged).encode(), key.public_key())) == 2
    forged["sha256"] = signing.digest(forged["document"])
    file.write_text(json.dumps(forged))
    with pytest.raises(CommandError, match="does not match"):
        call_command("verify_evidence", str(file))


DOCUMENT: dict[str, Any] = {
    "outcome": "pass",
    "endpoint": {"name": "team-chat", "paths": ["/ws", "/wé/*"]},
    "questions": [
        {"code": "PF-SCHEME", "outcome": "pass", "seen": "It is internal."},
        {"code": "PF-IPV6", "count": 3},
    ],
    "facts": {"target": None, "looked": True},
}


def an_auditors_own_check(kept: dict[str, Any], key: Ed25519PrivateKey) -> bool:
    """Written from what the help page says, without the portal's code: the signature fits the
    document.
    """
    form = json.dumps(
        kept["document"], sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()
    try:
        key.public_key().verify(base64.b64decode(kept["signature"]["value"]), form)
    except InvalidSignature:
        return False
    return hashlib.sha256(form).hexdigest() == str(kept["sha256"])


def every_change(value: Any) -> Iterator[Any]:
    """The value with one leaf changed, one entry gone, one more, or two swapped: each possible
    one.
    """
    if isinstance(value, dict):
        yield {**value, "added": 1}
        for name in value:
            yield {key: kept for key, kept in value.items() if key != name}
            yield {(f"{key}x" if key == name else key): kept for key, kept in value.items()}
            yield from ({**value, name: changed} for changed in every_change(value[name]))
    elif isinstance(value, list):
        yield [*value, 1]
        yield value[::-1]
        for place in range(len(value)):
            yield value[:place] + value[place + 1 :]
            yield from (
                [*value[:place], changed, *value[place + 1 :]]
                for changed in every_change(value[place])
            )
    elif isinstance(value, str):
        yield from (f"{value} ", value[:-1] + "!", None, "")
    else:
        yield from (not value, 7, "true")


def test_an_auditor_needs_no_code_of_the_portal_and_each_field_that_is_changed_shows() -> None:
    own = Ed25519PrivateKey.generate()
    kept = signing.sealed(DOCUMENT, signing.digest(DOCUMENT), signing.sign(DOCUMENT, own))
    assert an_auditors_own_check(kept, own)
    assert signing.what_is_wrong(json.dumps(kept, indent=3).encode(), own.public_key()) == []
    changes = [changed for changed in every_change(kept) if changed != kept and "note" in changed]
    assert len(changes) > 100
    unseen = [
        one
        for one in changes
        if not signing.what_is_wrong(json.dumps(one).encode(), own.public_key())
    ]
    assert unseen == []
    forged = [
        one for one in changes if one.get("document") not in (None, DOCUMENT) and "signature" in one
    ]
    assert not any(
        an_auditors_own_check(one, own) for one in forged if one["signature"] == kept["signature"]
    )


def test_an_auditor_without_an_account_finds_the_lines_in_the_documentation() -> None:
    told = (PROJECT / "docs" / "evidence.md").read_text()
    assert [line for line in signing.HOW_TO_VERIFY if f"\n{line}\n" not in told] == []


def test_a_document_that_two_readers_read_differently_is_refused() -> None:
    own = Ed25519PrivateKey.generate()
    kept = signing.sealed(DOCUMENT, signing.digest(DOCUMENT), signing.sign(DOCUMENT, own))
    text = json.dumps(kept)
    twice = text.replace('"document":', '"document": {"outcome": "fail"}, "document":', 1)
    assert json.loads(twice) == kept, "Python takes the last, others the first"
    assert "twice" in signing.what_is_wrong(twice.encode(), own.public_key())[0]
    value = kept["signature"]["value"]
    assert value.endswith("==")
    last = ALPHABET[(ALPHABET.index(value[-3]) & ~15) | ((ALPHABET.index(value[-3]) + 1) & 15)]
    other = f"{value[:-3]}{last}=="
    assert base64.b64decode(other) == base64.b64decode(value)
    spelled = {**kept, "signature": {**kept["signature"], "value": other}}
    assert signing.what_is_wrong(json.dumps(spelled).encode(), own.public_key()) != []


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        (b"\xff{", "not JSON"),
        (b"[]", "no `document`"),
        (b'{"document": {"a": 1e400}}', "no canonical form"),
        (b'{"document": {"\\ud800": 1}}', "no canonical form"),
        (b'{"document": {"a": [{"\\ud800": "\\ud800"}]}}', "no canonical form"),
        (b'{"document": {}, "\\ud800": 1}', "'\\ud800', which no signature covers"),
        (
            b'{"document": {}, "signature": {"algorithm": "Ed25519", "key_id": "\\ud800\\u001b"}}',
            "with key '\\ud800",
        ),
        (b'{"document": {}, "sha256": ""}', "not the digest"),
        (b'{"document": {}, "signature": null}', "not signed"),
        (b'{"document": {}, "signature": {"algorithm": "none"}}', "not an Ed25519 signature"),
        (
            b'{"document": {}, "signature": {"algorithm": "Ed25519", "key_id": "0"}}',
            "signed with key '0'",
        ),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_evidence_is_told_in_words(kept: bytes, says: str) -> None:
    faults = signing.what_is_wrong(kept, Ed25519PrivateKey.generate().public_key())
    assert any(says in fault for fault in faults)
    assert all(fault.isprintable() for fault in faults)


def test_without_a_key_the_audit_says_that_it_is_not_signed(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    monkeypatch.setattr(AwsAccount, "snapshot_for", Aws(seen(), seen()))
    settings.EVIDENCE_KEY_FILE = ""
    made = audited(endpoint)
    assert (made.outcome, made.signature) == ("pass", {})
    assert "no key" in made.unsigned_reason
    assert "NOT SIGNED" in signing.sealed(made.document, made.digest, made.signature)["note"]
    assert [warning.id for warning in evidence_can_be_signed(None)] == ["portal.W001"]
    settings.EVIDENCE_KEY_FILE = str(tmp_path / "nothing.pem")
    assert "could not read its key" in audited(endpoint, 1).unsigned_reason
    with pytest.raises(KeyFault, match="cannot be read"):
        signing_key()
    (error,) = evidence_can_be_signed(None)
    assert (error.id, "openssl genpkey" in str(error.hint)) == ("portal.E004", True)


def test_a_portal_with_a_key_has_nothing_to_say(key: Ed25519PrivateKey) -> None:
    assert evidence_can_be_signed(None) == []
