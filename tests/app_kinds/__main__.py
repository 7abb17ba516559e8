"""`python -m tests.app_kinds`: writes docs/app-kinds.md."""

from __future__ import annotations

from pathlib import Path

from tests.app_kinds.table import document

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "app-kinds.md"

if __name__ == "__main__":
    DOCUMENT.write_text(document(), "utf-8")
