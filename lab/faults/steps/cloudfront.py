"""Steps that change distributions and what they refer to, and the two that no API can express.

They decide how a field is put back when somebody else wrote the distribution meanwhile. What a
fault changes is deployed at once: a rehearsal must not wait a quarter of an hour for its fault, nor
for its end.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

from lab.aws.cloudfront.context import Context
from lab.aws.cloudfront.entities.lifecycle import VpcOrigin
from lab.aws.cloudfront.service import CloudFront
from lab.faults.steps.step import JsonObject, Step, like
from lab.faults.steps.step_kinds import Hands, Verb, unless

_TRIES = 5
# The year 9000: what is deployed then is deployed never.
NEVER = 221_845_392_000.0


def _edit(hands: Hands, step: Step) -> None:
    _rewrite(hands, step, step.before, step.after, only_if_ours=False)


def _edit_back(hands: Hands, step: Step) -> None:
    _rewrite(hands, step, step.after, step.before, only_if_ours=True)


def _rewrite(hands: Hands, step: Step, old: Any, new: Any, *, only_if_ours: bool) -> None:
    """Look, change one field, update; again when somebody else was quicker.

    :raises ClientError: somebody else is quicker all the time.
    """
    distribution_id, where, field = step.key.split("|")
    cloudfront = hands.client("cloudfront", step)
    for tries_left in reversed(range(_TRIES)):
        found = newest(hands.cloudfront, distribution_id)
        if found is None:
            return
        etag, config = found
        place = _place(config, where, old if field == "PathPattern" else None)
        if (
            place is None
            or place.get(field) == new
            or (only_if_ours and not like(place.get(field), old))
        ):
            return
        if new is None:
            place.pop(field, None)
        else:
            place[field] = new
        written = unless(
            ("PreconditionFailed", "NoSuchDistribution") if tries_left else ("NoSuchDistribution",),
            lambda etag=etag, config=config: cloudfront.update_distribution(  # type: ignore[misc]
                Id=distribution_id, IfMatch=etag, DistributionConfig=config
            ),
        )
        if written is not None:
            hands.cloudfront.change(lambda context: deploy_now(context, distribution_id))
            return


def newest(cloudfront: CloudFront, distribution_id: str) -> tuple[str, JsonObject] | None:
    """ETag and configuration as they are, however late reads over the API may be; None if there is
    none of that id.
    """
    with cloudfront.moto.lock:
        found = cloudfront.store.distributions.get(distribution_id)
        return None if found is None else (found.latest.etag, copy.deepcopy(found.latest.config))


def _place(config: JsonObject, where: str, pattern: str | None) -> JsonObject | None:
    """The part of a DistributionConfig that a key names: itself, the default behavior, or one by
    its pattern.
    """
    if where == "":
        return config
    if where == "default":
        found: JsonObject = config["DefaultCacheBehavior"]
        return found
    wanted = pattern if pattern is not None else where
    behaviors = config.get("CacheBehaviors", {}).get("Items", [])
    return next((item for item in behaviors if item["PathPattern"] == wanted), None)


def deploy_now(context: Context, distribution_id: str) -> None:
    """Let every edge serve the newest configuration of one distribution from this moment on."""
    distribution = context.store.distributions.get(distribution_id)
    if distribution is not None:
        latest = dataclasses.replace(
            distribution.latest, deployed_at=min(distribution.latest.deployed_at, context.now)
        )
        context.store.put_distribution(
            dataclasses.replace(distribution, revisions=(latest,)), latest
        )


def _make_request_policy(hands: Hands, step: Step) -> str:
    made = hands.client("cloudfront", step).create_origin_request_policy(
        OriginRequestPolicyConfig=step.after
    )
    return str(made["OriginRequestPolicy"]["Id"])


def _delete_request_policy(hands: Hands, step: Step) -> None:
    cloudfront = hands.client("cloudfront", step)
    listed = cloudfront.list_origin_request_policies(Type="custom")["OriginRequestPolicyList"].get(
        "Items", []
    )
    for item in listed:
        policy = item["OriginRequestPolicy"]
        if policy["OriginRequestPolicyConfig"]["Name"] == step.after["Name"]:
            etag = cloudfront.get_origin_request_policy(Id=policy["Id"])["ETag"]
            cloudfront.delete_origin_request_policy(Id=policy["Id"], IfMatch=etag)


def _make_key_group(hands: Hands, step: Step) -> str:
    cloudfront = hands.client("cloudfront", step)
    named = {"CallerReference": step.key, "Name": step.key}
    key = cloudfront.create_public_key(PublicKeyConfig={**named, "EncodedKey": step.after})[
        "PublicKey"
    ]["Id"]
    group = cloudfront.create_key_group(KeyGroupConfig={"Name": step.key, "Items": [key]})
    return str(group["KeyGroup"]["Id"])


def _delete_key_group(hands: Hands, step: Step) -> None:
    cloudfront = hands.client("cloudfront", step)
    for item in cloudfront.list_key_groups()["KeyGroupList"].get("Items", []):
        if item["KeyGroup"]["KeyGroupConfig"]["Name"] == step.key:
            group_id = item["KeyGroup"]["Id"]
            cloudfront.delete_key_group(
                Id=group_id, IfMatch=cloudfront.get_key_group(Id=group_id)["ETag"]
            )
    for item in cloudfront.list_public_keys()["PublicKeyList"].get("Items", []):
        if item["Name"] == step.key:
            cloudfront.delete_public_key(
                Id=item["Id"], IfMatch=cloudfront.get_public_key(Id=item["Id"])["ETag"]
            )


def _make_web_acl(hands: Hands, step: Step) -> str:
    made = hands.client("wafv2", step).create_web_acl(**step.after)
    return str(made["Summary"]["ARN"])


def _delete_web_acl(hands: Hands, step: Step) -> None:
    wafv2 = hands.client("wafv2", step)
    for listed in wafv2.list_web_acls(Scope="CLOUDFRONT")["WebACLs"]:
        if listed["Name"] == step.after["Name"]:
            wafv2.delete_web_acl(
                Name=listed["Name"],
                Scope="CLOUDFRONT",
                Id=listed["Id"],
                LockToken=listed["LockToken"],
            )


def _set_vpc_origin(hands: Hands, step: Step) -> None:
    hands.cloudfront.change(lambda context: _put_vpc_origin(context, step.key, step.after))


def _restore_vpc_origin(hands: Hands, step: Step) -> None:
    def restore(context: Context) -> None:
        current = context.store.vpc_origins.get(step.key)
        if step.after is None and current is None:
            _put_vpc_origin(context, step.key, step.before)
        elif step.after is not None and current is not None and current.settled_at >= NEVER:
            settled_at = step.before["settled_at"] if step.before else context.now
            context.store.vpc_origins.put(dataclasses.replace(current, settled_at=settled_at))

    hands.cloudfront.change(restore)


def _put_vpc_origin(context: Context, origin_id: str, document: JsonObject | None) -> None:
    current = context.store.vpc_origins.get(origin_id)
    if document is not None:
        context.store.vpc_origins.put(VpcOrigin(**document))
    elif current is not None:
        context.store.vpc_origins.drop(current)


VERBS: Mapping[str, Verb] = {
    "edit distribution": Verb(_edit, _edit_back),
    "make request policy": Verb(_make_request_policy, _delete_request_policy),
    "make key group": Verb(_make_key_group, _delete_key_group),
    "make web ACL": Verb(_make_web_acl, _delete_web_acl),
    "set VPC origin": Verb(_set_vpc_origin, _restore_vpc_origin),
}
