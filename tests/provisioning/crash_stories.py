"""The stories that the crash matrix tells: every saga in every direction, on one site where others
have things of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from provisioning import actions
from provisioning.models import Endpoint, Event, IngressRule, Run, VpcOrigin
from provisioning.plan.items import Unplannable
from tests.lab.account import behavior, listed, vpc_origin
from tests.provisioning.adoptions import asked_for
from tests.provisioning.machine import OWNED, Machine, Site

WEEK = 7 * 86400
FIRST_PORT, OTHER_PORT = 80, 8080
FOREIGN_PATH, CONTESTED_PATH = "/images/*", "/ws/chat"


@dataclass
class Stage:
    """A site with a distribution, VPC origin and security group that others use too, and at most
    one endpoint of ours.
    """

    machine: Machine
    site: Site = field(init=False)
    built: Run | None = None
    told: int = 0
    """Events of the present story's run that were there when workers took over."""

    def __post_init__(self) -> None:
        self.site = self.machine.site()
        account = self.site.account
        neighbor = account.balancer(account.vpc(), "int-neighbor")
        account.create_vpc_origin("somebody-elses", Arn=neighbor)
        self.edit(
            lambda config: config.update(CacheBehaviors=listed(behavior("web", FOREIGN_PATH)))
        )
        group = account.elbv2.describe_target_groups()["TargetGroups"][0]["TargetGroupArn"]
        account.elbv2.create_listener(
            LoadBalancerArn=self.site.target,
            Protocol="HTTP",
            Port=OTHER_PORT,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
        )
        self.machine.step(1000)
        self.foreign = self.of_others()

    def edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Somebody changes the distribution by hand."""
        cloudfront = self.site.account.cloudfront
        reply = cloudfront.get_distribution_config(Id=self.site.distribution_id)
        change(reply["DistributionConfig"])
        cloudfront.update_distribution(
            Id=self.site.distribution_id,
            IfMatch=reply["ETag"],
            DistributionConfig=reply["DistributionConfig"],
        )

    def of_others(self) -> str:
        """What is not ours in the distribution, among the VPC origins and in the security group,
        byte for byte.
        """
        config = self.site.config()
        for kind, name in (("Origins", "Id"), ("CacheBehaviors", "TargetOriginId")):
            kept = [one for one in config[kind].get("Items", []) if not is_ours(one[name])]
            config[kind] = kept
        origins = [one for one in self.site.vpc_origins() if not self.is_tagged(one["Arn"])]
        found = self.site.account.ec2.describe_security_group_rules(
            Filters=[{"Name": "group-id", "Values": [self.site.group]}]
        )["SecurityGroupRules"]
        rules = [rule for rule in found if OWNED not in rule.get("Tags", [])]
        return json.dumps([config, origins, rules], sort_keys=True, default=str)

    def is_tagged(self, arn: str) -> bool:
        """Whether the portal created this VPC origin."""
        tags = self.site.account.cloudfront.list_tags_for_resource(Resource=arn)["Tags"]
        return OWNED in tags.get("Items", [])

    def have(self, *, endpoint: bool) -> None:
        """Build the endpoint, or remove it, if that is how a story begins."""
        if endpoint and self.built is None:
            self.built = self.site.start()
            self.machine.finish(self.built)
        elif not endpoint and self.built is not None:
            removal = self.site.remove(self.built)
            self.machine.finish(removal)
            self.built = None
        # A row that is kept for the next user would make that one's story another.
        VpcOrigin.objects.filter(account=self.site.row, users__isnull=True).delete()

    def assert_sound(self) -> None:
        """One VPC origin per target, one behavior per path, one rule per port, all with their rows;
        what is not ours untouched; and no worker holds anything.
        """
        runs = Run.objects.filter(endpoint__account=self.site.row)
        assert not runs.active().exists()
        assert not runs.filter(lease_until__isnull=False).exists()
        assert not runs.exclude(lease_holder="", writes_distribution="").exists()
        assert not runs.filter(watch__isnull=False).exists()
        assert self.of_others() == self.foreign

        mine = [one for one in self.site.vpc_origins() if self.is_tagged(one["Arn"])]
        used = VpcOrigin.objects.filter(account=self.site.row, users__isnull=False)
        assert [one["Id"] for one in mine] == [row.aws_id for row in used]
        rules = sorted(rule["SecurityGroupRuleId"] for rule in self.site.rules_of_ours())
        held = IngressRule.objects.filter(account=self.site.row)
        assert rules == sorted(held.values_list("rule_id", flat=True))

        origins = [one for one in self.site.config()["Origins"]["Items"] if is_ours(one["Id"])]
        led = {path: to for path, to in self.site.behaviors().items() if is_ours(to)}
        living = Endpoint.objects.filter(account=self.site.row).exclude(state=Endpoint.State.ABSENT)
        if self.built is None:
            assert (origins, led, mine, rules, list(living)) == ([], {}, [], [], [])
            return
        [endpoint] = living
        assert endpoint == self.built.endpoint
        assert endpoint.state == Endpoint.State.DEPLOYED
        spec, ours = endpoint.spec, f"edge-portal-{endpoint.key}"
        assert [one["Id"] for one in origins] == [ours]
        assert [one["Status"] for one in mine] == ["Deployed"]
        assert origins[0]["VpcOriginConfig"]["VpcOriginId"] == mine[0]["Id"]
        assert led == dict.fromkeys(spec.path_patterns, ours)
        assert [rule["FromPort"] for rule in self.site.rules_of_ours()] == [spec.http_port]
        assert list(used.get().users.all()) == [endpoint]


def is_ours(origin_id: str) -> bool:
    """Whether an origin of a distribution is the portal's."""
    return origin_id.startswith("edge-portal-")


