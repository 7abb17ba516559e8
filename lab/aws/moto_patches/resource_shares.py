"""AWS RAM for VPC origins, which moto refuses: shares, resources, principals, invitations.

Accounts outside the owner's organization must accept an invitation within twelve hours of lab time;
accounts in it need none. cloudfront/rules/resource_shares.py has checked that the VPC origin
exists.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.core.utils import unix_time
from moto.moto_api._internal import mock_random
from moto.organizations.models import organizations_backends
from moto.ram import urls
from moto.ram.exceptions import InvalidParameterException, UnknownResourceException
from moto.ram.models import ResourceShare, ram_backends
from moto.ram.responses import ResourceAccessManagerResponse as Responses
from moto.ram.utils import AWS_MANAGED_PERMISSIONS, RAM_RESOURCE_TYPES, format_ram_permission

from lab.aws.moto_patches.time_and_random import lab_now, moto_now

# Global resources are shared in this Region (RAM user guide).
HOME_REGION = "us-east-1"
PERMISSION = "AWSRAMDefaultPermissionCloudFront"
RESOURCE_TYPE = "cloudfront:VpcOrigin"
INVITATION_SECONDS = 12 * 3600.0
_ACCOUNT = re.compile(r"(?:arn:aws:iam::)?(\d{12})(?::root)?")
_ORGANIZATION = re.compile(r"arn:aws:organizations::\d{12}:(organization|ou)/.+")
_VPC_ORIGIN = re.compile(r"arn:aws:cloudfront::(\d{12}):vpcorigin/[^/]+")


@dataclass
class _Invitation:
    """An invitation to one account; `answer` is ACCEPTED or REJECTED once it is answered. `expires`
    is lab time.
    """

    arn: str
    share: ResourceShare
    receiver: str
    sent: datetime.datetime
    expires: float
    answer: str = ""

    @property
    def status(self) -> str:
        """PENDING until it is answered or expired."""
        return self.answer or ("PENDING" if lab_now() < self.expires else "EXPIRED")

    def shown(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "resourceShareInvitationArn": self.arn,
            "resourceShareName": self.share.name,
            "resourceShareArn": self.share.arn,
            "senderAccountId": self.share.owning_account_id,
            "receiverAccountId": self.receiver,
            "invitationTimestamp": self.sent.timestamp(),
            "status": self.status,
        }


_INVITATIONS: dict[str, _Invitation] = {}


class _RamError(JsonRESTError):
    code = 400


def shared_with(resource_arn: str, owner: str, account: str) -> bool:
    """True if an active share of `owner` includes the resource and the account, which has accepted
    if it must.
    """
    return any(
        resource_arn in share.resource_arns and account in _consumers(share)
        for share in _active_shares_of(owner)
    )


def consumers_of(resource_arn: str, owner: str) -> list[str]:
    """The principals of all active shares of a resource, accepted or not."""
    shares = [share for share in _active_shares_of(owner) if resource_arn in share.resource_arns]
    return sorted({principal for share in shares for principal in share.principals})


def vpc_origin_owner(arn: str) -> str | None:
    """The account in the ARN of a VPC origin; None for any other ARN."""
    found = _VPC_ORIGIN.fullmatch(arn)
    return found.group(1) if found else None


def patch_resource_shares() -> None:
    """Add the resource type, its permission and the missing operations to moto's RAM."""
    ResourceShare.SHAREABLE_RESOURCES.append("vpcorigin")
    AWS_MANAGED_PERMISSIONS.append(
        format_ram_permission(name=PERMISSION, resource_type=RESOURCE_TYPE)
    )
    RAM_RESOURCE_TYPES.append(
        {
            "resourceType": RESOURCE_TYPE,
            "serviceName": "cloudfront",
            "resourceRegionScope": "GLOBAL",
        }
    )
    for operation in (
        create_resource_share,
        associate_resource_share,
        disassociate_resource_share,
        get_resource_shares,
        get_resource_share_invitations,
        accept_resource_share_invitation,
        reject_resource_share_invitation,
        list_resources,
        list_principals,
        list_resource_share_permissions,
    ):
        name = operation.__name__
        setattr(Responses, name, operation)
        urls.url_paths[f"{{0}}/{name.replace('_', '')}$"] = Responses.dispatch


