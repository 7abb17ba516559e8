"""The badge beside a target in the form, from the list of an account's targets alone (PURE).

It keeps people from choosing what cannot work. The preflight checks again, with all details.
"""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.facts.target import TargetFacts

WEB_PORTS = frozenset({80, 443})
KINDS = {
    "application": "Application Load Balancer",
    "network": "Network Load Balancer",
    "gateway": "Gateway Load Balancer",
    "instance": "EC2 instance",
}


@dataclass(frozen=True)
class TargetBadge:
    """`word` and `tone` of the badge; `why` in one sentence; `usable` if it can be chosen."""

    word: str
    tone: str
    why: str
    usable: bool


def target_badge(target: TargetFacts) -> TargetBadge:
    """The badge of a target, with the first problem found."""
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
        return _no(f"Its state in AWS is {target.state or 'unknown'}. Wait until it is active.")
    if target.kind == "instance":
        return TargetBadge(
            "Ready",
            "good",
            "The port of your server is checked when you choose it.",
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
            "Check details", "warn", f"It listens on {ports} only, not on 80 or 443.", True
        )
    return TargetBadge("Ready", "good", "", True)


def _no(why: str) -> TargetBadge:
    return TargetBadge("Not supported", "bad", why, False)
