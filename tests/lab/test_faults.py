"""Faults at the AWS endpoint: the catalogue, refusals, restoring, and calls that go wrong."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from checks.diagnosis.verdicts import VERDICTS
from lab.apps.addresses import BY_NAME
from lab.faults.__main__ import README, with_table
from lab.faults.catalogue.fault import PARAMETERS, Fault, FaultKind
from lab.faults.catalogue.registry import FAULTS
from lab.faults.plans.distributions import PLANS
from lab.faults.plans.networks import PLANS as NETWORK_PLANS
from tests.lab.account import PATIENCE, Account, Lab, assert_refused, behavior, listed, vpc_origin

pytestmark = pytest.mark.usefixtures("no_fault_stays_set")

EVERY = list(FAULTS.values())


class TestRegistry:
    @pytest.mark.parametrize("fault", EVERY, ids=lambda fault: fault.name)
    def test_every_fault_is_whole(self, fault: Fault) -> None:
        assert fault.description.endswith(".")
        assert fault.description[0].isupper()
        assert set(fault.needs) <= set(fault.takes) <= set(PARAMETERS)
        assert fault.verdict in VERDICTS or (fault.verdict == "" and fault.kind is FaultKind.CALLS)
        if fault.kind is FaultKind.ACCOUNT:
            assert fault.name in {**PLANS, **NETWORK_PLANS}
        if fault.app:
            assert fault.app in BY_NAME

    def test_the_readme_has_the_table(self) -> None:
        text = README.read_text()
        assert with_table(text) == text, "run `python -m lab.faults`"


class Endpoint:
    """A distribution whose paths /ws/* and /live/* lead to one load balancer, in a new account."""

    def __init__(self, lab: Lab, account: Account) -> None:
        self.lab = lab
        self.account = account
        network = account.vpc()
        permission = {
            "IpProtocol": "tcp",
            "FromPort": 80,
            "ToPort": 80,
            "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
        }
        account.ec2.authorize_security_group_ingress(
            GroupId=network.group, IpPermissions=[permission]
        )
        self.network = network
        self.balancer = account.balancer(network)
        group = account.elbv2.create_target_group(
            Name="app", Protocol="HTTP", Port=8080, VpcId=network.vpc, TargetType="ip"
        )
        self.group = group["TargetGroups"][0]["TargetGroupArn"]
        account.elbv2.register_targets(
            TargetGroupArn=self.group, Targets=[{"Id": "10.9.8.10", "Port": 8080}]
        )
        self.listener = account.elbv2.create_listener(
            LoadBalancerArn=self.balancer,
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.group}],
        )["Listeners"][0]["ListenerArn"]
        self.vpc_origin = account.create_vpc_origin(Arn=self.balancer)["VpcOrigin"]["Id"]
        lab.advance()
        self.distribution = account.create_distribution(
            Origins=listed(vpc_origin("app", self.vpc_origin)),
            DefaultCacheBehavior=behavior("app"),
            CacheBehaviors=listed(behavior("app", "/ws/*"), behavior("app", "/live/*")),
        )["Distribution"]["Id"]
        lab.advance()

    def set(self, name: str, path: str = "/ws/chat") -> str:
        """Set a fault for a path of it; gives the fault's id."""
        given = {
            "distribution": self.distribution,
            **({"path": path} if "path" in FAULTS[name].takes else {}),
        }
        return str(self.lab.post("/_lab/faults", {"name": name, **given})["id"])

    def clear(self, fault_id: str) -> None:
        self.lab.delete(f"/_lab/faults/{fault_id}")

    def admitted(self) -> list[str]:
        """The sources that the load balancer's security group allows."""
        (group,) = self.account.ec2.describe_security_groups(GroupIds=[self.network.group])[
            "SecurityGroups"
        ]
        return [item["CidrIp"] for rule in group["IpPermissions"] for item in rule["IpRanges"]]

    def policy(self, pattern: str) -> str | None:
        """The origin request policy of the behavior with that pattern."""
        items = self.config()["CacheBehaviors"]["Items"]
        found: str | None = next(
            item.get("OriginRequestPolicyId") for item in items if item["PathPattern"] == pattern
        )
        return found

    def listeners(self) -> Any:
        return self.account.elbv2.describe_listeners(LoadBalancerArn=self.balancer)["Listeners"]

    def config(self) -> Any:
        return self.account.cloudfront.get_distribution_config(Id=self.distribution)[
            "DistributionConfig"
        ]

    def seen(self) -> Any:
        """The account as AWS shows it, without ETags and times, which every change leaves
        behind.
        """
        account, elbv2 = self.account, self.account.elbv2
        listeners = self.listeners()
        rules = [
            elbv2.describe_rules(ListenerArn=item["ListenerArn"])["Rules"] for item in listeners
        ]
        acls = account.ec2.describe_network_acls(
            Filters=[{"Name": "vpc-id", "Values": [self.network.vpc]}]
        )
        seen = {
            "config": self.config(),
            "policies": account.cloudfront.list_origin_request_policies(Type="custom")[
                "OriginRequestPolicyList"
            ],
            "key groups": account.cloudfront.list_key_groups()["KeyGroupList"],
            "keys": account.cloudfront.list_public_keys()["PublicKeyList"],
            "web ACLs": account.client("wafv2").list_web_acls(Scope="CLOUDFRONT")["WebACLs"],
            "vpc origin": account.cloudfront.get_vpc_origin(Id=self.vpc_origin)["VpcOrigin"],
            "admitted": self.admitted(),
            "acls": [sorted(acl["Entries"], key=str) for acl in acls["NetworkAcls"]],
            "public access": account.ec2.describe_vpc_block_public_access_options()[
                "VpcBlockPublicAccessOptions"
            ]["InternetGatewayBlockMode"],
            "ports": [(item["Port"], item["Protocol"]) for item in listeners],
            "actions": [[rule["Actions"] for rule in each] for each in rules],
            "attributes": elbv2.describe_load_balancer_attributes(LoadBalancerArn=self.balancer)[
                "Attributes"
            ],
            "targets": [
                item["Target"]["Id"]
                for item in elbv2.describe_target_health(TargetGroupArn=self.group)[
                    "TargetHealthDescriptions"
                ]
            ],
        }
        return json.loads(json.dumps(seen, default=str, sort_keys=True))


@pytest.fixture(scope="module")
def endpoint(lab: Lab) -> Endpoint:
    return Endpoint(lab, lab.account())


# A distribution without aliases, and one whose origin is no API Gateway.
ELSEWHERE = ("alias-absent", "apigateway-host-forwarded")
OF_ACCOUNTS = [
    fault.name for fault in EVERY if fault.kind is FaultKind.ACCOUNT and fault.name not in ELSEWHERE
]
# Each removes, moves or overwrites what another one changed.
TELLING = [
    ("spa-error-page", "listener-redirect", "listener-missing"),
    ("listener-redirect", "listener-missing"),
    ("headers-not-forwarded", "subprotocol-not-forwarded", "path-not-matched"),
    ("viewer-https-only", "waf-block", "vpc-origin-deploying", "vpc-origin-deleted"),
]


class TestAccounts:
    def test_each_changes_the_account_and_puts_it_back(self, endpoint: Endpoint) -> None:
        before = endpoint.seen()
        unseen = ["viewer-https-only", "methods-too-few"]  # the endpoint is so already
        for name in OF_ACCOUNTS:
            fault_id = endpoint.set(name)
            if name != "vpc-origin-deleted":
                assert (endpoint.seen() == before) == (name in unseen), name
            shown = endpoint.account.cloudfront.get_distribution(Id=endpoint.distribution)[
                "Distribution"
            ]
            assert shown["Status"] == "Deployed", name
            endpoint.clear(fault_id)
            assert endpoint.seen() == before, name

    def test_all_at_once_and_cleared_in_the_order_in_which_they_came(
        self, endpoint: Endpoint
    ) -> None:
        before = endpoint.seen()
        # These remove what others need.
        first_of_all = (
            "path-not-matched",
            "listener-missing",
            "port-mismatch",
            "vpc-origin-deleted",
        )
        # Behind a listener that redirects or answers 404 there is no target to deregister.
        names = sorted(OF_ACCOUNTS, key=lambda name: name != "no-targets")
        ids = [endpoint.set(name) for name in names if name not in first_of_all]
        for fault_id in ids:
            endpoint.clear(fault_id)
        assert endpoint.seen() == before

    @pytest.mark.parametrize("first_goes_first", [True, False])
    def test_one_fault_on_two_endpoints_that_share_a_load_balancer(
        self, endpoint: Endpoint, first_goes_first: bool
    ) -> None:
        ids = [endpoint.set("security-group-closed", path) for path in ("/ws/chat", "/live/a")]
        ids += [endpoint.set("block-public-access", path) for path in ("/ws/chat", "/live/a")]
        pairs = [ids[:2], ids[2:]]
        for first, second in pairs:
            endpoint.clear(first if first_goes_first else second)
        seen = endpoint.seen()
        assert (seen["admitted"], seen["public access"]) == ([], "block-bidirectional")
        for first, second in pairs:
            endpoint.clear(second if first_goes_first else first)
        seen = endpoint.seen()
        assert (seen["admitted"], seen["public access"]) == (["0.0.0.0/0"], "off")

    @pytest.mark.parametrize("names", TELLING, ids=lambda names: " + ".join(names))
    def test_set_together_and_cleared_in_any_order(
        self, endpoint: Endpoint, names: tuple[str, ...]
    ) -> None:
        before = endpoint.seen()
        for order in (list(range(len(names))), list(reversed(range(len(names))))):
            ids = [endpoint.set(name) for name in names]
            for number in order:
                endpoint.clear(ids[number])
            assert endpoint.seen() == before, order

    def test_a_listener_that_is_made_again_keeps_its_other_faults(self, endpoint: Endpoint) -> None:
        before = endpoint.seen()
        page, away = endpoint.set("spa-error-page"), endpoint.set("listener-missing")
        endpoint.clear(away)
        assert endpoint.seen()["actions"] != before["actions"], (
            "the rule that says 404 is there again"
        )
        (listener,) = endpoint.listeners()
        (shown,) = endpoint.lab.get("/_lab/faults")["set"]
        assert shown["hit"]["listener"] == listener["ListenerArn"]
        endpoint.clear(page)
        assert endpoint.seen() == before

    @pytest.mark.slow  # several minutes; the telling ones are in TELLING
    @pytest.mark.parametrize("first", OF_ACCOUNTS)
    def test_each_with_each_other_cleared_in_either_order(
        self, lab: Lab, endpoint: Endpoint, first: str
    ) -> None:
        before = endpoint.seen()
        together = 0
        for second in (name for name in OF_ACCOUNTS if name != first):
            for oldest_first in (True, False):
                ids = [endpoint.set(first)]
                where = {"distribution": endpoint.distribution, "path": "/ws/chat"}
                given = {
                    name: value for name, value in where.items() if name in FAULTS[second].takes
                }
                status, made = ask(lab, "POST", "/_lab/faults", {"name": second, **given})
                assert status in (201, 409), made
                together += status == 201
                ids += [made["id"]] if status == 201 else []
                for fault_id in ids if oldest_first else reversed(ids):
                    endpoint.clear(fault_id)
                assert endpoint.seen() == before, (second, oldest_first)
        assert together

    def test_what_was_half_put_back_is_put_back_whole(self, endpoint: Endpoint) -> None:
        """As after a kill -9 during clearing: the listener exists again, but its rules do not."""
        before, elbv2 = endpoint.seen(), endpoint.account.elbv2
        page, away = endpoint.set("spa-error-page"), endpoint.set("listener-missing")
        forward = [{"Type": "forward", "TargetGroupArn": endpoint.group}]
        given = {"LoadBalancerArn": endpoint.balancer, "Protocol": "HTTP", "Port": 80}
        elbv2.create_listener(**given, DefaultActions=forward)
        endpoint.clear(away)
        assert len(endpoint.seen()["actions"][0]) == 2
        endpoint.clear(page)
        assert endpoint.seen() == before

    def test_another_listener_that_somebody_put_there_meanwhile_stays_as_it_is(
        self, endpoint: Endpoint
    ) -> None:
        elbv2 = endpoint.account.elbv2
        ids = [endpoint.set("spa-error-page"), endpoint.set("listener-missing")]
        fixed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "418"}}
        given = {"LoadBalancerArn": endpoint.balancer, "Protocol": "HTTP", "Port": 80}
        theirs = elbv2.create_listener(**given, DefaultActions=[fixed])["Listeners"][0][
            "ListenerArn"
        ]
        for fault_id in reversed(ids):
            endpoint.clear(fault_id)
        ((only,),) = endpoint.seen()["actions"]
        assert only[0]["FixedResponseConfig"]["StatusCode"] == "418"
        elbv2.delete_listener(ListenerArn=theirs)
        elbv2.create_listener(
            **given, DefaultActions=[{"Type": "forward", "TargetGroupArn": endpoint.group}]
        )

    def test_what_somebody_else_changed_meanwhile_stays(self, endpoint: Endpoint) -> None:
        cloudfront, ec2 = endpoint.account.cloudfront, endpoint.account.ec2
        ids = [endpoint.set("headers-not-forwarded"), endpoint.set("security-group-closed")]
        got = cloudfront.get_distribution_config(Id=endpoint.distribution)
        config = got["DistributionConfig"]
        except_host = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
        config["CacheBehaviors"]["Items"][0]["OriginRequestPolicyId"] = except_host
        config["Comment"] = "by hand"
        cloudfront.update_distribution(
            Id=endpoint.distribution, IfMatch=got["ETag"], DistributionConfig=config
        )
        permission = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}
        for cidr in ("192.0.2.0/24", "0.0.0.0/0"):
            ranges = {"IpRanges": [{"CidrIp": cidr}]}
            ec2.authorize_security_group_ingress(
                GroupId=endpoint.network.group, IpPermissions=[{**permission, **ranges}]
            )
        for fault_id in ids:
            endpoint.clear(fault_id)
        assert (endpoint.policy("/ws/*"), endpoint.config()["Comment"]) == (except_host, "by hand")
        assert sorted(endpoint.admitted()) == ["0.0.0.0/0", "192.0.2.0/24"]

    def test_late_reads_do_not_keep_a_fault_from_being_set(
        self, lab: Lab, endpoint: Endpoint
    ) -> None:
        before = endpoint.policy("/ws/*")
        lab.post("/_lab/settings", {"reads": {"lag_seconds": 1000}})
        try:
            endpoint.clear(endpoint.set("subprotocol-not-forwarded"))
            endpoint.set("headers-not-forwarded")
        finally:
            lab.post("/_lab/settings", {"reads": {"lag_seconds": None}})
        assert endpoint.policy("/ws/*") is None
        lab.delete("/_lab/faults")
        assert endpoint.policy("/ws/*") == before

    def test_what_is_gone_needs_no_clearing(self, lab: Lab) -> None:
        endpoint = Endpoint(lab, lab.account())
        ids = [
            endpoint.set(name)
            for name in ("no-targets", "listener-redirect", "idle-cut", "network-acl-egress")
        ]
        endpoint.account.elbv2.delete_load_balancer(LoadBalancerArn=endpoint.balancer)
        endpoint.account.elbv2.delete_target_group(TargetGroupArn=endpoint.group)
        for fault_id in ids:
            endpoint.clear(fault_id)
        assert lab.get("/_lab/faults")["set"] == []

    def test_faults_and_their_end_survive_kill_9(self, tmp_path: Path) -> None:
        lab = Lab(tmp_path)
        lab.start()
        try:
            endpoint = Endpoint(lab, lab.account())
            before = endpoint.seen()
            names = [
                "security-group-closed",
                "waf-block",
                "vpc-origin-deploying",
                "listener-missing",
            ]
            for name in names:
                endpoint.set(name)
            lab.end(signal.SIGKILL)
            lab.start()
            assert [fault["name"] for fault in lab.get("/_lab/faults")["set"]] == names
            assert endpoint.seen()["ports"] == []
            lab.delete("/_lab/faults")
            assert endpoint.seen() == before
        finally:
            lab.end()


class TestEdge:
    def test_what_the_edge_must_act_out_is_in_its_state(self, lab: Lab, endpoint: Endpoint) -> None:
        lab.post("/_lab/hosts", {"10.9.8.10:8080": "127.0.0.1:7"})
        ids = [endpoint.set("era-2025"), endpoint.set("app-breaks"), endpoint.set("app-not-found")]
        state = lab.get("/_lab/state")
        (fault,) = state["faults"]
        assert (fault["name"], fault["distribution"]) == ("era-2025", endpoint.distribution)
        assert fault["vpc_origin"] == endpoint.vpc_origin
        # The fault that was set last wins; then the one before it.
        assert state["hosts"]["10.9.8.10:8080"].startswith(BY_NAME["not-found"].loopback)
        endpoint.clear(ids[2])
        assert lab.get("/_lab/state")["hosts"]["10.9.8.10:8080"].startswith(
            BY_NAME["breaks"].loopback
        )
        for fault_id in ids[:2]:
            endpoint.clear(fault_id)
        state = lab.get("/_lab/state")
        assert (state["faults"], state["hosts"]["10.9.8.10:8080"]) == ([], "127.0.0.1:7")


class TestRefusals:
    @pytest.mark.parametrize(
        ("given", "status", "says"),
        [
            ({"name": "security-group-close"}, 404, "Did you mean security-group-closed"),
            ({"name": "nonsense nobody means"}, 404, "lists all"),
            ({}, 400, "Give the fault's name"),
            ({"name": 7}, 400, "Give the fault's name"),
            ({"name": "waf-block"}, 400, "needs distribution"),
            ({"name": "waf-block", "distribution": "ENOBODY"}, 404, "No distribution 'ENOBODY'"),
            ({"name": "waf-block", "distribution": "", "path": "/"}, 400, "needs distribution"),
            ({"name": "waf-block", "distribution": ["E1"]}, 400, "distribution must be text"),
            ({"name": "waf-block", "operation": "Create*"}, 400, "does not take 'operation'"),
            (
                {"name": "edge-capacity", "distribution": "E", "detail": "Full"},
                400,
                "must be one of CapacityExceeded",
            ),
            ({"name": "throttled", "times": 0}, 400, "times must be a whole number"),
            ({"name": "throttled", "nth": "many"}, 400, "nth must be a whole number"),
            ({"name": "throttled", "account": "chat"}, 400, "twelve digits"),
            ({"name": "throttled", "account": "١١١١٢٢٢٢٣٣٣٣"}, 400, "twelve digits"),
            (
                {"name": "throttled", "service": "nope"},
                400,
                "No request is signed for 'nope'. The service is",
            ),
            ({"name": "throttled", "service": "elbv2"}, 400, "Did you mean elasticloadbalancing?"),
            ({"name": "throttled", "service": "cloudfrnt"}, 400, "Did you mean cloudfront?"),
            (
                {"name": "half-body", "operation": "CreateVpcOrgin"},
                400,
                "Did you mean CreateVpcOrigin",
            ),
            (
                {"name": "throttled", "service": "ec2", "operation": "CreateVpcOrigin"},
                400,
                "hits no operation",
            ),
            (
                {"name": "third-party-edit", "operation": "GetDistribution"},
                400,
                "Did you mean DeleteDistribution",
            ),
            ({"name": "third-party-edit", "service": "ec2"}, 400, "Leave out operation or service"),
            (
                {"name": "throttled", "service": "ram", "operation": "Create*"},
                400,
                "cannot tell the operations of ram",
            ),
            ({"name": "quota-reached", "operation": "List*"}, 400, "hits no operation 'List*'"),
            ({"name": "never-deployed", "service": "cloudfront"}, 400, "does not take 'service'"),
        ],
    )
    def test_what_cannot_be_set_is_told_why(
        self, lab: Lab, given: Any, status: int, says: str
    ) -> None:
        code, error = fail(lab, "POST", "/_lab/faults", given)
        assert code == status
        assert says in error
        assert lab.get("/_lab/faults")["set"] == []

    @pytest.mark.parametrize(
        ("name", "path", "says"),
        [
            ("path-not-matched", "/other", "Only the default behavior matches /other"),
            ("waf-block", "no slash", "must start with /"),
            ("alias-absent", "", "has no alternate domain name"),
            ("origin-certificate-expired", "/ws/chat", "plain HTTP"),
            ("apigateway-host-forwarded", "/ws/chat", "not an API Gateway"),
        ],
    )
    def test_what_is_not_there_cannot_be_hit(
        self, endpoint: Endpoint, name: str, path: str, says: str
    ) -> None:
        lab = endpoint.lab
        given = {
            "name": name,
            "distribution": endpoint.distribution,
            **({"path": path} if path else {}),
        }
        code, error = fail(lab, "POST", "/_lab/faults", given)
        assert code in (400, 409)
        assert says in error
        assert lab.get("/_lab/faults")["set"] == []

    def test_what_another_fault_hides_cannot_be_hit(self, endpoint: Endpoint) -> None:
        endpoint.set("listener-redirect")
        given = {"name": "no-targets", "distribution": endpoint.distribution, "path": "/ws/chat"}
        code, error = fail(endpoint.lab, "POST", "/_lab/faults", given)
        assert (code, "No target is registered behind /ws/chat" in error) == (409, True)

    def test_other_nonsense(self, lab: Lab) -> None:
        assert fail(lab, "DELETE", "/_lab/faults/fault-0")[0] == 404
        assert fail(lab, "PUT", "/_lab/faults", {})[0] == 405
        assert fail(lab, "POST", "/_lab/faults", [])[0] == 400

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({}, 201),
            ({"Origin": "http://127.0.0.1:{port}"}, 201),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": "http://evil.example:{port}", "Host": "evil.example:{port}"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-origin"}, 201),
        ],
    )
    def test_strange_sites_cannot_set_faults(
        self, lab: Lab, headers: dict[str, str], status: int
    ) -> None:
        filled = {name: text.format(port=lab.port) for name, text in headers.items()}
        assert (
            ask(lab, "POST", "/_lab/faults", {"name": "throttled", "times": 1}, filled)[0] == status
        )


def ask(
    lab: Lab, method: str, path: str, given: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    data = None if given is None else json.dumps(given).encode()
    reply = lab.send(method, path, data, headers)
    return reply.status, reply.json


def fail(lab: Lab, method: str, path: str, given: Any = None) -> tuple[int, str]:
    status, answer = ask(lab, method, path, given)
    return status, str(answer["error"])


class TestCalls:
    @pytest.mark.parametrize(
        ("name", "cloudfront", "ec2"),
        [
            ("throttled", ("Throttling", 400), ("RequestLimitExceeded", 503)),
            ("server-error", ("InternalError", 500), ("Unavailable", 503)),
            ("access-denied", ("AccessDenied", 403), ("UnauthorizedOperation", 403)),
            ("expired-token", ("ExpiredToken", 403), ("RequestExpired", 400)),
        ],
    )
    def test_refused(
        self, lab: Lab, account: Account, name: str, cloudfront: Any, ec2: Any
    ) -> None:
        assert account.keys
        lab.post("/_lab/faults", {"name": name, "account": account.number, "times": 2})
        with assert_refused(*cloudfront):
            account.cloudfront.list_vpc_origins()
        with assert_refused(*ec2):
            account.ec2.describe_vpcs()
        account.cloudfront.list_vpc_origins()
        account.ec2.describe_vpcs()

    def test_the_nth_call_of_one_operation_of_one_account(self, lab: Lab, account: Account) -> None:
        other = lab.account()
        wanted = {
            "service": "cloudfront",
            "operation": "list*",
            "nth": 2,
            "times": 1,
            "account": account.number,
        }
        made = lab.post("/_lab/faults", {"name": "throttled", **wanted})
        account.cloudfront.list_vpc_origins()
        other.cloudfront.list_vpc_origins()
        account.ec2.describe_vpcs()
        with assert_refused("Throttling", 400):
            account.cloudfront.list_distributions()
        account.cloudfront.list_distributions()
        (shown,) = lab.get("/_lab/faults")["set"]
        assert (shown["id"], shown["calls_hit"]) == (made["id"], 1)

    @pytest.mark.parametrize(
        ("name", "error", "done"),
        [
            ("connection-reset", ConnectionClosedError, False),
            ("reset-after-success", ConnectionClosedError, True),
            ("half-body", ResponseParserError, True),
        ],
    )
    def test_cut(
        self, lab: Lab, account: Account, name: str, error: type[Exception], done: bool
    ) -> None:
        lab.post(
            "/_lab/faults",
            {"name": name, "operation": "CreateDistribution", "account": account.number},
        )
        with pytest.raises(error):
            account.create_distribution()
        assert account.cloudfront.list_distributions()["DistributionList"]["Quantity"] == done

    @pytest.mark.parametrize(
        ("name", "done"), [("timeout-before", False), ("timeout-after-success", True)]
    )
    def test_never_answered_until_the_fault_is_cleared(
        self, lab: Lab, account: Account, name: str, done: bool
    ) -> None:
        assert account.keys
        made = lab.post(
            "/_lab/faults",
            {"name": name, "operation": "CreateDistribution", "account": account.number},
        )
        ended: list[Exception] = []

        def create() -> None:
            try:
                account.create_distribution()
            except (ReadTimeoutError, ConnectionClosedError) as error:
                ended.append(error)

        caller = threading.Thread(target=create)
        caller.start()
        deadline = time.monotonic() + PATIENCE
        while not lab.get("/_lab/faults")["set"][0]["calls_hit"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        caller.join(0.3)
        assert caller.is_alive()
        lab.delete(f"/_lab/faults/{made['id']}")
        caller.join(PATIENCE)
        assert len(ended) == 1
        assert account.cloudfront.list_distributions()["DistributionList"]["Quantity"] == done

    def test_a_proxys_page_in_place_of_an_answer(self, lab: Lab, account: Account) -> None:
        lab.post(
            "/_lab/faults",
            {"name": "wrong-xml", "operation": "ListVpcOrigins", "account": account.number},
        )
        assert account.cloudfront.list_vpc_origins()["VpcOriginList"] == {}

    def test_a_quota_is_reached(self, lab: Lab, account: Account) -> None:
        assert account.target
        lab.post("/_lab/faults", {"name": "quota-reached", "account": account.number})
        with assert_refused("EntityLimitExceeded", 400):
            account.create_vpc_origin()
        with assert_refused("TooManyDistributions", 400):
            account.create_distribution()
        account.cloudfront.list_vpc_origins()

    def test_what_is_being_deployed_is_never_deployed(self, lab: Lab, account: Account) -> None:
        other = lab.account()
        ids = [
            account.create_vpc_origin()["VpcOrigin"]["Id"],
            other.create_vpc_origin()["VpcOrigin"]["Id"],
        ]
        made = lab.post("/_lab/faults", {"name": "never-deployed", "account": account.number})
        later = account.create_distribution()["Distribution"]["Id"]
        lab.advance(100_000)

        def statuses() -> list[str]:
            return [
                account.cloudfront.get_vpc_origin(Id=ids[0])["VpcOrigin"]["Status"],
                account.cloudfront.get_distribution(Id=later)["Distribution"]["Status"],
                other.cloudfront.get_vpc_origin(Id=ids[1])["VpcOrigin"]["Status"],
            ]

        assert statuses() == ["Deploying", "InProgress", "Deployed"]
        lab.delete(f"/_lab/faults/{made['id']}")
        assert statuses() == ["Deployed"] * 3

    def test_somebody_else_is_quicker(self, lab: Lab, account: Account) -> None:
        made = account.create_distribution()
        distribution, config = (
            made["Distribution"]["Id"],
            made["Distribution"]["DistributionConfig"],
        )
        lab.post("/_lab/faults", {"name": "third-party-edit", "times": 1})
        with assert_refused("PreconditionFailed", 412):
            account.cloudfront.update_distribution(
                Id=distribution, IfMatch=made["ETag"], DistributionConfig=config
            )
        got = account.cloudfront.get_distribution_config(Id=distribution)
        assert "someone else" in got["DistributionConfig"]["Comment"]
        account.cloudfront.update_distribution(
            Id=distribution, IfMatch=got["ETag"], DistributionConfig=got["DistributionConfig"]
        )


class TestClock:
    def test_in_words_and_at_another_pace(self, lab: Lab) -> None:
        before = lab.get("/_lab/clock")["offset_seconds"]
        assert lab.post("/_lab/clock", {"advance": "+15m"})["offset_seconds"] == before + 900
        assert lab.post("/_lab/clock", {"advance": "1h"})["offset_seconds"] == before + 4500
        assert lab.post("/_lab/clock", {"scale": 30})["scale"] == 30
        assert lab.post("/_lab/clock", {"scale": 0})["scale"] == 0
        for nonsense in (
            {"advance": "-15m"},
            {"advance": "soon"},
            {"scale": -1},
            {"scale": "fast"},
            {},
        ):
            assert fail(lab, "POST", "/_lab/clock", nonsense)[0] == 400


@pytest.mark.rule("vpc-origin/role-denied")
def test_a_client_error_is_what_boto3_makes_of_it(lab: Lab, account: Account) -> None:
    lab.post(
        "/_lab/faults",
        {"name": "access-denied", "operation": "CreateVpcOrigin", "account": account.number},
    )
    with pytest.raises(ClientError) as caught:
        account.create_vpc_origin(Arn=account.target)
    assert caught.value.response["Error"]["Message"] == "Access denied"
