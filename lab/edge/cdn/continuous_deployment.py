"""Continuous deployment: which requests go to the staging distribution (PURE).

By header or by weight (Developer Guide, "Use continuous deployment"); a session stays where it is
while its cookie lasts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lab.edge.account.deployment_policies import DeploymentPolicy
from lab.edge.account.distributions import Distribution
from lab.edge.http.messages import ViewerRequest

Json = Mapping[str, Any]

# CloudFront does not document its cookie's name.
COOKIE = "aws-cf-cd-session"


@dataclass(frozen=True, slots=True)
class ServedDistribution:
    """The distribution to serve; `cookie` is the session's Set-Cookie value, "" for none."""

    distribution: Distribution
    cookie: str = ""


def choose(
    primary: Distribution,
    distributions: Iterable[Distribution],
    policies: Mapping[str, DeploymentPolicy],
    request: ViewerRequest,
    draw: float,
    now: float,
    scale: float = 1.0,
) -> ServedDistribution:
    """Choose primary or staging, with a random `draw` in [0, 1) at Unix time `now`. Session TTLs
    pass `scale` times as fast.

    1. No policy, a disabled one, or no enabled staging distribution: primary.
    2. By header: staging if the header equals the policy's value.
    3. By weight: as the session's cookie says while it has not expired; else staging if `draw` is
       below the weight.
    """
    policy = policies.get(primary.continuous_deployment_policy_id)
    if policy is None or not policy.enabled:
        return ServedDistribution(primary)
    staging = next(
        (
            d
            for d in distributions
            if d.staging and d.enabled and d.domain in policy.staging_domains
        ),
        None,
    )
    if staging is None:
        return ServedDistribution(primary)
    if policy.kind == "SingleHeader":
        return ServedDistribution(
            staging if policy.header and request.header(policy.header) == policy.value else primary
        )
    if policy.kind != "SingleWeight":
        return ServedDistribution(primary)
    if policy.idle_ttl is None or policy.maximum_ttl is None:
        return ServedDistribution(staging if draw < policy.weight else primary)
    to_staging, began = _session(policy, request, now, scale) or (draw < policy.weight, now)
    left = began + policy.maximum_ttl / scale - now
    seconds = max(1, int(min(policy.idle_ttl / scale, left)))
    where = "staging" if to_staging else "primary"
    cookie = (
        f"{COOKIE}={policy.sessions}.{where}.{int(began)}.{int(now)}; Path=/; "
        f"Max-Age={seconds}; HttpOnly"
    )
    cookie += "; Secure" if request.scheme == "https" else ""
    return ServedDistribution(staging if to_staging else primary, cookie)


def _session(
    policy: DeploymentPolicy, request: ViewerRequest, now: float, scale: float
) -> tuple[bool, float] | None:
    """(whether to staging, start) of the session's cookie; None if it is missing, of another
    policy, or expired.
    """
    for pair in request.header("cookie").split(";"):
        name, _, value = pair.strip().partition("=")
        fields = value.rsplit(".", 3)
        if (
            name != COOKIE
            or len(fields) != 4
            or fields[0] != policy.sessions
            or fields[1] not in ("staging", "primary")
        ):
            continue
        if (
            not (fields[2].isdecimal() and fields[3].isdecimal())
            or max(len(fields[2]), len(fields[3])) > 12
        ):
            continue
        began, seen = float(fields[2]), float(fields[3])
        idle, maximum = policy.idle_ttl or 0.0, policy.maximum_ttl or 0.0
        # The cookie holds whole seconds.
        if (
            began <= seen <= now
            and now - seen <= idle / scale + 1
            and now - began <= maximum / scale + 1
        ):
            return fields[1] == "staging", began
    return None