def create_resource_share(request: Any) -> str:
    """CreateResourceShare."""
    given = _given(request)
    if not isinstance(given.get("name"), str) or not given["name"]:
        raise InvalidParameterException("The share needs a name.")
    permissions = _texts(given, "permissionArns")
    if any(not arn.endswith(f":permission/{PERMISSION}") for arn in permissions) and any(
        vpc_origin_owner(arn) for arn in _texts(given, "resourceArns")
    ):
        raise InvalidParameterException(f"VPC origins are shared with {PERMISSION} only.")
    principals, resources = _texts(given, "principals"), _texts(given, "resourceArns")
    _check_external(request, principals, allowed=given.get("allowExternalPrincipals", True))
    made: dict[str, Any] = request.ram_backend.create_resource_share(
        **{**given, "principals": principals, "resourceArns": resources}
    )
    share = _own_share(request, made["resourceShare"]["resourceShareArn"])
    _invite(share, principals)
    return json.dumps(made)


def associate_resource_share(request: Any) -> str:
    """AssociateResourceShare."""
    given = _given(request)
    share = _own_share(request, given.get("resourceShareArn"))
    principals = [item for item in _texts(given, "principals") if item not in share.principals]
    resources = [item for item in _texts(given, "resourceArns") if item not in share.resource_arns]
    _check_external(request, principals, allowed=share.allow_external_principals)
    share.add_principals(principals)
    share.add_resources(resources)
    _invite(share, principals)
    return json.dumps({"resourceShareAssociations": _associations(share, principals, resources)})


def disassociate_resource_share(request: Any) -> str:
    """DisassociateResourceShare."""
    given = _given(request)
    share = _own_share(request, given.get("resourceShareArn"))
    principals, resources = _texts(given, "principals"), _texts(given, "resourceArns")
    for entity, kept in [
        *((p, share.principals) for p in principals),
        *((r, share.resource_arns) for r in resources),
    ]:
        if entity not in kept:
            raise UnknownResourceException(f"{entity} is not associated with the resource share.")
    shown = _associations(share, principals, resources, "DISASSOCIATED")
    share.principals = [item for item in share.principals if item not in principals]
    share.resource_arns = [item for item in share.resource_arns if item not in resources]
    for invitation in list(_INVITATIONS.values()):
        if invitation.share is share and invitation.receiver in {
            _account(item) for item in principals
        }:
            del _INVITATIONS[invitation.arn]
    return json.dumps({"resourceShareAssociations": shown})


def get_resource_shares(request: Any) -> str:
    """GetResourceShares."""
    given = _given(request)
    shares = _visible_shares(request, given)
    name, status, arns = (
        given.get("name"),
        given.get("resourceShareStatus"),
        _texts(given, "resourceShareArns"),
    )
    shown = [
        share.describe()
        for share in shares
        if (not name or share.name == name)
        and (not status or share.status == status)
        and (not arns or share.arn in arns)
    ]
    return json.dumps({"resourceShares": shown})


def get_resource_share_invitations(request: Any) -> str:
    """GetResourceShareInvitations."""
    given = _given(request)
    wanted, shares = (
        _texts(given, "resourceShareInvitationArns"),
        _texts(given, "resourceShareArns"),
    )
    own = [
        invitation
        for invitation in _INVITATIONS.values()
        if invitation.receiver == request.current_account
        and invitation.share.region == request.region
        and invitation.share.status == "ACTIVE"
    ]
    unknown = set(wanted) - {invitation.arn for invitation in own}
    if unknown:
        raise _RamError(
            "ResourceShareInvitationArnNotFoundException", f"{min(unknown)} was not found."
        )
    shown = [
        invitation.shown()
        for invitation in own
        if (not wanted or invitation.arn in wanted)
        and (not shares or invitation.share.arn in shares)
    ]
    return json.dumps({"resourceShareInvitations": shown})


