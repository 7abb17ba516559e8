"""What load balancers do not wait for and do not take, told apart from CloudFront's own limits."""

from __future__ import annotations

import pytest

from .stage import Stage


@pytest.mark.rule("balancer/too-large-headers")
def test_a_header_line_of_16_kb_is_too_long_for_an_alb_but_not_for_cloudfront(stage: Stage) -> None:
    def asked_with(size: int) -> tuple[int, str | None]:
        status, headers, _ = stage.request("dapps", path="/single-page/", headers={"X-Long": "a" * size})
        return status, headers["server"]

    assert asked_with(16_000) == (200, None)
    assert asked_with(17_000) == (400, "awselb/2.0")


@pytest.mark.rule("balancer/target-silent")
def test_a_target_that_does_not_answer_within_the_idle_timeout_is_504(stage: Stage) -> None:
    status, headers, _ = stage.request("dmute", path="/never")
    assert (status, headers["server"]) == (504, "awselb/2.0")
    assert stage.request("dchat")[0] == 200


@pytest.mark.rule("timeout/nlb-idle", "timeout/cut-without-close-frame")
def test_an_nlb_forgets_a_silent_connection_and_not_one_that_talks(stage: Stage) -> None:
    with stage.websocket("dnlbidle") as silent, stage.websocket("dnlbidle", "/ws?heartbeat=0.2") as talking:
        assert silent.recv()["type"] == talking.recv()["type"] == "welcome"
        assert silent.wait_closed() == 1006
        talking.send("still here")
        assert talking.recv()["message"] == "still here"
