"""What drops packets to an origin or a target: ACLs, Block Public Access, security groups."""

from __future__ import annotations

from typing import Any

import pytest

from lab.edge.account.state import State, parse_state
from lab.edge.network.origin_resolution import (
    ResolvedAddress,
    ResolvedListener,
    Unreachable,
    internet_reaches,
    resolve_origin,
)
from lab.edge.network.packet_filter import target_admits

from .account import (
    PREFIX_LIST,
    VPC,
    Json,
    account,
    behavior,
    custom_origin,
    distribution,
    forward,
    ingress,
    listener,
    load_balancer,
    vpc_origin,
    vpc_origin_ref,
)

CLOUDFRONT = "130.176.14.52"
CLIENT = "203.0.113.77"
INSTANCE = "i-0123456789abcdef0"


def entry(
    number: int, action: str, *ports: int, egress: bool = True, cidr: str = "0.0.0.0/0"
) -> Json:
    made = {
        "number": number,
        "egress": egress,
        "protocol": "6" if ports else "-1",
        "action": action,
        "cidr": cidr,
    }
    return {
        **made,
        "from_port": ports[0] if ports else None,
        "to_port": ports[-1] if ports else None,
    }


EVERYTHING = [entry(100, "allow"), entry(100, "allow", egress=False)]


def world(
    entries: list[Json] = EVERYTHING,
    faults: list[Json] | None = None,
    bpa: Json | None = None,
    **more: Any,
) -> State:
    """A balancer "chat" in two subnets, of which the given ACL guards the second; a public one; an
    instance.
    """
    made = account(
        [distribution("d", [], behavior("chat"))],
        [
            vpc_origin("chat", "chat"),
            {**vpc_origin("ec2", "-"), "endpoint_arn": f"arn:aws:ec2:r:1:instance/{INSTANCE}"},
        ],
        [
            load_balancer("chat", [listener("chat", forward("chat"))]),
            load_balancer(
                "pub",
                [listener("pub", forward("chat"))],
                group="sg-world",
                scheme="internet-facing",
            ),
        ],
    )
    for balancer in made["load_balancers"]:
        balancer.update(account="1", region="r", subnets=["subnet-a", "subnet-b"])
    made["subnets"] = {
        "subnet-a": {"vpc_id": VPC, "cidr": "10.10.8.0/24"},
        "subnet-b": {"vpc_id": VPC, "cidr": "10.10.9.0/24"},
        "subnet-c": {"vpc_id": VPC, "cidr": "10.10.10.0/24"},
    }
    made["network_acls"] = [
        {"id": "acl-default", "subnets": ["subnet-a", "subnet-c"], "entries": EVERYTHING},
        {"id": "acl-tried", "subnets": ["subnet-b"], "entries": entries},
    ]
    made["instances"] = [
        {
            "account": "1",
            "region": "r",
            "id": INSTANCE,
            "vpc_id": VPC,
            "subnet_id": "subnet-a",
            "private_ip": "10.10.8.50",
            "private_dns": "ip-10-10-8-50.ec2.internal",
            "public_dns": "ec2-3-4-5-6.compute-1.amazonaws.com",
            "security_groups": ["sg-open"],
        }
    ]
    made["hosts"] = {"10.10.8.50:80": "127.0.0.1:1", "web.example:80": "127.0.0.1:2"}
    made["names"] = {
        "www.chat.example": "chat.example",
        "chat.example": "pub.elb.amazonaws.com",
        "loop": "loop",
    }
    made["block_public_access"] = {"1": {"r": bpa}} if bpa else {}
    made["faults"] = faults or []
    return parse_state({**made, **more})


def resolved(state: State, origin: Json, **more: Any) -> tuple[int, str] | str:
    """Where an origin leads, or the error."""
    parsed = parse_state(
        account([distribution("d", [origin], behavior(origin["Id"]))])
    ).distributions[0]
    answer = resolve_origin(state, parsed.origins[origin["Id"]], "https", CLOUDFRONT, **more)
    if isinstance(answer, Unreachable):
        return answer.refusal.status, answer.refusal.detail
    return answer.label


TIMED_OUT = (504, "OriginCommError")
TO_CHAT = vpc_origin_ref("chat")
TO_PUBLIC = custom_origin("web", "pub.elb.amazonaws.com")


