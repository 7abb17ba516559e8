"""Every link of every document leads somewhere: files, headings, and the make targets that texts
promise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source import PROJECT

LINK = re.compile(r"(?<!\\)!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"`[^`\n]*`")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
MAKE_TARGET = re.compile(r"`(?:REQUIRE_BROWSER=1 )?make ([a-z-]+)")


def documents() -> Iterator[Path]:
    """Markdown at the top, below docs/ and one level into the packages."""
    for pattern in ("*.md", "docs/**/*.md", "*/README.md"):
        for path in sorted(PROJECT.glob(pattern)):
            if not any(
                part.startswith(".") or part == "node_modules"
                for part in path.relative_to(PROJECT).parts
            ):
                yield path.relative_to(PROJECT)


@pytest.mark.parametrize("document", list(documents()), ids=str)
def test_every_link_leads_somewhere(document: Path) -> None:
    text = CODE_BLOCK.sub("", (PROJECT / document).read_text())
    dead = []
    for link in LINK.findall(CODE_SPAN.sub("", text)):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        file_part, _, anchor = link.partition("#")
        target = (PROJECT / document).parent / file_part if file_part else PROJECT / document
        dead_file = not target.exists()
        dead_anchor = (
            not dead_file and anchor and target.suffix == ".md" and anchor not in _anchors(target)
        )
        if dead_file or dead_anchor:
            dead.append(link)
    assert not dead


@pytest.mark.parametrize("document", list(documents()), ids=str)
def test_every_promised_make_target_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    promised = set(MAKE_TARGET.findall((PROJECT / document).read_text()))
    assert promised - targets == set()


def _anchors(document: Path) -> set[str]:
    """As GitHub makes them: lower case, punctuation dropped, spaces to dashes."""
    text = CODE_BLOCK.sub("", document.read_text())
    plain = (
        re.sub(r"[`*_]|\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in HEADING.findall(text)
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}
