"""SimulatePrincipalPolicy: IAM's rules according to its user guide, and the call itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.aws.moto_patches.policy_simulation import (
    ALLOWED,
    EXPLICIT_DENY,
    IMPLICIT_DENY,
    Decision,
    decide,
)
from tests.lab.account import Account, Lab, assert_refused

GROUP = "arn:aws:ec2:us-east-1:1:security-group/sg-1"
OPEN = "ec2:AuthorizeSecurityGroupIngress"


def statement(
    action: Any = OPEN, resource: Any = "*", effect: str = "Allow", **more: Any
) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource} | more


def decided(*statements: dict[str, Any], resource: str = GROUP, **context: list[str]) -> Decision:
    return decide({"p": {"Statement": list(statements)}}, OPEN, resource, context)


def when(operator: str, **wanted: Any) -> dict[str, Any]:
    return statement(Condition={operator: wanted})


@pytest.mark.parametrize(
    ("statements", "word"),
    [
        ((), IMPLICIT_DENY),
        ((statement(),), ALLOWED),
        ((statement("EC2:authorize*"),), ALLOWED),
        ((statement(["ec2:Describe*", "ec2:A?thorizeSecurityGroupIngress"]),), ALLOWED),
        ((statement("ec2:Revoke*"),), IMPLICIT_DENY),
        ((statement(resource="arn:aws:ec2:*:*:security-group/*"),), ALLOWED),
        ((statement(resource="arn:aws:ec2:*:*:security-group-rule/*"),), IMPLICIT_DENY),
        ((statement(), statement(effect="Deny", resource=GROUP)), EXPLICIT_DENY),
        (({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"},), ALLOWED),
        (
            (
                {"Effect": "Deny", "NotAction": "iam:*", "NotResource": "arn:aws:s3:::*"},
                statement(),
            ),
            EXPLICIT_DENY,
        ),
        ((statement(resource="arn:aws:ec2:us-east-1:1:security-group/sg.1"),), IMPLICIT_DENY),
    ],
)
def test_actions_and_resources(statements: tuple[dict[str, Any], ...], word: str) -> None:
    assert decided(*statements).word == word


@pytest.mark.parametrize(
    ("condition", "context", "word", "missing"),
    [
        (when("StringEquals", owner="us"), {"owner": ["us"]}, ALLOWED, ()),
        (when("StringEquals", Owner=["a", "us"]), {"owner": ["us"]}, ALLOWED, ()),
        (when("StringEquals", owner="us"), {"owner": ["US"]}, IMPLICIT_DENY, ()),
        (when("StringEqualsIgnoreCase", owner="us"), {"owner": ["US"]}, ALLOWED, ()),
        (when("StringEquals", owner="us"), {}, IMPLICIT_DENY, ("owner",)),
        (when("StringEqualsIfExists", owner="us"), {}, ALLOWED, ()),
        (when("StringNotEquals", owner="us"), {"owner": ["them"]}, ALLOWED, ()),
        (when("StringNotEquals", owner="us"), {}, ALLOWED, ()),
        (when("StringLike", owner="team-*"), {"owner": ["team-a"]}, ALLOWED, ()),
        (
            when("ArnLike", who="arn:aws:iam::*:role/x"),
            {"who": ["arn:aws:iam::1:role/x"]},
            ALLOWED,
            (),
        ),
        (when("Bool", secure="true"), {"secure": ["True"]}, ALLOWED, ()),
        (when("Null", owner="true"), {}, ALLOWED, ()),
        (when("Null", owner=True), {"owner": ["us"]}, IMPLICIT_DENY, ()),
        (when("ForAllValues:StringEquals", keys=["a", "b"]), {"keys": ["a", "b"]}, ALLOWED, ()),
        (when("ForAllValues:StringEquals", keys=["a"]), {"keys": ["a", "b"]}, IMPLICIT_DENY, ()),
        (when("ForAllValues:StringEquals", keys=["a"]), {}, ALLOWED, ()),
        (when("ForAnyValue:StringEquals", keys=["a"]), {"keys": ["a", "b"]}, ALLOWED, ()),
        (when("StringEquals", a="1", b="2"), {"a": ["1"]}, IMPLICIT_DENY, ("b",)),
    ],
)
def test_conditions(
    condition: dict[str, Any], context: dict[str, Any], word: str, missing: tuple[str]
) -> None:
    found = decided(condition, **context)
    assert (found.word, found.missing) == (word, missing)


def test_over_the_wire_with_a_boundary_and_what_is_not_there(lab: Lab, account: Account) -> None:
    iam = account.iam
    allow, nothing = (
        {"Version": "2012-10-17", "Statement": one} for one in ([statement()], [statement("s3:*")])
    )
    bound = iam.create_policy(PolicyName="bound", PolicyDocument=json.dumps(nothing))["Policy"][
        "Arn"
    ]
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    for name, boundary in (("free", {}), ("held", {"PermissionsBoundary": bound})):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, **boundary)
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=json.dumps(allow))

    def simulated(name: str, **more: Any) -> list[dict[str, Any]]:
        arn = f"arn:aws:iam::{account.number}:role/{name}"
        said = iam.simulate_principal_policy(
            PolicySourceArn=arn, ActionNames=[OPEN, "s3:GetObject"], **more
        )
        return list(said["EvaluationResults"])

    opened, read = simulated("free", ResourceArns=[GROUP])
    assert (opened["EvalActionName"], opened["EvalResourceName"], opened["EvalDecision"]) == (
        OPEN,
        GROUP,
        "allowed",
    )
    assert opened["MatchedStatements"][0]["SourcePolicyId"] == "inline"
    assert (read["EvalResourceName"], read["EvalDecision"], read["MatchedStatements"]) == (
        GROUP,
        "implicitDeny",
        [],
    )
    held, _ = simulated("held")
    assert (held["EvalDecision"], held["EvalResourceName"]) == ("implicitDeny", "*")
    assert held["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}
    iam.attach_role_policy(RoleName="free", PolicyArn=bound)
    assert [one["EvalDecision"] for one in simulated("free")] == ["allowed", "allowed"]
    iam.detach_role_policy(RoleName="free", PolicyArn=bound)
    _, added = simulated("free", PolicyInputList=[json.dumps(nothing)])
    assert added["EvalDecision"] == "allowed"
    with assert_refused("NoSuchEntity", 404):
        simulated("nobody")
    with assert_refused("MalformedPolicyDocument", 400):
        simulated("free", PolicyInputList=["{"])
    with assert_refused("InvalidInput", 400):
        simulated("free", CallerArn=f"arn:aws:iam::{account.number}:user/x")
