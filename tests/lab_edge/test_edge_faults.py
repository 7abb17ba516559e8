"""What no API can cause: an edge without capacity, one that lags behind, something on the way that
forges a 101.
"""

from __future__ import annotations

import copy

import pytest
from websockets.exceptions import InvalidHandshake

from lab.edge.account.lab_settings import find_fault, parse_faults

from .account import items
from .stage import Stage


def test_faults_of_others_and_nonsense_are_left_out() -> None:
    faults = parse_faults(
        [
            {"name": "edge-stale", "distribution": "EA"},
            {"name": "wrong-accept"},
            {"distribution": "EB"},
            "edge-stale",
        ]
    )
    assert find_fault(faults, "edge-stale", "EA") is not None
    assert find_fault(faults, "edge-stale", "EB") is None
    assert find_fault(faults, "wrong-accept", "EB") is not None
    assert len(faults) == 2


@pytest.mark.rule("answer/edge-capacity", "log/result-types", "log/detailed-results")
@pytest.mark.parametrize(
    ("name", "result", "detail"),
    [
        ("dfull", "CapacityExceeded", "CapacityExceeded"),
        ("dlimited", "LimitExceeded", "LimitExceeded"),
        ("dlambda", "Error", "LambdaLimitExceeded"),
    ],
)
def test_an_edge_without_capacity(stage: Stage, name: str, result: str, detail: str) -> None:
    status, headers, _ = stage.request(name, path="/healthz")
    assert (status, headers["server"], headers["x-cache"]) == (
        503,
        "CloudFront",
        f"{result} from cloudfront",
    )
    row = stage.edge.wait_for_entry(
        lambda entry: entry["x-edge-request-id"] == headers["x-amz-cf-id"]
    )
    assert (row["x-edge-result-type"], row["x-edge-detailed-result-type"]) == (result, detail)


def test_an_accept_that_does_not_belong_to_the_key(stage: Stage) -> None:
    with (
        pytest.raises(InvalidHandshake, match="invalid Sec-WebSocket-Accept"),
        stage.websocket("dproxied"),
    ):
        pass
    assert stage.request("dproxied", path="/healthz")[0] == 200


def test_an_edge_that_lags_behind_has_the_former_configuration_for_every_other_request(
    stage: Stage,
) -> None:
    assert [stage.request("dlagging", path="/healthz")[0] for _ in range(3)] == [200] * 3
    before = stage.aws.account
    changed = copy.deepcopy(before)
    (lagging,) = [entry for entry in changed["distributions"] if entry["id"] == "EDLAGGING"]
    lagging["config"]["DefaultCacheBehavior"]["AllowedMethods"] = items(["HEAD"])
    stage.aws.publish(changed)
    assert [stage.request("dlagging", path="/healthz")[0] for _ in range(4)] == [200, 403, 200, 403]
    stage.aws.publish({**changed, "faults": []})
    assert [stage.request("dlagging", path="/healthz")[0] for _ in range(2)] == [403, 403]
    stage.aws.publish(before)
