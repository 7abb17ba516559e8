"""Which Chromium is driven: the one that is named, else one on PATH, and only one that starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack import browser
from stack.browser import find_browser


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any Chromium; its PATH is the folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(browser, "BROWSERS_DIR", tmp_path / "browsers")
    return tmp_path


def install(path: Path, *, starts: bool = True) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\nexit 0\n" if starts else "#!/bin/sh\nexit 127\n")
    path.chmod(0o755)
    return str(path)


def test_a_machine_without_one_has_none(machine: Path) -> None:
    assert find_browser() is None


def test_one_on_path_is_found(machine: Path) -> None:
    installed = install(machine / "chromium-browser")
    assert find_browser() == installed


def test_the_one_that_is_named_wins(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(machine / "chromium")
    named = install(machine / "opt" / "my-chromium")
    monkeypatch.setenv("CHROMIUM", named)
    assert find_browser() == named


def test_one_that_does_not_start_is_passed_over(machine: Path) -> None:
    """As with a package manager's placeholder that only tells how to install the real one."""
    install(machine / "chromium", starts=False)
    works = install(machine / "google-chrome")
    assert find_browser() == works


def test_a_downloaded_one_is_found(machine: Path) -> None:
    downloaded = install(machine / "browsers" / "chromium-1255" / "chrome-linux64" / "chrome")
    assert find_browser() == downloaded


def test_an_empty_name_means_none_was_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", "")
    found = install(machine / "chromium")
    assert find_browser() == found
