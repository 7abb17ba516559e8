"""`python -m tests.fidelity`: writes the fidelity table into lab/README.md, and lists rules without
a test.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fidelity.marks import WrongMark, all_marks, by_rule
from tests.fidelity.rules import BY_ID, RULES
from tests.fidelity.table import put, table

README = Path(__file__).resolve().parents[2] / "lab" / "README.md"


def main() -> int:
    """Write the table; the exit code is 1 if a rule is unproven or a mark has an unknown rule."""
    try:
        proven = by_rule(all_marks())
    except WrongMark as wrong:
        print(wrong, file=sys.stderr)
        return 1
    unknown = sorted(set(proven) - set(BY_ID))
    unproven = [rule.id for rule in RULES if rule.must_be_proven and rule.id not in proven]
    README.write_text(put(README.read_text(), table(RULES, proven)))
    for id in unknown:
        print(f"no rule {id!r} in tests/fidelity: {', '.join(proven[id])}", file=sys.stderr)
    for id in unproven:
        print(f"no test for {id}: {BY_ID[id].says}", file=sys.stderr)
    return 1 if unknown or unproven else 0


if __name__ == "__main__":
    sys.exit(main())
