"""moto's IAM and STS: CloudFront's service-linked role, and validation of role ARNs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.iam.exceptions import IAMException, InvalidInput
from moto.iam.models import IAMBackend
from moto.iam.responses import IamResponse
from moto.moto_api._internal import mock_random as random
from moto.sts.exceptions import STSValidationError
from moto.sts.models import STSBackend

VPC_ORIGIN_PRINCIPAL = "vpcorigin.cloudfront.amazonaws.com"
VPC_ORIGIN_ROLE = "AWSServiceRoleForCloudFrontVPCOrigin"
# The type of CloudFront's network interfaces. While one exists, the role is in use.
_MANAGED_INTERFACE = "cloudfront_managed"
_ROLE_ARN = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/[\w+=,.@/-]+")


def patch_iam_and_sts() -> None:
    """Apply all patches."""
    _name_service_linked_roles()
    _keep_the_vpc_origin_role_while_it_is_used()
    _check_role_arns()


def _name_service_linked_roles() -> None:
    """moto builds a wrong name for the VPC origin role."""
    original: Callable[..., Any] = IAMBackend.create_service_linked_role

    def create_role(self: Any, service_name: str, description: str, suffix: str) -> Any:
        if service_name != VPC_ORIGIN_PRINCIPAL:
            return original(self, service_name, description, suffix)
        if any(role.name == VPC_ORIGIN_ROLE for role in self.get_roles()):
            raise InvalidInput(
                f"Service role name {VPC_ORIGIN_ROLE} has been taken in this account"
            )
        role = original(self, service_name, description, "")
        role.name = VPC_ORIGIN_ROLE
        return role

    IAMBackend.create_service_linked_role = create_role  # type: ignore[method-assign]


class UnmodifiableEntity(IAMException):
    """Only the service can change its role."""

    code = "UnmodifiableEntity"


def _keep_the_vpc_origin_role_while_it_is_used() -> None:
    """moto deletes any role immediately. IAM refuses DeleteRole for this one, and
    DeleteServiceLinkedRole while CloudFront uses it.
    """
    delete_role: Callable[..., Any] = IAMBackend.delete_role
    delete_linked: Callable[..., Any] = IAMBackend.delete_service_linked_role
    status: Callable[..., Any] = IamResponse.get_service_linked_role_deletion_status
    mark = f"task/aws-service-role/{VPC_ORIGIN_PRINCIPAL}/{VPC_ORIGIN_ROLE}/in-use/"

    def delete_unless_linked(self: Any, role_name: str) -> None:
        if role_name == VPC_ORIGIN_ROLE:
            raise UnmodifiableEntity(
                f"Cannot perform the operation on the protected role '{role_name}': it is "
                "only modifiable by AWS"
            )
        delete_role(self, role_name)

    def delete_service_linked_role(self: Any, role_name: str) -> str:
        if role_name != VPC_ORIGIN_ROLE:
            return str(delete_linked(self, role_name))
        self.get_role(role_name)
        if _managed_interfaces(self.account_id):
            return mark + _any_id()
        delete_role(self, role_name)
        return mark.replace("/in-use", "") + _any_id()

    def deletion_status(self: Any) -> Any:
        if not str(self._get_param("DeletionTaskId")).startswith(mark):
            return status(self)
        used = [
            {"Region": region, "Resources": ids}
            for region, ids in _managed_interfaces(self.current_account).items()
        ]
        why = "A service-linked role cannot be deleted while its resources exist."
        return ActionResult({"Status": "FAILED", "Reason": {"Reason": why, "RoleUsageList": used}})

    IAMBackend.delete_role = delete_unless_linked  # type: ignore[method-assign]
    IAMBackend.delete_service_linked_role = delete_service_linked_role  # type: ignore[method-assign]
    IamResponse.get_service_linked_role_deletion_status = deletion_status  # type: ignore[method-assign]


def _managed_interfaces(account: str) -> dict[str, list[str]]:
    """Region → ids of CloudFront's network interfaces in the account."""
    found: dict[str, list[str]] = {}
    for region, backend in ec2_backends[account].items():
        for interface in backend.enis.values():
            if interface.interface_type == _MANAGED_INTERFACE:
                found.setdefault(region, []).append(interface.id)
    return found


def _any_id() -> str:
    return str(random.uuid4())


def _check_role_arns() -> None:
    """moto issues keys for any ARN; STS refuses one that is not a role's. The role need not
    exist.
    """
    original: Callable[..., Any] = STSBackend.assume_role

    def assume_role(self: Any, *args: Any, **given: Any) -> Any:
        if not _ROLE_ARN.fullmatch(str(given.get("role_arn"))):
            raise STSValidationError(f"{given.get('role_arn')} is invalid")
        return original(self, *args, **given)

    STSBackend.assume_role = assume_role  # type: ignore[method-assign]
