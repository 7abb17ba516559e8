"""The stylesheet keeps its promises: readable in both schemes, small, and nothing the policy would
block.
"""

from __future__ import annotations

import gzip
import re
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "static"
CSS = (STATIC / "portal.css").read_text()
LIGHT, DARK = re.findall(r":root \{(.*?)\}", CSS, flags=re.DOTALL)

# What is written on what. WCAG 2.2 asks 4.5 of text and 3 of what only marks a control.
TEXT = [
    *product(("text", "muted", "accent"), ("background", "surface", "inset")),
    ("on-accent", "accent"),
    *((tone, f"{tone}-wash") for tone in ("good", "warn", "bad", "accent")),
    *product(("text",), ("good-wash", "warn-wash", "bad-wash", "accent-wash")),
    *product(("good", "warn", "bad"), ("surface", "inset")),
]
MARKS = [("border-strong", "surface"), ("accent", "background")]


def colors(block: str) -> dict[str, str]:
    """The variables of a scheme, as six hex digits."""
    found = re.findall(r"--([a-z-]+): #([0-9a-f]{3,6});", block)
    return {
        name: value if len(value) == 6 else "".join(digit * 2 for digit in value)
        for name, value in found
    }


def luminance(color: str) -> float:
    parts = (int(color[place : place + 2], 16) / 255 for place in (0, 2, 4))
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("block", [LIGHT, DARK], ids=["light", "dark"])
def test_everything_can_be_read_in_both_schemes(block: str) -> None:
    scheme = colors(block)
    for (front, back), least in [*((pair, 4.5) for pair in TEXT), *((pair, 3.0) for pair in MARKS)]:
        got = contrast(scheme[front], scheme[back])
        assert got >= least, f"{front} on {back}: {got:.2f}, needs {least}"


def test_a_first_visit_is_light() -> None:
    assert len(CSS) < 25_000
    first = [
        STATIC / "portal.css",
        STATIC / "portal.js",
        STATIC / "console.js",
        *STATIC.glob("vendor/*.js"),
    ]
    assert sum(len(gzip.compress(path.read_bytes())) for path in first) < 36_000


def test_templates_hold_nothing_that_the_policy_blocks() -> None:
    for template in (ROOT / "templates").rglob("*.html"):
        text = template.read_text()
        found = re.search(
            r"<style|\sstyle=|\son[a-z]+=|hx-on|javascript:|hx-vals=.js|\|safe\b|autoescape "
            r"off|https?://",
            text,
        )
        assert found is None, f"{template.relative_to(ROOT)}: {found}"
        for script in re.findall(r"<script[^>]*>", text):
            assert "src=" in script, f"{template.relative_to(ROOT)}: {script}"


def test_vendored_code_comes_with_its_licence() -> None:
    assert (STATIC / "vendor" / "htmx-LICENSE.txt").read_text().strip()
