"""The parts of /_lab/state about VPCs, addresses, names and certificates: readings of moto.

It decides which of them the edge may need: only VPCs with a load balancer or an instance, only
certificates that a listener has. It must never change an account, and its callers hold the world's
lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.acm.models import AWS_ROOT_CA, acm_backends
from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends
from moto.iam.models import iam_backends
from moto.route53.models import route53_backends

_ALIAS_PREFIX = "dualstack."


def sections() -> dict[str, Any]:
    """Subnets, network ACLs, interfaces, instances, certificates and names."""
    used = {balancer.vpc_id for _, balancer in _balancers()}
    used |= {instance.vpc_id for _, _, instance in _instances()}
    return {
        "subnets": _subnets(used),
        "network_acls": _network_acls(used),
        "network_interfaces": _interfaces(used),
        "instances": [
            _instance(account, region, instance) for account, region, instance in _instances()
        ],
        "certificates": _certificates(),
        "names": _names(),
    }


def certificate_arns(listener: Any) -> list[str]:
    """A listener's certificates, the default one first."""
    kept = [
        one["CertificateArn"] if isinstance(one, dict) else one for one in listener.certificates
    ]
    return list(dict.fromkeys(arn for arn in [listener.certificate, *kept] if arn))


def _subnets(used: set[str]) -> dict[str, dict[str, str]]:
    return {
        subnet.id: {"vpc_id": subnet.vpc_id, "cidr": str(subnet.cidr)}
        for _, _, backend in _existing(ec2_backends)
        for zone in backend.subnets.values()
        for subnet in zone.values()
        if subnet.vpc_id in used
    }


def _network_acls(used: set[str]) -> list[dict[str, Any]]:
    return [
        {
            "id": acl.id,
            "vpc_id": acl.vpc_id,
            "subnets": [association.subnet_id for association in acl._associations.values()],
            "entries": [_acl_entry(entry) for entry in acl.network_acl_entries],
        }
        for _, _, backend in _existing(ec2_backends)
        for acl in backend.network_acls.values()
        if acl.vpc_id in used
    ]


def _acl_entry(entry: Any) -> dict[str, Any]:
    return {
        "number": int(entry.rule_number),
        "egress": str(entry.egress).lower() == "true",
        "protocol": str(entry.protocol),
        "action": entry.rule_action,
        "cidr": entry.cidr_block or entry.ipv6_cidr_block,
        "from_port": _port(entry.port_range_from),
        "to_port": _port(entry.port_range_to),
    }


def _interfaces(used: set[str]) -> list[dict[str, Any]]:
    return [
        {
            "vpc_id": interface.subnet.vpc_id,
            "address": interface.private_ip_address,
            "security_groups": [group.id for group in interface.group_set],
        }
        for _, _, backend in _existing(ec2_backends)
        for interface in backend.enis.values()
        if interface.subnet.vpc_id in used and not interface.requester_managed
    ]


def _instance(account: str, region: str, instance: Any) -> dict[str, Any]:
    return {
        "account": account,
        "region": region,
        "id": instance.id,
        "state": instance.state,
        "vpc_id": instance.vpc_id,
        "subnet_id": instance.subnet_id,
        "private_ip": instance.private_ip,
        "private_dns": instance.private_dns_name,
        "public_dns": instance.public_dns_name,
        "security_groups": [group.id for group in instance.dynamic_group_list],
    }


def _certificates() -> dict[str, dict[str, Any]]:
    found = {}
    for _, balancer in _balancers():
        for listener in balancer.listeners.values():
            for arn in certificate_arns(listener):
                known = _certificate(arn)
                if known is not None:
                    found[arn] = known
    return found


def _certificate(arn: str) -> dict[str, Any] | None:
    """PEM of an imported certificate, names of one that ACM issued: the edge has the lab's
    authority sign that.
    """
    service, region, account = arn.split(":")[2:5] if arn.count(":") >= 5 else ("", "", "")
    if service == "acm":
        bundle = acm_backends[account][region]._certificates.get(arn)
        if bundle is None:
            return None
        names = list(dict.fromkeys(name for name in [*bundle.sans, bundle.common_name] if name))
        if bundle.type != "IMPORTED":
            return {"names": names}
        # moto puts Amazon's root at the end of every chain; a server sends what was imported.
        chain = (
            bundle.cert.decode().strip()
            + "\n"
            + bundle.chain.replace(AWS_ROOT_CA, b"").decode().strip()
            + "\n"
        )
        return {"names": names, "chain": chain, "key": bundle.key.decode()}
    if service == "iam":
        for kept in iam_backends[account]["aws"].certificates.values():
            if kept.arn == arn:
                return {
                    "names": [],
                    "chain": f"{kept.cert_body.strip()}\n{(kept.cert_chain or '').strip()}\n",
                    "key": kept.private_key,
                }
    return None


def _names() -> dict[str, str]:
    """Aliases and CNAMEs of every hosted zone: which name leads to which."""
    found = {}
    for _, _, backend in _existing(route53_backends):
        for zone in backend.zones.values():
            for record in zone.rrsets:
                target = (record.alias_target or {}).get("DNSName")
                if record.type == "CNAME" and record.records:
                    target = record.records[0]
                if target:
                    found[_plain(record.name)] = _plain(target).removeprefix(_ALIAS_PREFIX)
    return found


def _balancers() -> Iterator[tuple[str, Any]]:
    for account, _, backend in _existing(elbv2_backends):
        for balancer in backend.load_balancers.values():
            yield account, balancer


def _instances() -> Iterator[tuple[str, str, Any]]:
    for account, region, backend in _existing(ec2_backends):
        for reservation in backend.reservations.values():
            for instance in reservation.instances:
                if instance.subnet_id and instance.state != "terminated":
                    yield account, region, instance


def _existing(backends: Any) -> Iterator[tuple[str, str, Any]]:
    """Only what was used so far: asking for another Region would create it."""
    for account, regions in list(backends.items()):
        for region, backend in list(regions.items()):
            yield account, region, backend


def _plain(name: str) -> str:
    return name.rstrip(".").lower()


def _port(given: Any) -> int | None:
    return int(given) if given not in (None, "") else None
