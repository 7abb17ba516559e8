"""VPC Block Public Access, which moto lacks: options and exclusions of every account and Region.

States and errors follow the EC2 API reference. A change applies immediately, but its state stays
in-progress for some minutes of lab time, as on AWS.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field, replace
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response
from moto.moto_api._internal import mock_random

from lab.aws.moto_patches.time_and_random import lab_now, moto_now

# VPC user guide: changes "can take a few minutes"; at most 50 exclusions in a Region.
_IN_PROGRESS_SECONDS = 180.0
_MAX_EXCLUSIONS = 50
_MODES = ("off", "block-bidirectional", "block-ingress")
_EXCLUSION_MODES = ("allow-bidirectional", "allow-egress")


@dataclass(frozen=True)
class _Exclusion:
    """One exclusion. `verb` is create, update or delete; it is complete at `done_at` (lab time)."""

    id: str
    resource: str
    arn: str
    mode: str
    verb: str
    done_at: float
    created: datetime.datetime
    updated: datetime.datetime
    deleted: datetime.datetime | None = None
    tags: tuple[tuple[str, str], ...] = ()

    def shown(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "ExclusionId": self.id,
            "InternetGatewayExclusionMode": self.mode,
            "ResourceArn": self.arn,
            "State": f"{self.verb}-{'complete' if lab_now() >= self.done_at else 'in-progress'}",
            "CreationTimestamp": self.created,
            "LastUpdateTimestamp": self.updated,
            "DeletionTimestamp": self.deleted,
            "Tags": [{"Key": key, "Value": value} for key, value in self.tags],
        }


@dataclass
class _Regional:
    """The state of one account in one Region."""

    mode: str = "off"
    updated: datetime.datetime | None = None
    done_at: float = 0.0
    exclusions: dict[str, _Exclusion] = field(default_factory=dict)


_KEPT: dict[tuple[str, str], _Regional] = {}


def block_public_access() -> dict[str, dict[str, dict[str, Any]]]:
    """The current state, as in /_lab/state: {account: {region: {"mode", "exclusions": [{"resource",
    "mode"}]}}}.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for (account, region), kept in sorted(_KEPT.items()):
        found.setdefault(account, {})[region] = {
            "mode": kept.mode,
            "exclusions": [
                {"resource": exclusion.resource, "mode": exclusion.mode}
                for exclusion in kept.exclusions.values()
                if exclusion.verb != "delete"
            ],
        }
    return found


def patch_block_public_access() -> None:
    """Add six operations to EC2."""
    for operation in (
        describe_vpc_block_public_access_options,
        modify_vpc_block_public_access_options,
        create_vpc_block_public_access_exclusion,
        describe_vpc_block_public_access_exclusions,
        modify_vpc_block_public_access_exclusion,
        delete_vpc_block_public_access_exclusion,
    ):
        setattr(EC2Response, operation.__name__, operation)


def describe_vpc_block_public_access_options(request: Any) -> ActionResult:
    """DescribeVpcBlockPublicAccessOptions."""
    request.error_on_dryrun()
    return ActionResult({"VpcBlockPublicAccessOptions": _options(request)})


def modify_vpc_block_public_access_options(request: Any) -> ActionResult:
    """ModifyVpcBlockPublicAccessOptions."""
    mode = _choice(request, "InternetGatewayBlockMode", _MODES)
    request.error_on_dryrun()
    kept = _kept(request)
    kept.mode = mode
    kept.updated = moto_now()
    kept.done_at = lab_now() + _IN_PROGRESS_SECONDS
    return ActionResult({"VpcBlockPublicAccessOptions": _options(request)})


def create_vpc_block_public_access_exclusion(request: Any) -> ActionResult:
    """CreateVpcBlockPublicAccessExclusion."""
    mode = _choice(request, "InternetGatewayExclusionMode", _EXCLUSION_MODES)
    vpc, subnet = request._get_param("VpcId"), request._get_param("SubnetId")
    if bool(vpc) == bool(subnet):
        raise EC2ClientError(
            "InvalidParameterCombination", "Specify either a VpcId or a SubnetId, and not both."
        )
    backend = request.ec2_backend
    # Both raise EC2's own errors for unknown ids.
    resource = (
        backend.get_subnet(subnet).id if subnet else backend.describe_vpcs(vpc_ids=[vpc])[0].id
    )
    request.error_on_dryrun()
    kept = _kept(request)
    standing = [exclusion for exclusion in kept.exclusions.values() if exclusion.verb != "delete"]
    if any(exclusion.resource == resource for exclusion in standing):
        raise EC2ClientError(
            "InvalidParameterValue", f"An exclusion for {resource} already exists."
        )
    if len(standing) >= _MAX_EXCLUSIONS:
        raise EC2ClientError(
            "VpcBlockPublicAccessExclusionLimitExceeded",
            f"You have reached the limit of {_MAX_EXCLUSIONS} exclusions.",
        )
    kind = "subnet" if subnet else "vpc"
    moment = moto_now()
    tags = request._parse_tag_specification("vpc-block-public-access-exclusion")
    exclusion = _Exclusion(
        id=f"vpcbpa-exclude-{mock_random.get_random_hex(17)}",
        resource=resource,
        arn=f"arn:aws:ec2:{request.region}:{request.current_account}:{kind}/{resource}",
        mode=mode,
        verb="create",
        done_at=lab_now() + _IN_PROGRESS_SECONDS,
        created=moment,
        updated=moment,
        tags=tuple(tags.get("vpc-block-public-access-exclusion", {}).items()),
    )
    kept.exclusions[exclusion.id] = exclusion
    return ActionResult({"VpcBlockPublicAccessExclusion": exclusion.shown()})