def accept_resource_share_invitation(request: Any) -> str:
    """AcceptResourceShareInvitation."""
    return _answer(request, "ACCEPTED")


def reject_resource_share_invitation(request: Any) -> str:
    """RejectResourceShareInvitation."""
    return _answer(request, "REJECTED")


def _answer(request: Any, answer: str) -> str:
    arn = str(_given(request).get("resourceShareInvitationArn"))
    invitation = _INVITATIONS.get(arn)
    # RAM is regional: an invitation exists in its own Region only.
    if (
        invitation is None
        or invitation.receiver != request.current_account
        or invitation.share.region != request.region
        or invitation.share.status != "ACTIVE"
    ):
        raise _RamError("ResourceShareInvitationArnNotFoundException", f"{arn} was not found.")
    if invitation.status != "PENDING":
        past = {"ACCEPTED": "AlreadyAccepted", "REJECTED": "AlreadyRejected", "EXPIRED": "Expired"}[
            invitation.status
        ]
        raise _RamError(
            f"ResourceShareInvitation{past}Exception",
            f"The invitation {arn} is {invitation.status.lower()}.",
        )
    invitation.answer = answer
    return json.dumps({"resourceShareInvitation": invitation.shown()})


def list_resources(request: Any) -> str:
    """ListResources."""
    given = _given(request)
    arns, shares, kind = (
        _texts(given, "resourceArns"),
        _texts(given, "resourceShareArns"),
        given.get("resourceType"),
    )
    shown = [
        {
            "arn": arn,
            "type": RESOURCE_TYPE if vpc_origin_owner(arn) else arn.split(":")[2],
            "resourceShareArn": share.arn,
            "status": "AVAILABLE",
            "creationTime": unix_time(share.creation_time),
            "lastUpdatedTime": unix_time(share.last_updated_time),
            "resourceRegionScope": "GLOBAL" if vpc_origin_owner(arn) else "REGIONAL",
        }
        for share in _visible_shares(request, given)
        if not shares or share.arn in shares
        for arn in share.resource_arns
        if not arns or arn in arns
    ]
    return json.dumps({"resources": [item for item in shown if not kind or item["type"] == kind]})


def list_principals(request: Any) -> str:
    """ListPrincipals."""
    given = _given(request)
    shares, resource, wanted = (
        _texts(given, "resourceShareArns"),
        given.get("resourceArn"),
        _texts(given, "principals"),
    )
    shown = [
        {
            "id": principal,
            "resourceShareArn": share.arn,
            "creationTime": unix_time(share.creation_time),
            "lastUpdatedTime": unix_time(share.last_updated_time),
            "external": _account(principal) is not None,
        }
        for share in _visible_shares(request, given)
        if (not shares or share.arn in shares) and (not resource or resource in share.resource_arns)
        for principal in share.principals
        if not wanted or principal in wanted
    ]
    return json.dumps({"principals": shown})


def list_resource_share_permissions(request: Any) -> str:
    """ListResourceSharePermissions."""
    share = _own_share(request, _given(request).get("resourceShareArn"))
    permissions = request.ram_backend.list_permissions(RESOURCE_TYPE, "ALL")["permissions"]
    shown = permissions if any(vpc_origin_owner(arn) for arn in share.resource_arns) else []
    return json.dumps({"permissions": shown}, default=str)


def _given(request: Any) -> dict[str, Any]:
    given = request.request_params
    if not isinstance(given, dict):
        raise InvalidParameterException("The request must be a JSON object.")
    return given


def _texts(given: dict[str, Any], name: str) -> list[str]:
    found = given.get(name) or []
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise InvalidParameterException(f"{name} must be a list of strings.")
    return list(dict.fromkeys(found))


