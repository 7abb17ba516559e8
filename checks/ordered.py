"""Words on a scale, such as low < medium < high (PURE)."""

from __future__ import annotations

from enum import StrEnum


class OrderedStrEnum(StrEnum):
    """Members compare by their order of definition, not by their letters."""

    @property
    def rank(self) -> int:
        """The place on the scale, from 0."""
        return list(type(self)).index(self)

    def __lt__(self, other: str, /) -> bool:
        return self.rank < type(self)(other).rank

    def __le__(self, other: str, /) -> bool:
        return self.rank <= type(self)(other).rank

    def __gt__(self, other: str, /) -> bool:
        return self.rank > type(self)(other).rank

    def __ge__(self, other: str, /) -> bool:
        return self.rank >= type(self)(other).rank
