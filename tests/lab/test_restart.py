"""State survives `kill -9` with the same ids, and an interrupted first start begins again."""

from __future__ import annotations

import signal
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.lab.account import CHAT_ACCOUNT, Account, Lab, behavior, listed, vpc_origin


@pytest.fixture(scope="module")
def own_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab that the tests kill and start again."""
    running = Lab(tmp_path_factory.mktemp("own-lab"))
    running.start()
    yield running
    running.end()


def everything(lab: Lab, account: Account) -> dict[str, Any]:
    """Everything that a client or the edge can see, without the clock's reading and request ids."""
    state = lab.get("/_lab/state")
    state.pop("clock")
    state.pop("version")
    described = {
        "groups": account.ec2.describe_security_groups()["SecurityGroups"],
        "rules": account.ec2.describe_security_group_rules()["SecurityGroupRules"],
        "interfaces": account.ec2.describe_network_interfaces()["NetworkInterfaces"],
        "subnets": account.ec2.describe_subnets()["Subnets"],
        "tables": account.ec2.describe_route_tables()["RouteTables"],
        "gateways": account.ec2.describe_internet_gateways()["InternetGateways"],
        "lists": account.ec2.describe_managed_prefix_lists()["PrefixLists"],
        "balancers": account.elbv2.describe_load_balancers()["LoadBalancers"],
        "groups_of_targets": account.elbv2.describe_target_groups()["TargetGroups"],
        "rules_of_listeners": [
            account.elbv2.describe_rules(ListenerArn=listener["arn"])["Rules"]
            for balancer in state["load_balancers"]
            if balancer["account"] == account.number
            for listener in balancer["listeners"]
        ],
        "roles": account.iam.list_roles()["Roles"],
        "vpc_origins": account.cloudfront.list_vpc_origins()["VpcOriginList"],
        "distributions": account.cloudfront.list_distributions()["DistributionList"],
        "policies": account.cloudfront.list_continuous_deployment_policies()[
            "ContinuousDeploymentPolicyList"
        ],
        "invalidations": [
            account.cloudfront.list_invalidations(DistributionId=distribution["id"])[
                "InvalidationList"
            ]
            for distribution in state["distributions"]
            if distribution["account"] == account.number
        ],
    }
    # IAM records when a role was last used, and reading uses it.
    for role in described["roles"]:
        role.pop("RoleLastUsed", None)
    return {"state": state, **described}


def keep_reading(lab: Lab, done: threading.Event) -> None:
    """Read all the time: reads must not use up random numbers that ids are made of."""
    account = lab.account(CHAT_ACCOUNT)
    while not done.is_set():
        account.ec2.describe_security_groups()
        account.elbv2.describe_load_balancers()


def halfway_through_continuous_deployment(account: Account, primary: dict[str, Any]) -> str:
    """Give the primary distribution a policy and change that immediately; id of the policy, whose
    change is not deployed yet.
    """
    primary_id = primary["Distribution"]["Id"]
    staging = account.cloudfront.copy_distribution(
        PrimaryDistributionId=primary_id,
        IfMatch=primary["ETag"],
        Staging=True,
        CallerReference="staging",
    )["Distribution"]
    batch = {"Paths": listed("/*"), "CallerReference": "1"}
    account.cloudfront.create_invalidation(DistributionId=staging["Id"], InvalidationBatch=batch)

    def config(weight: float) -> dict[str, Any]:
        traffic = {"Type": "SingleWeight", "SingleWeightConfig": {"Weight": weight}}
        names = listed(staging["DomainName"])
        return {"StagingDistributionDnsNames": names, "Enabled": True, "TrafficConfig": traffic}

    made = account.cloudfront.create_continuous_deployment_policy(
        ContinuousDeploymentPolicyConfig=config(0.05)
    )
    policy = str(made["ContinuousDeploymentPolicy"]["Id"])
    attached = {
        **primary["Distribution"]["DistributionConfig"],
        "ContinuousDeploymentPolicyId": policy,
    }
    account.cloudfront.update_distribution(
        Id=primary_id, IfMatch=primary["ETag"], DistributionConfig=attached
    )
    account.cloudfront.update_continuous_deployment_policy(
        Id=policy, IfMatch=made["ETag"], ContinuousDeploymentPolicyConfig=config(0.1)
    )
    return policy


