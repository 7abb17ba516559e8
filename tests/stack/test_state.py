"""The state folder: one user at a time, and nothing is wiped that is not ours."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from stack.state import MARKER, StateDir, StateError


def test_a_new_folder_becomes_ours_and_is_kept(tmp_path: Path) -> None:
    with StateDir(tmp_path / "state") as state:
        secret = state.secret("django")
    with StateDir(tmp_path / "state") as state:
        assert state.secret("django") == secret


def test_a_folder_with_files_of_somebody_else_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("ten years of work")
    with pytest.raises(StateError, match="not ours"):
        StateDir(tmp_path).take()
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_that_cannot_be_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("ten years of work")
    for path in (tmp_path / "thesis.tex", tmp_path / "thesis.tex" / "state"):
        with pytest.raises(StateError, match=r"cannot be used: .*choose another folder"):
            StateDir(path).take()


def test_two_at_once_are_refused_and_the_second_may_come_after(tmp_path: Path) -> None:
    first, second = StateDir(tmp_path / "state"), StateDir(tmp_path / "state")
    first.take()
    with pytest.raises(StateError, match=r"already runs from .*\(pid \d+\)"):
        second.take()
    first.release()
    second.take()
    second.release()


def test_emptying_keeps_the_folder_ours(tmp_path: Path) -> None:
    with StateDir(tmp_path / "state") as state:
        (state.path / "postgres").mkdir()
        (state.path / "postgres" / "data").write_text("rows")
        state.empty()
        assert sorted(entry.name for entry in state.path.iterdir()) == [MARKER, "lock"]


def test_emptying_follows_no_link_out_of_the_folder(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("keep")
    with StateDir(tmp_path / "state") as state:
        (state.path / "link").symlink_to(precious)
        state.empty()
    assert (precious / "file").read_text() == "keep"


@pytest.mark.parametrize("broken", ["not taken", "marker gone"])
def test_emptying_is_refused_unless_taken_and_marked(tmp_path: Path, broken: str) -> None:
    state = StateDir(tmp_path / "state")
    state.take()
    (state.path / "rows").write_text("rows")
    if broken == "not taken":
        state.release()
    else:
        (state.path / MARKER).unlink()
    with pytest.raises(StateError, match="not emptied"):
        state.empty()
    assert (state.path / "rows").read_text() == "rows"
    state.release()


def test_secrets_differ_and_are_for_their_owner_only(tmp_path: Path) -> None:
    with StateDir(tmp_path / "state") as state:
        assert state.secret("django") != state.secret("redis")
        assert stat.S_IMODE((state.path / "django.secret").stat().st_mode) == 0o600


def test_a_signing_key_is_made_once_and_is_for_its_owner_only(tmp_path: Path) -> None:
    with StateDir(tmp_path / "state") as state:
        file = state.signing_key("evidence-key")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        made = file.read_bytes()
        assert isinstance(load_pem_private_key(made, password=None), Ed25519PrivateKey)
        assert state.signing_key("evidence-key").read_bytes() == made
