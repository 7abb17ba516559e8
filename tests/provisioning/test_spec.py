"""What a wish must look like to become a spec, and what follows from what a person answered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.facts.certificate import Certificate
from provisioning.facts.load_balancer import Listener
from provisioning.facts.path_patterns import matches
from provisioning.spec.parsing import (
    SPEC_FIELDS,
    SpecError,
    complete_answers,
    derive_settings,
    parse_spec,
    read_spec,
)
from tests.provisioning.examples import ACCOUNT, ANSWERS, TARGET, TARGET_FACTS, spec


def test_a_wish_with_five_answers_becomes_a_complete_spec() -> None:
    made = spec()
    assert made.origin_protocol == "http-only"
    assert made.path_patterns == ("/ws/chat", "/ws/chat/*")
    assert made.check_path == "/ws/chat"
    assert made.region == "us-east-1"


@pytest.mark.parametrize(
    ("patterns", "path"),
    [
        (["/ws/*"], "/ws/"),
        (["/ws/*", "/ws"], "/ws"),
        (["/ws*"], "/ws"),
        (["/v?/chat/*", "/x/*"], "/vx/chat/"),
        (["/*/ws"], "/x/ws"),
        (["/api/kernels/*/channels"], "/api/kernels/x/channels"),
        (["/*/v?", "/ws/*"], "/x/vx"),
    ],
)
def test_a_handshake_knocks_where_the_endpoint_is_and_not_where_another_behavior_answers(
    patterns: list[str], path: str
) -> None:
    made = spec(path_patterns=patterns)
    assert made.check_path == path
    assert any(matches(pattern, path) for pattern in made.path_patterns)


def test_strings_of_a_ticket_system_mean_the_same_as_typed_values() -> None:
    typed = spec(
        max_silence_seconds=45, open_security_group=False, subprotocols=["a", "b"], read_timeout=60
    )
    strings = spec(
        max_silence_seconds="45",
        open_security_group="false",
        subprotocols="a, b",
        read_timeout="60",
    )
    assert typed == strings
    assert typed.digest() == strings.digest()


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"name": ""}, "name", "required"),
        ({"name": "Team Chat"}, "name", "invalid"),
        ({"name": "team-chat\n"}, "name", "invalid"),
        ({"name": "-chat"}, "name", "invalid"),
        ({"name": "a" * 41}, "name", "invalid"),
        ({"name": "ｃhat"}, "name", "invalid"),
        ({"name": 7}, "name", "required"),
        ({"account_id": "11112222333"}, "account_id", "invalid"),
        ({"account_id": "１11122223333"}, "account_id", "invalid"),
        ({"distribution_id": "d111111abcdef8.cloudfront.net"}, "distribution_id", "invalid"),
        ({"target_arn": TARGET + "\n"}, "target_arn", "invalid"),
        ({"target_arn": TARGET.replace(ACCOUNT, "444455556666")}, "target_arn", "other_account"),
        ({"target_arn": "arn:aws:s3:::bucket"}, "target_arn", "invalid"),
        ({"path_patterns": []}, "path_patterns", "required"),
        ({"path_patterns": ["ws"]}, "path_patterns", "invalid"),
        ({"path_patterns": ["/ws", "/ws"]}, "path_patterns", "duplicate"),
        *(
            ({"path_patterns": [unreachable]}, "path_patterns", "unreachable")
            for unreachable in ("/ws//chat", "/ws//*", "/./ws", "/*/../ws", "/ws/..", "/ws/.")
        ),
        ({"path_patterns": ["/ws/*", "/ws/**"]}, "path_patterns", "duplicate"),
        ({"distribution_id": "E" + "1" * 20}, "distribution_id", "invalid"),
        *(
            ({"path_patterns": ["/ws", all_of_it]}, "path_patterns", "catch_all")
            for all_of_it in ("/*", "/**", "/?*")
        ),
        ({"path_patterns": ["/" + "a" * 255]}, "path_patterns", "invalid"),
        ({"path_patterns": ["/a%2f"]}, "path_patterns", "invalid"),
        # Some of these CloudFront takes in a pattern, but no client can ask for them as they stand.
        *(
            ({"path_patterns": [f"/a{one}"]}, "path_patterns", "invalid")
            for one in ('\\"b', "\\", '"', "<b>", "^", "`", "{b}", "|", "#b")
        ),
        ({"path_patterns": [f"/{n}" for n in range(6)]}, "path_patterns", "too_many"),
        ({"http_port": 81}, "http_port", "invalid"),
        ({"http_port": True}, "http_port", "invalid"),
        ({"http_port": "٨٠"}, "http_port", "invalid"),
        ({"https_port": 65536}, "https_port", "invalid"),
        ({"read_timeout": 0}, "read_timeout", "invalid"),
        ({"origin_domain": "no_dots"}, "origin_domain", "invalid"),
        ({"forward_host": "yes"}, "forward_host", "invalid"),
        ({"origin_protocol": "ftp"}, "origin_protocol", "invalid"),
        ({"subprotocols": ["a b", "c"]}, "subprotocols", "invalid"),
        ({"approved": True}, "approved", "unknown"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_field_and_advice(
    changes: dict[str, Any], field: str, code: str
) -> None:
    with pytest.raises(SpecError) as refused:
        parse_spec(complete_answers(ANSWERS) | changes)
    assert [(error.field, error.code) for error in refused.value.errors] == [(field, code)]
    assert len(refused.value.errors[0].message) > 10


@pytest.mark.parametrize("port", [80, 443, 1024, 65535])
def test_the_ports_that_cloudfront_takes_are_taken(port: int) -> None:
    assert spec(http_port=port).http_port == port


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(SpecError) as refused:
        parse_spec({})
    assert {"name", "target_arn", "path_patterns", "http_port"} <= {
        error.field for error in refused.value.errors
    }


def test_settings_are_derived_from_the_listeners_and_an_answer_wins() -> None:
    https = {derived.field: derived for derived in derive_settings({}, {443: "HTTPS"})}
    assert (https["origin_protocol"].value, https["forward_host"].value) == ("https-only", False)
    assert all(derived.reason.endswith(".") for derived in https.values())
    http = complete_answers({}, {8080: "HTTP"})
    assert (http["origin_protocol"], http["http_port"]) == ("http-only", 8080)
    assert (
        complete_answers({"origin_protocol": "match-viewer"}, {443: "HTTPS"})["origin_protocol"]
        == "match-viewer"
    )
    assert complete_answers({"carries_http_api": True})["allowed_methods"].endswith("DELETE")


@pytest.mark.parametrize(
    ("listeners", "protocol", "port"),
    [
        ({443: "TCP"}, "https-only", 443),
        ({80: "TCP", 443: "TCP"}, "http-only", 80),
        ({443: "TCP", 8080: "TCP"}, "http-only", 8080),
        ({8443: "TCP"}, "http-only", 8443),
        ({443: "HTTP"}, "http-only", 443),
        ({443: "TCP", 8443: "TLS"}, "https-only", 443),
    ],
)
def test_behind_tcp_on_443_the_target_is_taken_to_speak_tls_where_nothing_plain_is_beside_it(
    listeners: dict[int, str], protocol: str, port: int
) -> None:
    made = complete_answers({}, listeners)
    assert made["origin_protocol"] == protocol
    assert made["http_port" if protocol == "http-only" else "https_port"] == port
    assert made["forward_host"] == (protocol == "http-only")
    reason = next(
        one.reason for one in derive_settings({}, listeners) if one.field == "origin_protocol"
    )
    assert ("usually carries TLS" in reason) == (
        listeners.get(443) == "TCP" and protocol == "https-only"
    )


@pytest.mark.parametrize(
    ("answers", "names", "domain"),
    [
        ({}, ("chat.internal.example.com",), "chat.internal.example.com"),
        ({"forward_host": "false"}, ("chat.internal.example.com",), "chat.internal.example.com"),
        ({"https_port": "8443"}, ("chat.internal.example.com",), ""),
        ({"forward_host": True}, ("chat.internal.example.com",), ""),
        ({"forward_host": "TRUE"}, ("chat.internal.example.com",), ""),
        ({"origin_protocol": "http-only"}, ("chat.internal.example.com",), ""),
        (
            {"origin_domain": "other.example.com"},
            ("chat.internal.example.com",),
            "other.example.com",
        ),
        ({}, ("a.example.com", "b.example.com"), ""),
        ({}, ("not a name",), ""),
        ({}, (), ""),
    ],
)
def test_the_only_name_in_the_certificate_becomes_the_origins_domain(
    answers: dict[str, Any], names: tuple[str, ...], domain: str
) -> None:
    assert complete_answers(answers, {443: "HTTPS"}, {443: names})["origin_domain"] == domain


def test_of_several_names_in_the_certificate_a_person_chooses_and_is_told_which_there_are() -> None:
    derived = {
        one.field: one
        for one in derive_settings({}, {443: "HTTPS"}, {443: ("a.example.com", "b.example.com")})
    }
    assert "a.example.com, b.example.com" in derived["origin_domain"].reason


def test_names_of_certificates_that_cloudfront_would_not_take_are_left_out() -> None:
    shown = (
        Certificate("arn:1", ("*.example.com", "Chat.example.com"), "ISSUED", "IMPORTED"),
        Certificate("arn:2", ("chat.example.com", "old.example.com"), "EXPIRED", "AMAZON_ISSUED"),
        Certificate("arn:3", ("inner.example.com",), "ISSUED", "PRIVATE"),
    )
    secure, plain = (
        Listener(443, "HTTPS", "forward", certificates=shown),
        Listener(80, "HTTP", "forward"),
    )
    assert replace(TARGET_FACTS, listeners=(secure, plain)).certificate_names() == {
        443: ("chat.example.com",)
    }


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *ANSWERS,
                "http_port",
                "https_port",
                "forward_host",
                "subprotocols",
                "origin_domain",
                "x",
            ]
        ),
        st.one_of(
            st.text(max_size=8),
            st.integers(),
            st.none(),
            st.booleans(),
            st.lists(st.text(max_size=4)),
        ),
    )
)
def test_any_input_is_a_spec_or_a_list_of_faults(changes: dict[str, Any]) -> None:
    try:
        made = parse_spec(
            complete_answers(ANSWERS | changes, {443: "HTTPS"}, {443: ("a.example.com",)})
        )
    except SpecError as refusal:
        faults = refusal.errors
    else:
        faults = ()
        assert parse_spec(made.to_dict()) == made
        assert parse_spec(made.to_dict()).digest() == made.digest()
    assert all(fault.message for fault in faults)


@pytest.mark.parametrize("name", [field.name for field in SPEC_FIELDS if field.rule])
def test_a_spec_stored_before_a_setting_existed_is_still_read(name: str) -> None:
    made = spec()
    stored = {key: value for key, value in made.to_dict().items() if key != name}
    assert read_spec(stored) == made
    assert read_spec(stored | {"retired_setting": 1}) == made


def test_a_stored_spec_is_not_held_to_rules_that_came_later() -> None:
    made = spec(path_patterns=["/ws/chat"]).to_dict()
    old = made | {"path_patterns": ["/*"], "check_path": "/elsewhere"}
    assert read_spec(old).path_patterns == ("/*",)
    with pytest.raises(SpecError):
        parse_spec(old)


def test_a_stored_empty_setting_stays_empty_whatever_its_kind_would_send() -> None:
    stored = spec(app_kind="graphql-transport-ws").to_dict() | {"check_script": ""}
    assert read_spec(stored).check_script == ""