class TestNetworkAcls:
    @pytest.mark.rule("vpc-origin/nacl-outbound")
    @pytest.mark.parametrize(
        ("outbound", "passes"),
        [
            ([entry(100, "allow")], True),
            ([entry(100, "allow", 1024, 65535)], True),
            ([entry(100, "allow", 32768, 65535)], False),
            ([entry(100, "allow", 80)], False),
            ([entry(90, "deny", 1024, 65535), entry(100, "allow")], False),
            ([entry(90, "deny", 5000), entry(100, "allow")], False),
            ([entry(110, "deny", 1024, 65535), entry(100, "allow")], True),
            ([entry(100, "allow", 1024, 65535, cidr="130.176.0.0/16")], True),
            ([entry(100, "allow", 1024, 65535, cidr="10.0.0.0/8")], False),
            ([entry(100, "allow", 1024, 65535, cidr="::/0")], False),
        ],
    )
    def test_replies_to_cloudfront_need_the_ephemeral_ports(
        self, outbound: list[Json], passes: bool
    ) -> None:
        state = world([*outbound, entry(100, "allow", egress=False)])
        assert resolved(state, TO_CHAT) == ("ALB chat:80" if passes else TIMED_OUT)

    @pytest.mark.rule("vpc-origin/nacl-inbound-ignored")
    def test_what_comes_in_through_a_vpc_origin_is_not_evaluated_what_comes_from_the_internet_is(
        self,
    ) -> None:
        state = world([entry(100, "allow"), entry(100, "deny", egress=False)])
        assert resolved(state, TO_CHAT) == "ALB chat:80"
        assert resolved(state, TO_PUBLIC) == TIMED_OUT
        assert resolved(world(), TO_PUBLIC) == "ALB pub:80"


class TestBlockPublicAccess:
    @pytest.mark.rule("vpc-origin/block-public-access", "vpc-origin/block-public-access-exclusion")
    @pytest.mark.parametrize(
        ("mode", "exclusions", "passes"),
        [
            ("off", [], True),
            ("block-bidirectional", [], False),
            ("block-ingress", [], False),
            ("block-bidirectional", [(VPC, "allow-bidirectional")], True),
            ("block-bidirectional", [(f"arn:aws:ec2:r:1:vpc/{VPC}", "allow-bidirectional")], True),
            ("block-bidirectional", [(VPC, "allow-egress")], False),
            ("block-bidirectional", [("subnet-a", "allow-bidirectional")], False),
            (
                "block-bidirectional",
                [("subnet-a", "allow-bidirectional"), ("subnet-b", "allow-bidirectional")],
                True,
            ),
        ],
    )
    def test_it_stops_every_way_in(
        self, mode: str, exclusions: list[tuple[str, str]], passes: bool
    ) -> None:
        excluded = [{"resource": resource, "mode": kind} for resource, kind in exclusions]
        state = world(bpa={"mode": mode, "exclusions": excluded})
        public = state.load_balancers[1]
        assert resolved(state, TO_CHAT) == ("ALB chat:80" if passes else TIMED_OUT)
        assert resolved(state, TO_PUBLIC) == ("ALB pub:80" if passes else TIMED_OUT)
        assert internet_reaches(state, public, public.listeners[0], CLIENT) is passes

    def test_another_region_is_another_matter(self) -> None:
        blocked = {"mode": "block-bidirectional"}
        assert (
            resolved(world(block_public_access={"1": {"other": blocked}}), TO_CHAT) == "ALB chat:80"
        )


class TestInstances:
    @pytest.mark.rule("balancer/instance-target")
    def test_by_vpc_origin_or_by_its_public_name(self) -> None:
        assert resolved(world(), vpc_origin_ref("ec2")) == "10.10.8.50:80"
        assert (
            resolved(world(), custom_origin("e", "ec2-3-4-5-6.compute-1.amazonaws.com"))
            == "10.10.8.50:80"
        )

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"state": "stopped"}, TIMED_OUT),
            ({"security_groups": ["sg-closed"]}, TIMED_OUT),
            ({"subnet_id": "subnet-b"}, TIMED_OUT),
            ({"private_ip": "10.10.8.51"}, (502, "OriginConnectError")),
        ],
    )
    def test_what_keeps_it_away(self, changes: Json, expected: tuple[int, str]) -> None:
        state = world([entry(100, "allow", 80)])
        instances = {**INSTANCE_FACTS, **changes}
        assert (
            resolved(world([entry(100, "allow", 80)], instances=[instances]), vpc_origin_ref("ec2"))
            == expected
        )
        assert resolved(state, vpc_origin_ref("ec2")) == "10.10.8.50:80"


INSTANCE_FACTS: Json = {
    "id": INSTANCE,
    "vpc_id": VPC,
    "subnet_id": "subnet-a",
    "private_ip": "10.10.8.50",
    "security_groups": ["sg-open"],
}


@pytest.mark.rule("websocket/origin-dns-error", "answer/origin-dns")
@pytest.mark.parametrize(
    ("name", "leads_to"),
    [
        ("www.chat.example", "ALB pub:80"),
        ("web.example", "web.example:80"),
        ("loop", (502, "OriginDnsError")),
        ("ip-10-10-8-50.ec2.internal", (502, "OriginDnsError")),
    ],
)
def test_names_of_custom_origins(name: str, leads_to: str | tuple[int, str]) -> None:
    assert resolved(world(), custom_origin("c", name)) == leads_to
    assert resolved(world(), custom_origin("c", "web.example", http_port=81)) == (
        502,
        "OriginConnectError",
    )