def test_kill_9_loses_nothing(own_lab: Lab) -> None:
    chat = own_lab.account(CHAT_ACCOUNT)
    done = threading.Event()
    readers = [threading.Thread(target=keep_reading, args=(own_lab, done)) for _ in range(3)]
    for reader in readers:
        reader.start()
    target = next(
        balancer["arn"]
        for balancer in own_lab.get("/_lab/state")["load_balancers"]
        if balancer["name"] == "int-chat"
    )
    made = chat.create_vpc_origin("chat", Arn=target)
    own_lab.advance()
    origin_id = made["VpcOrigin"]["Id"]
    attached = chat.create_distribution(
        Origins=listed(vpc_origin("ws", origin_id)), DefaultCacheBehavior=behavior("ws")
    )
    (service_group,) = own_lab.get("/_lab/state")["service_groups"].values()
    closed = next(
        balancer
        for balancer in own_lab.get("/_lab/state")["load_balancers"]
        if balancer["name"] == "int-orders"
    )
    # A rule that refers to a group that CloudFront created, not one of our requests.
    source = [{"GroupId": service_group}]
    permission = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": source}
    chat.ec2.authorize_security_group_ingress(
        GroupId=closed["security_groups"][0], IpPermissions=[permission]
    )
    own_lab.advance(100)
    policy = halfway_through_continuous_deployment(own_lab.account(CHAT_ACCOUNT), attached)
    done.set()
    for reader in readers:
        reader.join()
    before, clock = everything(own_lab, chat), own_lab.get("/_lab/clock")

    own_lab.end(signal.SIGKILL)
    own_lab.start()
    assert everything(own_lab, chat) == before
    assert own_lab.get("/_lab/clock")["now"] == clock["now"], "lab time goes on where it was"
    weights = [own_lab.get("/_lab/state")["continuous_deployment_policies"][policy]["weight"]]
    own_lab.advance()
    weights.append(own_lab.get("/_lab/state")["continuous_deployment_policies"][policy]["weight"])
    assert weights == [0.05, 0.1], "a deployment that was under way goes on"
    shown = chat.cloudfront.get_distribution(Id=attached["Distribution"]["Id"])
    assert shown["Distribution"]["Status"] == "Deployed"


def test_killed_in_the_middle_of_writes_every_answered_one_is_there(own_lab: Lab) -> None:
    account = own_lab.account()
    made = account.create_distribution(Comment="0")
    distribution_id = made["Distribution"]["Id"]
    answered: list[tuple[str, str]] = []

    def write() -> None:
        etag, config = made["ETag"], made["Distribution"]["DistributionConfig"]
        for number in range(1, 10_000):
            try:
                written = account.cloudfront.update_distribution(
                    Id=distribution_id,
                    IfMatch=etag,
                    DistributionConfig={**config, "Comment": str(number)},
                )
            except (BotoCoreError, ClientError):
                return
            etag = written["ETag"]
            answered.append((str(number), etag))

    writer = threading.Thread(target=write)
    writer.start()
    while len(answered) < 15:
        writer.join(0.005)
    own_lab.end(signal.SIGKILL)
    writer.join()
    own_lab.start()
    shown = account.cloudfront.get_distribution_config(Id=distribution_id)
    comment = shown["DistributionConfig"]["Comment"]
    # The last write may be stored although its answer did not arrive.
    assert int(comment) in (int(answered[-1][0]), int(answered[-1][0]) + 1)


@pytest.mark.slow
def test_a_first_start_that_was_cut_short_begins_again(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.start()
    lab.end(signal.SIGKILL)
    with sqlite3.connect(tmp_path / "aws.sqlite3") as database:
        database.execute("DELETE FROM value WHERE name='seeded'")
        database.execute("DELETE FROM journal WHERE seq > 20")
    database.close()
    lab.start()
    names = [balancer["name"] for balancer in lab.get("/_lab/state")["load_balancers"]]
    assert lab.end(signal.SIGTERM) == 0
    assert sorted(names) == [
        "gwlb-inspect",
        "int-admin",
        "int-chat",
        "int-orders",
        "int-quotes",
        "int-secure",
        "int-web",
        "pub-nlb",
        "pub-web",
    ]
