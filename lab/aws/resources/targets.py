"""Load balancers and instances that a VPC origin may point to."""

from __future__ import annotations

import re
from dataclasses import dataclass

from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends

_LOAD_BALANCER_ARN = re.compile(
    r"arn:aws[\w-]*:elasticloadbalancing:([a-z0-9-]+):(\d{12}):loadbalancer/(app|net|gwy)/[^/]+/[0-9a-f]+"
)
_INSTANCE_ARN = re.compile(r"arn:aws[\w-]*:ec2:([a-z0-9-]+):(\d{12}):instance/(i-[0-9a-f]+)")


@dataclass(frozen=True)
class Target:
    """What a VPC origin's ARN refers to. `kind` is application, network, gateway or instance."""

    arn: str
    kind: str
    account: str
    region: str
    vpc: str
    state: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    tls_listener: bool


def is_target_arn(arn: str) -> bool:
    """True for the ARN of a load balancer or an instance, existing or not."""
    return bool(_LOAD_BALANCER_ARN.fullmatch(arn) or _INSTANCE_ARN.fullmatch(arn))


def target_account(arn: str) -> str | None:
    """The account in the ARN of a load balancer or instance."""
    found = _LOAD_BALANCER_ARN.fullmatch(arn) or _INSTANCE_ARN.fullmatch(arn)
    return found.group(2) if found else None


def find_target(arn: str) -> Target | None:
    """The load balancer or instance with that ARN, None if there is none."""
    balancer = _LOAD_BALANCER_ARN.fullmatch(arn)
    if balancer:
        return _balancer_target(arn, balancer.group(1), balancer.group(2))
    instance = _INSTANCE_ARN.fullmatch(arn)
    if instance:
        return _instance_target(arn, *instance.groups())
    return None


def has_internet_gateway(account: str, region: str, vpc: str) -> bool:
    """True if an internet gateway is attached to the VPC; routes do not matter."""
    gateways = ec2_backends[account][region].internet_gateways.values()
    return any(gateway.vpc and gateway.vpc.id == vpc for gateway in gateways)


def _balancer_target(arn: str, region: str, account: str) -> Target | None:
    balancer = elbv2_backends[account][region].load_balancers.get(arn)
    if balancer is None:
        return None
    balancer.activate()
    return Target(
        arn=arn,
        kind=balancer.type,
        account=account,
        region=region,
        vpc=str(balancer.vpc_id),
        state=balancer.state,
        subnets=tuple(subnet.id for subnet in balancer.subnets),
        security_groups=tuple(balancer.security_groups or ()),
        tls_listener=any(listener.protocol == "TLS" for listener in balancer.listeners.values()),
    )


def _instance_target(arn: str, region: str, account: str, instance_id: str) -> Target | None:
    for reservation in ec2_backends[account][region].reservations.values():
        for instance in reservation.instances:
            if instance.id == instance_id:
                return Target(
                    arn=arn,
                    kind="instance",
                    account=account,
                    region=region,
                    vpc=str(instance.vpc_id),
                    state=instance.state,
                    subnets=(instance.subnet_id,) if instance.subnet_id else (),
                    security_groups=tuple(group.id for group in instance.dynamic_group_list),
                    tls_listener=False,
                )
    return None
