"""The field table is complete, and true about where each setting ends up in AWS."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from provisioning.facts.names import VpcOriginId
from provisioning.facts.snapshot import VpcOriginFacts
from provisioning.plan.planner import make_plan
from provisioning.spec.derivation import Known
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.field_kinds import Field, InvalidValue, Section
from provisioning.spec.fields import FIELD, FIELDS
from tests.provisioning.examples import KEY, OWNER, RIGHTS, TARGET, behavior, snapshot, spec

ANOTHER: dict[str, Any] = {
    "target_arn": TARGET.replace("int-chat", "int-other"),
    "path_patterns": ["/ws/other"],
    "origin_protocol": "https-only",
    "http_port": 8080,
    "https_port": 8443,
    "forward_host": False,
    "origin_domain": "chat.internal.example.com",
    "viewer_protocol_policy": "redirect-to-https",
    "allowed_methods": "GET,HEAD,OPTIONS",
    "read_timeout": 60,
    "keepalive_timeout": 60,
    "open_security_group": False,
    "origin_headers": "X-Tenant: demo",
    "carry_over": ["response-headers-policy"],
    "origin_id": "chat-origin",
    "vpc_origin_id": "vo_1",
}
"""For each setting that has a place in AWS, a value that is not the usual one."""

GUARDED = replace(behavior("*"), response_headers_policy_id="67f7725c-6f97-4210-82d7-5512b31e9d03")

BY_HAND = VpcOriginFacts(VpcOriginId("vo_1"), "by-hand", TARGET, "Deployed")


def test_rows_and_attributes_of_the_spec_are_the_same_set() -> None:
    rows = [field.name for field in FIELDS if field.in_spec]
    assert sorted(rows) == sorted(field.name for field in fields(EndpointSpec))
    assert len(FIELD) == len(FIELDS), "a name stands twice in the table"


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_row_is_complete_and_its_example_is_valid(field: Field) -> None:
    assert field.label
    assert field.help.endswith(".")
    assert field.parse(field.example) == field.example
    assert not (field.rule and field.default is not None), "a rule or a default, not both"
    assert field.rule is not None or field.section is Section.BASIC, "only basic ones are asked"
    if field.rule:
        chosen = field.rule(Known())
        assert field.parse(chosen.value) == chosen.value
        assert chosen.reason.endswith(".")
    elif not field.required:
        assert field.parse(field.default) == field.default
    else:
        with pytest.raises(InvalidValue) as missing:
            field.parse(None)
        assert missing.value.message.startswith("Required. ")


@pytest.mark.parametrize(
    "field", [field for field in FIELDS if field.place], ids=lambda field: field.name
)
def test_a_setting_ends_up_in_the_plan_where_its_row_says(field: Field) -> None:
    assert field.place
    before, after = (
        [
            _member(item.after, field.place.member)
            for item in make_plan(
                made,
                snapshot(
                    target={"ingress": ()},
                    distribution={"default_behavior": GUARDED},
                    vpc_origins=(BY_HAND,),
                ),
                endpoint_key=KEY,
                owner=OWNER,
                rights=RIGHTS,
                headers={"X-Tenant": "0123456789abcdef"},
            ).items
            if item.resource == field.place.resource
        ]
        for made in (spec(), spec(**{field.name: ANOTHER[field.name]}))
    )
    assert before
    assert before != after


def _member(document: Any, path: str) -> Any:
    for name in filter(None, path.split(".")):
        document = document[name]
    return document
