"""Distributions through the adapter, against the lab: what is read is whole, and what is written
loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from xml.etree import ElementTree

import botocore.session
import pytest

from provisioning.aws import distributions, unknown_elements
from provisioning.aws.errors import AwsError
from provisioning.aws.session import Aws
from provisioning.facts import names
from provisioning.facts.path_patterns import position_for
from provisioning.plan.behaviors import desired_behavior, desired_origin
from provisioning.plan.distribution_config import with_endpoint, without_endpoint
from tests.lab.account import ALL_VIEWER, CACHING_DISABLED, Account, behavior, custom_origin, listed
from tests.lab.staging_pair import StagingPair
from tests.provisioning.examples import KEY, OWNER, spec

OURS = names.origin_id(OWNER, KEY)


def endpoint(vpc_origin_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    origin = desired_origin(spec(), "internal-a.us-east-1.elb.amazonaws.com", KEY, OWNER)
    origin["VpcOriginConfig"] |= {"VpcOriginId": vpc_origin_id}
    return origin, [
        desired_behavior(spec(), pattern, KEY, OWNER) for pattern in spec().path_patterns
    ]


def existing(aws: Aws, distribution_id: str) -> distributions.DistributionRecord:
    record = distributions.read(aws, distribution_id)
    assert record is not None
    return record


def test_a_distribution_is_read_with_everything_a_judgement_needs(
    account: Account, aws: Aws
) -> None:
    made = account.create_distribution(
        Comment="Front door",
        Origins=listed(custom_origin("web"), custom_origin("api")),
        CacheBehaviors=listed(behavior("api", "/api/*"), behavior("web", "/static/*")),
    )["Distribution"]
    facts = existing(aws, made["Id"]).facts
    assert (facts.id, facts.domain_name, facts.comment, facts.enabled) == (
        made["Id"],
        made["DomainName"],
        "Front door",
        True,
    )
    assert [one.path_pattern for one in facts.behaviors] == ["/api/*", "/static/*"]
    assert facts.default_behavior.path_pattern == "*"
    first = facts.behaviors[0]
    assert (
        first.target_origin_id,
        first.cache_policy_id,
        first.origin_request_policy_id,
        first.allowed_methods,
    ) == (
        "api",
        CACHING_DISABLED,
        ALL_VIEWER,
        "GET,HEAD",
    )
    assert [origin.id for origin in facts.origins] == ["web", "api"]
    assert facts.unknown_elements == ()


def test_a_staging_distribution_and_what_may_overwrite_its_primary_are_told(
    account: Account, aws: Aws
) -> None:
    alone = existing(aws, account.create_distribution()["Distribution"]["Id"]).facts
    assert (alone.staging, alone.continuous_deployment_policy_id) == (False, "")
    pair = StagingPair(account)
    policy = pair.create_policy()
    pair.update(pair.primary, ContinuousDeploymentPolicyId=policy)
    primary, staging = existing(aws, pair.primary).facts, existing(aws, pair.staging).facts
    assert (primary.staging, primary.continuous_deployment_policy_id) == (False, policy)
    assert (staging.staging, staging.continuous_deployment_policy_id) == (True, "")


def test_methods_come_in_the_order_of_the_spec_whatever_aws_s_order(
    account: Account, aws: Aws
) -> None:
    methods = ["HEAD", "DELETE", "POST", "GET", "OPTIONS", "PUT", "PATCH"]
    allowed = listed(*methods) | {"CachedMethods": listed("HEAD", "GET")}
    made = account.create_distribution(
        DefaultCacheBehavior=behavior("web") | {"AllowedMethods": allowed}
    )
    facts = existing(aws, made["Distribution"]["Id"]).facts
    assert facts.default_behavior.allowed_methods == "GET,HEAD,OPTIONS,PUT,POST,PATCH,DELETE"


def test_what_is_not_there_is_none(aws: Aws) -> None:
    assert distributions.read(aws, "E00000000000000") is None


def test_every_page_of_the_list_is_read(account: Account, aws: Aws) -> None:
    made = {account.create_distribution()["Distribution"]["Id"] for _ in range(5)}
    assert {summary.id for summary in distributions.list_all(aws)} == made


def test_an_endpoint_is_put_in_seen_and_taken_out_and_the_rest_is_as_before(
    account: Account, aws: Aws
) -> None:
    vpc_origin_id = account.deployed_vpc_origin()
    made = account.create_distribution(
        CacheBehaviors=listed(behavior("web", "/api/*"), behavior("web", "/ws/*"))
    )
    before = existing(aws, made["Distribution"]["Id"])

    origin, behaviors = endpoint(vpc_origin_id)
    config, changed = with_endpoint(before.config, origin, behaviors, position_for)
    assert changed
    written = distributions.write(aws, before, config)
    assert written.status == distributions.IN_PROGRESS
    assert [one.path_pattern for one in written.facts.behaviors] == [
        "/api/*",
        "/ws/chat",
        "/ws/chat/*",
        "/ws/*",
    ]
    ours = written.facts.origin(OURS)
    assert ours is not None
    assert ours.vpc_origin_id == vpc_origin_id

    account.lab.advance()
    deployed = existing(aws, before.facts.id)
    assert deployed.status == distributions.DEPLOYED
    # AWS completes what it is given; our own wish must still be seen as fulfilled.
    assert with_endpoint(deployed.config, origin, behaviors, position_for) == (
        deployed.config,
        False,
    )

    config, changed = without_endpoint(deployed.config, OURS)
    assert changed
    assert distributions.write(aws, deployed, config).config == before.config


def test_a_record_that_somebody_overtook_is_not_written(account: Account, aws: Aws) -> None:
    made = account.create_distribution()["Distribution"]["Id"]
    mine, theirs = existing(aws, made), existing(aws, made)
    distributions.write(aws, theirs, theirs.config | {"Comment": "theirs"})
    with pytest.raises(AwsError) as caught:
        distributions.write(aws, mine, mine.config | {"Comment": "mine"})
    assert caught.value.is_stale
    assert existing(aws, made).facts.comment == "theirs"


def smuggle(account: Account, edit: Callable[[bytes], bytes]) -> str:
    """A distribution whose body was edited on its way to AWS: settings newer than the installed
    botocore.
    """

    def before_call(params: dict[str, Any], **_: object) -> None:
        params["body"] = edit(params["body"])

    events = account.cloudfront.meta.events
    events.register_last("before-call.cloudfront.CreateDistribution", before_call)
    try:
        made = account.create_distribution(CacheBehaviors=listed(behavior("web", "/api/*")))
    finally:
        events.unregister("before-call.cloudfront.CreateDistribution", before_call)
    return str(made["Distribution"]["Id"])


def newer(body: bytes) -> bytes:
    return body.replace(
        b"<PathPattern>", b"<Telepathy><Enabled>true</Enabled></Telepathy><PathPattern>"
    ).replace(b"</DistributionConfig>", b"<QuantumMode>on</QuantumMode></DistributionConfig>")


def test_settings_that_botocore_would_drop_are_found_and_the_distribution_is_not_written(
    account: Account, aws: Aws
) -> None:
    made = smuggle(account, newer)
    record = existing(aws, made)
    assert record.facts.unknown_elements == (
        "DistributionConfig/CacheBehaviors/Items/CacheBehavior/Telepathy",
        "DistributionConfig/QuantumMode",
    )
    before = account.lab.get("/_lab/calls")["cloudfront"].get("UpdateDistribution", 0)
    with pytest.raises(AwsError) as caught:
        distributions.write(aws, record, record.config)
    assert (caught.value.code, caught.value.transient) == ("UnknownElements", False)
    assert "QuantumMode" in str(caught.value)
    assert account.lab.get("/_lab/calls")["cloudfront"].get("UpdateDistribution", 0) == before


def test_threads_do_not_see_each_other_s_unknown_elements(account: Account, aws: Aws) -> None:
    plain = account.create_distribution()["Distribution"]["Id"]
    strange = smuggle(account, newer)
    with ThreadPoolExecutor(8) as pool:
        records = list(pool.map(lambda one: existing(aws, one), [plain, strange] * 20))
    assert all(not record.facts.unknown_elements for record in records[::2])
    assert all(len(record.facts.unknown_elements) == 2 for record in records[1::2])


@pytest.mark.parametrize(
    ("xml", "found"),
    [
        ("<Comment>fine</Comment><Aliases><Quantity>0</Quantity></Aliases>", []),
        ("<Aliases><Quantity>1</Quantity><Items><CNAME>a.example</CNAME></Items></Aliases>", []),
        (
            "<Aliases><Items><CNAME>a</CNAME><Other>b</Other></Items></Aliases>",
            ["Aliases/Items/Other"],
        ),
        ("<Comment>one</Comment><Comment>two</Comment>", ["Comment"]),
        ("<Comment>one<b>two</b></Comment>", ["Comment/b"]),
        ("<Comment kind='new'>one</Comment>", ["Comment/@kind"]),
        (
            "<Origins><Items><Origin><Id>a</Id><New/></Origin></Items></Origins>",
            ["Origins/Items/Origin/New"],
        ),
    ],
)
def test_what_counts_as_unknown(xml: str, found: list[str]) -> None:
    shape = (
        botocore.session.get_session()
        .get_service_model("cloudfront")
        .shape_for("DistributionConfig")
    )
    root = ElementTree.fromstring(f"<DistributionConfig xmlns='urn:x'>{xml}</DistributionConfig>")  # noqa: S314
    expected = [f"DistributionConfig/{path}" for path in found]
    assert list(unknown_elements.unknown(shape, root, "DistributionConfig")) == expected
