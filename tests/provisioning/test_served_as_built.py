"""A built endpoint whose distribution others change afterwards: what the next check reads of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from checks import aws_view
from checks.preflight.serving import Serving
from provisioning.aws import distributions
from provisioning.aws.session import Aws
from provisioning.models import Run
from tests.lab.account import behavior, listed
from tests.provisioning.machine import Machine, Site

PATTERN, PATH = "/api/kernels/*/channels", "/api/kernels/x/channels"


@pytest.fixture
def built(machine: Machine) -> tuple[Site, Run]:
    site = machine.site(open_to_cloudfront=True)
    run = site.start(path_patterns=[PATTERN])
    machine.finish(run)
    assert run.state == Run.State.DONE
    run.endpoint.refresh_from_db()
    return site, run


def served(machine: Machine, run: Run) -> Serving | None:
    machine.step(1)
    return aws_view.fetch_serving(
        run.endpoint, run.endpoint.url, since=machine.now, now=machine.now
    )


def change(site: Site, **changes: Any) -> None:
    reply = site.account.cloudfront.get_distribution_config(Id=site.distribution_id)
    site.account.cloudfront.update_distribution(
        Id=site.distribution_id,
        IfMatch=reply["ETag"],
        DistributionConfig=reply["DistributionConfig"] | changes,
    )


def test_as_built_the_path_that_checks_ask_leads_to_the_endpoint(
    machine: Machine, built: tuple[Site, Run]
) -> None:
    _, run = built
    found = served(machine, run)
    assert found is not None
    assert (found.path, found.pattern, found.own, found.lost) == (PATH, PATTERN, True, ())


def test_a_dropped_behavior_is_seen_by_the_next_check(
    machine: Machine, built: tuple[Site, Run]
) -> None:
    site, run = built
    kept = [one for one in site.config()["Origins"]["Items"] if one["Id"] == "web"]
    change(site, CacheBehaviors=listed(), Origins=listed(*kept))
    found = served(machine, run)
    assert found is not None
    assert (found.pattern, found.origin, found.own) == ("*", "web", False)


def test_a_behavior_put_before_ours_is_seen_though_the_asked_path_still_comes(
    machine: Machine, built: tuple[Site, Run]
) -> None:
    site, run = built
    ours = site.config()["CacheBehaviors"]["Items"]
    change(site, CacheBehaviors=listed(behavior("web", "/api/kernels/?????*/channels"), *ours))
    found = served(machine, run)
    assert found is not None
    assert found.own
    assert "takes a part of it" in found.lost[0]


def test_checks_of_one_distribution_share_a_reading_but_none_that_is_older_than_they(
    machine: Machine, built: tuple[Site, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, run = built
    began: list[str] = []
    read = distributions.read

    def counted(aws: Aws, distribution_id: str) -> distributions.DistributionRecord | None:
        began.append(distribution_id)
        return read(aws, distribution_id)

    monkeypatch.setattr(distributions, "read", counted)
    asked = machine.now
    for seconds in (0, 1, 2):
        now = asked + timedelta(seconds=seconds)
        aws_view.fetch_serving(run.endpoint, run.endpoint.url, since=asked, now=now)
    assert len(began) == 1
    later = asked + timedelta(seconds=3)
    aws_view.fetch_serving(run.endpoint, run.endpoint.url, since=later, now=later)
    assert len(began) == 2
    assert site.behaviors()
