"""Every setting is in .env.example, and the compose file invents none."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from tests.architecture.settings_read import (
    PROJECT,
    variables_in_example,
    variables_read_by_lab,
    variables_read_by_settings,
)

READ_BY_LIBRARIES = {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"}
"""boto3 reads these itself."""

ONLY_IN_COMPOSE = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"}
"""Settings of the postgres image."""


def test_every_setting_has_a_line_in_the_example() -> None:
    read = variables_read_by_settings() | variables_read_by_lab() | READ_BY_LIBRARIES
    assert read - set(variables_in_example()) == set(), "describe them in .env.example"


def test_every_line_of_the_example_is_read() -> None:
    read = variables_read_by_settings() | variables_read_by_lab() | READ_BY_LIBRARIES
    assert set(variables_in_example()) - read == set(), "nobody reads these; remove them from .env.example"


def test_no_variable_is_in_the_example_twice() -> None:
    names = variables_in_example()
    assert len(names) == len(set(names))


def test_only_settings_read_the_environment() -> None:
    """portal, provisioning and checks learn what is set from Django's settings; boto3 from the environment itself."""
    allowed = {
        "portal/settings.py": "the settings",
        "portal/asgi.py": "names the settings module",
        "portal/celery.py": "names the settings module",
        "portal/management/commands/seed_demo.py": "refuses to run where AWS is real",
        "provisioning/edge/session.py": "the edge knows no Django; boto3's own variables",
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
    compose = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
    for name, service in compose["services"].items():
        given = service.get("environment", {})
        assert isinstance(given, dict), f"{name}: write the environment as a mapping"
        assert set(given) - known == set(), f"{name} sets variables that nobody reads"
    substituted = set(re.findall(r"\$\{([A-Z_]+)", (PROJECT / "docker-compose.yml").read_text()))
    assert substituted - known - {"PORT"} == set()


def test_compose_starts_what_the_demo_starts() -> None:
    """One list of processes, two ways to start them."""
    compose = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
    assert {"postgres", "redis", "web", "worker", "ticker", "aws", "edge", "apps"} <= set(compose["services"])
    for name in ("aws", "edge", "apps", "seed"):
        assert compose["services"][name]["profiles"] == ["lab"], f"{name} must not start in production"


def test_image_and_demo_serve_the_web_with_the_same_options() -> None:
    """Only where it listens and how long a stop may take differ."""
    dockerfile = Path(PROJECT / "Dockerfile").read_text().replace("\\\n", " ")
    (command,) = re.findall(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)
    demo = (PROJECT / "stack" / "product.py").read_text().partition("def _uvicorn")[2].partition("def ")[0]
    options = {word for word in json.loads(command) if word.startswith("--")}
    assert options == set(re.findall(r'"(--[a-z-]+)"', demo)) - {"--log-level"}


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
