"""Whose calls the lab refuses: sessions of roles, by their policies; AssumeRole, by the trust
policy. Judged with the policy that the portal's role really has.
"""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lab.aws.moto_patches.policy_simulation import decide
from lab.aws.needed_permissions import CalledBy, of_cloudfront, of_request
from tests.lab.account import REPOSITORY, Account, Lab

POLICY = json.loads((REPOSITORY / "docs" / "iam-policy.json").read_text())
MARK = {"Key": "edge-portal:owner", "Value": "edge-portal"}
OFF_LIMITS = {"Key": "edge-portal:off-limits", "Value": "true"}
EXTERNAL_ID = "5f2c"


def trust(**condition: Any) -> str:
    statement = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement | condition]})


@pytest.fixture
def role(account: Account) -> str:
    """The portal's role, as docs/iam-policy.json and its ExternalId make it."""
    account.iam.create_role(
        RoleName="edge-portal",
        AssumeRolePolicyDocument=trust(Condition={"StringEquals": {"sts:ExternalId": EXTERNAL_ID}}),
    )
    account.iam.put_role_policy(
        RoleName="edge-portal", PolicyName="edge-portal", PolicyDocument=json.dumps(POLICY)
    )
    return f"arn:aws:iam::{account.number}:role/edge-portal"


def assume(lab: Lab, role: str, key: str = "lab", **given: str) -> dict[str, str]:
    sts: Any = boto3.client(
        "sts",
        endpoint_url=lab.url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key="lab",
    )
    made = sts.assume_role(RoleArn=role, RoleSessionName="portal", **given)["Credentials"]
    return {
        "aws_access_key_id": made["AccessKeyId"],
        "aws_secret_access_key": made["SecretAccessKey"],
        "aws_session_token": made["SessionToken"],
    }


class Portal:
    """Clients with the role's keys."""

    def __init__(self, account: Account, role: str) -> None:
        keys = assume(account.lab, role, ExternalId=EXTERNAL_ID)
        for name in ("cloudfront", "ec2", "elbv2", "acm", "iam", "sts", "wafv2"):
            setattr(self, name, account._client(name, keys))


@pytest.fixture
def portal(account: Account, role: str) -> Any:
    return Portal(account, role)


