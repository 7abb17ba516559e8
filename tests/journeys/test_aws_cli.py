"""The AWS CLI works on what the portal made: a script anybody can read and run by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.journeys.conftest import LiveEndpoint, Product

AWS = Path(sys.executable).with_name("aws")
SCRIPT = Path(__file__).with_name("aws_cli.sh")


def test_the_aws_cli_reads_and_writes_what_the_portal_made(product: Product, live_endpoint: LiveEndpoint) -> None:
    before = product.account.distribution()["DistributionConfig"]
    done = run_script(product, product.distribution_id)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "done"
    assert product.account.distribution()["DistributionConfig"] == before


def test_the_script_fails_where_the_cli_is_refused(product: Product) -> None:
    done = run_script(product, "E0NOSUCHTHING0")
    assert done.returncode != 0
    assert "(NoSuchDistribution) when calling the GetDistributionConfig operation" in done.stderr


def run_script(product: Product, distribution_id: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "AWS_CLI": str(AWS),
        "AWS_ENDPOINT_URL": product.stack.env["AWS_ENDPOINT_URL"],
        "AWS_DEFAULT_REGION": product.stack.env["AWS_DEFAULT_REGION"],
        "NO_PROXY": product.stack.env["NO_PROXY"],
        **{name.upper(): value for name, value in product.account.keys.items()},
    }
    command = ["/bin/sh", str(SCRIPT), distribution_id]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)
