"""How much of AWS's quotas is used, and when to warn (PURE)."""

from __future__ import annotations

from dataclasses import dataclass

LOW_FROM = 0.8
"""Share of a quota from which it counts as low."""
OK, LOW, OUT = "ok", "low", "out"
TITLES = {
    "vpc-origins": "VPC origins",
    "behaviors": "Behaviors",
    "origins": "Origins",
    "rules": "Inbound rules",
}


@dataclass(frozen=True)
class QuotaUse:
    """How much of one quota is used. `scope` is the distribution or security group that has it, ""
    for the account. `assumed`: the quota is AWS's default, since AWS did not say what applies.
    """

    resource: str
    scope: str
    used: int
    quota: int
    assumed: bool = False

    @property
    def left(self) -> int:
        """How many more fit; never negative."""
        return max(0, self.quota - self.used)

    @property
    def level(self) -> str:
        """Whether there is room: ok, low or out."""
        if not self.left:
            return OUT
        return LOW if self.used >= LOW_FROM * self.quota else OK

    def __str__(self) -> str:
        return f"{TITLES[self.resource]}{f' of {self.scope}' if self.scope else ''}"


def told(use: QuotaUse, before: str) -> str:
    """What to tell people when the level has changed from `before`; "" where it has not."""
    if use.level == before:
        return ""
    figures = f"{use.used} of {use.quota} used, {use.left} left"
    if use.level == OUT:
        return f"{use}: none left ({use.used} of {use.quota} used)."
    return f"{use}: {'running out' if use.level == LOW else 'enough again'} ({figures})."