def _own_share(request: Any, arn: Any) -> ResourceShare:
    for share in request.ram_backend.resource_shares:
        if share.arn == arn and share.status == "ACTIVE":
            found: ResourceShare = share
            return found
    raise UnknownResourceException(f"ResourceShare {arn} could not be found.")


def _visible_shares(request: Any, given: dict[str, Any]) -> list[ResourceShare]:
    owner = given.get("resourceOwner")
    if owner == "SELF":
        return list(request.ram_backend.resource_shares)
    if owner != "OTHER-ACCOUNTS":
        raise InvalidParameterException(
            f"{owner} is not a valid resource owner; it is SELF or OTHER-ACCOUNTS."
        )
    account, region = request.current_account, request.region
    return [
        share
        for other, regions in list(ram_backends.items())
        if other != account and region in regions
        for share in regions[region].resource_shares
        if share.status == "ACTIVE" and account in _consumers(share)
    ]


def _active_shares_of(owner: str) -> Iterator[ResourceShare]:
    if owner in ram_backends and HOME_REGION in ram_backends[owner]:
        for share in ram_backends[owner][HOME_REGION].resource_shares:
            if share.status == "ACTIVE":
                yield share


def _consumers(share: ResourceShare) -> set[str]:
    """The accounts that may use what is shared."""
    members = _organization_of(share.owning_account_id)
    named = {_account(principal) for principal in share.principals} - {None}
    accepted = {
        invitation.receiver
        for invitation in _INVITATIONS.values()
        if invitation.share is share and invitation.answer == "ACCEPTED"
    }
    found = {str(account) for account in named if account in members or account in accepted}
    if any(_ORGANIZATION.fullmatch(principal) for principal in share.principals):
        found |= members
    return found


def _organization_of(account: str) -> set[str]:
    """The accounts of the organization that this account manages."""
    if account not in organizations_backends:
        return set()
    return {member.id for member in organizations_backends[account]["aws"].accounts}


def _account(principal: str) -> str | None:
    found = _ACCOUNT.fullmatch(principal)
    return found.group(1) if found else None


def _check_external(request: Any, principals: list[str], *, allowed: bool) -> None:
    members = _organization_of(request.current_account)
    for principal in principals:
        account = _account(principal)
        if account is not None and account not in members and not allowed:
            raise _RamError(
                "OperationNotPermittedException",
                f"The share does not allow external principals, and {account} is not in "
                "your organization.",
            )


def _invite(share: ResourceShare, principals: list[str]) -> None:
    members = _organization_of(share.owning_account_id)
    for principal in principals:
        account = _account(principal)
        if account is None or account in members or account == share.owning_account_id:
            continue
        prefix = f"arn:aws:ram:{share.region}:{share.owning_account_id}"
        arn = f"{prefix}:resource-share-invitation/{mock_random.uuid4()}"
        _INVITATIONS[arn] = _Invitation(
            arn, share, account, moto_now(), lab_now() + INVITATION_SECONDS
        )


def _associations(
    share: ResourceShare, principals: list[str], resources: list[str], status: str = ""
) -> list[dict[str, Any]]:
    accepted = _consumers(share)
    shown = []
    for kind, entities in (("PRINCIPAL", principals), ("RESOURCE", resources)):
        for entity in entities:
            account = _account(entity) if kind == "PRINCIPAL" else None
            waits = account is not None and account not in accepted
            shown.append(
                {
                    "resourceShareArn": share.arn,
                    "resourceShareName": share.name,
                    "associatedEntity": entity,
                    "associationType": kind,
                    "status": status or ("ASSOCIATING" if waits else "ASSOCIATED"),
                    "creationTime": unix_time(share.creation_time),
                    "lastUpdatedTime": unix_time(share.last_updated_time),
                    "external": account is not None,
                }
            )
    return shown
