"""IAM's SimulatePrincipalPolicy, which moto lacks: what the policies of a role or a user allow.

Follows IAM's policy language ("Policy evaluation logic", "IAM JSON policy elements"): an explicit
Deny wins, then an Allow; a permissions boundary must allow the action too. Organizations are not
supported; a boundary or resource policy as input is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moto.core.responses import ActionResult
from moto.iam.exceptions import InvalidInput, MalformedPolicyDocument
from moto.iam.responses import IamResponse

ALLOWED, IMPLICIT_DENY, EXPLICIT_DENY = "allowed", "implicitDeny", "explicitDeny"

Context = Mapping[str, Sequence[str]]
Test = Callable[[str, str], bool]

_UNREAD = (
    "PermissionsBoundaryPolicyInputList",
    "ResourcePolicy",
    "CallerArn",
    "ResourceHandlingOption",
)
_TESTS: dict[str, Test] = {
    "stringequals": lambda wanted, found: wanted == found,
    "stringequalsignorecase": lambda wanted, found: wanted.lower() == found.lower(),
    "stringlike": lambda wanted, found: _fits(wanted, found),
    "arnequals": lambda wanted, found: _fits(wanted, found),
    "arnlike": lambda wanted, found: _fits(wanted, found),
    "bool": lambda wanted, found: wanted.lower() == found.lower(),
}


def patch_policy_simulation() -> None:
    """Add the operation to moto."""
    IamResponse.simulate_principal_policy = simulate_principal_policy  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Decision:
    """The result of an evaluation; `missing` are context keys that conditions need and the request
    lacks.
    """

    word: str
    policies: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def decide(
    policies: Mapping[str, Mapping[str, Any]], action: str, resource: str, context: Context
) -> Decision:
    """The decision over all statements of all policies (name → document). Raises an error for what
    the lab cannot evaluate.
    """
    given = {key.lower(): values for key, values in context.items()}
    allowing: list[str] = []
    denying: list[str] = []
    missing: set[str] = set()
    for name, document in policies.items():
        for statement in _listed(document.get("Statement")):
            if not (
                _names(statement, "Action", action, fold=True)
                and _names(statement, "Resource", resource)
            ):
                continue
            met, unknown = _met(statement.get("Condition") or {}, given)
            missing |= unknown
            if met:
                (denying if statement.get("Effect") == "Deny" else allowing).append(name)
    word = EXPLICIT_DENY if denying else ALLOWED if allowing else IMPLICIT_DENY
    return Decision(word, tuple(dict.fromkeys(denying or allowing)), tuple(sorted(missing)))


def _names(statement: Mapping[str, Any], element: str, value: str, *, fold: bool = False) -> bool:
    """Whether an element, or its Not form, covers the value; `fold` ignores case."""
    inverse = f"Not{element}" in statement
    patterns = _listed(statement.get(f"Not{element}" if inverse else element))
    return inverse != any(
        _fits(one.lower(), value.lower()) if fold else _fits(one, value) for one in patterns
    )


def _met(condition: Mapping[str, Mapping[str, Any]], given: Context) -> tuple[bool, set[str]]:
    """Whether all conditions of a statement are met, and the missing keys."""
    met, missing = True, set()
    for operator, wishes in condition.items():
        for key, wanted in wishes.items():
            holds, absent = _holds(
                operator, given.get(key.lower()), [str(one) for one in _listed(wanted)]
            )
            met = met and holds
            if absent:
                missing.add(key)
    return met, missing


def _holds(operator: str, found: Sequence[str] | None, wanted: Sequence[str]) -> tuple[bool, bool]:
    """Whether one condition is met, and whether it only fails because its key is missing."""
    quantifier, _, rest = operator.rpartition(":")
    name = rest.lower()
    if name == "null":
        return (found is None) == (wanted[0].lower() == "true"), False
    optional = name.endswith("ifexists")
    name = name.removesuffix("ifexists")
    negated = "not" in name
    test = _TESTS.get(name.replace("not", ""))
    if test is None or quantifier.lower() not in ("", "forallvalues", "foranyvalue"):
        raise MalformedPolicyDocument(
            f"The lab does not evaluate the condition operator {operator}."
        )
    if found is None:
        holds = optional or negated or quantifier.lower() == "forallvalues"
        return holds, not holds
    each = [negated != any(test(one, value) for one in wanted) for value in found]
    return (any(each) if quantifier.lower() == "foranyvalue" else all(each)), False


def _fits(pattern: str, value: str) -> bool:
    """IAM's wildcards: `*` any run, `?` one character."""
    parts = re.split(r"([*?])", pattern)
    return (
        re.fullmatch(
            "".join({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in parts), value, re.S
        )
        is not None
    )


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]


