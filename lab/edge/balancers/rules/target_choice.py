"""Which target group and target get a request: weights, health, stickiness (PURE)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from http.cookies import CookieError, SimpleCookie

from lab.edge.account.load_balancers import (
    DRAINING,
    HEALTHY,
    ListenerAction,
    Target,
    TargetGroup,
    target_key,
)

TARGET_COOKIE = "AWSALB"
GROUP_COOKIE = "AWSALBTG"
APP_COOKIE = "AWSALBAPP-0"
# elbv2 API reference: stickiness.lb_cookie.duration_seconds,
# stickiness.app_cookie.duration_seconds.
DEFAULT_STICKY_SECONDS = 86400

HealthLookup = Callable[[TargetGroup, Target], str]


def usable_targets(group: TargetGroup, health: HealthLookup) -> Sequence[Target]:
    """The targets that may get a new connection: the healthy ones, or all if none is healthy (the
    balancer fails open).
    """
    known = [(target, health(group, target)) for target in group.targets]
    present = [target for target, state in known if state != DRAINING]
    return [target for target, state in known if state == HEALTHY] or present


def choose_group(
    action: ListenerAction,
    groups: Mapping[str, TargetGroup],
    draw: float,
    cookies: Mapping[str, str],
    secret: bytes,
) -> TargetGroup | None:
    """The target group for a request; `draw` is a random number in [0, 1).

    1. With group stickiness, the group in the AWSALBTG cookie, if the action still has it.
    2. Else by weight. A group without targets may be chosen too, as on AWS.
    """
    arns = [arn for arn in action.target_group_arns if arn in groups]
    if not arns:
        return None
    if action.sticky_seconds and GROUP_COOKIE in cookies:
        for arn in arns:
            if _same(cookies[GROUP_COOKIE], token(secret, arn)):
                return groups[arn]
    weight_of = dict(zip(action.target_group_arns, action.weights, strict=False))
    weights = [weight_of.get(arn, 1) for arn in arns]
    left = draw * sum(weights)
    for arn, weight in zip(arns, weights, strict=True):
        left -= weight
        if left < 0:
            return groups[arn]
    return groups[arns[-1]]


def choose_target(
    group: TargetGroup,
    usable: Sequence[Target],
    turn: int,
    cookies: Mapping[str, str],
    secret: bytes,
    open_sockets: Callable[[Target], int],
) -> Target | None:
    """The target for a request: the one in the stickiness cookie while it is usable, else the next
    one.

    Which is next depends on the group's algorithm: round robin, or, with
    `least_outstanding_requests`, the target with the fewest open WebSockets.
    """
    if not usable:
        return None
    name = _cookie_of(group)
    if name and name in cookies:
        for target in usable:
            if _same(cookies[name], token(secret, target_key(group, target))):
                return target
    if group.attributes.get("load_balancing.algorithm.type") == "least_outstanding_requests":
        rotated = [usable[(turn + step) % len(usable)] for step in range(len(usable))]
        return min(rotated, key=open_sockets)
    return usable[turn % len(usable)]


def sticky_cookies(
    action: ListenerAction,
    group: TargetGroup,
    target: Target,
    app_cookies: Iterable[str],
    secret: bytes,
) -> list[tuple[str, str, int]]:
    """The cookies that the balancer adds to a response, as (name, value, seconds).

    `app_cookies` are the names of the cookies that the app set: with app_cookie stickiness the
    balancer's cookie comes only with the app's.
    """
    made = []
    if action.sticky_seconds:
        made.append((GROUP_COOKIE, token(secret, group.arn), action.sticky_seconds))
    name = _cookie_of(group)
    key = token(secret, target_key(group, target))
    if name == TARGET_COOKIE:
        made.append((name, key, _seconds(group, "stickiness.lb_cookie.duration_seconds")))
    elif name == APP_COOKIE and group.attributes.get("stickiness.app_cookie.cookie_name") in set(
        app_cookies
    ):
        made.append((name, key, _seconds(group, "stickiness.app_cookie.duration_seconds")))
    return made


def read_cookies(header: str) -> Mapping[str, str]:
    """Parse a Cookie header; a malformed one counts as empty."""
    try:
        return {
            name: morsel.value for name, morsel in SimpleCookie(header.replace(",", ";")).items()
        }
    except CookieError:
        return {}


def token(secret: bytes, text: str) -> str:
    """An opaque cookie value."""
    return (
        base64.urlsafe_b64encode(hmac.digest(secret, text.encode(), hashlib.sha256))
        .decode()
        .rstrip("=")
    )


def _cookie_of(group: TargetGroup) -> str:
    if group.attributes.get("stickiness.enabled") != "true":
        return ""
    return {"lb_cookie": TARGET_COOKIE, "app_cookie": APP_COOKIE}.get(
        group.attributes.get("stickiness.type", ""), ""
    )


def _seconds(group: TargetGroup, name: str) -> int:
    given = group.attributes.get(name, "")
    return int(given) if given.isdecimal() else DEFAULT_STICKY_SECONDS


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