def describe_vpc_block_public_access_exclusions(request: Any) -> ActionResult:
    """DescribeVpcBlockPublicAccessExclusions."""
    request.error_on_dryrun()
    kept = _kept(request)
    wanted = request._get_param("ExclusionIds") or list(kept.exclusions)
    filters = request._filters_from_querystring()
    shown = [_find(request, exclusion_id).shown() for exclusion_id in wanted]
    return ActionResult(
        {"VpcBlockPublicAccessExclusions": [item for item in shown if _passes(item, filters)]}
    )


def modify_vpc_block_public_access_exclusion(request: Any) -> ActionResult:
    """ModifyVpcBlockPublicAccessExclusion."""
    mode = _choice(request, "InternetGatewayExclusionMode", _EXCLUSION_MODES)
    exclusion = _standing(request)
    request.error_on_dryrun()
    changed = replace(
        exclusion,
        mode=mode,
        verb="update",
        done_at=lab_now() + _IN_PROGRESS_SECONDS,
        updated=moto_now(),
    )
    _kept(request).exclusions[changed.id] = changed
    return ActionResult({"VpcBlockPublicAccessExclusion": changed.shown()})


def delete_vpc_block_public_access_exclusion(request: Any) -> ActionResult:
    """DeleteVpcBlockPublicAccessExclusion."""
    exclusion = _standing(request)
    request.error_on_dryrun()
    moment = moto_now()
    leaving = replace(
        exclusion,
        verb="delete",
        done_at=lab_now() + _IN_PROGRESS_SECONDS,
        updated=moment,
        deleted=moment,
    )
    _kept(request).exclusions[leaving.id] = leaving
    return ActionResult({"VpcBlockPublicAccessExclusion": leaving.shown()})


def _kept(request: Any) -> _Regional:
    return _KEPT.setdefault((request.current_account, request.region), _Regional())


def _options(request: Any) -> dict[str, Any]:
    kept = _kept(request)
    if kept.updated is None:
        state = "default-state"
    else:
        state = "update-complete" if lab_now() >= kept.done_at else "update-in-progress"
    return {
        "AwsAccountId": request.current_account,
        "AwsRegion": request.region,
        "State": state,
        "InternetGatewayBlockMode": kept.mode,
        "LastUpdateTimestamp": kept.updated,
        "ManagedBy": "account",
        "ExclusionsAllowed": "allowed",
    }


def _find(request: Any, exclusion_id: str) -> _Exclusion:
    found = _kept(request).exclusions.get(exclusion_id)
    if found is None:
        raise EC2ClientError(
            "InvalidVpcBlockPublicAccessExclusionId.NotFound",
            f"The exclusion ID '{exclusion_id}' does not exist",
        )
    return found


def _standing(request: Any) -> _Exclusion:
    found = _find(request, str(request._get_param("ExclusionId")))
    if found.verb == "delete":
        raise EC2ClientError(
            "IncorrectState", f"The exclusion {found.id} is being deleted or was deleted."
        )
    return found


def _choice(request: Any, name: str, allowed: tuple[str, ...]) -> str:
    given = request._get_param(name)
    if not given:
        raise EC2ClientError("MissingParameter", f"The request must contain the parameter {name}")
    if given not in allowed:
        raise EC2ClientError(
            "InvalidParameterValue", f"Value ({given}) for parameter {name} is invalid."
        )
    return str(given)


_FILTERS = {
    "exclusion-id": "ExclusionId",
    "internet-gateway-exclusion-mode": "InternetGatewayExclusionMode",
    "resource-arn": "ResourceArn",
    "state": "State",
}


def _passes(item: dict[str, Any], filters: dict[str, Any]) -> bool:
    tags = {tag["Key"]: tag["Value"] for tag in item["Tags"]}
    for name, values in filters.items():
        if name.startswith("tag:"):
            found = tags.get(name.removeprefix("tag:"))
        elif name == "tag-key":
            found = next((key for key in tags if key in values), None)
        elif name in _FILTERS:
            found = item[_FILTERS[name]]
        else:
            raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
        if found not in values:
            return False
    return True
