"""Every setting is in .env.example, and the compose file invents none."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from stack.environment import DEFAULT_TIME_SCALE, product_environment
from stack.ports import Ports
from stack.product import WEB_OPTIONS
from tests.architecture.settings_read import (
    PROJECT,
    lab_lines_of_example,
    values_of_example,
    variables_in_example,
    variables_read_by_lab,
    variables_read_by_settings,
)

READ_BY_LIBRARIES = {
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_DEFAULT_REGION",
}
"""boto3 reads these itself."""

ONLY_IN_COMPOSE = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"}
"""Settings of the postgres image."""


def test_every_setting_has_a_line_in_the_example() -> None:
    read = variables_read_by_settings() | variables_read_by_lab() | READ_BY_LIBRARIES
    assert read - set(variables_in_example()) == set(), "describe them in .env.example"


def test_every_line_of_the_example_is_read() -> None:
    read = variables_read_by_settings() | variables_read_by_lab() | READ_BY_LIBRARIES
    assert set(variables_in_example()) - read == set(), (
        "nobody reads these; remove them from .env.example"
    )


def test_no_variable_is_in_the_example_twice() -> None:
    names = variables_in_example()
    assert len(names) == len(set(names))


def test_only_settings_read_the_environment() -> None:
    """portal, provisioning and checks learn what is set from Django's settings; boto3 from the
    environment itself.
    """
    allowed = {
        "portal/settings.py": "the settings",
        "portal/asgi.py": "names the settings module",
        "portal/celery.py": "names the settings module",
        "portal/management/commands/seed_demo.py": "refuses to run where AWS is real",
        "provisioning/aws/session.py": "the edge knows no Django; boto3's own variables",
    }
    reading = {
        str(path.relative_to(PROJECT))
        for package in ("portal", "provisioning", "checks")
        for path in (PROJECT / package).rglob("*.py")
        if re.search(r"\bos\.(environ|getenv)\b", path.read_text())
    }
    assert reading - set(allowed) == set()


def test_compose_uses_only_variables_of_the_example() -> None:
    known = set(variables_in_example()) | ONLY_IN_COMPOSE
    for name, service in compose()["services"].items():
        given = service.get("environment", {})
        assert isinstance(given, dict), f"{name}: write the environment as a mapping"
        assert set(given) - known == set(), f"{name} sets variables that nobody reads"
    substituted = set(re.findall(r"\$\{([A-Z_]+)", (PROJECT / "docker-compose.yml").read_text()))
    assert substituted - known - {"PORT"} == set()


def test_compose_builds_its_image_once_and_pulls_it_from_nowhere() -> None:
    services = compose()["services"]
    ours = {name: one for name, one in services.items() if one["image"] == services["web"]["image"]}
    assert set(services) - set(ours) == {"postgres", "redis"}
    assert [name for name, one in ours.items() if "build" in one] == ["network"]
    assert {one.get("pull_policy") for name, one in ours.items() if name != "network"} == {"never"}
    for name, one in ours.items():
        assert name == "network" or one["network_mode"] == "service:network", (
            f"{name} starts without what builds it"
        )


def test_compose_waits_for_the_postgres_that_stays() -> None:
    """While it makes the database, the image runs a server that listens on its socket only."""
    assert "-h 127.0.0.1" in compose()["services"]["postgres"]["healthcheck"]["test"][1]


def test_compose_moved_to_another_port_says_so_in_its_address() -> None:
    services = compose()["services"]
    assert services["network"]["ports"] == ["127.0.0.1:${PORT:-8000}:8000"]
    assert (
        services["web"]["environment"]["PORTAL_URL"]
        == "${PORTAL_URL:-http://localhost:${PORT:-8000}}"
    )
    assert "PORTAL_URL" not in values_of_example(), (
        "a copy of the example would keep it at one port"
    )


def test_a_copy_of_the_example_takes_nothing_away_that_the_image_says() -> None:
    dockerfile = Path(PROJECT / "Dockerfile").read_text().replace("\\\n", " ")
    said = {
        name
        for line in re.findall(r"^ENV (.*)$", dockerfile, re.MULTILINE)
        for name in re.findall(r"(\w+)=", line)
    }
    assert "STATIC_ROOT" in said
    assert said & set(values_of_example()) == set()


def test_the_lines_for_the_lab_are_all_that_it_takes() -> None:
    """With them the containers have what the demo has, but for what Compose itself says."""
    ports = Ports(web=8000, aws=8001, edge_tls=8002, edge=8003, apps=8004, redis=6379)
    demo = product_environment(
        state_dir=Path("/state"),
        ports=ports,
        time_scale=DEFAULT_TIME_SCALE,
        database_url="",
        redis_url="",
        secret_key="",
        encryption_key="e" * 50,
    )
    said_by_compose = set(compose()["services"]["web"]["environment"])
    passed_on = set(re.findall(r"\$\{([A-Z_]+)", (PROJECT / "docker-compose.yml").read_text()))
    of_the_demo_alone = {
        "SECRET_KEY": "everybody has their own",
        "ENCRYPTION_KEYS": "everybody has their own",
        "DATABASE_URL": "Compose has its own",
        "PORTAL_URL": "by PORT",
        "EVIDENCE_KEY_FILE": "the demo makes a key",
        "LAB_EXTERNAL_ID": "everybody has their own",
        "LOG_FORMAT": "the demo is read on a terminal",
        "PROVISIONING_TICK_SECONDS": "the demo is watched",
        "PROVISIONING_LEASE_SECONDS": "the demo is watched",
    }
    open_to_env = (
        set(variables_in_example()) - (said_by_compose - passed_on) - set(of_the_demo_alone)
    )
    usual = values_of_example()
    lab = {
        name: value
        for name, value in demo.items()
        if name in open_to_env and value != usual.get(name, "")
    }
    assert lab_lines_of_example() == lab


def test_compose_starts_what_the_demo_starts() -> None:
    """One list of processes, two ways to start them."""
    services = compose()["services"]
    assert {
        "postgres",
        "redis",
        "web",
        "provisioning-worker",
        "checks-worker",
        "ticker",
        "aws",
        "edge",
        "apps",
    } <= set(services)
    for name in ("aws", "edge", "apps", "seed"):
        assert services[name]["profiles"] == ["lab"], f"{name} must not start in production"


def test_image_and_demo_serve_the_web_with_the_same_options() -> None:
    """Only where it listens and how long a stop may take differ."""
    dockerfile = Path(PROJECT / "Dockerfile").read_text().replace("\\\n", " ")
    (command,) = re.findall(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)
    image = {word for word in json.loads(command) if word.startswith("--")}
    demo = {word for word in WEB_OPTIONS if word.startswith("--")}
    assert image - {"--host", "--port"} == demo - {"--log-level"}


def test_the_image_copies_every_package_that_runs() -> None:
    dockerfile = Path(PROJECT / "Dockerfile").read_text()
    copied = " ".join(re.findall(r"^COPY (.*)$", dockerfile, re.MULTILINE))
    for needed in (
        "portal",
        "provisioning",
        "checks",
        "lab",
        "templates",
        "static",
        "manage.py",
        "requirements.txt",
        "requirements-lab.txt",
    ):
        assert needed in copied, f"the Dockerfile does not copy {needed}"


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
    return read