@dataclass(frozen=True)
class Story:
    """A run in one direction. `begin` leads to where workers take over; `state` is how the run
    ends, and `lives` whether there is an endpoint then.
    """

    name: str
    saga: str
    begin: Callable[[Stage], Run]
    state: str
    lives: bool
    needs_endpoint: bool = True
    afterwards: Callable[[Stage], None] = lambda stage: None
    if_undone: Callable[[Stage], None] = lambda stage: None
    """What a person does whose run was undone before it came so far."""

    def told(self, run: Run) -> list[tuple[str, str]]:
        """The events of the run: kind and step."""
        return list(
            Event.objects.filter(stream_id=run.stream).order_by("seq").values_list("kind", "step")
        )

    def end(self, stage: Stage, run: Run) -> None:
        """Assert that it has ended as it should."""
        run.refresh_from_db()
        assert run.state == self.state, (run.state, run.failure)
        stage.built = (stage.built or run) if self.lives else None
        seqs = list(Event.objects.filter(stream_id=run.stream).values_list("seq", flat=True))
        assert sorted(seqs) == list(range(1, len(seqs) + 1))
        self.afterwards(stage)
        stage.assert_sound()


def cancel(stage: Stage, run: Run) -> Run:
    assert actions.cancel_run(run, reason="Ana cancelled it.", now=stage.machine.now)
    return run


def present(stage: Stage) -> Run:
    """The run that built the endpoint that is there."""
    assert stage.built is not None
    stage.built.endpoint.refresh_from_db()
    return stage.built


def other_port(stage: Stage) -> Run:
    now = present(stage).endpoint.spec.http_port
    port = FIRST_PORT if now == OTHER_PORT else OTHER_PORT
    return stage.site.change(present(stage), http_port=port)


def other_settings(stage: Stage) -> Run:
    spec = present(stage).endpoint.spec
    second = "/ws/v2" if "/ws/v2" not in spec.path_patterns else "/ws/chat/*"
    timeout = 50 if spec.read_timeout != 50 else 30
    return stage.site.change(
        present(stage), path_patterns=["/ws/chat", second], read_timeout=timeout
    )


def switched_and_cancelled(stage: Stage) -> Run:
    changed = other_port(stage)
    stage.machine.until(changed, "behaviors", "working")
    return cancel(stage, changed)


def drifted(stage: Stage) -> Run:
    """Somebody loosened one behavior and deleted another."""
    ours = f"edge-portal-{present(stage).endpoint.key}"

    def spoil(config: dict[str, Any]) -> None:
        items = config["CacheBehaviors"]["Items"]
        loosened, deleted = (one for one in items if one["TargetOriginId"] == ours)
        loosened["ViewerProtocolPolicy"] = "allow-all"
        config["CacheBehaviors"] = listed(*(one for one in items if one is not deleted))

    stage.edit(spoil)
    stage.machine.step(3600)
    return stage.site.change(present(stage))


def accepted(stage: Stage) -> Run:
    """Somebody set another timeout, on purpose."""
    endpoint = present(stage).endpoint
    seconds = 45 if endpoint.spec.read_timeout != 45 else 40

    def tune(config: dict[str, Any]) -> None:
        [origin] = (one for one in config["Origins"]["Items"] if is_ours(one["Id"]))
        origin["VpcOriginConfig"]["OriginReadTimeout"] = seconds

    stage.edit(tune)
    stage.machine.step(3600)
    return stage.site.accept(present(stage), read_timeout=seconds)


def removed(stage: Stage) -> Run:
    return stage.site.remove(present(stage), grace_seconds=WEEK)


def removed_and_restored(stage: Stage) -> Run:
    removal = removed(stage)
    stage.machine.until(removal, "grace", "working")
    return cancel(stage, removal)


def created(stage: Stage) -> Run:
    return stage.site.start()


def created_and_cancelled(stage: Stage) -> Run:
    run = created(stage)
    stage.machine.until(run, "behaviors", "working")
    return cancel(stage, run)


