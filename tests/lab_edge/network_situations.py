"""The situations that networks make: TLS at listeners, balancers in a row, instances, targets that
come and go.
"""

from __future__ import annotations

from typing import Any

from lab.origin_certificates import Flaw, Issued, OriginAuthority

from .account import (
    ALL_EXCEPT_HOST,
    PREFIX_LIST,
    VPC,
    Json,
    behavior,
    custom_origin,
    distribution,
    forward,
    ingress,
    listener,
    load_balancer,
    target_group,
    vpc_origin,
    vpc_origin_ref,
)
from .stage import Stage

SECURE_NAME = "origin.chat.example"
PUBLIC_NLB = "pub-nlb.elb.amazonaws.com"
INSTANCE = "i-0123456789abcdef0"
SECOND = "10.10.8.177:8080"
SICK = "10.66.0.28:8080"
CHECK = {
    "protocol": "HTTP",
    "path": "/healthz",
    "port": "traffic-port",
    "interval": 30,
    "timeout": 5,
    "healthy_threshold": 2,
    "unhealthy_threshold": 2,
    "codes": "200-299",
}


def add_network_situations(account: Json, stage: Stage, chat: str, refusing: str) -> None:
    """`chat` and `refusing` are simulated addresses."""
    _add_tls(account, OriginAuthority.kept_in(stage.directory))
    _add_rows(account, chat)
    _add_targets(account, chat, refusing)
    account["hosts"][SECOND] = account["hosts"][chat]
    account["hosts"]["10.10.8.50:80"] = account["hosts"][chat]


def _certificate(issued: Issued, *names: str) -> Json:
    return {"names": list(names), "chain": issued.chain, "key": issued.key}


def _add_tls(account: Json, authority: OriginAuthority) -> None:
    """One balancer with HTTPS on port 443 for each kind of certificate; `dtls` has a good one and a
    second by SNI.
    """
    second = "dtlssni.cloudfront.net"
    certificates = {
        "arn:cert/good": _certificate(authority.issue([SECURE_NAME]), SECURE_NAME),
        "arn:cert/second": {"names": [second]},
        **{
            f"arn:cert/{flaw.value}": _certificate(
                authority.issue([SECURE_NAME], flaw), SECURE_NAME
            )
            for flaw in Flaw
        },
    }
    account["certificates"] = certificates
    balancers: list[tuple[str, list[str], str]] = [
        ("tls", ["arn:cert/good", "arn:cert/second"], "")
    ]
    balancers += [(f"tls-{flaw.value}", [f"arn:cert/{flaw.value}"], "") for flaw in Flaw]
    balancers.append(("tls-new", ["arn:cert/good"], "ELBSecurityPolicy-TLS13-1-3-2021-06"))
    for name, shown, policy in balancers:
        secure = {
            **listener(name, forward("chat"), 443, protocol="HTTPS"),
            "certificates": shown,
            "ssl_policy": policy,
        }
        account["load_balancers"].append(load_balancer(name, [secure]))
        account["vpc_origins"].append(vpc_origin(name, name, policy="https-only"))
        to_it = vpc_origin_ref(name, SECURE_NAME)
        account["distributions"].append(
            distribution(
                f"d{name}".replace("-", ""), [to_it], behavior(name, policy=ALL_EXCEPT_HOST)
            )
        )
    for name in ("dtlssni", "dtlshost"):
        account["distributions"].append(
            distribution(name, [vpc_origin_ref("tls", SECURE_NAME)], behavior("tls"))
        )
    # TLS on port 443 of a listener that speaks plain HTTP, and the other way round.
    account["load_balancers"].append(
        load_balancer("plain443", [listener("plain443", forward("chat"), 443)])
    )
    account["vpc_origins"].append(vpc_origin("plain443", "plain443", policy="https-only"))
    account["distributions"].append(
        distribution("dplain443", [vpc_origin_ref("plain443")], behavior("plain443"))
    )
    account["vpc_origins"].append({**vpc_origin("to443", "tls"), "http_port": 443})
    account["distributions"].append(
        distribution("dto443", [vpc_origin_ref("to443")], behavior("to443"))
    )


