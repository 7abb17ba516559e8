"""Steps that change distributions, what they refer to, and VPC origins.

What a fault changes is deployed immediately, so that a rehearsal need not wait minutes for a fault
to start or to end. Two changes that no API can make go directly into the store.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

from lab.aws.cloudfront.context import Context
from lab.aws.cloudfront.entities.lifecycle import VpcOrigin
from lab.aws.cloudfront.service import CloudFront
from lab.faults.steps.step import JsonObject, Step, unchanged
from lab.faults.steps.step_kind import StepContext, StepKind, ignoring

_TRIES = 5
# The year 9000: a deployment that ends then never ends.
NEVER = 221_845_392_000.0


class EditDistribution(StepKind):
    """One field of a DistributionConfig. The key is "id|where|field"; `where` is "" for the top
    level, "default", or a path pattern.
    """

    verb = "edit distribution"

    def do(self, context: StepContext, step: Step) -> None:
        self._write(context, step, step.before, step.after, only_if_unchanged=False)

    def undo(self, context: StepContext, step: Step) -> None:
        self._write(context, step, step.after, step.before, only_if_unchanged=True)

    def _write(
        self, context: StepContext, step: Step, old: Any, new: Any, *, only_if_unchanged: bool
    ) -> None:
        """Read, change one field, update; again if someone else has written meanwhile.

        :raises ClientError: someone else wrote each time.
        """
        distribution_id, where, field = step.key.split("|")
        cloudfront = context.client("cloudfront", step)
        for tries_left in reversed(range(_TRIES)):
            found = newest_config(context.cloudfront, distribution_id)
            if found is None:
                return
            etag, config = found
            # A behavior whose pattern was changed is found by its present pattern.
            pattern = old if field == "PathPattern" and old is not None else where
            part = part_of(config, pattern if where not in ("", "default") else where)
            if (
                part is None
                or part.get(field) == new
                or (only_if_unchanged and not unchanged(part.get(field), old))
            ):
                return
            if new is None:
                part.pop(field, None)
            else:
                part[field] = new
            retry = ("PreconditionFailed",) if tries_left else ()
            written = ignoring(
                (*retry, "NoSuchDistribution"),
                lambda etag=etag, config=config: cloudfront.update_distribution(  # type: ignore[misc]
                    Id=distribution_id, IfMatch=etag, DistributionConfig=config
                ),
            )
            if written is not None:
                context.cloudfront.change(
                    lambda cloudfront: _deploy_now(cloudfront, distribution_id)
                )
                return


class CreateRequestPolicy(StepKind):
    """An origin request policy; `after` is its configuration."""

    verb = "make request policy"

    def do(self, context: StepContext, step: Step) -> str:
        made = context.client("cloudfront", step).create_origin_request_policy(
            OriginRequestPolicyConfig=step.after
        )
        return str(made["OriginRequestPolicy"]["Id"])

    def undo(self, context: StepContext, step: Step) -> None:
        cloudfront = context.client("cloudfront", step)
        listed = cloudfront.list_origin_request_policies(Type="custom")
        for item in listed["OriginRequestPolicyList"].get("Items", []):
            policy = item["OriginRequestPolicy"]
            if policy["OriginRequestPolicyConfig"]["Name"] == step.after["Name"]:
                etag = cloudfront.get_origin_request_policy(Id=policy["Id"])["ETag"]
                cloudfront.delete_origin_request_policy(Id=policy["Id"], IfMatch=etag)


class CreateKeyGroup(StepKind):
    """A key group with one public key, both named by the key; `after` is the PEM text."""

    verb = "make key group"

    def do(self, context: StepContext, step: Step) -> str:
        cloudfront = context.client("cloudfront", step)
        config = {"CallerReference": step.key, "Name": step.key, "EncodedKey": step.after}
        key = cloudfront.create_public_key(PublicKeyConfig=config)["PublicKey"]["Id"]
        group = cloudfront.create_key_group(KeyGroupConfig={"Name": step.key, "Items": [key]})
        return str(group["KeyGroup"]["Id"])

    def undo(self, context: StepContext, step: Step) -> None:
        cloudfront = context.client("cloudfront", step)
        for item in cloudfront.list_key_groups()["KeyGroupList"].get("Items", []):
            if item["KeyGroup"]["KeyGroupConfig"]["Name"] == step.key:
                group_id = item["KeyGroup"]["Id"]
                etag = cloudfront.get_key_group(Id=group_id)["ETag"]
                cloudfront.delete_key_group(Id=group_id, IfMatch=etag)
        for item in cloudfront.list_public_keys()["PublicKeyList"].get("Items", []):
            if item["Name"] == step.key:
                etag = cloudfront.get_public_key(Id=item["Id"])["ETag"]
                cloudfront.delete_public_key(Id=item["Id"], IfMatch=etag)


class CreateWebAcl(StepKind):
    """A web ACL of scope CLOUDFRONT; `after` is what CreateWebACL is given."""

    verb = "make web ACL"

    def do(self, context: StepContext, step: Step) -> str:
        return str(context.client("wafv2", step).create_web_acl(**step.after)["Summary"]["ARN"])

    def undo(self, context: StepContext, step: Step) -> None:
        wafv2 = context.client("wafv2", step)
        for listed in wafv2.list_web_acls(Scope="CLOUDFRONT")["WebACLs"]:
            if listed["Name"] == step.after["Name"]:
                named = {name: listed[name] for name in ("Name", "Id", "LockToken")}
                wafv2.delete_web_acl(Scope="CLOUDFRONT", **named)


class SetVpcOrigin(StepKind):
    """A VPC origin in the store; the values are its fields, None if there is none."""

    verb = "set VPC origin"

    def do(self, context: StepContext, step: Step) -> None:
        def change(cloudfront: Context) -> None:
            current = cloudfront.store.vpc_origins.get(step.key)
            if step.after is not None:
                cloudfront.store.vpc_origins.put(VpcOrigin(**step.after))
            elif current is not None:
                cloudfront.store.vpc_origins.drop(current)

        context.cloudfront.change(change)

    def undo(self, context: StepContext, step: Step) -> None:
        def change(cloudfront: Context) -> None:
            current = cloudfront.store.vpc_origins.get(step.key)
            if step.after is None and current is None:
                cloudfront.store.vpc_origins.put(VpcOrigin(**step.before))
            elif step.after is not None and current is not None and current.settled_at >= NEVER:
                settled_at = step.before["settled_at"] if step.before else cloudfront.now
                cloudfront.store.vpc_origins.put(
                    dataclasses.replace(current, settled_at=settled_at)
                )

        context.cloudfront.change(change)


def newest_config(cloudfront: CloudFront, distribution_id: str) -> tuple[str, JsonObject] | None:
    """ETag and a copy of the newest configuration, even while reads over the API lag behind; None
    if there is no such distribution.
    """
    with cloudfront.moto.lock:
        found = cloudfront.store.distributions.get(distribution_id)
        return None if found is None else (found.latest.etag, copy.deepcopy(found.latest.config))


def part_of(config: JsonObject, where: str) -> JsonObject | None:
    """The part of a DistributionConfig that EditDistribution's key names; None if no behavior has
    that pattern.
    """
    if where == "":
        return config
    if where == "default":
        default: JsonObject = config["DefaultCacheBehavior"]
        return default
    behaviors = config.get("CacheBehaviors", {}).get("Items", [])
    return next((item for item in behaviors if item["PathPattern"] == where), None)


def _deploy_now(context: Context, distribution_id: str) -> None:
    """Let every edge serve the newest configuration of a distribution from now on."""
    distribution = context.store.distributions.get(distribution_id)
    if distribution is not None:
        latest = dataclasses.replace(
            distribution.latest, deployed_at=min(distribution.latest.deployed_at, context.now)
        )
        context.store.put_distribution(
            dataclasses.replace(distribution, revisions=(latest,)), latest
        )


STEP_KINDS: tuple[StepKind, ...] = (
    EditDistribution(),
    CreateRequestPolicy(),
    CreateKeyGroup(),
    CreateWebAcl(),
    SetVpcOrigin(),
)
