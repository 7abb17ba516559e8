"""The parts of /_lab/state about TLS and DNS: certificates of listeners, names in Route 53."""

from __future__ import annotations

from typing import Any

from moto.acm.models import AWS_ROOT_CA, acm_backends
from moto.iam.models import iam_backends
from moto.route53.models import route53_backends

from lab.aws.edge_state import backends
from lab.aws.edge_state.load_balancers import certificate_arns

_ALIAS_PREFIX = "dualstack."


def sections() -> dict[str, Any]:
    """Certificates of listeners by ARN, and DNS names that lead to other names."""
    return {"certificates": _certificates(), "names": _names()}


def _certificates() -> dict[str, dict[str, Any]]:
    found = {}
    for _, _, balancer in backends.load_balancers():
        for listener in balancer.listeners.values():
            for arn in certificate_arns(listener):
                known = _certificate(arn)
                if known is not None:
                    found[arn] = known
    return found


def _certificate(arn: str) -> dict[str, Any] | None:
    """PEM of an imported certificate; names of one that ACM issued, which the lab's authority signs
    at the edge.
    """
    service, region, account = arn.split(":")[2:5] if arn.count(":") >= 5 else ("", "", "")
    if service == "acm":
        bundle = acm_backends[account][region]._certificates.get(arn)
        if bundle is None:
            return None
        names = list(dict.fromkeys(name for name in [*bundle.sans, bundle.common_name] if name))
        if bundle.type != "IMPORTED":
            return {"names": names}
        # moto appends Amazon's root to every chain; a server sends only what was imported.
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
    """Aliases and CNAMEs of every hosted zone: name → target."""
    found = {}
    for _, _, backend in backends.in_use(route53_backends):
        for zone in backend.zones.values():
            for record in zone.rrsets:
                target = (record.alias_target or {}).get("DNSName")
                if record.type == "CNAME" and record.records:
                    target = record.records[0]
                if target:
                    found[_plain(record.name)] = _plain(target).removeprefix(_ALIAS_PREFIX)
    return found


def _plain(name: str) -> str:
    return name.rstrip(".").lower()
