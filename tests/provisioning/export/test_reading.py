"""What is read from the lab's AWS: a built endpoint, the whole distribution, and the fleet."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from provisioning.aws.errors import OVER_BUDGET, AwsError
from provisioning.export import bundle, cloudformation, guide, terraform
from provisioning.export.content import Format, Scope
from provisioning.export.reading import (
    NothingToExport,
    Patience,
    export_distribution,
    export_endpoint,
    export_fleet,
)
from provisioning.models import Endpoint
from tests.provisioning.export.readers import (
    distributions_in_template,
    distributions_in_terraform,
    normal,
)
from tests.provisioning.machine import Machine, Site
from tests.provisioning.test_create_endpoint import share_a_neighbor

SECRET = "uB7kQ2vX9pLw4ZrT"


def patience() -> Patience:
    return Patience(0)


def with_header(site: Site) -> None:
    """The distribution's own origin gets a secret header, and the distribution a tag."""
    cloudfront = site.account.cloudfront
    found: Any = cloudfront.get_distribution_config(Id=site.distribution_id)
    header = {"HeaderName": "X-Origin-Verify", "HeaderValue": SECRET}
    found["DistributionConfig"]["Origins"]["Items"][0]["CustomHeaders"] = {
        "Quantity": 1,
        "Items": [header],
    }
    cloudfront.update_distribution(
        Id=site.distribution_id,
        IfMatch=found["ETag"],
        DistributionConfig=found["DistributionConfig"],
    )
    cloudfront.tag_resource(
        Resource=f"arn:aws:cloudfront::{site.account.number}:distribution/{site.distribution_id}",
        Tags={"Items": [{"Key": "cost-center", "Value": "4711"}]},
    )


def test_two_endpoints_one_distribution(machine: Machine, tmp_path: Path) -> None:
    site = machine.site()
    with_header(site)
    runs = [site.start(), site.start(path_patterns=["/ws/feed"])]
    machine.finish(*runs)
    endpoint = Endpoint.objects.get(pk=runs[0].endpoint_id)
    vpc_origin = site.vpc_origins()[0]["Id"]
    (rule,) = site.rules_of_ours()

    own = export_endpoint(endpoint, patience())
    (stack,) = own.stacks
    assert (own.scope, own.name, stack.distributions) == (Scope.ENDPOINT, endpoint.name, ())
    assert [(one.id, one.tags, one.shared_with) for one in stack.vpc_origins] == [
        (vpc_origin, {"edge-portal:owner": "edge-portal"}, 1)
    ]
    assert [(one.rule.rule_id, one.shared_with) for one in stack.rules] == [
        (rule["SecurityGroupRuleId"], 1)
    ]
    assert stack.fragment is not None
    order = [*site.behaviors(), ""]
    assert [
        (one.config["PathPattern"], order[one.position], one.before)
        for one in stack.fragment.behaviors
    ] == [(path, path, order[order.index(path) + 1]) for path in ("/ws/chat", "/ws/chat/*")]

    whole = export_distribution(site.row, site.distribution_id, patience())
    (stack,) = whole.stacks
    assert stack.distributions[0].tags == {"cost-center": "4711"}
    assert (stack.vpc_origins[0].shared_with, stack.rules[0].shared_with) == (0, 0)
    assert stack.remarks == ()
    sent = json.dumps(normal(site.config()))
    template = bundle.files_of(whole, Format.CLOUDFORMATION)["template.json"]
    (read,) = distributions_in_template(template).values()
    reference = f"{cloudformation.resource_names(stack)[vpc_origin]}.Id"
    assert normal(read) == json.loads(sent.replace(vpc_origin, reference))
    module = bundle.files_of(whole, Format.TERRAFORM)["main.tf"]
    (read,) = distributions_in_terraform(module).values()
    reference = f"${{aws_cloudfront_vpc_origin.{vpc_origin}.id}}"
    assert normal(read) == json.loads(sent.replace(vpc_origin, reference))
    for form in Format:
        assert SECRET not in "".join(bundle.files_of(whole, form).values())

    for what in (("--endpoint", endpoint.name), ("--distribution", site.distribution_id)):
        folder = tmp_path / what[0]
        call_command("export", "terraform", *what, "--to", str(folder), stdout=io.StringIO())
        files = bundle.files_of(own if what[0] == "--endpoint" else whole, Format.TERRAFORM)
        assert {one.name: one.read_text() for one in folder.iterdir()} == files
    fleet = export_fleet(patience())
    assert [one.distributions for one in fleet.stacks] == [stack.distributions]