def _add_rows(account: Json, chat: str) -> None:
    """NLB in front of ALB, with TLS passed through; a public NLB that ends TLS; an instance without
    a balancer.
    """
    account["load_balancers"] += [
        load_balancer(
            "nlb-tls",
            [listener("nlb-tls", forward("alb-tls"), 443, protocol="TCP")],
            type="network",
        ),
        load_balancer(
            "pub-nlb",
            [
                listener("pub-nlb", forward("alb"), 80, protocol="TCP"),
                {
                    **listener("pub-nlb", forward("alb"), 443, protocol="TLS"),
                    "certificates": ["arn:cert/good"],
                },
            ],
            group="sg-world",
            scheme="internet-facing",
            type="network",
        ),
        load_balancer("behind", [listener("behind", forward("chat"))], group="sg-from-nlb"),
    ]
    account["security_groups"]["sg-world"]["ingress"].append(ingress(443, cidrs=["0.0.0.0/0"]))
    account["security_groups"]["sg-from-nlb"] = {
        "vpc_id": VPC,
        "ingress": [ingress(80, groups=["sg-world"])],
    }
    account["target_groups"] += [
        _alb_group("alb-tls", "tls", 443),
        _alb_group("alb", "behind", 80),
    ]
    account["vpc_origins"].append(vpc_origin("nlb-tls", "nlb-tls", policy="https-only"))
    account["vpc_origins"].append(
        {**vpc_origin("ec2", "-"), "endpoint_arn": f"arn:aws:ec2:r:1:instance/{INSTANCE}"}
    )
    to_nlb = vpc_origin_ref("nlb-tls", SECURE_NAME)
    account["distributions"] += [
        distribution("dnlbtls", [to_nlb], behavior("nlb-tls", policy=ALL_EXCEPT_HOST)),
        distribution(
            "dec2", [vpc_origin_ref("ec2", "ip-10-10-8-50.ec2.internal")], behavior("ec2")
        ),
        distribution("drow", [custom_origin("row", PUBLIC_NLB)], behavior("row")),
        distribution(
            "drowtls",
            [custom_origin("row", "www.chat.example", policy="https-only")],
            behavior("row", policy=None),
        ),
        distribution(
            "dalias",
            [custom_origin("alias", SECURE_NAME, policy="https-only")],
            behavior("alias", policy=ALL_EXCEPT_HOST),
        ),
    ]
    account["names"] = {SECURE_NAME: PUBLIC_NLB, "www.chat.example": SECURE_NAME}
    account["security_groups"]["sg-ec2"] = {
        "vpc_id": VPC,
        "ingress": [ingress(80, lists=[PREFIX_LIST])],
    }
    account["instances"] = [
        {
            "id": INSTANCE,
            "vpc_id": VPC,
            "subnet_id": "subnet-a",
            "private_ip": "10.10.8.50",
            "private_dns": "ip-10-10-8-50.ec2.internal",
            "security_groups": ["sg-ec2"],
        }
    ]


def _alb_group(name: str, balancer: str, port: int) -> Json:
    targets = [{"id": f"arn:lb/{balancer}", "port": port}]
    return {**target_group(name), "protocol": "TCP", "target_type": "alb", "targets": targets}


def _add_targets(account: Json, chat: str, refusing: str) -> None:
    """Groups with a well and an ill target, with two that are the same app, with one that is let
    go.
    """
    sticky = {"stickiness.enabled": "true", "stickiness.type": "lb_cookie"}
    groups: list[tuple[Json, dict[str, Any]]] = [
        (target_group("mixed", chat, refusing, SICK), {"health_check": CHECK}),
        (target_group("sticky", chat, SECOND), {"attributes": sticky}),
        (
            target_group("leaving", chat),
            {"attributes": {"deregistration_delay.timeout_seconds": "18"}},
        ),
        (target_group("modern", chat), {"protocol_version": "HTTP2"}),
    ]
    for group, more in groups:
        name = group["arn"].removeprefix("arn:tg/")
        account["target_groups"].append({**group, **more})
        account["load_balancers"].append(load_balancer(name, [listener(name, forward(name))]))
        account["vpc_origins"].append(vpc_origin(name, name))
        account["distributions"].append(
            distribution(f"d{name}", [vpc_origin_ref(name)], behavior(name))
        )
