"""The AWS CLI, an independent client, with the lab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lab.account import Account

AWS = Path(sys.executable).with_name("aws")


def aws(account: Account, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "AWS_ENDPOINT_URL": account.lab.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_PAGER": "",
        **{name.upper(): value for name, value in account.keys.items()},
    }
    command = [str(AWS), "cloudfront", *arguments, "--output", "json"]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.slow  # the script of tests/journeys does the same, and more, to what the portal made
def test_it_lists_reads_and_is_refused_with_a_stale_version(
    account: Account, tmp_path: Path
) -> None:
    made = account.create_vpc_origin("chat")["VpcOrigin"]["Id"]
    distribution = account.create_distribution(Comment="from the CLI")
    distribution_id, first = distribution["Distribution"]["Id"], distribution["ETag"]

    listed = aws(account, "list-vpc-origins")
    assert listed.returncode == 0, listed.stderr
    assert [item["Id"] for item in json.loads(listed.stdout)["VpcOriginList"]["Items"]] == [made]

    read = aws(account, "get-distribution-config", "--id", distribution_id)
    shown: dict[str, Any] = json.loads(read.stdout)
    assert shown["ETag"] == first
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**shown["DistributionConfig"], "Comment": "changed"}))

    update = (
        "update-distribution",
        "--id",
        distribution_id,
        "--distribution-config",
        f"file://{config}",
    )
    written = aws(account, *update, "--if-match", first)
    assert written.returncode == 0, written.stderr
    assert json.loads(written.stdout)["Distribution"]["Status"] == "InProgress"

    stale = aws(account, *update, "--if-match", first)
    assert stale.returncode != 0
    assert "(PreconditionFailed) when calling the UpdateDistribution operation" in stale.stderr