def refusal(call: Any, **given: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as caught:
        call(**given)
    response = caught.value.response
    error = response["Error"]
    return error["Code"], response["ResponseMetadata"]["HTTPStatusCode"], error["Message"]


def test_a_role_admits_only_who_its_trust_policy_names(
    lab: Lab, account: Account, role: str
) -> None:
    assert assume(lab, role, ExternalId=EXTERNAL_ID)
    why = "is not authorized to perform: sts:AssumeRole on resource: " + role
    for key, given in (
        ("lab", {}),
        ("lab", {"ExternalId": "another"}),
        ("444455556666", {"ExternalId": EXTERNAL_ID}),
    ):
        with pytest.raises(ClientError, match=why) as caught:
            assume(lab, role, key, **given)
        assert caught.value.response["Error"]["Code"] == "AccessDenied"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    account.iam.update_assume_role_policy(RoleName="edge-portal", PolicyDocument=trust())
    assert assume(lab, role)


def test_what_is_not_ours_stays_as_it_is(account: Account, portal: Any) -> None:
    """Each refusal beside what is allowed."""
    me = f"User: arn:aws:sts::{account.number}:assumed-role/edge-portal/portal"
    foreign = account.create_vpc_origin("theirs")
    arn, etag = foreign["VpcOrigin"]["Arn"], foreign["ETag"]
    foreign_id = foreign["VpcOrigin"]["Id"]
    account.lab.advance()
    action = "cloudfront:DeleteVpcOrigin"
    assert refusal(portal.cloudfront.delete_vpc_origin, Id=foreign_id, IfMatch=etag) == (
        "AccessDenied",
        403,
        f"{me} is not authorized to perform: {action} on resource: {arn} because no "
        f"identity-based policy allows the {action} action",
    )
    other = {"Items": [{"Key": "edge-portal:owner", "Value": "another"}]}
    assert refusal(portal.cloudfront.tag_resource, Resource=arn, Tags=other)[0] == "AccessDenied"
    account.cloudfront.tag_resource(Resource=arn, Tags=other)
    ours = {"Items": [MARK]}
    assert refusal(portal.cloudfront.tag_resource, Resource=arn, Tags=ours)[0] == "AccessDenied"
    endpoint = {
        "Name": "ours",
        "Arn": account.balancer(account.vpc(), "int-ours"),
        "HTTPPort": 80,
        "HTTPSPort": 443,
        "OriginProtocolPolicy": "http-only",
    }
    unmarked = refusal(portal.cloudfront.create_vpc_origin, VpcOriginEndpointConfig=endpoint)
    assert unmarked[0] == "AccessDenied"
    made = portal.cloudfront.create_vpc_origin(VpcOriginEndpointConfig=endpoint, Tags=ours)
    account.lab.advance()
    current = portal.cloudfront.get_vpc_origin(Id=made["VpcOrigin"]["Id"])["ETag"]
    portal.cloudfront.delete_vpc_origin(Id=made["VpcOrigin"]["Id"], IfMatch=current)
    assert refusal(portal.cloudfront.create_distribution, DistributionConfig=CONFIG)[1] == 403
    assert "explicit" not in refusal(portal.elbv2.delete_load_balancer, LoadBalancerArn="x")[2]
    portal.elbv2.describe_load_balancers()
    code, status, _ = refusal(portal.wafv2.list_web_acls, Scope="CLOUDFRONT")
    assert (code, status) == ("AccessDeniedException", 400)
    assert refusal(portal.iam.list_roles)[:2] == ("AccessDenied", 403)
    assert portal.sts.get_caller_identity()["Account"] == account.number


CONFIG = {
    "CallerReference": "x",
    "Comment": "",
    "Enabled": True,
    "Origins": {"Quantity": 1, "Items": [{"Id": "a", "DomainName": "a.example.com"}]},
    "DefaultCacheBehavior": {"TargetOriginId": "a", "ViewerProtocolPolicy": "allow-all"},
}


def test_off_limits_is_off_limits(account: Account, portal: Any) -> None:
    made = account.create_distribution()["Distribution"]
    given = portal.cloudfront.get_distribution(Id=made["Id"])
    update = {"Id": made["Id"], "DistributionConfig": given["Distribution"]["DistributionConfig"]}
    etag = portal.cloudfront.update_distribution(**update, IfMatch=given["ETag"])["ETag"]
    account.cloudfront.tag_resource(Resource=made["ARN"], Tags={"Items": [OFF_LIMITS]})
    _, status, why = refusal(portal.cloudfront.update_distribution, **update, IfMatch=etag)
    assert (status, why.endswith("with an explicit deny in an identity-based policy")) == (
        403,
        True,
    )

    group = account.vpc().group
    rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}
    add = {
        "GroupId": group,
        "IpPermissions": [rule | {"UserIdGroupPairs": [{"GroupId": group}]}],
        "TagSpecifications": [{"ResourceType": "security-group-rule", "Tags": [MARK]}],
    }
    portal.ec2.authorize_security_group_ingress(**add)
    foreign = add | {
        "TagSpecifications": [
            {"ResourceType": "security-group-rule", "Tags": [MARK | {"Value": "x"}]}
        ]
    }
    code, status, why = refusal(portal.ec2.authorize_security_group_ingress, **foreign)
    assert (code, status) == ("UnauthorizedOperation", 403)
    assert why.startswith("You are not authorized to perform this operation. User: arn:aws:sts::")
    account.ec2.create_tags(Resources=[group], Tags=[OFF_LIMITS])
    revoke = {"GroupId": group, "IpPermissions": add["IpPermissions"]}
    assert refusal(portal.ec2.revoke_security_group_ingress, **revoke)[1] == 403
    account.ec2.delete_tags(Resources=[group], Tags=[OFF_LIMITS])
    portal.ec2.revoke_security_group_ingress(**revoke)


