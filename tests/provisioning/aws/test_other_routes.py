"""Other routes to a target, against the lab: the same machine under another name, and load
balancers in a row.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from provisioning.aws.session import Aws
from tests.lab.account import REGION, Account, Network
from tests.provisioning.aws.test_targets import looked_at

FACING = {"Scheme": "internet-facing"}


@dataclass
class Street:
    """A VPC with load balancers, whose interfaces are described as AWS does it, and what is
    registered with them.
    """

    account: Account
    network: Network = field(init=False)
    last: int = 100

    def __post_init__(self) -> None:
        self.network = self.account.vpc()

    def address(self) -> str:
        """A free one; moto throws dice, and gives instances the first ones of the subnet."""
        self.last += 1
        return f"10.9.8.{self.last}"

    def balancer(self, name: str, *targets: str, kind: str = "application", **given: str) -> str:
        """ARN of a load balancer, internal unless it is said otherwise, that leads to these ids or
        addresses.
        """
        arn = self.account.balancer(self.network, name, Type=kind, **given)
        self.interface(Description=f"ELB {arn.split('loadbalancer/')[1]}")
        registered = (
            "alb"
            if ":loadbalancer/" in targets[0]
            else "instance"
            if targets[0].startswith("i-")
            else "ip"
        )
        protocol = "HTTP" if kind == "application" else "TCP"
        group = self.account.elbv2.create_target_group(
            Name=name, Protocol=protocol, Port=80, VpcId=self.network.vpc, TargetType=registered
        )["TargetGroups"][0]["TargetGroupArn"]
        self.account.elbv2.register_targets(
            TargetGroupArn=group, Targets=[{"Id": one} for one in targets]
        )
        forward = [{"Type": "forward", "TargetGroupArn": group}]
        self.account.elbv2.create_listener(
            LoadBalancerArn=arn, Protocol=protocol, Port=80, DefaultActions=forward
        )
        return arn

    def interface(self, **given: str) -> str:
        """A network interface; its address."""
        given |= {"SubnetId": self.network.subnets[0], "PrivateIpAddress": self.address()}
        made = self.account.ec2.create_network_interface(**given)
        return str(made["NetworkInterface"]["PrivateIpAddress"])

    def machine(self) -> tuple[str, str]:
        """An instance; its id and address."""
        made = self.account.ec2.run_instances(
            ImageId=self.account.image, MinCount=1, MaxCount=1, SubnetId=self.network.subnets[0]
        )["Instances"][0]
        return str(made["InstanceId"]), str(made["PrivateIpAddress"])

    def addresses_of(self, arn: str) -> list[str]:
        described = [{"Name": "description", "Values": [f"ELB {arn.split('loadbalancer/')[1]}"]}]
        found = self.account.ec2.describe_network_interfaces(Filters=described)["NetworkInterfaces"]
        return [str(one["PrivateIpAddress"]) for one in found]

    def give_public_address(self, private: str) -> str:
        """A public address for whoever has this private one."""
        mine = [{"Name": "addresses.private-ip-address", "Values": [private]}]
        (found,) = self.account.ec2.describe_network_interfaces(Filters=mine)["NetworkInterfaces"]
        address = self.account.ec2.allocate_address(Domain="vpc")
        self.account.ec2.associate_address(
            AllocationId=address["AllocationId"], NetworkInterfaceId=found["NetworkInterfaceId"]
        )
        return str(address["PublicIp"])


@pytest.fixture
def street(account: Account) -> Street:
    return Street(account)


@pytest.mark.parametrize("by_id_inside", [True, False])
def test_a_machine_is_one_machine_by_its_id_and_by_its_address(
    street: Street, aws: Aws, by_id_inside: bool
) -> None:
    """The neighbor's load balancer leads to another machine, not to ours."""
    names, neighbor = street.machine(), street.machine()
    inside, outside = names if by_id_inside else names[::-1]
    target = street.balancer("int-app", inside)
    street.balancer("pub-neighbor", neighbor[not by_id_inside], **FACING)
    assert looked_at(aws, target).internet_facing_load_balancers == ()
    street.balancer("pub-app", outside, **FACING)
    assert looked_at(aws, target).internet_facing_load_balancers == ("pub-app",)


def test_an_instance_that_is_the_target_may_be_registered_by_its_address(
    street: Street, aws: Aws
) -> None:
    (name, address), (_, neighbors) = street.machine(), street.machine()
    arn = f"arn:aws:ec2:{REGION}:{street.account.number}:instance/{name}"
    street.balancer("pub-neighbor", neighbors, **FACING)
    assert looked_at(aws, arn).internet_facing_load_balancers == ()
    street.balancer("pub-app", address, **FACING)
    assert looked_at(aws, arn).internet_facing_load_balancers == ("pub-app",)


