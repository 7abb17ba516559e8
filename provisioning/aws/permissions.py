"""What IAM says that the portal's own role may do in an account. It only asks, and changes nothing.

IAM simulates: it looks at the role's policies, its boundary and the organization's, and does not do
the thing.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from typing import Any, cast

from provisioning.aws.errors import calling
from provisioning.aws.session import Aws
from provisioning.facts.permissions import LISTS, Permission, Question


def simulate(aws: Aws, asked: Iterable[Question], pool: Executor) -> tuple[Permission, ...]:
    """The answers, in the order of the questions; one call for each question. The account must be
    entered by a role.
    """
    return tuple(
        one
        for answers in pool.map(lambda question: _answers(aws, question), asked)
        for one in answers
    )


def _answers(aws: Aws, question: Question) -> list[Permission]:
    circumstances = [
        {
            "ContextKeyName": key,
            "ContextKeyType": "stringList" if key in LISTS else "string",
            "ContextKeyValues": values,
        }
        for key, values in question.circumstances
    ]
    with calling("SimulatePrincipalPolicy"):
        pages = aws.iam_read.get_paginator("simulate_principal_policy").paginate(
            PolicySourceArn=aws.account.role_arn,
            ActionNames=list(question.actions),
            ResourceArns=[question.resource],
            ContextEntries=circumstances,
        )
        found = [cast("Any", one) for page in pages for one in page["EvaluationResults"]]
    return [
        Permission(
            one["EvalActionName"],
            question.resource,
            one["EvalDecision"],
            tuple(one.get("MissingContextValues") or ()),
        )
        for one in found
    ]
