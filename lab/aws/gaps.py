"""Where moto differs from AWS, or from run to run, in a way the portal would notice: closed here, at start.

It decides no behaviour of its own; each function below replaces one function of moto and says why.
It must never be applied twice, and nothing outside this module may patch moto.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import re
import types
from collections.abc import Callable, Iterator
from typing import Any

import moto.core.utils as moto_utils
from moto.core import base_backend
from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidParameterValueError
from moto.ec2.models.elastic_network_interfaces import NetworkInterfaceBackend
from moto.ec2.models.managed_prefixes import ManagedPrefixListBackend
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.responses import EC2Response
from moto.elbv2 import models as elbv2_models
from moto.iam.exceptions import InvalidInput
from moto.iam.models import IAMBackend
from moto.moto_api._internal import mock_random
from moto.sts.exceptions import STSValidationError
from moto.sts.models import STSBackend

ORIGIN_FACING_LIST = "com.amazonaws.global.cloudfront.origin-facing"
ORIGIN_FACING_IPV6_LIST = "com.amazonaws.global.ipv6.cloudfront.origin-facing"
ORIGIN_FACING_LIST_IDS = {"us-east-1": "pl-3b927c52"}
# Names beginning so are CloudFront's.
RESERVED_GROUP_PREFIX = "CloudFront-VPCOrigins-Service-SG"
# Weight of the managed list in a security group's rule quota (VPC user guide).
ORIGIN_FACING_WEIGHT = 55
VPC_ORIGIN_PRINCIPAL = "vpcorigin.cloudfront.amazonaws.com"
VPC_ORIGIN_ROLE = "AWSServiceRoleForCloudFrontVPCOrigin"

# elbv2 API reference: attributes an Application Load Balancer has before anybody sets one.
APPLICATION_ATTRIBUTES = {
    "access_logs.s3.enabled": "false",
    "idle_timeout.timeout_seconds": "60",
    "client_keep_alive.seconds": "3600",
    "load_balancing.cross_zone.enabled": "true",
    "routing.http.desync_mitigation_mode": "defensive",
    "routing.http.drop_invalid_header_fields.enabled": "false",
    "routing.http.preserve_host_header.enabled": "false",
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
    "routing.http.xff_client_port.enabled": "false",
    "routing.http.xff_header_processing.mode": "append",
    "routing.http2.enabled": "true",
    "waf.fail_open.enabled": "false",
    "zonal_shift.config.enabled": "false",
}
NETWORK_ATTRIBUTES = {
    "access_logs.s3.enabled": "false",
    "dns_record.client_routing_policy": "any_availability_zone",
    "zonal_shift.config.enabled": "false",
}
_ROLE_ARN = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/[\w+=,.@/-]+")
ARN_KIND = {"application": "app", "network": "net", "gateway": "gwy"}


class _MotoTime(datetime.datetime):
    """The datetime class that moto's utcnow() asks: shows the moment of the request that is being performed."""

    moment: float | None = None

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
        if cls.moment is None:
            return datetime.datetime.now(tz)
        return datetime.datetime.fromtimestamp(cls.moment, tz)


@contextlib.contextmanager
def moto_moment(at: float, seed: int) -> Iterator[None]:
    """Inside, moto's time is `at` and its random numbers follow from `seed`: a repeated request gives the same ids."""
    mock_random.seed(seed)
    _MotoTime.moment = at
    try:
        yield
    finally:
        _MotoTime.moment = None


def close_gaps() -> None:
    """Apply every difference to moto, once per process."""
    shown = types.SimpleNamespace(
        datetime=_MotoTime, timedelta=datetime.timedelta, timezone=datetime.timezone, UTC=datetime.UTC
    )
    vars(moto_utils)["datetime"] = shown
    _make_backends_repeatable()
    _close_load_balancer_gaps()
    _close_ec2_gaps()
    _name_service_linked_roles()
    _check_role_arns()


