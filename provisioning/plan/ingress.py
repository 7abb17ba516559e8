"""The plan's ingress rules: each port that CloudFront uses on the target must be open to it."""

from __future__ import annotations

from provisioning.facts import names
from provisioning.facts.target import TargetFacts
from provisioning.plan.items import CREATE, KEEP, REUSE, PlanItem
from provisioning.spec.endpoint_spec import EndpointSpec


def ingress_items(spec: EndpointSpec, target: TargetFacts, owner: str) -> list[PlanItem]:
    """One item for each port that is open, or that the plan may open."""
    items = []
    for port in spec.origin_ports:
        title = f"Security group: TCP {port} from CloudFront"
        group = target.group_to_open if spec.open_security_group else None
        ours = group and {
            "GroupId": group,
            "IpProtocol": "tcp",
            "Port": port,
            "Source": names.SERVICE_GROUP_NAME,
            "Description": names.rule_description(owner, spec.vpc_origin_key),
        }
        rule = target.admits_cloudfront(port)
        if rule:
            now = {"GroupId": rule.group_id, "Port": port, "Source": rule.source}
            made_by_us = (rule.owner, rule.source, rule.group_id, rule.from_port, rule.to_port) == (
                owner,
                target.service_group_id,
                group,
                port,
                port,
            )
            if ours and made_by_us:
                note = f"The portal added rule {rule.rule_id} for this target already."
                items.append(PlanItem("ingress-rule", REUSE, title, now, ours, note, shared=True))
            else:
                note = "CloudFront is already allowed."
                items.append(PlanItem("ingress-rule", KEEP, title, now, now, note))
        elif ours:
            note = "Allows only traffic from this VPC's own VPC origins; nothing public."
            items.append(PlanItem("ingress-rule", CREATE, title, None, ours, note, shared=True))
    return items