def created_and_contested(stage: Stage) -> Run:
    """Somebody else takes the path after the approval, so the last step fails."""
    run = created(stage)
    stage.machine.until(run, "vpc-origin", "working")
    entry = behavior("web", CONTESTED_PATH)

    def take(config: dict[str, Any]) -> None:
        config["CacheBehaviors"] = listed(entry, *config["CacheBehaviors"]["Items"])

    stage.edit(take)
    return run


def give_up_path(stage: Stage) -> None:
    def drop(config: dict[str, Any]) -> None:
        items = config["CacheBehaviors"]["Items"]
        config["CacheBehaviors"] = listed(
            *(one for one in items if one["PathPattern"] != CONTESTED_PATH)
        )

    stage.edit(drop)
    stage.machine.step(1000)


def adopted(stage: Stage) -> Run:
    """Somebody made an endpoint by hand; it comes under the portal's management."""
    site = stage.site
    site.account.target = site.target
    aws_id = site.account.deployed_vpc_origin("by-hand")
    [target] = (
        one
        for one in site.account.elbv2.describe_load_balancers()["LoadBalancers"]
        if one["LoadBalancerArn"] == site.target
    )
    made = vpc_origin("chat-app", aws_id) | {"DomainName": target["DNSName"]}

    def add(config: dict[str, Any]) -> None:
        config["Origins"] = listed(*config["Origins"]["Items"], made)
        entries = config["CacheBehaviors"].get("Items", [])
        config["CacheBehaviors"] = listed(behavior("chat-app", "/live"), *entries)

    stage.edit(add)
    stage.machine.step(1200)
    endpoint, wanted = asked_for(site, aws_id)
    return site.begin(endpoint, site.planned("adopt", endpoint, wanted))


def put_back(stage: Stage) -> None:
    """Asked for again, and this time it succeeds: unless the undo of behaviors did it."""
    with suppress(Unplannable):
        stage.machine.finish(stage.site.change(present(stage)))


def take_down(stage: Stage) -> None:
    """What was made by hand, and not adopted, is deleted by hand."""

    def drop(config: dict[str, Any]) -> None:
        for kind, name in (("Origins", "Id"), ("CacheBehaviors", "TargetOriginId")):
            kept = (one for one in config[kind]["Items"] if one[name] != "chat-app")
            config[kind] = listed(*kept)

    stage.edit(drop)
    stage.machine.step(1200)
    cloudfront = stage.site.account.cloudfront
    [by_hand] = (one for one in stage.site.vpc_origins() if one["Name"] == "by-hand")
    reply = cloudfront.get_vpc_origin(Id=by_hand["Id"])
    cloudfront.delete_vpc_origin(Id=by_hand["Id"], IfMatch=reply["ETag"])
    stage.machine.step(1200)


def let_go(stage: Stage) -> None:
    """What was adopted is the endpoint's, once; removed, nothing of it is left."""
    endpoint = Endpoint.objects.get(account=stage.site.row, state=Endpoint.State.DEPLOYED)
    held = VpcOrigin.objects.get(users=endpoint)
    assert held.aws_id == endpoint.spec.vpc_origin_id
    assert stage.site.behaviors()["/live"] == endpoint.origin_id == "chat-app"
    assert "chat-app" in stage.site.origins()
    run = endpoint.runs.get()
    stage.machine.finish(stage.site.remove(run))


DONE, UNDONE = Run.State.DONE, Run.State.UNDONE
STORIES = (
    Story("create", "create-endpoint", created, DONE, lives=True, needs_endpoint=False),
    Story("change in place", "change-endpoint", other_settings, DONE, lives=True),
    Story("change with another VPC origin", "change-endpoint", other_port, DONE, lives=True),
    Story("change switched back", "change-endpoint", switched_and_cancelled, UNDONE, lives=True),
    Story("drift put back", "change-endpoint", drifted, DONE, lives=True, if_undone=put_back),
    Story("drift accepted", "accept-drift", accepted, DONE, lives=True),
    Story("remove restored", "remove-endpoint", removed_and_restored, UNDONE, lives=True),
    Story("remove", "remove-endpoint", removed, DONE, lives=False),
    Story(
        "adopt",
        "adopt-endpoint",
        adopted,
        DONE,
        lives=False,
        needs_endpoint=False,
        afterwards=let_go,
        if_undone=take_down,
    ),
    Story(
        "create cancelled",
        "create-endpoint",
        created_and_cancelled,
        UNDONE,
        lives=False,
        needs_endpoint=False,
    ),
    Story(
        "create failed",
        "create-endpoint",
        created_and_contested,
        UNDONE,
        lives=False,
        needs_endpoint=False,
        afterwards=give_up_path,
        if_undone=give_up_path,
    ),
)
"""In an order in which each begins where the one before has ended."""
