"""The role's policy allows what provisioning/aws calls, and nothing else: compared both ways, by
parsing.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from typing import Any

import botocore.loaders
import pytest
from botocore import xform_name

from provisioning.facts.names import OWNER_TAG
from provisioning.facts.permissions import OFF_LIMITS_TAG
from tests.architecture.source import PROJECT, modules, parse

SERVICES = {
    "wafv2": "wafv2",
    "apigateway": "apigateway",
    "apigatewayv2": "apigateway",
    "service-quotas": "servicequotas",
    "acm": "acm",
    "cloudfront": "cloudfront",
    "ec2": "ec2",
    "elbv2": "elasticloadbalancing",
    "iam": "iam",
}
"""botocore's name of a service → its prefix in policies. An operation that several have is that of
the last.
"""

ALSO_NEEDED = {
    "cloudfront:TagResource": "CreateVpcOrigin with Tags",
    "ec2:CreateTags": "AuthorizeSecurityGroupIngress with TagSpecifications",
    "iam:CreateServiceLinkedRole": "the account's first VPC origin",
}
"""Actions that AWS asks for although nobody calls an operation of that name."""

NOT_OPERATIONS = {"GetCredentials"}
"""`calling` names this where no request is sent."""

CHANGING = ("Create", "Delete", "Update", "Authorize", "Revoke", "Tag")
NOT_MARKED_BY_US = {
    ("cloudfront:UpdateDistribution", "distribution"): "distributions belong to the teams",
    (
        "ec2:AuthorizeSecurityGroupIngress",
        "security-group",
    ): "groups belong to the teams; the rule carries our mark",
    (
        "ec2:RevokeSecurityGroupIngress",
        "security-group",
    ): "groups belong to the teams; the rule carries our mark",
    ("iam:CreateServiceLinkedRole", "role"): "exactly one role, by its name",
}
"""Changes that AWS cannot tie to our mark, or need not, each with the reason."""


def test_the_policy_allows_exactly_what_the_edge_calls() -> None:
    used = {
        f"{SERVICES[service]}:{_as_permitted(service, operation)}"
        for service, operation in _operations_called()
    }
    allowed = {
        action
        for statement in _statements()
        if statement["Effect"] == "Allow"
        for action in _listed(statement["Action"])
    }
    assert used - allowed == set(), "allow these in docs/iam-policy.json"
    assert allowed - used - set(ALSO_NEEDED) == set(), (
        "nobody calls these; take them out of docs/iam-policy.json"
    )
    assert set(ALSO_NEEDED) - allowed == set()


def test_every_call_names_itself_in_errors() -> None:
    """`calling("X")` is what a person reads when AWS refuses; it must be the operation that was
    called.
    """
    named = {
        node.args[0].value for node in _calls("calling") if isinstance(node.args[0], ast.Constant)
    }
    assert named - NOT_OPERATIONS == {operation for _, operation in _operations_called()}


@pytest.mark.parametrize(
    "statement", json.loads((PROJECT / "docs/iam-policy.json").read_text())["Statement"]
)
def test_a_statement_is_narrow(statement: dict[str, Any]) -> None:
    if statement["Effect"] == "Deny":
        assert OFF_LIMITS_TAG in json.dumps(statement["Condition"])
        return
    for action in _listed(statement["Action"]):
        assert "*" not in action
        assert not action.startswith(
            ("cloudfront:DeleteDistribution", "cloudfront:CreateDistribution")
        )
        if not action.split(":")[1].startswith(CHANGING):
            continue
        kinds = [
            resource.split(":")[5].split("/")[0]
            for resource in _listed(statement["Resource"])
            if resource != "*"
        ]
        for kind in kinds or [""]:
            marked = OWNER_TAG in json.dumps(statement.get("Condition", {}))
            assert marked or (action, kind) in NOT_MARKED_BY_US, (
                f"{action} may change what is not ours"
            )


def test_each_star_has_its_reason() -> None:
    page = (PROJECT / "docs/iam-policy.md").read_text()
    explained = {
        name
        for line in page.splitlines()
        if line.startswith("| ")
        for name in line.split(" | ")[0].removeprefix("| ").split(", ")
    }
    wide = {one["Sid"] for one in _statements() if "*" in json.dumps(one["Resource"])}
    assert wide - explained == set()
    assert explained - wide - {"statement"} == set()


def test_what_can_be_put_off_limits_is_all_that_can_be_changed() -> None:
    """Only what is made and marked anew is not asked: it has no tags yet."""
    denied = {
        action
        for one in _statements()
        if one["Effect"] == "Deny"
        for action in _listed(one["Action"])
    }
    changing = {
        action
        for one in _statements()
        for action in _listed(one["Action"])
        if action.split(":")[1].startswith(CHANGING)
    }
    assert changing - denied == {
        "cloudfront:CreateVpcOrigin",
        "ec2:CreateTags",
        "iam:CreateServiceLinkedRole",
    }


def _as_permitted(service: str, operation: str) -> str:
    """API Gateway's permissions are named by HTTP method."""
    return "GET" if service.startswith("apigateway") and operation.startswith("Get") else operation


def _statements() -> list[dict[str, Any]]:
    policy: dict[str, Any] = json.loads((PROJECT / "docs" / "iam-policy.json").read_text())
    return list(policy["Statement"])


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _operations_called() -> set[tuple[str, str]]:
    """(service, operation) of every client method that the edge calls, directly or by a
    paginator.
    """
    loader = botocore.loaders.create_loader()
    known = {
        xform_name(operation): (service, operation)
        for service in SERVICES
        for operation in loader.load_service_model(service, "service-2")["operations"]
    }
    methods = {node.func.attr for node in _calls() if isinstance(node.func, ast.Attribute)}
    pages = {
        node.args[0].value
        for node in _calls("get_paginator")
        if isinstance(node.args[0], ast.Constant)
    }
    return {known[name] for name in methods | pages if name in known}


def _calls(name: str = "") -> Iterator[ast.Call]:
    for path in modules("provisioning/aws"):
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call):
                function = node.func
                called = (
                    function.attr
                    if isinstance(function, ast.Attribute)
                    else getattr(function, "id", "")
                )
                if name in ("", called):
                    yield node
