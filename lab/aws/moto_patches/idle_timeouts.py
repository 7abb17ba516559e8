"""Idle timeouts of load balancers: moto accepts any number, ELBv2 a range (API reference, attribute
lists).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from moto.elbv2.exceptions import ValidationError
from moto.elbv2.models import ELBv2Backend, FakeLoadBalancer

KEEP_ALIVE = "client_keep_alive.seconds"
RANGES: Mapping[str, tuple[int, int]] = {
    "idle_timeout.timeout_seconds": (1, 4000),
    KEEP_ALIVE: (60, 604_800),
    "tcp.idle_timeout.seconds": (60, 6000),
}


def patch_idle_timeouts() -> None:
    """Check the range of each timeout, and support an Application Load Balancer's client
    keep-alive.
    """
    FakeLoadBalancer.VALID_ATTRS = {*FakeLoadBalancer.VALID_ATTRS, KEEP_ALIVE}
    of_balancer: Callable[..., Any] = ELBv2Backend.modify_load_balancer_attributes
    of_listener: Callable[..., Any] = ELBv2Backend.modify_listener_attributes

    def modify_load_balancer_attributes(self: Any, arn: str, attrs: dict[str, Any]) -> Any:
        _check(attrs)
        return of_balancer(self, arn, attrs)

    def modify_listener_attributes(
        self: Any, listener_arn: str, attrs: list[dict[str, str]]
    ) -> Any:
        _check({item["Key"]: item["Value"] for item in attrs})
        return of_listener(self, listener_arn, attrs)

    ELBv2Backend.modify_load_balancer_attributes = modify_load_balancer_attributes  # type: ignore[method-assign]
    ELBv2Backend.modify_listener_attributes = modify_listener_attributes  # type: ignore[method-assign]


def _check(attributes: Mapping[str, Any]) -> None:
    for name, (low, high) in RANGES.items():
        value = str(attributes.get(name, low))
        if not value.isdecimal() or not low <= int(value) <= high:
            raise ValidationError(
                f"The value of attribute '{name}' must be between {low} and {high} inclusive"
            )
