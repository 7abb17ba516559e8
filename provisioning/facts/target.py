"""What AWS says about a target: a load balancer or an instance, with its network."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.facts.group_managers import GroupManager, manager_of
from provisioning.facts.load_balancer import Listener, TargetGroup
from provisioning.facts.names import Arn, SecurityGroupId
from provisioning.facts.network import (
    CLOUDFRONT_LIST_WEIGHT,
    SecurityGroupRule,
    Subnet,
    everybody,
    rules_used,
)


@dataclass(frozen=True)
class TargetFacts:
    """A load balancer or instance. `kind` is application, network, gateway or instance; seconds,
    counts.

    `origin_facing_prefix_list` and `origin_facing_ipv6_list` are AWS's lists of CloudFront's
    addresses. `list_weights` say how many rules the prefix lists of its groups besides the first
    count for, None where AWS does not tell; `own_lists` are those of them that are not AWS's.
    `attributes` are the load balancer's, as AWS names them. `public_addresses` are those of its
    network interfaces, `addresses_behind` those of what it forwards to in the end, through
    further load balancers too. `internet_facing_load_balancers` are application and network load
    balancers of the VPC that forward to the same, `api_gateway_links` the APIs and VPC links of
    API Gateway that lead to it. `group_tags` are the tags of its security groups, by ID. None: not
    read.
    """

    arn: Arn
    kind: str
    name: str
    dns_name: str
    scheme: str
    state: str
    vpc_id: str
    security_groups: tuple[SecurityGroupId, ...]
    listeners: tuple[Listener, ...] = ()
    subnets: tuple[Subnet, ...] = ()
    ingress: tuple[SecurityGroupRule, ...] = ()
    ip_address_type: str = "ipv4"
    idle_timeout_seconds: int | None = None
    healthy_targets: int | None = None
    registered_targets: int | None = None
    internet_gateway: bool | None = None
    block_public_access: str = ""
    exclusions_allowed: bool = True
    attributes: tuple[tuple[str, str], ...] | None = None
    groups: tuple[TargetGroup, ...] | None = None
    public_addresses: tuple[str, ...] | None = None
    addresses_behind: tuple[str, ...] = ()
    internet_facing_load_balancers: tuple[str, ...] | None = None
    api_gateway_links: tuple[str, ...] = ()
    origin_facing_prefix_list: str = ""
    origin_facing_ipv6_list: str = ""
    list_weights: tuple[tuple[str, int | None], ...] = ()
    own_lists: tuple[str, ...] = ()
    service_group_id: str = ""
    group_tags: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] | None = None

    @property
    def cloudfront_lists(self) -> frozenset[str]:
        """Both of AWS's lists of CloudFront's addresses, as far as AWS has them there."""
        return frozenset({self.origin_facing_prefix_list, self.origin_facing_ipv6_list}) - {""}

    def attribute(self, key: str) -> str | None:
        """One attribute of the load balancer, None where AWS names none or was not asked."""
        return dict(self.attributes or ()).get(key)

    def group_manager(self, group_id: str) -> GroupManager | None:
        """The tool that manages one of its security groups, as far as the tags tell."""
        return manager_of(dict(dict(self.group_tags or ()).get(group_id, ())))

    def listener_on(self, port: int) -> Listener | None:
        """The listener on a port, if there is one."""
        return next((listener for listener in self.listeners if listener.port == port), None)

    def listener_protocols(self) -> dict[int, str]:
        """Port → protocol."""
        return {listener.port: listener.protocol for listener in self.listeners}

    def certificate_names(self) -> dict[int, tuple[str, ...]]:
        """Port → the names, without those with a star, in the certificates in force that it shows
        there. A port whose certificates were not read is left out.
        """
        found: dict[int, tuple[str, ...]] = {}
        for listener in self.listeners:
            if listener.certificates is not None:
                names = (
                    name.lower()
                    for one in listener.certificates
                    if one.in_force
                    for name in one.names
                )
                found[listener.port] = tuple(
                    dict.fromkeys(name for name in names if "*" not in name)
                )
        return found

    @property
    def group_to_open(self) -> SecurityGroupId | None:
        """The group that the portal adds its rule to: the first by its id, since AWS lists them in
        no order.
        """
        return min(self.security_groups, default=None)

    def rules_used(self, group_id: str) -> int | None:
        """How many of a group's IPv4 rules are used; IPv6 is counted apart. None where a list's
        weight is not known.
        """
        weights = {
            self.origin_facing_prefix_list: CLOUDFRONT_LIST_WEIGHT,
            **dict(self.list_weights),
        }
        return rules_used(self.ingress, group_id, weights)

    def admits_cloudfront(self, port: int) -> SecurityGroupRule | None:
        """The rule that admits CloudFront's VPC-origin traffic to `port`: prefix list, service
        group, or everybody.

        Everybody may also be let in by several ranges together; the first of them is then given.
        AWS lists rules in no order. Those that no portal made come first: they do not come and go
        with other endpoints.
        """
        rules = sorted(
            (rule for rule in self.ingress if rule.covers(port)),
            key=lambda one: (one.owner, one.rule_id),
        )
        for rule in rules:
            named = rule.source_kind == "prefix-list" and bool(rule.source)
            service = rule.source_kind == "group" and bool(rule.source)
            if named and rule.source == self.origin_facing_prefix_list:
                return rule
            if service and rule.source == self.service_group_id:
                return rule
        ranges = [rule for rule in rules if rule.source_kind == "cidr" and ":" not in rule.source]
        return ranges[0] if everybody(rule.source for rule in ranges) else None