def test_a_boundary_and_a_role_without_policies_allow_nothing(account: Account, lab: Lab) -> None:
    account.iam.create_role(RoleName="bare", AssumeRolePolicyDocument=trust())
    arn = f"arn:aws:iam::{account.number}:role/bare"
    ec2 = account._client("ec2", assume(lab, arn))
    assert refusal(ec2.describe_instances)[0] == "UnauthorizedOperation"
    nothing = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [nothing]}
    bound = account.iam.create_policy(PolicyName="bound", PolicyDocument=json.dumps(document))
    account.iam.put_role_policy(
        RoleName="bare", PolicyName="all", PolicyDocument=json.dumps(POLICY)
    )
    ec2.describe_instances()
    account.iam.put_role_permissions_boundary(
        RoleName="bare", PermissionsBoundary=bound["Policy"]["Arn"]
    )
    why = "because no permissions boundary allows the ec2:DescribeInstances action"
    assert refusal(ec2.describe_instances)[2].endswith(why)


BY = CalledBy("111122223333", "eu-west-1")


@pytest.mark.parametrize(
    ("service", "method", "path", "target", "body", "allowed"),
    [
        ("apigateway", "GET", "/v2/apis", "", b"", True),
        ("apigateway", "GET", "/v2/apis/a1/integrations", "", b"", True),
        ("apigateway", "GET", "/vpclinks", "", b"", True),
        ("apigateway", "GET", "/v2/apis/a1/authorizers", "", b"", False),
        ("apigateway", "DELETE", "/v2/apis", "", b"", False),
        ("acm", "POST", "/", "CertificateManager.DescribeCertificate",
         b'{"CertificateArn": "arn:aws:acm:eu-west-1:111122223333:certificate/c"}', True),
        ("acm", "POST", "/", "CertificateManager.ListCertificates", b"{}", False),
        ("servicequotas", "POST", "/", "ServiceQuotasV20190624.GetServiceQuota",
         b'{"ServiceCode": "vpc", "QuotaCode": "L-0EA8095F"}', True),
        ("servicequotas", "POST", "/", "ServiceQuotasV20190624.GetServiceQuota",
         b'{"ServiceCode": "ec2", "QuotaCode": "L-1"}', False),
        ("iam", "POST", "/", "", b"Action=GetRole&RoleName=AWSServiceRoleForCloudFrontVPCOrigin",
         True),
        ("iam", "POST", "/", "", b"Action=GetRole&RoleName=admin", False),
        ("iam", "POST", "/", "", b"Action=CreateServiceLinkedRole&AWSServiceName="
         b"vpcorigin.cloudfront.amazonaws.com", True),
        ("iam", "POST", "/", "", b"Action=CreateServiceLinkedRole&AWSServiceName="
         b"ecs.amazonaws.com", False),
        ("iam", "POST", "/", "", b"Action=SimulatePrincipalPolicy&PolicySourceArn="
         b"arn:aws:iam::111122223333:role/admin", False),
        ("ec2", "POST", "/", "", b"Action=CreateTags&ResourceId.1=sg-1&Tag.1.Key=a", False),
    ],
)  # fmt: skip
def test_the_policy_names_each_resource(
    service: str, method: str, path: str, target: str, body: bytes, allowed: bool
) -> None:
    headers = {"x-amz-target": target} if target else {}
    needed = of_request(service, method, path, "", headers, body, BY, lambda arn: {})
    words = {decide({"p": POLICY}, n.action, n.resource, n.context).word for n in needed}
    assert (words == {"allowed"}) is allowed


@pytest.mark.parametrize(
    ("operation", "given", "resource"),
    [
        ("UpdateDistribution", {"Id": "E1"}, "distribution/E1"),
        ("GetOriginRequestPolicy", {"Id": "p"}, "origin-request-policy/p"),
        ("ListDistributionsByVpcOriginId", {"Id": "vo"}, "*"),
        ("ListDomainConflicts",
         {"DomainControlValidationResource": {"DistributionId": "E1"}}, "distribution/E1"),
        ("DeleteVpcOrigin", {"Id": "vo"}, "vpcorigin/vo"),
        ("CreateDistribution", {}, "*"),
    ],
)  # fmt: skip
def test_cloudfronts_resources_are_those_of_the_reference(
    operation: str, given: dict[str, Any], resource: str
) -> None:
    (needed,) = of_cloudfront(operation, given, BY, lambda arn: {})
    assert needed.resource.removeprefix("arn:aws:cloudfront::111122223333:") == resource
