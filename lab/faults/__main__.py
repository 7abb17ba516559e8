"""`python -m lab.faults`: writes the table of all faults into lab/README.md, between its two
marks.
"""

from __future__ import annotations

from pathlib import Path

from lab.faults.catalogue.registry import FAULTS

BEGIN = "<!-- faults: made by `python -m lab.faults`, do not edit -->"
END = "<!-- end of faults -->"
README = Path(__file__).parents[1] / "README.md"


def table() -> str:
    """The registry as a table in Markdown."""
    rows = ["| fault | verdict | what happens | what a client sees |", "|---|---|---|---|"]
    for fault in FAULTS.values():
        verdict = fault.verdict or "-"
        rows.append(
            f"| `{fault.name}` | {verdict} | {fault.description} | {fault.signature.text} |"
        )
    return "\n".join(rows)


def with_table(text: str) -> str:
    """The README with the table of today.

    :raises ValueError: a mark is missing.
    """
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text()))
