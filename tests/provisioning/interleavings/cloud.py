"""An AWS account in memory: what the portal's runs call, as boto3's clients answer it.

The answers follow the lab's. Statuses take minutes, and a VPC origin stays in use until the edge
serves a configuration without it.

Reads, lists too, lag behind writes: they show the account as it was up to 20 s ago. What was
created is missing, what was deleted is still there, and statuses, ETags and configurations are old.
Writes are judged by what is. AWS names no bound of the lag; the portal relies on half a minute
(`SETTLING_SECONDS`), so reads here lag less than that, also by the portal's own clock: after a jump
of that clock they do not lag while a worker is under way that wrote before it.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from provisioning.aws.session import AccountRef
from provisioning.facts.names import OWNER_TAG, SERVICE_GROUP_NAME

ACCOUNT = "111122223333"
REGION = "us-east-1"
DISTRIBUTION = "E1A2B3C4D5E6F7"
LONGEST_LAG_SECONDS = 20.0
CREATING_SECONDS, DELETING_SECONDS, DEPLOYING_SECONDS = 600, 200, 240
GROUP, SERVICE_GROUP, PREFIX_LIST = "sg-target", "sg-service", "pl-cloudfront"
FOREIGN_BEHAVIOR = {
    "TargetOriginId": "web",
    "ViewerProtocolPolicy": "redirect-to-https",
    "CachePolicyId": "theirs",
    "Compress": True,
}
Config = dict[str, Any]


def target_arn(number: int) -> str:
    """The ARN of one of the account's load balancers."""
    return f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/app-{number}/{number}"


