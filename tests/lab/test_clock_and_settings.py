"""The lab's clock, settings and certificates, without a process."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from lab.aws.cloudfront.entities.lifecycle import (
    JITTER,
    Distribution,
    Revision,
    VpcOrigin,
    duration,
)
from lab.certificates import ensure_certificates
from lab.clock import ClockAnchor, LabClock
from lab.config import ConfigError, LabConfig
from tests.lab.stepped_clock import SteppedClock


class TestClock:
    def test_it_runs_at_its_scale_and_can_be_stepped(self) -> None:
        real = SteppedClock()
        clock = LabClock(45, read_real=real)
        assert clock.now() == 1_000
        real.now += 20
        assert clock.now() == 1_900
        clock.advance(60)
        assert clock.now() == 1_960
        real.now += 1
        assert clock.now() == 2_005

    def test_it_never_runs_backwards(self) -> None:
        real = SteppedClock()
        clock = LabClock(45, read_real=real)
        with pytest.raises(ValueError, match="forward"):
            clock.advance(-1)
        with pytest.raises(ValueError, match="forward"):
            clock.advance(float("nan"))
        real.now -= 500
        assert clock.now() == 1_000

    def test_another_process_continues_it_at_any_scale(self) -> None:
        real = SteppedClock()
        clock = LabClock(45, read_real=real)
        clock.advance(5)
        real.now += 10
        later = LabClock(1, clock.anchor, read_real=real)
        assert later.now() == clock.now() == 1_455
        real.now += 10
        assert later.now() == 1_465
        assert later.reading()["offset_seconds"] == 5
        assert ClockAnchor(lab=0, real=0, scale=2).lab_time(3) == 6


class TestLifecycle:
    def revision(self, number: int, deployed_at: float) -> Revision:
        return Revision(number, f"E{number}", b"", {"Origins": {}}, 0, deployed_at)

    def test_durations_are_about_right_and_always_the_same(self) -> None:
        seconds = {duration(300, f"E{number}") for number in range(500)}
        assert 300 * (1 - JITTER) <= min(seconds) < max(seconds) <= 300 * (1 + JITTER)
        assert duration(300, "E1") == duration(300, "E1")

    def test_what_is_served_follows_the_order_of_acceptance(self) -> None:
        revisions = (self.revision(1, 10), self.revision(2, 20), self.revision(3, 30))
        distribution = Distribution("1", "E", "d.cloudfront.net", 0, revisions)
        served = [distribution.serving(now) for now in (5, 10, 25, 30)]
        assert [revision.number if revision else None for revision in served] == [None, 1, 2, 3]
        assert [distribution.status(now) for now in (29, 30)] == ["InProgress", "Deployed"]
        assert [revision.number for revision in distribution.live(25)] == [2, 3]
        assert list(distribution.changes_after(15)) == [20, 30]

    def test_a_later_change_is_never_out_before_an_earlier_one(self) -> None:
        distribution = Distribution("1", "E", "d.cloudfront.net", 0, (self.revision(1, 10_000),))
        assert distribution.next_deployment(0, 2) > 10_000

    def test_a_deleted_vpc_origin_is_deploying_until_it_is_gone(self) -> None:
        origin = VpcOrigin("1", "vo_1", "E1", {}, 0, 0, 10, "vpc-1", "us-east-1", deleted_at=100)
        assert [origin.status(now) for now in (5, 50)] == ["Deploying", "Deploying"]
        assert [origin.gone(now) for now in (99, 100)] == [False, True]


class TestSettings:
    def test_defaults_and_values(self) -> None:
        config = LabConfig.from_environment(
            {"LAB_AWS_PORT": "9001", "LAB_QUOTAS": '{"vpc_origins": 3}'}
        )
        assert (config.aws_url, config.app_address) == ("http://127.0.0.1:9001", "127.0.0.1:8004")
        assert (config.quotas["vpc_origins"], config.quotas["cache_behaviors"]) == (3, 75)

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("LAB_AWS_PORT", "http"),
            ("LAB_EDGE_PORT", "70000"),
            ("LAB_TIME_SCALE", "fast"),
            ("LAB_TIME_SCALE", "-1"),
            ("LAB_TIME_SCALE", "nan"),
            ("LAB_QUOTAS", "["),
            ("LAB_QUOTAS", '{"vpc_origin": 1}'),
            ("LAB_QUOTAS", '{"vpc_origins": 0}'),
        ],
    )
    def test_a_wrong_value_is_named(self, variable: str, value: str) -> None:
        with pytest.raises(ConfigError, match=f"^{variable}: "):
            LabConfig.from_environment({variable: value})


class TestCertificates:
    def test_made_once_then_reused(self, tmp_path: Path) -> None:
        first = ensure_certificates(tmp_path)
        contents = [first.ca.read_bytes(), first.chain.read_bytes(), first.key.read_bytes()]
        again = ensure_certificates(tmp_path)
        assert [again.ca.read_bytes(), again.chain.read_bytes(), again.key.read_bytes()] == contents
        assert first.key.stat().st_mode & 0o077 == 0

    @pytest.mark.parametrize("name", ["d1.cloudfront.net", "d1.edge.localhost", "localhost"])
    def test_openssl_accepts_the_edges_names(self, tmp_path: Path, name: str) -> None:
        files = ensure_certificates(tmp_path)
        ssl.create_default_context(cafile=str(files.ca))
        command = [
            "openssl",
            "verify",
            "-x509_strict",
            "-CAfile",
            str(files.ca),
            "-verify_hostname",
            name,
            str(files.chain),
        ]
        verified = subprocess.run(command, capture_output=True, text=True, check=False)
        assert verified.returncode == 0, verified.stdout + verified.stderr

    def test_another_name_is_refused(self, tmp_path: Path) -> None:
        files = ensure_certificates(tmp_path)
        command = [
            "openssl",
            "verify",
            "-CAfile",
            str(files.ca),
            "-verify_hostname",
            "example.com",
            str(files.chain),
        ]
        assert subprocess.run(command, capture_output=True, check=False).returncode != 0
