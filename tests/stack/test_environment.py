"""One function decides the environment; nothing of a person's own leads it astray."""

from __future__ import annotations

from pathlib import Path

from stack.environment import inherited, product_environment
from stack.ports import Ports
from tests.architecture.settings_read import variables_in_example

OWN = {
    "PATH": "/usr/bin",
    "HOME": "/home/ana",
    "AWS_PROFILE": "production",
    "AWS_ENDPOINT_URL_CLOUDFRONT": "https://cloudfront.amazonaws.com",
    "AWS_SESSION_TOKEN": "real",
    "AWS_CA_BUNDLE": "/etc/ssl/company.pem",
    "LAB_STATE_DIR": "/elsewhere",
    "DJANGO_SETTINGS_MODULE": "other.settings",
}


def environment(scale: float = 45.0) -> dict[str, str]:
    return product_environment(
        state_dir=Path("/state"),
        ports=Ports.from_base(9000),
        time_scale=scale,
        database_url="postgresql://postgres@/portal?host=/state/postgres/run",
        redis_url="redis://:secret@127.0.0.1:9005/0",
        secret_key="x" * 50,
        encryption_key="e" * 50,
    )


def test_every_variable_of_the_example_is_decided() -> None:
    """Or a forgotten .env in the project folder would reach into the demo."""
    assert set(variables_in_example()) - set(environment()) == set()


def test_the_lab_and_the_portal_agree_on_pace_and_ports() -> None:
    env = environment(scale=900)
    assert env["PROVISIONING_PACE"] == env["LAB_TIME_SCALE"] == "900"
    assert env["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{env['LAB_AWS_PORT']}"
    assert f"*.cloudfront.net:443:127.0.0.1:{env['LAB_EDGE_TLS_PORT']}" in env[
        "PROBE_CONNECT_TO"
    ].split(",")
    assert f"*.cloudfront.net:80:127.0.0.1:{env['LAB_EDGE_PORT']}" in env["PROBE_CONNECT_TO"].split(
        ","
    )


def test_no_real_aws_account_is_within_reach() -> None:
    child = {**inherited(OWN), **environment()}
    assert child["AWS_CONFIG_FILE"] == child["AWS_SHARED_CREDENTIALS_FILE"] == "/dev/null"
    assert not {name for name in OWN if name.startswith("AWS_")} & set(child)
    assert child["LAB_STATE_DIR"] == "/state/lab"


def test_path_and_home_are_inherited() -> None:
    assert inherited(OWN) == {"PATH": "/usr/bin", "HOME": "/home/ana"}
