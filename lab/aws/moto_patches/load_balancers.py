"""moto's load balancers: ARNs by type, default scheme, `internal-` names, default attributes,
reproducible rule ARNs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from moto.elbv2 import models as elbv2_models

# ELBv2 API reference: default attributes of an Application Load Balancer.
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
ARN_KIND = {"application": "app", "network": "net", "gateway": "gwy"}


def patch_load_balancers() -> None:
    """Apply all patches."""
    original: Callable[..., Any] = elbv2_models.ELBv2Backend.create_load_balancer

    def create_load_balancer(self: Any, *args: Any, **given: Any) -> Any:
        given["scheme"] = given.get("scheme") or "internet-facing"
        given["loadbalancer_type"] = given.get("loadbalancer_type") or "application"
        balancer = original(self, *args, **given)
        old_arn = balancer.arn
        balancer.arn = old_arn.replace(
            ":loadbalancer/app/", f":loadbalancer/{ARN_KIND[balancer.type]}/"
        )
        if balancer.arn != old_arn:
            self.load_balancers[balancer.arn] = self.load_balancers.pop(old_arn)
            tags = self.tagging_service.get_tag_dict_for_resource(old_arn)
            self.tagging_service.delete_all_tags_for_resource(old_arn)
            self.tagging_service.tag_resource(
                balancer.arn, [{"Key": key, "Value": tags[key]} for key in tags]
            )
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
            # moto's 350 seconds are a Network Load Balancer's; an ALB's idle timeout is an
            # attribute of the load balancer.
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