def test_containers_on_one_machine_are_not_each_other(street: Street, aws: Aws) -> None:
    """ELB guide: by its id an instance is reached at the primary address of its primary interface.
    Its other addresses may be those of containers, which have nothing to do with each other.
    """
    name, address = street.machine()
    mine = [{"Name": "attachment.instance-id", "Values": [name]}]
    (found,) = street.account.ec2.describe_network_interfaces(Filters=mine)["NetworkInterfaces"]
    ours, theirs = street.address(), street.address()
    street.account.ec2.assign_private_ip_addresses(
        NetworkInterfaceId=found["NetworkInterfaceId"], PrivateIpAddresses=[ours, theirs]
    )
    target = street.balancer("int-ours", ours)
    street.balancer("pub-theirs", theirs, **FACING)
    street.balancer("pub-machine", name, **FACING)
    assert looked_at(aws, target).internet_facing_load_balancers == ()
    street.balancer("pub-ours", ours, **FACING)
    assert looked_at(aws, target).internet_facing_load_balancers == ("pub-ours",)
    assert looked_at(
        aws, street.balancer("int-machine", address)
    ).internet_facing_load_balancers == ("pub-machine",)


def test_a_network_load_balancer_may_lead_to_a_target_by_its_addresses(
    street: Street, aws: Aws
) -> None:
    name, _ = street.machine()
    target, other = (
        street.balancer("int-app", name),
        street.balancer("int-other", street.machine()[0]),
    )
    street.balancer("pub-other", *street.addresses_of(other), kind="network", **FACING)
    assert looked_at(aws, target).internet_facing_load_balancers == ()
    street.balancer("pub-row", *street.addresses_of(target), kind="network", **FACING)
    assert looked_at(aws, target).internet_facing_load_balancers == ("pub-row",)


@pytest.mark.parametrize("by_arn", [True, False])
def test_what_is_behind_a_load_balancer_behind_the_target_is_behind_the_target(
    street: Street, aws: Aws, by_arn: bool
) -> None:
    """The public addresses there, and other routes to it."""
    name, address = street.machine()
    inner = street.balancer("int-inner", name)
    target = street.balancer(
        "int-row", *([inner] if by_arn else street.addresses_of(inner)), kind="network"
    )
    closed = looked_at(aws, target)
    assert (closed.addresses_behind, closed.internet_facing_load_balancers) == ((), ())
    street.balancer("pub-app", address, **FACING)
    public = street.give_public_address(address)
    opened = looked_at(aws, target)
    assert (opened.addresses_behind, opened.internet_facing_load_balancers) == (
        (public,),
        ("pub-app",),
    )


def test_a_load_balancer_behind_the_target_may_itself_be_public(street: Street, aws: Aws) -> None:
    inner = street.balancer("pub-inner", street.machine()[0], **FACING)
    public = street.give_public_address(street.addresses_of(inner)[0])
    target = looked_at(aws, street.balancer("int-row", inner, kind="network"))
    assert (
        target.public_addresses,
        target.addresses_behind,
        target.internet_facing_load_balancers,
    ) == (
        (),
        (public,),
        ("pub-inner",),
    )


def test_load_balancers_that_lead_to_each_other_are_followed_once(street: Street, aws: Aws) -> None:
    first = street.balancer("int-first", street.machine()[1], kind="network")
    second = street.balancer("int-second", *street.addresses_of(first), kind="network")
    group = street.account.elbv2.describe_target_groups(LoadBalancerArn=first)["TargetGroups"][0][
        "TargetGroupArn"
    ]
    street.account.elbv2.register_targets(
        TargetGroupArn=group, Targets=[{"Id": one} for one in street.addresses_of(second)]
    )
    assert looked_at(aws, first).internet_facing_load_balancers == ()
    street.balancer("pub-app", *street.addresses_of(second), kind="network", **FACING)
    assert looked_at(aws, first).internet_facing_load_balancers == ("pub-app",)


def test_a_function_whose_health_nobody_asks_for_counts_as_well(street: Street, aws: Aws) -> None:
    group = street.account.elbv2.create_target_group(Name="function", TargetType="lambda")[
        "TargetGroups"
    ][0]
    function = f"arn:aws:lambda:{REGION}:{street.account.number}:function:chat"
    street.account.elbv2.register_targets(
        TargetGroupArn=group["TargetGroupArn"], Targets=[{"Id": function}]
    )
    arn = street.account.balancer(street.network, "int-function")
    forward = [{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}]
    street.account.elbv2.create_listener(
        LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=forward
    )
    target = looked_at(aws, arn)
    assert target.groups is not None
    (registered,) = target.groups[0].targets
    assert (registered.state, registered.reason) == ("unavailable", "Target.HealthCheckDisabled")
    assert (target.healthy_targets, target.registered_targets) == (1, 1)
