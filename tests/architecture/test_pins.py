"""Two who set the project up on different days get the same packages: everything is pinned, and by
`make lock`.
"""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[2]


def read(file: str) -> list[Requirement]:
    """The requirements of a file and of those it names."""
    found = []
    for line in (PROJECT / file).read_text().splitlines():
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if text.startswith("-r "):
            found += read(text.removeprefix("-r ").strip())
        elif text:
            found.append(Requirement(text))
    return found


def applying(requirements: list[Requirement], extras: set[str]) -> list[Requirement]:
    """Those for this Python and platform, and for one of the extras or for none."""
    return [
        r
        for r in requirements
        if r.marker is None or any(r.marker.evaluate({"extra": e}) for e in extras | {""})
    ]


def versions(requirements: list[Requirement]) -> dict[str, str]:
    """The one version that each package is pinned to."""
    pins: dict[str, str] = {}
    for requirement in applying(requirements, set()):
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", f"{requirement} is not pinned"
        pins[canonicalize_name(requirement.name)] = specifier.version
    return pins


DIRECT = read("requirements-dev.txt")
CONSTRAINTS = versions(read("constraints.txt"))


def test_the_constraints_are_of_the_present_pins() -> None:
    direct = versions(DIRECT)
    others = {name: pin for name, pin in direct.items() if CONSTRAINTS.get(name) != pin}
    assert not others, "constraints.txt is of other requirements; run `make lock`"


def test_nothing_that_is_installed_floats() -> None:
    waiting, met = [(r.name, frozenset(r.extras)) for r in applying(DIRECT, set())], set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in met:
            continue
        met.add((name, extras))
        needs = [Requirement(text) for text in importlib.metadata.requires(name) or ()]
        waiting += [(r.name, frozenset(r.extras)) for r in applying(needs, set(extras))]
    installed = {canonicalize_name(name): importlib.metadata.version(name) for name, _ in met}
    assert len(installed) > len(DIRECT)
    floating = {
        name: version for name, version in installed.items() if CONSTRAINTS.get(name) != version
    }
    assert not floating, (
        "installed in another version than constraints.txt says; run `make lock`, then `make test`"
    )