def _make_backends_repeatable() -> None:
    """moto creates a Region's backend, with random default VPC and prefix list ids, at its first use, also by a read.

    Its ids must depend on account and Region only, and must not use up the random numbers of the request.
    """
    original = base_backend.AccountSpecificBackend.__getitem__

    def getitem(self: Any, region_name: str) -> Any:
        if region_name in self.keys() or region_name == "global":
            return original(self, region_name)
        state = mock_random.getstate()
        name = f"{self.service_name}/{self.account_id}/{region_name}"
        mock_random.seed(int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big"))
        try:
            return original(self, region_name)
        finally:
            mock_random.setstate(state)

    base_backend.AccountSpecificBackend.__getitem__ = getitem  # type: ignore[method-assign]


def _close_load_balancer_gaps() -> None:
    """ARN by type, scheme default, `internal-` names, default attributes, repeatable default rule ARNs."""
    original: Callable[..., Any] = elbv2_models.ELBv2Backend.create_load_balancer

    def create_load_balancer(self: Any, *args: Any, **given: Any) -> Any:
        given["scheme"] = given.get("scheme") or "internet-facing"
        given["loadbalancer_type"] = given.get("loadbalancer_type") or "application"
        balancer = original(self, *args, **given)
        old_arn = balancer.arn
        balancer.arn = old_arn.replace(":loadbalancer/app/", f":loadbalancer/{ARN_KIND[balancer.type]}/")
        if balancer.arn != old_arn:
            self.load_balancers[balancer.arn] = self.load_balancers.pop(old_arn)
            tags = self.tagging_service.get_tag_dict_for_resource(old_arn)
            self.tagging_service.delete_all_tags_for_resource(old_arn)
            self.tagging_service.tag_resource(balancer.arn, [{"Key": key, "Value": tags[key]} for key in tags])
        _complete_load_balancer(balancer, self.region_name)
        return balancer

    elbv2_models.ELBv2Backend.create_load_balancer = create_load_balancer  # type: ignore[method-assign]

    rule_init: Callable[..., None] = elbv2_models.FakeRule.__init__

    def init_rule(self: Any, *args: Any, **given: Any) -> None:
        rule_init(self, *args, **given)
        suffix = hashlib.sha256(self.listener_arn.encode()).hexdigest()[:16]
        self.arn = self.listener_arn.replace(":listener/", ":listener-rule/") + f"/{suffix}"

    elbv2_models.FakeRule.__init__ = init_rule  # type: ignore[method-assign]

    listener_init: Callable[..., None] = elbv2_models.FakeListener.__init__

    def init_listener(self: Any, *args: Any, **given: Any) -> None:
        listener_init(self, *args, **given)
        if self.protocol in ("HTTP", "HTTPS"):
            # The 350 seconds are a Network Load Balancer's; an ALB's idle clock is an attribute of the balancer.
            self.attributes = {"routing.http.response.server.enabled": "true"}

    elbv2_models.FakeListener.__init__ = init_listener  # type: ignore[method-assign]


def _complete_load_balancer(balancer: Any, region: str) -> None:
    number = int(hashlib.sha256(balancer.arn.encode()).hexdigest()[:8], 16) % 10**10
    if balancer.type == "application":
        prefix = "internal-" if balancer.scheme == "internal" else ""
        balancer.dns_name = f"{prefix}{balancer.name}-{number:010d}.{region}.elb.amazonaws.com"
        balancer.attrs.update(APPLICATION_ATTRIBUTES)
        if balancer.scheme == "internal":
            balancer.attrs["ipv6.deny_all_igw_traffic"] = "true"
    elif balancer.type == "network":
        suffix = balancer.arn.rsplit("/", 1)[1]
        balancer.dns_name = f"{balancer.name}-{suffix}.elb.{region}.amazonaws.com"
        balancer.attrs.update(NETWORK_ATTRIBUTES)
    else:
        balancer.security_groups = []


def _close_ec2_gaps() -> None:
    """Block Public Access describes, the origin-facing prefix lists, and what CloudFront keeps to itself in a VPC."""

    def describe_options(self: Any) -> ActionResult:
        options = {
            "AwsAccountId": self.current_account,
            "AwsRegion": self.region,
            "State": "default-state",
            "InternetGatewayBlockMode": "off",
            "ManagedBy": "account",
            "ExclusionsAllowed": "allowed",
        }
        return ActionResult({"VpcBlockPublicAccessOptions": options})

    def describe_exclusions(self: Any) -> ActionResult:
        return ActionResult({"VpcBlockPublicAccessExclusions": []})

    make_group = EC2Response.create_security_group
    delete_interface: Callable[..., Any] = NetworkInterfaceBackend.delete_network_interface

    def create_security_group(self: Any) -> ActionResult:
        name = str(self._get_param("GroupName"))
        if name.startswith(RESERVED_GROUP_PREFIX):
            raise InvalidParameterValueError(f"{name} (reserved for CloudFront)")
        return make_group(self)

    def delete_network_interface(self: Any, eni_id: str) -> None:
        if eni_id in self.enis and self.enis[eni_id].requester_managed:
            raise EC2ClientError("InvalidNetworkInterface.InUse", f"Interface {eni_id} is managed by a service.")
        delete_interface(self, eni_id)

    EC2Response.create_security_group = create_security_group  # type: ignore[method-assign]
    NetworkInterfaceBackend.delete_network_interface = delete_network_interface  # type: ignore[method-assign]
    EC2Response.describe_vpc_block_public_access_options = describe_options  # type: ignore[attr-defined]
    EC2Response.describe_vpc_block_public_access_exclusions = describe_exclusions  # type: ignore[attr-defined]

    original = ManagedPrefixListBackend.create_default_pls

    def create_lists(self: Any) -> None:
        original(self)
        lists = {found.prefix_list_name: found for found in self.managed_prefix_lists.values()}
        entries = lists[ORIGIN_FACING_LIST].entries[1]
        for entry in entries:
            # The articles' X-Forwarded-For shows peers in all of 130.176.0.0/16, moto's sample has a quarter of it.
            if entry["Cidr"] == "130.176.0.0/18":
                entry["Cidr"] = "130.176.0.0/16"
        listed = self.managed_prefix_lists.pop(lists[ORIGIN_FACING_LIST].id)
        listed.max_entries = ORIGIN_FACING_WEIGHT
        # One id for all accounts of a Region, as AWS has it.
        number = hashlib.sha256(self.region_name.encode()).hexdigest()[:8]
        listed.id = ORIGIN_FACING_LIST_IDS.get(self.region_name, f"pl-{number}")
        listed.prefix_list_arn = listed.arn(self.region_name, listed.owner_id)
        self.managed_prefix_lists[listed.id] = listed
        self._create_aws_managed_prefix_list(
            name=ORIGIN_FACING_IPV6_LIST,
            address_family="IPv6",
            entries=[{"Cidr": "2600:9000:5200::/40", "Description": "default"}],
        )

    ManagedPrefixListBackend.create_default_pls = create_lists  # type: ignore[method-assign]

    def description(self: Any) -> str | None:
        """moto shows the description of a rule for addresses only, not of one for a group."""
        found: str | None = self.ip_range.get("Description") or self.source_group.get("Description")
        return found

    SecurityGroupRule.description = property(description)  # type: ignore[assignment,method-assign]


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
