"""Which of a primary distribution's requests go to its staging distribution (PURE).

It decides by header or by weight, as the Developer Guide has it under "Use continuous deployment",
and keeps a viewer's session where it is while its cookie lasts. It must never roll dice or read a
clock: both are arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lab.edge.account.deployment_policies import DeploymentPolicy
from lab.edge.account.distributions import Distribution
from lab.edge.http.messages import ViewerRequest

Json = Mapping[str, Any]

# CloudFront does not document the name of its own cookie.
COOKIE = "aws-cf-cd-session"


@dataclass(frozen=True, slots=True)
class ServedDistribution:
    """Who answers; `cookie` is the Set-Cookie value that keeps the viewer there, "" for none."""

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
    """Primary or staging, for a throw of `dice` in [0, 1) at Unix time `now`; sessions run `scale`
    times as fast.

    1. No policy, a disabled one, or a staging distribution that is not enabled: primary.
    2. By header: staging when the header has exactly the policy's value.
    3. By weight: where the session's cookie says, while neither its idle nor its maximum time is
       over; else staging for the policy's share of the throws.
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
    """Where the session's cookie wants to go and when it began, if it is this policy's and has not
    run out.
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
