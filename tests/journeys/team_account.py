"""A team's AWS account as its owner sees it: boto3 with the keys of an assumed role, against the
lab's endpoint.

What stories assert about AWS they ask here, never the portal: it is the second pair of eyes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3

from tests.journeys.until import until

CHAT = "111122223333"
FRONT_DOOR = "Chat front door"
APP_ADDRESS = "10.10.8.174"
PREFIX_LIST = "com.amazonaws.global.cloudfront.origin-facing"


@dataclass(frozen=True)
class Target:
    """A load balancer and the security group in front of it."""

    arn: str
    group: str


class TeamAccount:
    """Clients of one account, and the few questions the stories ask."""

    def __init__(self, environment: Mapping[str, str], number: str = CHAT) -> None:
        self.number = number
        self._where: dict[str, Any] = {
            "endpoint_url": environment["AWS_ENDPOINT_URL"],
            "region_name": environment["AWS_DEFAULT_REGION"],
        }
        own = {
            "aws_access_key_id": environment["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": environment["AWS_SECRET_ACCESS_KEY"],
        }
        role = f"arn:aws:iam::{number}:role/OrganizationAccountAccessRole"
        sts: Any = boto3.client("sts", **self._where, **own)  # type: ignore[call-overload]
        given = sts.assume_role(RoleArn=role, RoleSessionName="journeys")["Credentials"]
        self.keys = {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }
        self.cloudfront: Any = self.client("cloudfront")
        self.elbv2: Any = self.client("elbv2")
        self.ec2: Any = self.client("ec2")

    # What there is

    @property
    def distribution_id(self) -> str:
        """The seeded distribution that endpoints become paths of."""
        listed = self.cloudfront.list_distributions()["DistributionList"]["Items"]
        return next(str(one["Id"]) for one in listed if one["Comment"] == FRONT_DOOR)

    def target(self, name: str) -> Target:
        """A load balancer by its name."""
        found = self.elbv2.describe_load_balancers(Names=[name])["LoadBalancers"][0]
        return Target(found["LoadBalancerArn"], found["SecurityGroups"][0])

    def vpc_origins_of(self, target: Target) -> list[dict[str, Any]]:
        """The VPC origins that lead to a target, in whatever state."""
        listed = self.cloudfront.list_vpc_origins()["VpcOriginList"].get("Items", [])
        return [one for one in listed if one["OriginEndpointArn"] == target.arn]

    def distribution(self) -> dict[str, Any]:
        """The distribution as GetDistribution gives it: Status, and the config last written."""
        read: dict[str, Any] = self.cloudfront.get_distribution(Id=self.distribution_id)[
            "Distribution"
        ]
        return read

    def behaviors_of(self, path: str) -> list[dict[str, Any]]:
        """The behaviors of the distribution with this path pattern."""
        written = self.distribution()["DistributionConfig"]["CacheBehaviors"].get("Items", [])
        return [one for one in written if one["PathPattern"] == path]

    def origins_through(self, vpc_origin_id: str) -> list[dict[str, Any]]:
        """The distribution's origins that use a VPC origin."""
        written = self.distribution()["DistributionConfig"]["Origins"]["Items"]
        return [
            one
            for one in written
            if one.get("VpcOriginConfig", {}).get("VpcOriginId") == vpc_origin_id
        ]

    def ingress_of(self, group: str) -> list[dict[str, Any]]:
        """The rules of a security group."""
        permissions: list[dict[str, Any]] = self.ec2.describe_security_groups(GroupIds=[group])[
            "SecurityGroups"
        ][0]["IpPermissions"]
        return permissions

    # What a story changes by hand

    def make_target(
        self, name: str, *, admits_cloudfront: bool = True, app: str = APP_ADDRESS
    ) -> Target:
        """An internal load balancer of the story's own, in front of the chat app, or of the app at
        another address. Health checks accept any response below 500.
        """
        network = self.elbv2.describe_load_balancers(Names=["int-chat"])["LoadBalancers"][0]
        group = self.ec2.create_security_group(
            GroupName=name, Description=name, VpcId=network["VpcId"]
        )["GroupId"]
        if admits_cloudfront:
            self.ec2.authorize_security_group_ingress(
                GroupId=group, IpPermissions=[self.from_cloudfront()]
            )
        subnets = [zone["SubnetId"] for zone in network["AvailabilityZones"]]
        made = self.elbv2.create_load_balancer(
            Name=name,
            Subnets=subnets,
            SecurityGroups=[group],
            Scheme="internal",
            Type="application",
        )["LoadBalancers"][0]["LoadBalancerArn"]
        self.elbv2.create_listener(
            LoadBalancerArn=made,
            Protocol="HTTP",
            Port=80,
            DefaultActions=[self._forward_to(name, network["VpcId"], app)],
        )
        return Target(made, group)

    def make_vpc_origin(self, name: str, target: Target) -> str:
        """A VPC origin of the team's own; its ID."""
        config = {
            "Name": name,
            "Arn": target.arn,
            "HTTPPort": 80,
            "HTTPSPort": 443,
            "OriginProtocolPolicy": "http-only",
        }
        made = self.cloudfront.create_vpc_origin(VpcOriginEndpointConfig=config)
        return str(made["VpcOrigin"]["Id"])

    def delete_vpc_origin(self, aws_id: str) -> None:
        """Delete a VPC origin as soon as it is deployed; it stays listed until that has ended."""

        def deployed() -> str | None:
            read = self.cloudfront.get_vpc_origin(Id=aws_id)
            return str(read["ETag"]) if read["VpcOrigin"]["Status"] == "Deployed" else None

        self.cloudfront.delete_vpc_origin(Id=aws_id, IfMatch=until(deployed, "Deployed"))

    def lead_path(self, target: Target, priority: int, path: str, name: str, app: str) -> None:
        """A listener rule that forwards a path to another app, through a target group `name`."""
        listener = self.elbv2.describe_listeners(LoadBalancerArn=target.arn)["Listeners"][0]
        network = self.elbv2.describe_load_balancers(LoadBalancerArns=[target.arn])
        forward = self._forward_to(name, network["LoadBalancers"][0]["VpcId"], app)
        self.elbv2.create_rule(
            ListenerArn=listener["ListenerArn"],
            Priority=priority,
            Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": [path]}}],
            Actions=[forward],
        )

    def _forward_to(self, name: str, network: str, app: str) -> dict[str, Any]:
        behind = self.elbv2.create_target_group(
            Name=name,
            Protocol="HTTP",
            Port=8080,
            VpcId=network,
            TargetType="ip",
            Matcher={"HttpCode": "200-499"},
        )["TargetGroups"][0]["TargetGroupArn"]
        self.elbv2.register_targets(TargetGroupArn=behind, Targets=[{"Id": app, "Port": 8080}])
        return {"Type": "forward", "TargetGroupArn": behind}

    def from_cloudfront(self) -> dict[str, Any]:
        """The rule that admits CloudFront on port 80."""
        named = [{"Name": "prefix-list-name", "Values": [PREFIX_LIST]}]
        found = self.ec2.describe_managed_prefix_lists(Filters=named)["PrefixLists"][0][
            "PrefixListId"
        ]
        return {
            "IpProtocol": "tcp",
            "FromPort": 80,
            "ToPort": 80,
            "PrefixListIds": [{"PrefixListId": found}],
        }

    def close_to_cloudfront(self, target: Target) -> None:
        """Take the rule away again, as a colleague in a hurry would."""
        self.ec2.revoke_security_group_ingress(
            GroupId=target.group, IpPermissions=[self.from_cloudfront()]
        )

    def set_idle_timeout(self, target: Target, seconds: int) -> None:
        """The load balancer's idle timeout, in seconds of AWS's time."""
        attribute = {"Key": "idle_timeout.timeout_seconds", "Value": str(seconds)}
        self.elbv2.modify_load_balancer_attributes(
            LoadBalancerArn=target.arn, Attributes=[attribute]
        )

    def client(self, service: str) -> Any:
        """A client of another service of the account."""
        return boto3.client(service, **self._where, **self.keys)  # type: ignore[call-overload]
