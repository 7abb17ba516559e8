"""Quotas, call rates and read-after-write lag, changed while the lab runs."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.aws.cloudfront.throttling import Bucket, take
from lab.aws.database import LabDatabase
from lab.aws.settings import LabSettings, SettingsError
from lab.config import DEFAULT_QUOTAS
from tests.lab.account import Account, Lab, assert_refused


@pytest.fixture
def changed(lab: Lab) -> Iterator[Any]:
    """Changes settings of the shared lab until the test ends."""
    before = lab.get("/_lab/settings")
    yield lambda **sections: lab.post("/_lab/settings", sections)
    lab.post("/_lab/settings", before)


class TestThrottling:
    @pytest.mark.rule("api/throttling")
    def test_too_many_writes_do_not_use_up_the_reads(
        self, changed: Any, lab: Lab, account: Account
    ) -> None:
        account.cloudfront.list_distributions()
        changed(throttling={"write_rate": 0.001, "write_burst": 2})
        account.create_distribution()
        account.create_distribution()
        with assert_refused("Throttling", 400):
            account.create_distribution()
        assert account.cloudfront.list_distributions()["DistributionList"]["Quantity"] == 2
        other = lab.account()
        other.create_distribution()
        changed(throttling={"write_rate": 0})
        account.create_distribution()

    @pytest.mark.rule("api/throttling")
    def test_the_message(self, changed: Any, account: Account) -> None:
        changed(throttling={"read_rate": 0.001, "read_burst": 1})
        account.cloudfront.list_distributions()
        with pytest.raises(account.cloudfront.exceptions.ClientError, match="Rate exceeded"):
            account.cloudfront.list_distributions()

    @pytest.mark.parametrize(
        ("bucket", "now", "left"),
        [
            (None, 10.0, Bucket(4.0, 10.0)),
            (Bucket(1.0, 10.0), 10.0, Bucket(0.0, 10.0)),
            (Bucket(0.9, 10.0), 10.0, None),
            (Bucket(0.0, 10.0), 10.4, None),
            (Bucket(0.0, 10.0), 10.5, Bucket(0.0, 10.5)),
            (Bucket(0.0, 10.0), 1000.0, Bucket(4.0, 1000.0)),
            (Bucket(0.0, 10.0), 5.0, None),
        ],
    )
    def test_the_bucket(self, bucket: Bucket | None, now: float, left: Bucket | None) -> None:
        assert take(bucket, now, rate=2.0, burst=5.0) == left


class TestLag:
    @pytest.mark.rule("api/eventually-consistent")
    def test_reads_show_what_was_before_the_write(
        self, changed: Any, lab: Lab, account: Account
    ) -> None:
        made = account.create_distribution(Comment="old")
        chosen = {"Id": made["Distribution"]["Id"]}
        config = made["Distribution"]["DistributionConfig"]
        changed(reads={"lag_seconds": 30})
        written = account.cloudfront.update_distribution(
            **chosen, IfMatch=made["ETag"], DistributionConfig={**config, "Comment": "new"}
        )
        seen = account.cloudfront.get_distribution_config(**chosen)
        assert (seen["DistributionConfig"]["Comment"], seen["ETag"]) == ("old", made["ETag"])
        with assert_refused("PreconditionFailed", 412):
            account.cloudfront.update_distribution(
                **chosen, IfMatch=seen["ETag"], DistributionConfig=seen["DistributionConfig"]
            )
        lab.advance(31)
        assert account.cloudfront.get_distribution_config(**chosen)["ETag"] == written["ETag"]

    def test_what_was_just_made_is_not_there_yet_and_what_is_gone_still_is(
        self, changed: Any, lab: Lab, account: Account
    ) -> None:
        changed(reads={"lag_seconds": 30})
        origin_id = account.create_vpc_origin()["VpcOrigin"]["Id"]
        with assert_refused("EntityNotFound", 404):
            account.cloudfront.get_vpc_origin(Id=origin_id)
        assert account.cloudfront.list_vpc_origins()["VpcOriginList"]["Quantity"] == 0
        lab.advance()
        etag = account.cloudfront.get_vpc_origin(Id=origin_id)["ETag"]
        account.cloudfront.delete_vpc_origin(Id=origin_id, IfMatch=etag)
        assert account.cloudfront.get_vpc_origin(Id=origin_id)["VpcOrigin"]["Status"] == "Deployed"
        lab.advance(60)
        assert account.cloudfront.get_vpc_origin(Id=origin_id)["VpcOrigin"]["Status"] == "Deploying"


def test_quotas_and_page_size(changed: Any, account: Account) -> None:
    changed(quotas={"distributions": 3, "page_size": 2})
    for _ in range(3):
        account.create_distribution()
    with assert_refused("TooManyDistributions", 400):
        account.create_distribution()
    first = account.cloudfront.list_distributions()["DistributionList"]
    assert (first["Quantity"], first["IsTruncated"], first["MaxItems"]) == (2, True, 2)
    rest = account.cloudfront.list_distributions(Marker=first["NextMarker"])["DistributionList"]
    assert (rest["Quantity"], rest["IsTruncated"]) == (1, False)
    changed(quotas={"distributions": None})
    account.create_distribution()


@pytest.mark.parametrize(
    "given",
    [
        [],
        {"quota": {}},
        {"quotas": 3},
        {"quotas": {"lions": 1}},
        {"quotas": {"origins": 0}},
        {"quotas": {"origins": 1.5}},
        {"quotas": {"origins": True}},
        {"throttling": {"read_rate": -1}},
        {"throttling": {"read_burst": 0}},
        {"throttling": {"read_rate": 10**400}},
        {"reads": {"lag_seconds": "long"}},
    ],
    ids=json.dumps,
)
def test_nonsense_is_refused_as_a_whole(lab: Lab, given: Any) -> None:
    before = lab.get("/_lab/settings")
    if isinstance(given, dict):
        given = {"reads": {"lag_seconds": 5}, **given}
    with pytest.raises(urllib.error.HTTPError) as caught:
        lab.post("/_lab/settings", given)
    assert caught.value.code == 400
    assert json.loads(caught.value.read())["error"]
    assert lab.get("/_lab/settings") == before


def test_changes_outlast_the_process(tmp_path: Path) -> None:
    database = LabDatabase(tmp_path / "aws.sqlite3")
    first = LabSettings(database, threading.RLock(), DEFAULT_QUOTAS)
    first.change({"quotas": {"vpc_origins": 2}, "reads": {"lag_seconds": 1.5}})
    again = LabSettings(database, threading.RLock(), {**DEFAULT_QUOTAS, "origins": 7})
    assert (again.quotas["vpc_origins"], again.quotas["origins"], again.read_lag) == (2, 7, 1.5)
    with pytest.raises(SettingsError, match="'lions' is not one of"):
        again.change({"quotas": {"lions": 1}})
    database.close()