def refusal(code: str, operation: str, message: str = "") -> ClientError:
    """What boto3 raises where AWS refuses a call."""
    answer: Any = {
        "Error": {"Code": code, "Message": message or code},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    return ClientError(answer, operation)


def items(config: Mapping[str, Any], name: str) -> list[Any]:
    """The items of one of CloudFront's lists."""
    return list((config.get(name) or {}).get("Items") or ())


def listed(found: list[Any]) -> Config:
    """One of CloudFront's lists."""
    return {"Quantity": len(found)} | ({"Items": found} if found else {})


@dataclass
class VpcOrigin:
    """A VPC origin; times are the account's, in seconds."""

    id: str
    config: Config
    tags: dict[str, str]
    made_at: float
    deleted_at: float = math.inf

    @property
    def deleted(self) -> bool:
        """Whether its deletion was asked for; it is there for some minutes more."""
        return self.deleted_at < math.inf

    def exists(self, at: float) -> bool:
        return self.made_at <= at < self.deleted_at + DELETING_SECONDS

    def status(self, at: float) -> str:
        ready = self.made_at + CREATING_SECONDS <= at < self.deleted_at
        return "Deployed" if ready else "Deploying"

    def etag(self, at: float) -> str:
        return "2" if self.deleted_at <= at else "1"


@dataclass
class Rule:
    """An ingress rule of the target's security group."""

    id: str
    port: int
    source: str
    tags: dict[str, str]
    made_at: float
    deleted_at: float = math.inf

    def exists(self, at: float) -> bool:
        return self.made_at <= at < self.deleted_at


@dataclass
class Cloud:
    """The account. `passing` is called before each call and after each write, with its name: it may
    raise, and then a call was not made, or its answer was lost.
    """

    owner: str
    passing: Callable[[str], None] = lambda _: None
    watched: Callable[[str, str], None] = lambda _operation, _subject: None
    now: float = 0.0
    lag: float = LONGEST_LAG_SECONDS
    vpc_origins: dict[str, VpcOrigin] = field(default_factory=dict)
    known_rules: dict[str, Rule] = field(default_factory=dict)
    config: Config = field(default_factory=dict)
    etag: int = 1
    deployed_at: float = 0.0
    former: list[Config] = field(default_factory=list)
    states: list[tuple[float, int, Config]] = field(default_factory=list)
    made: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    writes: int = 0

    def __post_init__(self) -> None:
        self.account = AccountRef(ACCOUNT, REGION)
        self.config = {
            "CallerReference": "theirs",
            "Enabled": True,
            "Comment": "Front door",
            "Aliases": {"Quantity": 0},
            "Origins": listed([{"Id": "web", "DomainName": "web.example.com"}]),
            "DefaultCacheBehavior": dict(FOREIGN_BEHAVIOR),
            "CacheBehaviors": {"Quantity": 0},
        }
        self.states = [(-math.inf, self.etag, self.config)]

    @property
    def shown_at(self) -> float:
        """Reads show the account as it was then."""
        return self.now - self.lag

    # The Aws of provisioning.aws.session

    @property
    def cloudfront_read(self) -> Cloud:
        return self

    @property
    def cloudfront_write(self) -> Cloud:
        return self

    def ec2_read(self, region: str) -> Cloud:
        return self

    def ec2_write(self, region: str) -> Cloud:
        return self

    def elbv2_read(self, region: str) -> Cloud:
        return self

    # CloudFront: VPC origins

    def create_vpc_origin(self, *, VpcOriginEndpointConfig: Config, Tags: Config) -> Config:
        self.passing("CreateVpcOrigin")
        name = VpcOriginEndpointConfig["Name"]
        taken = (one for one in self.vpc_origins.values() if one.exists(self.now))
        if any(one.config["Name"] == name for one in taken):
            raise refusal("EntityAlreadyExists", "CreateVpcOrigin")
        made = VpcOrigin(
            f"vo_{next(self.made)}",
            dict(VpcOriginEndpointConfig),
            {tag["Key"]: tag["Value"] for tag in Tags["Items"]},
            self.now,
        )
        self.vpc_origins[made.id] = made
        self.writes += 1
        self.passing("CreateVpcOrigin answered")
        return self._vpc_origin(made, self.now)

    def get_vpc_origin(self, *, Id: str) -> Config:
        self.passing("GetVpcOrigin")
        return self._vpc_origin(self._found(Id, "GetVpcOrigin", self.shown_at), self.shown_at)

    def list_vpc_origins(self) -> Config:
        self.passing("ListVpcOrigins")
        found = [
            {
                "Id": one.id,
                "Name": one.config["Name"],
                "OriginEndpointArn": one.config["Arn"],
                "Status": one.status(self.shown_at),
            }
            for one in self.vpc_origins.values()
            if one.exists(self.shown_at)
        ]
        return {"VpcOriginList": listed(found) | {"IsTruncated": False}}

    def delete_vpc_origin(self, *, Id: str, IfMatch: str) -> None:
        self.passing("DeleteVpcOrigin")
        found = self._found(Id, "DeleteVpcOrigin")
        if IfMatch != found.etag(self.now):
            raise refusal("PreconditionFailed", "DeleteVpcOrigin")
        if self.uses(Id):
            raise refusal("CannotDeleteEntityWhileInUse", "DeleteVpcOrigin")
        if found.status(self.now) == "Deploying":
            raise refusal("IllegalDelete", "DeleteVpcOrigin")
        self.watched("DeleteVpcOrigin", Id)
        found.deleted_at = self.now
        self.writes += 1
        self.passing("DeleteVpcOrigin answered")

    def list_tags_for_resource(self, *, Resource: str) -> Config:
        self.passing("ListTagsForResource")
        found = self._found(Resource.rsplit("/", 1)[1], "ListTagsForResource", self.shown_at)
        tags = [{"Key": key, "Value": value} for key, value in found.tags.items()]
        return {"Tags": {"Items": tags}}

    @property
    def rules(self) -> dict[str, Rule]:
        """The rules that exist, by their IDs."""
        return {one.id: one for one in self.known_rules.values() if one.exists(self.now)}

    def uses(self, vpc_origin_id: str) -> bool:
        """Whether the distribution names it, or named it in what the edge may still serve."""
        served = self.former if self.now < self.deployed_at else []
        return any(
            (origin.get("VpcOriginConfig") or {}).get("VpcOriginId") == vpc_origin_id
            for config in (self.config, *served)
            for origin in items(config, "Origins")
        )

    def ours(self) -> list[VpcOrigin]:
        """The VPC origins with the portal's tag that are not being deleted."""
        return [
            one
            for one in self.vpc_origins.values()
            if not one.deleted and one.tags.get(OWNER_TAG) == self.owner
        ]

    # CloudFront: the distribution

    def get_distribution(self, *, Id: str) -> Config:
        self.passing("GetDistribution")
        return self._distribution(self.shown_at)

    def list_distributions(self) -> Config:
        self.passing("ListDistributions")
        summary = self._distribution(self.shown_at)["Distribution"]
        config = summary["DistributionConfig"]
        summary |= {name: config[name] for name in ("Comment", "Enabled", "Aliases")}
        return {"DistributionList": listed([summary]) | {"IsTruncated": False}}

    def update_distribution(self, *, Id: str, IfMatch: str, DistributionConfig: Config) -> Config:
        self.passing("UpdateDistribution")
        if IfMatch != f"E{self.etag}":
            raise refusal("PreconditionFailed", "UpdateDistribution")
        self.check(DistributionConfig)
        before = self.config
        self.put(DistributionConfig)
        assert _foreign(before, self.owner) == _foreign(self.config, self.owner), (
            "the portal changed what others made"
        )
        self.passing("UpdateDistribution answered")
        return self._distribution(self.now)

    def check(self, config: Config) -> None:
        """AWS's checks of a configuration."""
        ids = [origin["Id"] for origin in items(config, "Origins")]
        entries = items(config, "CacheBehaviors")
        patterns = [entry["PathPattern"] for entry in entries]
        if len(set(ids)) < len(ids) or len(set(patterns)) < len(patterns):
            raise refusal("InvalidArgument", "UpdateDistribution", "The same entry twice.")
        if any(
            entry["TargetOriginId"] not in ids
            for entry in (*entries, config["DefaultCacheBehavior"])
        ):
            raise refusal("NoSuchOrigin", "UpdateDistribution")
        for origin in items(config, "Origins"):
            named = (origin.get("VpcOriginConfig") or {}).get("VpcOriginId")
            if not named:
                continue
            found = self._found(named, "UpdateDistribution")
            if found.deleted:
                raise refusal("EntityNotFound", "UpdateDistribution")
            if not self.uses(named) and found.status(self.now) != "Deployed":
                raise refusal("InvalidArgument", "UpdateDistribution", "It is not deployed yet.")

    def put(self, config: Config) -> None:
        """Somebody's write of the distribution."""
        self.former = [*(self.former if self.now < self.deployed_at else []), self.config]
        self.config = copy.copy(config)
        self.etag += 1
        self.writes += 1
        self.deployed_at = self.now + DEPLOYING_SECONDS
        self.states.append((self.now, self.etag, self.config))

    def _distribution(self, at: float) -> Config:
        """The distribution as it was then."""
        written_at, etag, config = next(one for one in reversed(self.states) if one[0] <= at)
        return {
            "ETag": f"E{etag}",
            "UnknownElements": (),
            "Distribution": {
                "Id": DISTRIBUTION,
                "DomainName": "d111111abcdef8.cloudfront.net",
                "Status": "Deployed" if at >= written_at + DEPLOYING_SECONDS else "InProgress",
                "DistributionConfig": config,
            },
        }

    # EC2 and the load balancers

    def describe_load_balancers(self, *, LoadBalancerArns: list[str]) -> Config:
        self.passing("DescribeLoadBalancers")
        [arn] = LoadBalancerArns
        found = {
            "LoadBalancerArn": arn,
            "Type": "application",
            "LoadBalancerName": arn.split("/")[-2],
            "DNSName": f"internal-{arn.split('/')[-1]}.elb.amazonaws.com",
            "Scheme": "internal",
            "State": {"Code": "active"},
            "VpcId": "vpc-1",
            "SecurityGroups": [GROUP],
        }
        return {"LoadBalancers": [found]}

    def get_paginator(self, _operation: str) -> Cloud:
        return self

    def paginate(self, *, Filters: list[Config]) -> Iterator[Config]:
        self.passing("DescribeSecurityGroupRules")
        found = [one for one in self.known_rules.values() if one.exists(self.shown_at)]
        yield {"SecurityGroupRules": [self._rule(one) for one in found]}

    def describe_security_groups(self, *, Filters: list[Config]) -> Config:
        self.passing("DescribeSecurityGroups")
        there = any(one.exists(self.shown_at) for one in self.vpc_origins.values())
        group = {"GroupId": SERVICE_GROUP, "GroupName": SERVICE_GROUP_NAME}
        return {"SecurityGroups": [group] if there else []}

    def describe_managed_prefix_lists(self, *, Filters: list[Config]) -> Config:
        self.passing("DescribeManagedPrefixLists")
        name = Filters[0]["Values"][0]
        return {"PrefixLists": [{"PrefixListName": name, "PrefixListId": PREFIX_LIST}]}

    def authorize_security_group_ingress(
        self, *, GroupId: str, IpPermissions: list[Config], TagSpecifications: list[Config]
    ) -> Config:
        self.passing("AuthorizeSecurityGroupIngress")
        [permission] = IpPermissions
        port, source = permission["FromPort"], permission["UserIdGroupPairs"][0]["GroupId"]
        if any((one.port, one.source) == (port, source) for one in self.rules.values()):
            raise refusal("InvalidPermission.Duplicate", "AuthorizeSecurityGroupIngress")
        tags = {tag["Key"]: tag["Value"] for tag in TagSpecifications[0]["Tags"]}
        made = Rule(f"sgr-{next(self.made)}", port, source, tags, self.now)
        self.known_rules[made.id] = made
        self.writes += 1
        self.passing("AuthorizeSecurityGroupIngress answered")
        return {"SecurityGroupRules": [self._rule(made)]}

    def revoke_security_group_ingress(
        self, *, GroupId: str, SecurityGroupRuleIds: list[str]
    ) -> None:
        self.passing("RevokeSecurityGroupIngress")
        [rule_id] = SecurityGroupRuleIds
        if rule_id not in self.rules:
            raise refusal("InvalidSecurityGroupRuleId.NotFound", "RevokeSecurityGroupIngress")
        self.watched("RevokeSecurityGroupIngress", rule_id)
        self.known_rules[rule_id].deleted_at = self.now
        self.writes += 1
        self.passing("RevokeSecurityGroupIngress answered")

    def _rule(self, one: Rule) -> Config:
        return {
            "GroupId": GROUP,
            "SecurityGroupRuleId": one.id,
            "IpProtocol": "tcp",
            "FromPort": one.port,
            "ToPort": one.port,
            "ReferencedGroupInfo": {"GroupId": one.source},
            "Tags": [{"Key": key, "Value": value} for key, value in one.tags.items()],
        }

    def _found(self, vpc_origin_id: str, operation: str, at: float | None = None) -> VpcOrigin:
        found = self.vpc_origins.get(vpc_origin_id)
        if found is None or not found.exists(self.now if at is None else at):
            raise refusal("EntityNotFound", operation)
        return found

    def _vpc_origin(self, one: VpcOrigin, at: float) -> Config:
        shown = {
            "Id": one.id,
            "Status": one.status(at),
            "VpcOriginEndpointConfig": one.config,
        }
        return {"VpcOrigin": shown, "ETag": one.etag(at)}


def _foreign(config: Config, owner: str) -> Config:
    """A configuration without what the portal names and what leads to it, but for paths that the
    third party led there.
    """
    ours = f"{owner}-"
    return config | {
        "Origins": [one for one in items(config, "Origins") if not one["Id"].startswith(ours)],
        "CacheBehaviors": [
            one
            for one in items(config, "CacheBehaviors")
            if not one["TargetOriginId"].startswith(ours)
            or one["PathPattern"].startswith("/stray/")
        ],
    }
