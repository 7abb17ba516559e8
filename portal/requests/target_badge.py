"""What the list of an account's targets can already say about one of them, before it is looked at
closely (PURE).

It decides the word beside a target in the form. The preflight judges again, with everything; this
only keeps a person from choosing what cannot work.
"""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.facts.snapshot import TargetFacts

WEB_PORTS = frozenset({80, 443})
KINDS = {
    "application": "Application Load Balancer",
    "network": "Network Load Balancer",
    "gateway": "Gateway Load Balancer",
    "instance": "EC2 instance",
}


@dataclass(frozen=True)
class TargetBadge:
    """`word` and `tone` for the badge; `why` in one sentence; `usable` when nothing seen so far
    speaks against it.
    """

    word: str
    tone: str
    why: str
    usable: bool


def target_badge(target: TargetFacts) -> TargetBadge:
    """The first reason that speaks against a target, if there is one."""
    if target.kind == "gateway":
        return _no(
            "CloudFront cannot use a Gateway Load Balancer. Put an Application Load "
            "Balancer in front of the app."
        )
    if target.scheme == "internet-facing" and target.kind != "instance":
        return _no(
            "It is open to the internet. A private endpoint needs an internal load balancer."
        )
    if target.state != "active":
        return _no(
            f"AWS says it is {target.state or 'in no known state'}. Wait until it is active."
        )
    if target.kind == "instance":
        return TargetBadge(
            "Can be used",
            "good",
            "Which port your server listens on is checked when you choose it.",
            True,
        )
    if not target.listeners:
        return _no("It has no listener. Add one on port 80 or 443.")
    if not any(
        listener.port in WEB_PORTS or listener.port >= 1024 for listener in target.listeners
    ):
        return _no(
            "None of its listeners is on a port that CloudFront can use (80, 443, 1024 to 65535)."
        )
    if not any(listener.port in WEB_PORTS for listener in target.listeners):
        ports = ", ".join(str(listener.port) for listener in target.listeners)
        return TargetBadge(
            "Look closer", "warn", f"It listens on {ports} only, not on 80 or 443.", True
        )
    return TargetBadge("Can be used", "good", "", True)


def _no(why: str) -> TargetBadge:
    return TargetBadge("Not ready", "bad", why, False)