def simulate_principal_policy(request: Any) -> ActionResult:
    """SimulatePrincipalPolicy."""
    for name in _UNREAD:
        if request._get_param(name):
            raise InvalidInput(f"The lab does not read {name}.")
    owner, policies = policies_of(request.backend, request._get_param("PolicySourceArn"))
    bound = getattr(owner, "permissions_boundary_arn", None)
    boundary = {bound: _managed(request.backend.get_policy(bound))} if bound else None
    for place, text in enumerate(request._get_param("PolicyInputList", []), start=1):
        policies[f"PolicyInputList.{place}"] = _document(text)
    context = {
        one["ContextKeyName"]: one.get("ContextKeyValues", [])
        for one in request._get_param("ContextEntries", [])
    }
    results = []
    for action in request._get_param("ActionNames"):
        if ":" not in action:
            raise InvalidInput(f"Invalid Input Action: {action}")
        for resource in request._get_param("ResourceArns", []) or ["*"]:
            decision = decide(policies, action, resource, context)
            bounded = None if boundary is None else decide(boundary, action, resource, context)
            results.append(_result(action, resource, decision, bounded))
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})


def _result(
    action: str, resource: str, decision: Decision, bounded: Decision | None
) -> dict[str, Any]:
    word, missing = decision.word, decision.missing
    if bounded is not None:
        word = bounded.word if word == ALLOWED or bounded.word == EXPLICIT_DENY else word
        missing = tuple(sorted({*missing, *bounded.missing}))
    result: dict[str, Any] = {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": word,
        "MatchedStatements": [
            {"SourcePolicyId": name, "SourcePolicyType": "IAM Policy"} for name in decision.policies
        ],
        "MissingContextValues": list(missing),
    }
    if bounded is not None:
        result["PermissionsBoundaryDecisionDetail"] = {
            "AllowedByPermissionsBoundary": bounded.word == ALLOWED
        }
    return result


def policies_of(backend: Any, arn: str) -> tuple[Any, dict[str, dict[str, Any]]]:
    """The role or user itself, and all its policies, including a user's groups': name →
    document.
    """
    kind, _, path = arn.partition(":")[2].rpartition(":")[2].partition("/")
    name = path.rpartition("/")[2]
    if kind == "role":
        owners = [backend.get_role_by_arn(arn)]
    elif kind == "user":
        owners = [backend.get_user(name), *backend.get_groups_for_user(name)]
    else:
        raise InvalidInput(
            f"Invalid Entity Arn: {arn} does not clearly define entity type and name."
        )
    return owners[0], dict(_documents_of(owners))


def _documents_of(owners: Sequence[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for owner in owners:
        for policy_name, document in owner.policies.items():
            yield policy_name, _document(document)
        for attached in owner.managed_policies.values():
            yield attached.name, _managed(attached)


def _managed(policy: Any) -> dict[str, Any]:
    """The document of a managed policy's default version."""
    return _document(
        next(one.document for one in policy.versions if one.version_id == policy.default_version_id)
    )


def document_of(policy: Any) -> dict[str, Any]:
    """The document of a managed policy, or of a policy's text."""
    return _managed(policy) if hasattr(policy, "versions") else _document(policy)


def _document(text: Any) -> dict[str, Any]:
    try:
        document = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise MalformedPolicyDocument("Syntax errors in policy.")
    return document
