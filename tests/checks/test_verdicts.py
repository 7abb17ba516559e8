"""Codes and prose of the verdicts belong together."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks.diagnosis import verdicts
from checks.diagnosis.verdicts import VERDICTS, Certainty, verdict_of

PROSE = Path(verdicts.__file__).with_name("verdicts.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (PROSE.replace("[WSE-504-SG]", "[WSE-504-GS]"), "WSE-504-GS"),
        (PROSE + '[WSE-NEW]\ntitle = "No code"\n', "WSE-NEW"),
    ],
)
def test_prose_without_a_code_and_a_code_without_prose_are_refused(changed: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        verdicts._load(changed)


def test_a_field_that_is_missing_or_unknown_is_refused() -> None:
    for changed in (
        PROSE.replace("confirm =", "confrim =", 1),
        PROSE.replace("\nplain =", "\n#", 1),
    ):
        with pytest.raises((TypeError, ValueError)):
            verdicts._load(changed)
    assert verdicts._load(PROSE) == VERDICTS


def test_a_stored_code_may_be_unknown() -> None:
    assert verdict_of("WSE-LIVE") is VERDICTS["WSE-LIVE"]
    assert verdict_of("WSE-NEVER") is None


def test_certainty_is_ordered_by_meaning_and_not_by_letters() -> None:
    assert Certainty.LOW < Certainty.MEDIUM < Certainty.HIGH
    assert max(Certainty) is Certainty.HIGH
    assert sorted(["high", Certainty.LOW, Certainty.MEDIUM]) == ["low", "medium", "high"]
