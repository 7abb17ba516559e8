"""moto's IAM and STS: the name of CloudFront's service-linked role, and role ARNs that are none."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from moto.iam.exceptions import InvalidInput
from moto.iam.models import IAMBackend
from moto.sts.exceptions import STSValidationError
from moto.sts.models import STSBackend

VPC_ORIGIN_PRINCIPAL = "vpcorigin.cloudfront.amazonaws.com"
VPC_ORIGIN_ROLE = "AWSServiceRoleForCloudFrontVPCOrigin"
_ROLE_ARN = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/[\w+=,.@/-]+")


def close_identity_gaps() -> None:
    """Apply both."""
    _name_service_linked_roles()
    _check_role_arns()


def _name_service_linked_roles() -> None:
    """moto builds a wrong name for the VPC origin role."""
    original: Callable[..., Any] = IAMBackend.create_service_linked_role

    def create_role(self: Any, service_name: str, description: str, suffix: str) -> Any:
        if service_name != VPC_ORIGIN_PRINCIPAL:
            return original(self, service_name, description, suffix)
        if any(role.name == VPC_ORIGIN_ROLE for role in self.get_roles()):
            raise InvalidInput(f"Service role name {VPC_ORIGIN_ROLE} has been taken in this account")
        role = original(self, service_name, description, "")
        role.name = VPC_ORIGIN_ROLE
        return role

    IAMBackend.create_service_linked_role = create_role  # type: ignore[method-assign]


def _check_role_arns() -> None:
    """moto gives keys for anything; STS refuses what is no role's ARN. Whether the role exists is not asked."""
    original: Callable[..., Any] = STSBackend.assume_role

    def assume_role(self: Any, *args: Any, **given: Any) -> Any:
        if not _ROLE_ARN.fullmatch(str(given.get("role_arn"))):
            raise STSValidationError(f"{given.get('role_arn')} is invalid")
        return original(self, *args, **given)

    STSBackend.assume_role = assume_role  # type: ignore[method-assign]
