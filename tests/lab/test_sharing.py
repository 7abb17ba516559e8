"""VPC origins shared with another account through AWS RAM."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.account import (
    Account,
    Lab,
    assert_refused,
    behavior,
    configuration,
    custom_origin,
    listed,
    vpc_origin,
)


def ram(account: Account) -> Any:
    return account.client("ram")


def share(owner: Account, consumer: Account, arn: str, **given: Any) -> str:
    """ARN of a new share, not accepted yet."""
    made = ram(owner).create_resource_share(
        name="edge", resourceArns=[arn], principals=[consumer.number], **given
    )
    return str(made["resourceShare"]["resourceShareArn"])


def invitation(consumer: Account) -> dict[str, Any]:
    (found,) = ram(consumer).get_resource_share_invitations()["resourceShareInvitations"]
    return dict(found)


def accepted(owner: Account, consumer: Account, arn: str) -> str:
    """ARN of a share that the consumer accepted."""
    made = share(owner, consumer, arn)
    ram(consumer).accept_resource_share_invitation(
        resourceShareInvitationArn=invitation(consumer)["resourceShareInvitationArn"]
    )
    return made


def with_origin(origin_id: str, owner: str | None, **changes: Any) -> dict[str, Any]:
    """Changes of a configuration whose second origin is a VPC origin."""
    shared = {**vpc_origin("shared", origin_id), "DomainName": "internal-app.example.com"}
    shared["VpcOriginConfig"] |= {"OwnerAccountId": owner} if owner else {}
    return {
        "Origins": listed(custom_origin("web"), shared),
        "CacheBehaviors": listed(behavior("shared", "/ws/*")),
        **changes,
    }


@pytest.fixture
def consumer(lab: Lab) -> Account:
    return lab.account()


def arn_of(account: Account, origin_id: str) -> str:
    return f"arn:aws:cloudfront::{account.number}:vpcorigin/{origin_id}"


@pytest.mark.rule(
    "sharing/by-resource-share",
    "sharing/owner-account-id",
    "sharing/accepted-in-us-east-1",
    "sharing/lists-distributions",
)
def test_a_consumer_uses_it_once_the_invitation_is_accepted(
    account: Account, consumer: Account
) -> None:
    origin_id = account.deployed_vpc_origin()
    arn = arn_of(account, origin_id)
    wanted = with_origin(origin_id, account.number)
    with assert_refused("EntityNotFound", 404):
        consumer.create_distribution(**wanted)
    share(account, consumer, arn)
    with assert_refused("EntityNotFound", 404):
        consumer.create_distribution(**wanted)
    elsewhere = consumer.client("ram", region="eu-west-1")
    assert elsewhere.get_resource_share_invitations()["resourceShareInvitations"] == []
    sent = invitation(consumer)
    assert (sent["status"], sent["senderAccountId"]) == ("PENDING", account.number)
    chosen = {"resourceShareInvitationArn": sent["resourceShareInvitationArn"]}
    with assert_refused("ResourceShareInvitationArnNotFoundException", 400):
        elsewhere.accept_resource_share_invitation(**chosen)
    answer = ram(consumer).accept_resource_share_invitation(**chosen)["resourceShareInvitation"]
    assert answer["status"] == "ACCEPTED"
    with assert_refused("ResourceShareInvitationAlreadyAcceptedException", 400):
        ram(consumer).accept_resource_share_invitation(**chosen)
    with assert_refused("EntityNotFound", 404):
        consumer.create_distribution(**with_origin(origin_id, None))
    made = consumer.create_distribution(**wanted)["Distribution"]
    kept = made["DistributionConfig"]["Origins"]["Items"][1]["VpcOriginConfig"]
    assert (kept["VpcOriginId"], kept["OwnerAccountId"]) == (origin_id, account.number)
    users = account.cloudfront.list_distributions_by_owned_resource(ResourceArn=arn)[
        "DistributionList"
    ]["Items"]
    assert users == [{"DistributionId": made["Id"], "OwnerAccountId": consumer.number}]


@pytest.mark.rule("sharing/invitation-expires")
def test_an_invitation_is_valid_for_twelve_hours(
    lab: Lab, account: Account, consumer: Account
) -> None:
    arn = account.create_vpc_origin()["VpcOrigin"]["Arn"]
    share(account, consumer, arn)
    lab.advance(12 * 3600 - 60)
    sent = invitation(consumer)
    assert sent["status"] == "PENDING"
    lab.advance(61)
    assert invitation(consumer)["status"] == "EXPIRED"
    with assert_refused("ResourceShareInvitationExpiredException", 400):
        ram(consumer).accept_resource_share_invitation(
            resourceShareInvitationArn=sent["resourceShareInvitationArn"]
        )


@pytest.mark.rule("sharing/read-only", "sharing/no-resharing")
def test_a_consumer_reads_but_never_changes_it(account: Account, consumer: Account) -> None:
    origin_id = account.deployed_vpc_origin()
    arn = arn_of(account, origin_id)
    with assert_refused("EntityNotFound", 404):
        consumer.cloudfront.get_vpc_origin(Id=origin_id)
    accepted(account, consumer, arn)
    shown = consumer.cloudfront.get_vpc_origin(Id=origin_id)
    assert shown["VpcOrigin"]["AccountId"] == account.number
    (summary,) = consumer.cloudfront.list_vpc_origins()["VpcOriginList"]["Items"]
    assert (summary["Id"], summary["AccountId"]) == (origin_id, account.number)
    chosen = {"Id": origin_id, "IfMatch": shown["ETag"]}
    with assert_refused("AccessDenied", 403):
        consumer.cloudfront.update_vpc_origin(
            **chosen, VpcOriginEndpointConfig=shown["VpcOrigin"]["VpcOriginEndpointConfig"]
        )
    with assert_refused("AccessDenied", 403):
        consumer.cloudfront.delete_vpc_origin(**chosen)
    with assert_refused("OperationNotPermittedException", 400):
        share(consumer, account, arn)


@pytest.mark.rule("sharing/unshared-keeps-serving", "sharing/unshared-blocks-edits")
def test_after_unsharing_it_serves_on_but_cannot_be_edited_until_the_origin_is_out(
    lab: Lab, account: Account, consumer: Account
) -> None:
    origin_id = account.deployed_vpc_origin()
    arn = arn_of(account, origin_id)
    share_arn = accepted(account, consumer, arn)
    made = consumer.create_distribution(**with_origin(origin_id, account.number))
    lab.advance()
    ram(account).disassociate_resource_share(resourceShareArn=share_arn, resourceArns=[arn])
    serving = {item["id"]: item for item in lab.get("/_lab/state")["distributions"]}[
        made["Distribution"]["Id"]
    ]
    assert serving["config"]["Origins"]["Items"][1]["VpcOriginConfig"]["VpcOriginId"] == origin_id
    config = made["Distribution"]["DistributionConfig"]
    chosen = {"Id": made["Distribution"]["Id"], "IfMatch": made["ETag"]}
    with assert_refused("EntityNotFound", 404):
        consumer.cloudfront.update_distribution(
            **chosen, DistributionConfig={**config, "Comment": "edited"}
        )
    etag = account.cloudfront.get_vpc_origin(Id=origin_id)["ETag"]
    with assert_refused("CannotDeleteEntityWhileInUse", 409):
        account.cloudfront.delete_vpc_origin(Id=origin_id, IfMatch=etag)
    without = configuration(CallerReference=config["CallerReference"], CacheBehaviors=listed())
    consumer.cloudfront.update_distribution(**chosen, DistributionConfig={**config, **without})
    lab.advance()
    account.cloudfront.delete_vpc_origin(Id=origin_id, IfMatch=etag)


@pytest.mark.rule("sharing/default-permission")
def test_what_ram_shows_of_a_share(account: Account, consumer: Account) -> None:
    arn = account.create_vpc_origin()["VpcOrigin"]["Arn"]
    made = ram(account).create_resource_share(name="edge")["resourceShare"]["resourceShareArn"]
    joined = ram(account).associate_resource_share(
        resourceShareArn=made, resourceArns=[arn], principals=[consumer.number]
    )["resourceShareAssociations"]
    assert {(item["associationType"], item["status"]) for item in joined} == {
        ("PRINCIPAL", "ASSOCIATING"),
        ("RESOURCE", "ASSOCIATED"),
    }
    (permission,) = ram(account).list_resource_share_permissions(resourceShareArn=made)[
        "permissions"
    ]
    assert permission["name"] == "AWSRAMDefaultPermissionCloudFront"
    with assert_refused("InvalidParameterException", 400):
        share(
            account,
            consumer,
            arn,
            permissionArns=["arn:aws:ram::aws:permission/AWSRAMDefaultPermissionVpc"],
        )
    assert ram(consumer).list_resources(resourceOwner="OTHER-ACCOUNTS")["resources"] == []
    sent = invitation(consumer)["resourceShareInvitationArn"]
    ram(consumer).accept_resource_share_invitation(resourceShareInvitationArn=sent)
    (resource,) = ram(consumer).list_resources(resourceOwner="OTHER-ACCOUNTS")["resources"]
    assert (resource["arn"], resource["type"]) == (arn, "cloudfront:VpcOrigin")
    (seen,) = ram(consumer).get_resource_shares(resourceOwner="OTHER-ACCOUNTS")["resourceShares"]
    assert seen["owningAccountId"] == account.number


def test_only_what_exists_is_shared_and_only_from_us_east_1(
    account: Account, consumer: Account
) -> None:
    arn = account.create_vpc_origin()["VpcOrigin"]["Arn"]
    with assert_refused("UnknownResourceException", 400):
        share(account, consumer, arn + "x")
    with assert_refused("InvalidParameterException", 400):
        account.client("ram", region="eu-west-1").create_resource_share(
            name="edge", resourceArns=[arn]
        )
    with assert_refused("OperationNotPermittedException", 400):
        share(account, consumer, arn, allowExternalPrincipals=False)
    share(account, consumer, arn)


@pytest.mark.rule("sharing/resource-policies")
def test_resource_policies(account: Account, consumer: Account) -> None:
    origin_id = account.deployed_vpc_origin()
    arn = arn_of(account, origin_id)
    cloudfront = account.cloudfront
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": consumer.number},
        "Action": "cloudfront:*",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    with assert_refused("EntityNotFound", 404):
        cloudfront.get_resource_policy(ResourceArn=arn)
    with assert_refused("InvalidArgument", 400):
        cloudfront.put_resource_policy(ResourceArn=arn, PolicyDocument="{}")
    with assert_refused("InvalidArgument", 400):
        cloudfront.get_resource_policy(ResourceArn="arn:aws:s3:::bucket")
    assert (
        cloudfront.put_resource_policy(ResourceArn=arn, PolicyDocument=policy)["ResourceArn"] == arn
    )
    assert json.loads(
        cloudfront.get_resource_policy(ResourceArn=arn)["PolicyDocument"]
    ) == json.loads(policy)
    with assert_refused("AccessDenied", 403):
        consumer.cloudfront.get_resource_policy(ResourceArn=arn)
    consumer.create_distribution(**with_origin(origin_id, account.number))
    cloudfront.delete_resource_policy(ResourceArn=arn)
    with assert_refused("EntityNotFound", 404):
        consumer.cloudfront.get_resource_policy(ResourceArn=arn)
    share(account, consumer, arn)
    kept = json.loads(cloudfront.get_resource_policy(ResourceArn=arn)["PolicyDocument"])
    assert kept["Statement"][0]["Principal"] == {"AWS": [consumer.number]}
    with assert_refused("IllegalUpdate", 400):
        cloudfront.put_resource_policy(ResourceArn=arn, PolicyDocument=policy)
    with assert_refused("IllegalDelete", 400):
        cloudfront.delete_resource_policy(ResourceArn=arn)
