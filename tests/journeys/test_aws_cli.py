"""The AWS CLI works on what the portal made: a script anybody can read and run by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stack.ports import LOOPBACK
from tests.journeys.conftest import LiveEndpoint, Product

AWS = Path(sys.executable).with_name("aws")
SCRIPT = Path(__file__).with_name("aws_cli.sh")


@pytest.mark.timeout(
    300
)  # Two dozen starts of the CLI, after that of the product if nobody came before.
def test_the_aws_cli_writes_what_the_portal_made_and_leads_an_endpoint_through_its_life(
    product: Product, live_endpoint: LiveEndpoint
) -> None:
    before = product.account.distribution()["DistributionConfig"]
    target = product.account.make_target("by-hand", admits_cloudfront=False)
    done = run_script(product, product.distribution_id, target.arn, target.group)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "done"
    assert product.account.distribution()["DistributionConfig"] == before
    assert product.account.vpc_origins_of(target) == []


@pytest.mark.usefixtures("live_endpoint")
def test_the_script_fails_where_the_cli_is_refused(product: Product) -> None:
    done = run_script(product, "E0NOSUCHTHING0", "arn", "sg")
    assert done.returncode != 0
    assert "(NoSuchDistribution) when calling the GetDistributionConfig operation" in done.stderr


def run_script(product: Product, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "AWS_CLI": str(AWS),
        "PYTHON": sys.executable,
        "AWS_ENDPOINT_URL": product.stack.env["AWS_ENDPOINT_URL"],
        "AWS_DEFAULT_REGION": product.stack.env["AWS_DEFAULT_REGION"],
        "NO_PROXY": product.stack.env["NO_PROXY"],
        "EDGE": f"{LOOPBACK}:{product.stack.ports.edge_tls}",
        "EDGE_CA": str(product.ca_file),
        **{name.upper(): value for name, value in product.account.keys.items()},
    }
    command = ["/bin/sh", str(SCRIPT), *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