@pytest.mark.rule("websocket/vpc-origins")
def test_before_may_2026_a_websocket_over_a_vpc_origin_was_a_name_error() -> None:
    era: list[Json] = [{"name": "era-2025", "distribution": "ED"}]
    then, now = world(faults=era), world()
    assert resolved(then, TO_CHAT, websocket=True, distribution_id="ED") == (502, "OriginDnsError")
    assert resolved(then, TO_CHAT, websocket=False, distribution_id="ED") == "ALB chat:80"
    assert resolved(then, TO_CHAT, websocket=True, distribution_id="EOTHER") == "ALB chat:80"
    assert resolved(then, TO_PUBLIC, websocket=True, distribution_id="ED") == "ALB pub:80"
    assert resolved(now, TO_CHAT, websocket=True, distribution_id="ED") == "ALB chat:80"


def test_a_public_balancer_admits_clients_if_its_group_does() -> None:
    internal, public = world().load_balancers
    assert internet_reaches(world(), public, public.listeners[0], CLIENT)
    assert not internet_reaches(world(), internal, internal.listeners[0], CLIENT)
    admits_cloudfront = {"sg-world": {"ingress": [ingress(80, lists=[PREFIX_LIST])]}}
    prefix_lists = {PREFIX_LIST: {"cidrs": ["130.176.0.0/16"]}}
    state = world(security_groups=admits_cloudfront, prefix_lists=prefix_lists)
    assert not internet_reaches(state, public, public.listeners[0], CLIENT)
    assert resolved(state, TO_PUBLIC) == "ALB pub:80"


class TestTargets:
    """From the balancer, whose nodes are 10.10.8.96 and 10.10.9.96, to a target."""

    @staticmethod
    def _reaches(
        rule: Json | None, address: str = "10.10.8.20", entries: list[Json] = EVERYTHING
    ) -> bool:
        groups = {"sg-target": {"ingress": [rule] if rule else []}}
        interfaces = [{"vpc_id": VPC, "address": address, "security_groups": ["sg-target"]}]
        acls = [
            {"id": "a", "subnets": ["subnet-a"], "entries": EVERYTHING},
            {"id": "c", "subnets": ["subnet-c"], "entries": entries},
        ]
        state = world(security_groups=groups, network_interfaces=interfaces, network_acls=acls)
        return target_admits(state.network, state.load_balancers[0], VPC, address, 8080, None)

    @pytest.mark.rule("balancer/security-group")
    @pytest.mark.parametrize(
        ("rule", "expected"),
        [
            (ingress(8080, groups=["sg-open"]), True),
            (ingress(8080, cidrs=["10.10.8.0/24"]), True),
            (ingress(8080, groups=["sg-other"]), False),
            (ingress(80, groups=["sg-open"]), False),
            (ingress(8080, cidrs=["130.176.0.0/16"]), False),
            (None, False),
        ],
    )
    def test_the_targets_group_must_admit_the_balancer(
        self, rule: Json | None, expected: bool
    ) -> None:
        assert self._reaches(rule) is expected

    def test_between_two_subnets_both_acls_are_asked(self) -> None:
        open_group = ingress(8080, groups=["sg-open"])
        back = entry(100, "allow", 1024, 65535)
        assert self._reaches(
            open_group, "10.10.10.20", [entry(100, "allow", 8080, egress=False), back]
        )
        assert not self._reaches(
            open_group, "10.10.10.20", [entry(100, "allow", 80, egress=False), back]
        )
        assert not self._reaches(open_group, "10.10.10.20", [entry(100, "allow", egress=False)])

    def test_an_address_without_a_known_interface_is_not_filtered(self) -> None:
        state = world()
        assert target_admits(state.network, state.load_balancers[0], VPC, "10.10.8.20", 8080, None)


def test_a_listener_that_is_gone_or_speaks_no_tcp_refuses() -> None:
    state = world(
        load_balancers=[load_balancer("chat", [listener("chat", forward("x"), protocol="UDP")])]
    )
    assert resolved(state, TO_CHAT) == (502, "OriginConnectError")
    parsed = parse_state(account([distribution("d", [TO_CHAT], behavior("chat"))])).distributions[0]
    assert isinstance(
        resolve_origin(world(), parsed.origins["chat"], "https", CLOUDFRONT), ResolvedListener
    )
    ec2 = parse_state(
        account([distribution("d", [vpc_origin_ref("ec2")], behavior("ec2"))])
    ).distributions[0]
    assert isinstance(
        resolve_origin(world(), ec2.origins["ec2"], "https", CLOUDFRONT), ResolvedAddress
    )
