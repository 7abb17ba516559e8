"""moto's backends that are in use. Accessing another Region would create its backend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends


def in_use(backends: Any) -> Iterator[tuple[str, str, Any]]:
    """(account, Region, backend) of every backend that exists."""
    for account, regions in list(backends.items()):
        for region, backend in list(regions.items()):
            yield account, region, backend


def load_balancers() -> Iterator[tuple[str, str, Any]]:
    """(account, Region, load balancer) of every load balancer."""
    for account, region, backend in in_use(elbv2_backends):
        for balancer in backend.load_balancers.values():
            yield account, region, balancer


def instances() -> Iterator[tuple[str, str, Any]]:
    """(account, Region, instance) of every instance that has a subnet and is not terminated."""
    for account, region, backend in in_use(ec2_backends):
        for reservation in backend.reservations.values():
            for instance in reservation.instances:
                if instance.subnet_id and instance.state != "terminated":
                    yield account, region, instance
