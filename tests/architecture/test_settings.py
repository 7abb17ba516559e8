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


def test_compose_builds_each_image_once_and_pulls_it_from_nowhere() -> None:
    services = compose()["services"]
    built = {"private-websocket-edge-portal": "network", "private-websocket-edge-lab": "aws"}
    ours = {name: one for name, one in services.items() if one["image"] in built}
    assert set(services) - set(ours) == {"postgres", "redis"}
    for name, one in ours.items():
        builder = built[one["image"]]
        if name == builder:
            assert one["build"]["target"] == one["image"].rpartition("-")[2]
        else:
            assert "build" not in one, f"{name} builds what {builder} builds"
            assert one["pull_policy"] == "never"
        assert name == "network" or one["network_mode"] == "service:network", (
            f"{name} starts without what builds it"
        )


def test_only_the_lab_s_services_have_the_image_with_the_lab() -> None:
    """moto and what it needs are half of it, and none of it belongs where AWS is real."""
    with_lab = {n for n, one in compose()["services"].items() if one["image"].endswith("-lab")}
    assert with_lab == {"aws", "apps", "edge"}
    stages = stages_of_the_image()
    last = next(reversed(stages))
    assert last == "portal", "`docker build .` makes the last"
    assert "lab" in " ".join(stages["lab"]["lines"])
    name, lines = last, []
    while name in stages:
        lines += stages[name]["lines"]
        name = stages[name]["base"]
    copied = [stage for line in lines for stage in re.findall(r"--from=(\S+)", line)]
    assert copied == ["packages"]
    lines += stages["packages"]["lines"]
    assert [line for line in lines if re.search(r"\blab\b|requirements-lab", line)] == []


def test_nobody_is_root_in_the_image_and_kubernetes_can_tell() -> None:
    """`runAsNonRoot` refuses a user that is a name."""
    for name in ("product", "lab"):
        users = [line for line in stages_of_the_image()[name]["lines"] if line.startswith("USER")]
        assert users[-1] == "USER 10001:10001"


def test_each_process_that_stays_has_its_own_health_check() -> None:
    checks = {name: one.get("healthcheck") for name, one in compose()["services"].items()}
    asked = {name: check["test"][-1] for name, check in checks.items() if check}
    assert "/readyz" in asked["web"]
    assert asked["ticker"] == "ticker"
    for worker in ("provisioning-worker", "checks-worker"):
        assert checks[worker]["test"][-3:] == ["health", "workers", "aws-polling"]


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


def stages_of_the_image() -> dict[str, Any]:
    """Stage to its base and its instructions, in order."""
    text = (PROJECT / "Dockerfile").read_text().replace("\\\n", " ")
    stages: dict[str, Any] = {}
    for line in text.splitlines():
        if begun := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            lines: list[str] = []
            stages[begun[2]] = {"base": begun[1], "lines": lines}
        elif line.strip() and not line.startswith("#"):
            lines.append(line)
    return stages


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
    return read
