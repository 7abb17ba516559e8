"""What a release consists of: one version everywhere, a licence, notices, and a changelog."""

from __future__ import annotations

import re
import tomllib

import portal
from portal.api.docs import api_document
from tests.architecture.source import PROJECT

VENDORED = PROJECT / "static" / "vendor"
HEADING = re.compile(r"^## (\S+)", re.MULTILINE)


def read(file: str) -> str:
    return (PROJECT / file).read_text()


def test_the_version_has_one_source() -> None:
    project = tomllib.loads(read("pyproject.toml"))
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "portal.__version__"}
    assert f"ARG VERSION={portal.__version__}\n" in read("Dockerfile"), "the image's label"
    assert portal.__version__ in api_document()["info"]["description"]


def test_the_changelog_tells_of_this_version_and_of_what_comes_next() -> None:
    versions = HEADING.findall(read("CHANGELOG.md"))
    assert versions[:2] == ["Unreleased", portal.__version__]
    sections = set(re.findall(r"^### (.+)$", read("CHANGELOG.md"), re.MULTILINE))
    assert sections <= {"Added", "Changed", "Fixed", "Removed", "Security"}


def test_a_line_of_the_changelog_is_one_line() -> None:
    long = [line for line in read("CHANGELOG.md").splitlines() if len(line) > 120]
    wrapped = [line for line in read("CHANGELOG.md").splitlines() if line.startswith("  ")]
    assert not long + wrapped, "shorten these; one line for each change"


def test_the_licence_is_apache_2() -> None:
    assert tomllib.loads(read("pyproject.toml"))["project"]["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in read("LICENSE")


def test_every_vendored_file_has_a_notice() -> None:
    notice = read("NOTICE")
    for file in VENDORED.iterdir():
        assert f"static/vendor/{file.name}" in notice, f"name {file.name} in NOTICE"
