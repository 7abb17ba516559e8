"""Cache, origin request and response headers policies: list, get, get config, create, update,
delete.

The kinds differ in data (rules/policy_kinds.py) and in rules (rules/policy_config.py). Managed
policies never change.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from functools import partial

from lab.aws.cloudfront.context import (
    Context,
    Operation,
    check_if_match,
    new_etag,
    page,
    policy_page,
)
from lab.aws.cloudfront.entities.lifecycle import Config, Policy
from lab.aws.cloudfront.protocol.errors import CloudFrontError
from lab.aws.cloudfront.protocol.rest_xml import Call, Values
from lab.aws.cloudfront.rules.policy_kinds import KINDS, PolicyKind


def list_policies(kind: PolicyKind, context: Context, call: Call) -> Values:
    """List…Policies: managed ones, the account's own, or both."""
    wanted = call.parameters.get("Type")
    listed: list[Policy] = []
    if wanted != "custom":
        listed += kind.managed_policies()
    if wanted != "managed":
        listed += kind.own(context)
    shown = page(
        context,
        listed,
        call.parameters,
        lambda policy: policy.id,
        lambda policy: {
            "Type": "managed" if policy.id in kind.managed else "custom",
            kind.name: _shown(kind, policy),
        },
    )
    return {f"{kind.name}List": policy_page(shown)}


def get_policy(kind: PolicyKind, context: Context, call: Call) -> Values:
    """Get…Policy."""
    policy = kind.find(context, call.parameters["Id"])
    return {kind.name: _shown(kind, policy), "ETag": policy.etag}


def get_policy_config(kind: PolicyKind, context: Context, call: Call) -> Values:
    """Get…PolicyConfig."""
    policy = kind.find(context, call.parameters["Id"])
    return {f"{kind.name}Config": policy.config, "ETag": policy.etag}


def create_policy(kind: PolicyKind, context: Context, call: Call) -> Values:
    """Create…Policy. Checks in order: configuration, name, quota."""
    config = kind.complete(call.parameters[f"{kind.name}Config"])
    kind.check(config, context.quotas)
    _check_name(kind, context, config, own_id=None)
    limit = context.quotas[kind.quota]
    if len(kind.own(context)) >= limit:
        raise CloudFrontError(
            f"TooMany{kind.plural}", f"You have reached the limit of {limit} policies of this kind."
        )
    policy = Policy(
        account=context.account,
        id=str(uuid.uuid4()),
        etag=new_etag(),
        config=config,
        modified=context.real_time,
    )
    kind.table(context).put(policy)
    location = f"https://cloudfront.amazonaws.com/2020-05-31/{kind.path}/{policy.id}"
    return {kind.name: _shown(kind, policy), "ETag": policy.etag, "Location": location}


def update_policy(kind: PolicyKind, context: Context, call: Call) -> Values:
    """Update…Policy: allowed while in use; the edge follows immediately (lab/README.md,
    unverified).
    """
    policy = kind.find(context, call.parameters["Id"])
    if policy.id in kind.managed:
        raise CloudFrontError("IllegalUpdate", "You cannot update a managed policy.")
    check_if_match(call.parameters.get("IfMatch"), policy.etag)
    config = kind.complete(call.parameters[f"{kind.name}Config"])
    kind.check(config, context.quotas)
    _check_name(kind, context, config, own_id=policy.id)
    changed = dataclasses.replace(
        policy, config=config, etag=new_etag(), modified=context.real_time
    )
    kind.table(context).put(changed)
    return {kind.name: _shown(kind, changed), "ETag": changed.etag}


def delete_policy(kind: PolicyKind, context: Context, call: Call) -> Values:
    """Delete…Policy: not while a behavior of any live configuration uses it."""
    policy = kind.find(context, call.parameters["Id"])
    if policy.id in kind.managed:
        raise CloudFrontError("IllegalDelete", "You cannot delete a managed policy.")
    check_if_match(call.parameters.get("IfMatch"), policy.etag)
    if any(kind.users(context, policy.id)):
        raise CloudFrontError(
            f"{kind.name}InUse",
            f"Cannot delete the {kind.title} because it is attached to one or more cache "
            "behaviors.",
        )
    kind.table(context).drop(policy)
    return {}


def _shown(kind: PolicyKind, policy: Policy) -> Values:
    return {
        "Id": policy.id,
        "LastModifiedTime": policy.modified,
        f"{kind.name}Config": policy.config,
    }


def _check_name(kind: PolicyKind, context: Context, config: Config, own_id: str | None) -> None:
    """A name must be unique in the account, and not a managed policy's."""
    others = [*kind.managed_policies(), *kind.own(context)]
    if any(other.config["Name"] == config["Name"] and other.id != own_id for other in others):
        raise CloudFrontError(
            f"{kind.name}AlreadyExists", f"A {kind.title} with this name already exists."
        )


def _operations(kind: PolicyKind) -> dict[str, Operation]:
    return {
        f"List{kind.plural}": partial(list_policies, kind),
        f"Get{kind.name}": partial(get_policy, kind),
        f"Get{kind.name}Config": partial(get_policy_config, kind),
        f"Create{kind.name}": partial(create_policy, kind),
        f"Update{kind.name}": partial(update_policy, kind),
        f"Delete{kind.name}": partial(delete_policy, kind),
    }


OPERATIONS: Mapping[str, Operation] = {
    name: do for kind in KINDS for name, do in _operations(kind).items()
}
