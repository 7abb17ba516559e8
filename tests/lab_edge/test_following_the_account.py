"""The edge follows the AWS process: new configurations, nonsense, absence."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest

from .account import (
    behavior,
    distribution,
    forward,
    listener,
    load_balancer,
    vpc_origin,
    vpc_origin_ref,
)
from .conftest import whole_account
from .stage import Process, Stage


@pytest.fixture
def own_stage(tmp_path: Path) -> Iterator[Stage]:
    """A stage whose account this test may change."""
    prepared = Stage(tmp_path)
    with prepared.play(whole_account(prepared)) as playing:
        yield playing


@pytest.mark.rule("websocket/stays-on-update")
def test_what_was_deployed_a_moment_ago_is_served_and_what_was_removed_is_not(
    own_stage: Stage,
) -> None:
    stage = own_stage
    assert stage.request("dnew")[0] == 403
    account = copy.deepcopy(stage.aws.account)
    account["distributions"].append(distribution("dnew", [vpc_origin_ref("new")], behavior("new")))
    account["vpc_origins"].append(vpc_origin("new", "new"))
    account["load_balancers"].append(load_balancer("new", [listener("new", forward("chat"))]))
    stage.aws.publish(account)
    with stage.websocket("dnew") as client:
        assert client.recv()["type"] == "welcome"
        account["load_balancers"].pop()
        stage.aws.publish(account)
        assert stage.request("dnew")[0] == 502
        client.send("still connected")
        assert client.recv()["message"] == "still connected"
    account["distributions"].pop()
    stage.aws.publish(account)
    assert stage.request("dnew")[0] == 403


def test_both_processes_end_in_time_while_people_are_talking(own_stage: Stage) -> None:
    stage = own_stage
    with (
        stage.websocket("dchat") as through_tls,
        stage.websocket("dmatch", tls=False) as through_plain,
    ):
        for client in (through_tls, through_plain):
            assert client.recv()["type"] == "welcome"
        assert stage.edge.end() == 0
        for client in (through_tls, through_plain):
            assert client.wait_closed() == 1006
        assert stage.chat.end() == 0


def test_a_taken_port_is_a_message_not_a_traceback(own_stage: Stage) -> None:
    second = Process("edge", own_stage.environment)
    assert second.wait_ended() == 1
    assert len(second.complaints) == 1
    assert "address already in use" in second.complaints[0]


def test_the_last_good_account_stays_while_aws_is_away_or_talks_nonsense(own_stage: Stage) -> None:
    stage = own_stage
    good = stage.aws.account
    stage.aws.account = {"version": 99, "distributions": "what?"}
    asked = stage.aws.questions
    stage.aws.wait_for_questions(asked + 2)
    assert stage.request("dchat")[0] == 200
    stage.aws.account = good
    stage.aws.close()
    with stage.websocket("dchat") as client:
        assert client.recv()["type"] == "welcome"
    assert stage.edge.running()