def test_what_is_not_there_is_said(machine: Machine) -> None:
    site = machine.site()
    endpoint, _ = site.plan()
    with pytest.raises(NothingToExport, match="does not have the origin of"):
        export_endpoint(endpoint, patience())
    with pytest.raises(NothingToExport, match="EGONE does not exist"):
        export_distribution(site.row, "EGONE", patience())
    with pytest.raises(NothingToExport, match="No endpoint is deployed"):
        export_fleet(patience())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--endpoint", "chat"), "No endpoint chat is deployed"),
        (("--endpoint", "0b3c2c64-5a47-4f0e-9f0e-3f3c0f6c7f11"), "No endpoint 0b3c2c64"),
        (("--distribution", "E1"), "No endpoint is deployed on a distribution E1"),
        (("--fleet",), "No endpoint is deployed, so there is nothing"),
    ],
)
def test_the_command_says_what_it_cannot_export(
    db: None, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    with pytest.raises(CommandError, match=told):
        call_command("export", "terraform", *words, "--to", str(tmp_path / "new"))
    (tmp_path / "kept").touch()
    with pytest.raises(CommandError, match="is not empty"):
        call_command("export", "terraform", *words, "--to", str(tmp_path))


def test_rules_and_tags_that_cannot_be_read_are_remarked_on(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = machine.site()
    run = site.start()
    machine.finish(run)
    (rule,) = site.rules_of_ours()
    site.account.ec2.revoke_security_group_ingress(
        GroupId=site.group, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]]
    )

    def denied(*_: object) -> None:
        raise AwsError("ListTagsForResource", "AccessDenied", "not allowed")

    monkeypatch.setattr("provisioning.aws.tags.of_resource", denied)
    export = export_endpoint(run.endpoint, patience())
    told = " ".join(guide.remarks(export.stacks[0], Format.TERRAFORM))
    assert f"Ingress rule {rule['SecurityGroupRuleId']} does not exist any more" in told
    assert "could not be read, so applying this would remove them" in told


def test_a_vpc_origin_of_another_account_is_named_and_left_out(machine: Machine) -> None:
    site = machine.site()
    share_a_neighbor(machine, site)
    (stack,) = export_distribution(site.row, site.distribution_id, patience()).stacks
    shared = site.config()["Origins"]["Items"][1]["VpcOriginConfig"]
    owner, aws_id = shared["OwnerAccountId"], shared["VpcOriginId"]
    assert stack.vpc_origins == ()
    assert stack.remarks == (
        f"VPC origin {aws_id} of origin shared belongs to account {owner}, so it is not exported.",
    )
    (read,) = distributions_in_terraform(terraform.files(stack)["main.tf"]).values()
    assert normal(read) == normal(site.config())


def test_an_export_waits_for_its_turn_but_not_for_ever() -> None:
    waited: list[float] = []
    refusals = [AwsError("GetVpcOrigin", OVER_BUDGET, "later", retry_after=2.0) for _ in range(4)]

    def call() -> str:
        if refusals:
            raise refusals.pop()
        return "answer"

    assert Patience(10, waited.append).ask(call) == "answer"
    assert waited == [2.0, 2.0, 2.0, 2.0]
    refusals += [AwsError("GetVpcOrigin", OVER_BUDGET, "later", retry_after=6.0) for _ in range(2)]
    with pytest.raises(AwsError, match="later"):
        Patience(10, waited.append).ask(call)
    assert waited[4:] == [6.0]
