"""VPC origins through the adapter, against the lab."""

from __future__ import annotations

import pytest

from provisioning.aws import vpc_origins
from provisioning.aws.errors import AwsError
from provisioning.aws.session import Aws
from provisioning.facts.names import OWNER_TAG
from tests.lab.account import Account, behavior, listed, vpc_origin


def wanted(account: Account, name: str) -> dict[str, object]:
    return {
        "Name": name,
        "Arn": account.target,
        "HTTPPort": 80,
        "HTTPSPort": 443,
        "OriginProtocolPolicy": "http-only",
        "OriginSslProtocols": {"Quantity": 1, "Items": ["TLSv1.2"]},
    }


def test_one_is_created_found_by_name_known_by_its_tag_and_deleted(
    account: Account, aws: Aws
) -> None:
    assert vpc_origins.find(aws, "edge-portal-1") is None
    made = vpc_origins.create(aws, wanted(account, "edge-portal-1"), {OWNER_TAG: "edge-portal"})
    assert (made.facts.status, made.facts.target_arn, made.config["HTTPPort"]) == (
        "Deploying",
        account.target,
        80,
    )

    assert vpc_origins.find(aws, "edge-portal-1") == made.facts
    arn = vpc_origins.arn(account.number, made.facts.id)
    assert vpc_origins.owner_of(aws, arn) == "edge-portal"

    account.lab.advance()
    record = vpc_origins.read(aws, made.facts.id)
    assert record is not None
    assert record.facts.status == vpc_origins.DEPLOYED

    vpc_origins.delete(aws, made.facts.id, record.etag)
    deleting = vpc_origins.read(aws, made.facts.id)
    assert deleting is not None
    assert deleting.facts.status == vpc_origins.DEPLOYING
    account.lab.advance()
    assert vpc_origins.read(aws, made.facts.id) is None
    assert vpc_origins.owner_of(aws, arn) == ""
    vpc_origins.delete(aws, made.facts.id, record.etag)


def test_a_second_of_the_same_name_exists_already(account: Account, aws: Aws) -> None:
    vpc_origins.create(aws, wanted(account, "edge-portal-1"), {})
    with pytest.raises(AwsError) as caught:
        vpc_origins.create(aws, wanted(account, "edge-portal-1"), {})
    assert caught.value.already_exists
    assert len(vpc_origins.list_all(aws)) == 1


def test_every_page_of_the_list_is_read(account: Account, aws: Aws) -> None:
    names = [f"edge-portal-{number}" for number in range(5)]
    for name in names:
        vpc_origins.create(aws, wanted(account, name), {})
    before = account.lab.get("/_lab/calls")["cloudfront"]["ListVpcOrigins"]
    assert sorted(origin.name for origin in vpc_origins.list_all(aws)) == names
    assert account.lab.get("/_lab/calls")["cloudfront"]["ListVpcOrigins"] - before == 3


def test_somebody_else_s_has_no_owner(account: Account, aws: Aws) -> None:
    made = account.create_vpc_origin("theirs")["VpcOrigin"]
    assert vpc_origins.owner_of(aws, vpc_origins.arn(account.number, made["Id"])) == ""


def test_deleting_what_a_distribution_uses_waits_and_a_stale_etag_is_told(
    account: Account, aws: Aws
) -> None:
    made = account.deployed_vpc_origin("edge-portal-1")
    account.create_distribution(
        Origins=listed(vpc_origin("ours", made)), DefaultCacheBehavior=behavior("ours")
    )
    record = vpc_origins.read(aws, made)
    assert record is not None
    with pytest.raises(AwsError) as caught:
        vpc_origins.delete(aws, made, record.etag)
    assert caught.value.is_in_use
    assert caught.value.transient
    with pytest.raises(AwsError) as caught:
        vpc_origins.delete(aws, made, "E000000000000")
    assert caught.value.is_stale


def test_a_target_that_aws_does_not_take_is_refused_for_good(account: Account, aws: Aws) -> None:
    config = wanted(account, "edge-portal-1") | {
        "Arn": account.balancer(account.vpc(gateway=False), "no-igw")
    }
    with pytest.raises(AwsError) as caught:
        vpc_origins.create(aws, config, {})
    assert not caught.value.transient
    assert "preflight" in caught.value.fix
