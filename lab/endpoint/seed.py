"""The accounts of the articles, created at the first start.

They have targets that are ready, one that a plan can fix, and some that are unsupported. Created
with boto3 over HTTP, so everything is journaled like any other request.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from lab.apps import addresses
from lab.aws.moto_patches import ORIGIN_FACING_LIST
from lab.origin_certificates import OriginAuthority

DONE = "seeded"
REGION = "us-east-1"
PORTAL_ACCOUNT = "123456789012"
CHAT_ACCOUNT = "111122223333"
TRADING_ACCOUNT = "444455556666"
SECURE_NAME = "secure.chat.example"
PORTAL_ROLE = "edge-portal"
ROLE_POLICY = Path(__file__).parents[2] / "docs" / "iam-policy.json"
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"

# Longer than a new distribution needs to become Deployed.
_SETTLING_SECONDS = 1200

_SIMULATED = (
    "10.10.8.174:8080",
    "10.10.8.175:8080",
    "10.10.8.176:8080",
    "10.10.8.177:8080",
    "10.20.1.10:8080",
    "10.30.8.10:8080",
)


def hosts(app_address: str, app_port: int) -> dict[str, str]:
    """The real addresses of the seeded targets and of the misbehaving apps."""
    return {**dict.fromkeys(_SIMULATED, app_address), **addresses.hosts(app_port)}


def plant(
    url: str,
    advance_clock: Callable[[float], None],
    authority: OriginAuthority,
    external_id: str,
) -> None:
    """Create both app accounts. `advance_clock` lets the distributions become Deployed; `authority`
    signs the origins' certificates; `external_id` is what the portal's roles demand, if anything.
    """
    chat = _Account(url, CHAT_ACCOUNT, external_id)
    _plant_secure(chat, _plant_chat(chat), authority)
    _plant_trading(_Account(url, TRADING_ACCOUNT, external_id))
    advance_clock(_SETTLING_SECONDS)


@dataclass(frozen=True)
class _Vpc:
    id: str
    subnets: tuple[str, ...]


class _Account:
    """One app account's clients, and how it creates resources."""

    def __init__(self, url: str, account: str, external_id: str) -> None:
        keys: dict[str, Any] = {"endpoint_url": url, "region_name": REGION}
        sts = boto3.client("sts", aws_access_key_id="lab", aws_secret_access_key="lab", **keys)  # noqa: S106
        bootstrap = f"arn:aws:iam::{account}:role/OrganizationAccountAccessRole"
        given = sts.assume_role(RoleArn=bootstrap, RoleSessionName="seed")["Credentials"]
        keys |= {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }
        self.ec2: Any = boto3.client("ec2", **keys)
        self.elbv2: Any = boto3.client("elbv2", **keys)
        self.acm: Any = boto3.client("acm", **keys)
        self.cloudfront: Any = boto3.client("cloudfront", **keys)
        self.gateway: Any = boto3.client("apigatewayv2", **keys)
        trust: dict[str, Any] = {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"AWS": f"arn:aws:iam::{PORTAL_ACCOUNT}:root"},
        }
        if external_id:
            trust["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
        iam: Any = boto3.client("iam", **keys)
        iam.create_role(
            RoleName=PORTAL_ROLE,
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )
        iam.put_role_policy(
            RoleName=PORTAL_ROLE, PolicyName=PORTAL_ROLE, PolicyDocument=ROLE_POLICY.read_text()
        )
        found = self.ec2.describe_managed_prefix_lists(
            Filters=[{"Name": "prefix-list-name", "Values": [ORIGIN_FACING_LIST]}]
        )
        self.origin_facing = str(found["PrefixLists"][0]["PrefixListId"])

    def vpc(self, name: str, cidr: str, subnets: tuple[str, ...], *, public: bool = False) -> _Vpc:
        """A VPC with an internet gateway; only a public one has a route to it."""
        vpc_id = self.ec2.create_vpc(CidrBlock=cidr, TagSpecifications=_tags("vpc", name))["Vpc"][
            "VpcId"
        ]
        gateway = self.ec2.create_internet_gateway(
            TagSpecifications=_tags("internet-gateway", name)
        )
        gateway_id = gateway["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc_id)
        kind = "public" if public else "private"
        made = []
        for zone, subnet_cidr in zip("ab", subnets, strict=False):
            subnet = self.ec2.create_subnet(
                VpcId=vpc_id,
                CidrBlock=subnet_cidr,
                AvailabilityZone=f"{REGION}{zone}",
                TagSpecifications=_tags("subnet", f"{name}-{kind}-{zone}"),
            )
            made.append(str(subnet["Subnet"]["SubnetId"]))
        table = self.ec2.create_route_table(
            VpcId=vpc_id, TagSpecifications=_tags("route-table", f"{name}-{kind}")
        )
        table_id = table["RouteTable"]["RouteTableId"]
        for subnet_id in made:
            self.ec2.associate_route_table(RouteTableId=table_id, SubnetId=subnet_id)
        if public:
            self.ec2.create_route(
                RouteTableId=table_id, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway_id
            )
        return _Vpc(str(vpc_id), tuple(made))

    def group(self, name: str, vpc: _Vpc, port: int, source: dict[str, Any]) -> str:
        """A security group that allows `source` on one port."""
        made = self.ec2.create_security_group(
            GroupName=name,
            Description=f"Load balancer {name}",
            VpcId=vpc.id,
            TagSpecifications=_tags("security-group", name),
        )
        permission = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **source}
        self.ec2.authorize_security_group_ingress(
            GroupId=made["GroupId"], IpPermissions=[permission]
        )
        return str(made["GroupId"])

    def from_cloudfront(self) -> dict[str, Any]:
        """The origin-facing prefix list as the source of a rule."""
        return {
            "PrefixListIds": [{"PrefixListId": self.origin_facing, "Description": "CloudFront"}]
        }

    def target_group(self, name: str, vpc: _Vpc, address: str) -> str:
        """A target group with one registered address, on port 8080."""
        group = self.elbv2.create_target_group(
            Name=name,
            Protocol="HTTP",
            ProtocolVersion="HTTP1",
            Port=8080,
            VpcId=vpc.id,
            TargetType="ip",
            HealthCheckPath="/healthz",
        )["TargetGroups"][0]["TargetGroupArn"]
        self.elbv2.register_targets(TargetGroupArn=group, Targets=[{"Id": address, "Port": 8080}])
        return str(group)

    def balancer(
        self,
        name: str,
        vpc: _Vpc,
        group: str,
        *,
        port: int,
        target: str,
        scheme: str = "internal",
        certificate: str = "",
    ) -> dict[str, Any]:
        """An Application Load Balancer with one listener, HTTPS if it has a certificate, that
        forwards to one target group.
        """
        made: dict[str, Any] = self.elbv2.create_load_balancer(
            Name=name,
            Subnets=list(vpc.subnets),
            SecurityGroups=[group],
            Scheme=scheme,
            Type="application",
        )["LoadBalancers"][0]
        secure = {"Protocol": "HTTPS", "Certificates": [{"CertificateArn": certificate}]}
        self.elbv2.create_listener(
            LoadBalancerArn=made["LoadBalancerArn"],
            Port=port,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": target}],
            **(secure if certificate else {"Protocol": "HTTP"}),
        )
        return made

    def websocket_api(self, name: str, stage: str, address: str) -> None:
        """A WebSocket API of API Gateway with one stage, whose $default route leads to an
        address.
        """
        selection = "$request.body.action"
        api = self.gateway.create_api(
            Name=name, ProtocolType="WEBSOCKET", RouteSelectionExpression=selection
        )["ApiId"]
        made = self.gateway.create_integration(
            ApiId=api,
            IntegrationType="HTTP_PROXY",
            IntegrationMethod="ANY",
            IntegrationUri=f"http://{address}/",
        )
        self.gateway.create_route(
            ApiId=api, RouteKey="$default", Target=f"integrations/{made['IntegrationId']}"
        )
        self.gateway.create_stage(ApiId=api, StageName=stage)

    def front_door(self, comment: str, domain: str) -> None:
        """A distribution whose default behavior leads to a custom origin over plain HTTP."""
        origin = {
            "Id": "web",
            "DomainName": domain,
            "CustomOriginConfig": {
                "HTTPPort": 80,
                "HTTPSPort": 443,
                "OriginProtocolPolicy": "http-only",
            },
        }
        behavior = {
            "TargetOriginId": "web",
            "ViewerProtocolPolicy": "redirect-to-https",
            "CachePolicyId": CACHING_DISABLED,
            "OriginRequestPolicyId": ALL_VIEWER,
            "Compress": True,
        }
        self.cloudfront.create_distribution_with_tags(
            DistributionConfigWithTags={
                "DistributionConfig": {
                    "CallerReference": comment.lower().replace(" ", "-"),
                    "Comment": comment,
                    "Enabled": True,
                    "HttpVersion": "http2",
                    "IsIPV6Enabled": True,
                    "Origins": {"Quantity": 1, "Items": [origin]},
                    "DefaultCacheBehavior": behavior,
                },
                "Tags": {"Items": [{"Key": "Name", "Value": comment}]},
            }
        )


def _plant_chat(account: _Account) -> _Vpc:
    chat = account.vpc("chat", "10.10.0.0/16", ("10.10.8.0/24", "10.10.9.0/24"))
    inside = {"IpRanges": [{"CidrIp": "10.10.0.0/16", "Description": "this VPC"}]}
    everywhere = {"IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "the internet"}]}

    ready = account.group("int-chat", chat, 80, account.from_cloudfront())
    account.balancer(
        "int-chat", chat, ready, port=80, target=account.target_group("chat", chat, "10.10.8.174")
    )

    closed = account.group("int-orders", chat, 80, inside)
    account.balancer(
        "int-orders",
        chat,
        closed,
        port=80,
        target=account.target_group("orders", chat, "10.10.8.175"),
    )

    odd = account.group("int-admin", chat, 8443, inside)
    account.balancer(
        "int-admin", chat, odd, port=8443, target=account.target_group("admin", chat, "10.10.8.176")
    )

    account.elbv2.create_load_balancer(
        Name="gwlb-inspect", Subnets=list(chat.subnets), Type="gateway"
    )

    legacy = account.vpc("legacy", "10.20.0.0/16", ("10.20.1.0/24", "10.20.2.0/24"), public=True)
    public = account.group("pub-web", legacy, 80, everywhere)
    web = account.target_group("web", legacy, "10.20.1.10")
    front = account.balancer(
        "pub-web", legacy, public, port=80, target=web, scheme="internet-facing"
    )
    account.front_door("Chat front door", front["DNSName"])
    account.websocket_api("chat", "prod", "10.10.8.174:8080")
    _plant_row(account, legacy, public)
    return chat


def _plant_row(account: _Account, legacy: _Vpc, public: str) -> None:
    """Public NLB, internal ALB, app: the second route that the 2025 article compares."""
    from_nlb = {
        "UserIdGroupPairs": [{"GroupId": public, "Description": "the network load balancer"}]
    }
    group = account.group("int-web", legacy, 80, from_nlb)
    target = account.target_group("web-behind", legacy, "10.20.1.10")
    behind = account.balancer("int-web", legacy, group, port=80, target=target)
    row = account.elbv2.create_target_group(
        Name="int-web",
        Protocol="TCP",
        Port=80,
        VpcId=legacy.id,
        TargetType="alb",
        HealthCheckPath="/healthz",
    )["TargetGroups"][0]["TargetGroupArn"]
    account.elbv2.register_targets(
        TargetGroupArn=row, Targets=[{"Id": behind["LoadBalancerArn"], "Port": 80}]
    )
    made = account.elbv2.create_load_balancer(
        Name="pub-nlb",
        Subnets=list(legacy.subnets),
        SecurityGroups=[public],
        Scheme="internet-facing",
        Type="network",
    )["LoadBalancers"][0]
    account.elbv2.create_listener(
        LoadBalancerArn=made["LoadBalancerArn"],
        Protocol="TCP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": row}],
    )


def _plant_secure(account: _Account, chat: _Vpc, authority: OriginAuthority) -> None:
    """A target with HTTPS, to rehearse https-only; its certificate is for secure.chat.example."""
    issued = authority.issue([SECURE_NAME])
    certificate = account.acm.import_certificate(
        Certificate=issued.leaf.encode(),
        PrivateKey=issued.key.encode(),
        CertificateChain=issued.rest.encode(),
    )["CertificateArn"]
    group = account.group("int-secure", chat, 443, account.from_cloudfront())
    target = account.target_group("secure", chat, "10.10.8.177")
    account.balancer("int-secure", chat, group, port=443, target=target, certificate=certificate)


def _plant_trading(account: _Account) -> None:
    trading = account.vpc("trading", "10.30.0.0/16", ("10.30.8.0/24", "10.30.9.0/24"))
    ready = account.group("int-quotes", trading, 80, account.from_cloudfront())
    target = account.target_group("quotes", trading, "10.30.8.10")
    account.balancer("int-quotes", trading, ready, port=80, target=target)
    account.front_door("Trading front door", "web.trading.example")


def _tags(kind: str, name: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}]}]
