"""The security group is opened as it was approved, and in no other way, whatever happens while AWS
deploys.
"""

from __future__ import annotations

from typing import Any

import pytest

from provisioning import actions
from provisioning.aws import security_groups
from provisioning.aws.errors import AwsError
from provisioning.models import IngressRule, Run
from tests.provisioning.machine import Machine, Site


@pytest.fixture
def site(machine: Machine) -> Site:
    return machine.site()


def ports(site: Site, group: str) -> list[int]:
    """The TCP ports that the group admits something to."""
    found = site.account.ec2.describe_security_group_rules(
        Filters=[{"Name": "group-id", "Values": [group]}]
    )
    return [rule["FromPort"] for rule in found["SecurityGroupRules"] if not rule["IsEgress"]]


def attach(site: Site, *groups: str) -> None:
    site.account.elbv2.set_security_groups(LoadBalancerArn=site.target, SecurityGroups=list(groups))


def another_group(site: Site) -> str:
    network = site.account.ec2.describe_security_groups(GroupIds=[site.group])["SecurityGroups"][0][
        "VpcId"
    ]
    made = site.account.ec2.create_security_group(
        GroupName="another", Description="another", VpcId=network
    )
    return str(made["GroupId"])


def test_a_group_that_is_attached_meanwhile_stays_closed_and_the_approved_one_is_opened(
    machine: Machine, site: Site
) -> None:
    run, other = site.start(), another_group(site)
    machine.until(run, "vpc-origin", "acted")
    attach(site, other, site.group)
    machine.finish(run)
    site.assert_built(run)
    assert (ports(site, site.group), ports(site, other)) == ([80], [])


def test_where_the_approved_group_is_no_longer_attached_the_approval_is_void(
    machine: Machine, site: Site
) -> None:
    run, other = site.start(), another_group(site)
    machine.until(run, "vpc-origin", "acted")
    attach(site, other)
    machine.finish(run)
    assert run.failure["code"] == "plan_stale"
    assert site.group in run.failure["reason"]
    assert ports(site, other) == []
    site.assert_clean(run)


def test_a_rule_that_the_plan_relied_on_and_that_is_gone_is_not_replaced_without_being_asked(
    machine: Machine,
) -> None:
    site = machine.site(open_to_cloudfront=True)
    run = site.start()
    machine.until(run, "vpc-origin", "acted")
    everybody = {
        "IpProtocol": "tcp",
        "FromPort": 80,
        "ToPort": 80,
        "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
    }
    site.account.ec2.revoke_security_group_ingress(GroupId=site.group, IpPermissions=[everybody])
    machine.finish(run)
    assert run.failure["code"] == "plan_stale"
    assert (
        f"the rule of {site.group} that allowed CloudFront on TCP 80 is gone"
        in run.failure["reason"]
    )
    site.assert_clean(run)


@pytest.mark.parametrize("listed", [True, False])
def test_a_prefix_list_of_the_teams_own_counts_as_open_where_the_plan_may_not_open(
    machine: Machine, site: Site, listed: bool
) -> None:
    """The preflight cannot say what is in it and lets it pass as not known; the saga must not
    refuse it afterwards.
    """
    made = site.account.ec2.create_managed_prefix_list(
        PrefixListName="edges", MaxEntries=5, AddressFamily="IPv4"
    )
    if listed:
        by_list = {
            "IpProtocol": "tcp",
            "FromPort": 80,
            "ToPort": 80,
            "PrefixListIds": [{"PrefixListId": made["PrefixList"]["PrefixListId"]}],
        }
        site.account.ec2.authorize_security_group_ingress(
            GroupId=site.group, IpPermissions=[by_list]
        )
    run = site.start(open_security_group=False)
    machine.finish(run)
    assert run.state == (Run.State.DONE if listed else Run.State.UNDONE)
    assert run.failure.get("code") == (None if listed else "ingress_closed")
    assert site.rules_of_ours() == []


def test_a_rule_that_somebody_adds_at_the_same_moment_is_theirs_and_outlives_the_undo(
    machine: Machine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = site.start()
    admit: Any = security_groups.authorize
    added: list[str] = []

    def too_late(*args: object, **kwargs: object) -> Any:
        pair = {"GroupId": str(args[4]), "Description": str(args[5])}
        theirs = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [pair]}
        made = site.account.ec2.authorize_security_group_ingress(
            GroupId=site.group, IpPermissions=[theirs]
        )
        added.append(made["SecurityGroupRules"][0]["SecurityGroupRuleId"])
        return admit(*args, **kwargs)

    with monkeypatch.context() as rival:
        rival.setattr(security_groups, "authorize", too_late)
        machine.until(run, "ingress")
    assert added
    assert IngressRule.objects.get(users=run.endpoint).rule_id == ""
    assert actions.cancel_run(run, reason="No longer wanted.", now=machine.now)
    machine.finish(run)
    assert run.state == Run.State.UNDONE
    rules = site.account.ec2.describe_security_group_rules(SecurityGroupRuleIds=added)[
        "SecurityGroupRules"
    ]
    assert len(rules) == 1
    assert not IngressRule.objects.filter(account=site.row).exists()


def test_the_id_that_was_lost_with_the_reply_is_recorded_though_another_rule_admits_too(
    machine: Machine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = site.start()
    admit: Any = security_groups.authorize

    def and_the_reply_is_lost(*args: object) -> str:
        admit(*args)
        pairs = [{"GroupId": str(args[4])}]
        theirs = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 81, "UserIdGroupPairs": pairs}
        site.account.ec2.authorize_security_group_ingress(
            GroupId=site.group, IpPermissions=[theirs]
        )
        raise AwsError("AuthorizeSecurityGroupIngress", "ReadTimeout", "lost", transient=True)

    monkeypatch.setattr(security_groups, "authorize", and_the_reply_is_lost)
    machine.finish(run)
    site.assert_built(run)
    [rule] = site.rules_of_ours()
    assert IngressRule.objects.get(users=run.endpoint).rule_id == rule["SecurityGroupRuleId"]
