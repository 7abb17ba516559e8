"""The AWS CLI works on what the portal made: a script anybody can read and run by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.ports import LOOPBACK
from tests.journeys.conftest import LiveEndpoint, Product
from tests.journeys.imported_aws_cli import imported_aws_cli

SCRIPT = Path(__file__).with_name("aws_cli.sh")


@pytest.fixture(scope="module")
def aws(services_dir: Path) -> Iterator[Path]:
    """The CLI, which the script calls two dozen times."""
    folder = services_dir / "aws"
    folder.mkdir()
    with imported_aws_cli(folder) as command:
        yield command


def test_the_imported_cli_answers_as_the_cli_does(aws: Path) -> None:
    installed = Path(sys.executable).with_name("aws")
    for arguments in (["--version"], ["cloudfront", "get-nothing"]):
        answers = [
            subprocess.run([cli, *arguments], capture_output=True, text=True, check=False)
            for cli in (installed, aws)
        ]
        said = [(answer.returncode, answer.stdout, answer.stderr) for answer in answers]
        assert said[0] == said[1]


def test_the_aws_cli_writes_what_the_portal_made_and_leads_an_endpoint_through_its_life(
    product: Product, live_endpoint: LiveEndpoint, aws: Path
) -> None:
    before = product.account.distribution()["DistributionConfig"]
    target = product.account.make_target("by-hand", admits_cloudfront=False)
    done = run_script(product, aws, product.distribution_id, target.arn, target.group)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "done"
    assert product.account.distribution()["DistributionConfig"] == before
    assert product.account.vpc_origins_of(target) == []


@pytest.mark.usefixtures("live_endpoint")
def test_the_script_fails_where_the_cli_is_refused(product: Product, aws: Path) -> None:
    done = run_script(product, aws, "E0NOSUCHTHING0", "arn", "sg")
    assert done.returncode != 0
    assert "(NoSuchDistribution) when calling the GetDistributionConfig operation" in done.stderr


def run_script(product: Product, aws: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "AWS_CLI": str(aws),
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
