"""The table of app kinds as people read it."""

from __future__ import annotations

import re

from provisioning.spec.app_kinds import APP_KINDS
from tests.app_kinds.__main__ import DOCUMENT
from tests.app_kinds.table import COLUMNS, document


def test_the_document_is_the_table() -> None:
    assert DOCUMENT.read_text("utf-8") == document(), "run `.venv/bin/python -m tests.app_kinds`"


def test_every_row_of_the_document_has_all_columns() -> None:
    rows = [line for line in document().splitlines() if line.startswith("| ")]
    assert {len(re.split(r"(?<!\\)\|", row)) for row in rows} == {len(COLUMNS) + 2}
    for key in APP_KINDS:
        assert sum(f"(`{key}`)" in row for row in rows) == 1, key


def test_every_kind_says_where_it_comes_from() -> None:
    for kind in APP_KINDS.values():
        assert kind.source.startswith("https://"), kind.key
        assert kind.about.endswith("."), kind.key
        assert kind.heartbeat.endswith("."), kind.key
