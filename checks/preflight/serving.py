"""Whether a distribution's configuration still leads an endpoint's paths to the endpoint (PURE).

A handshake that opens shows that something answered, not what: after somebody removed a behavior,
the default origin may answer as well. So the configuration is read with each check.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioning.facts.path_patterns import example_path, matches, overlap, same_paths, serving

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Serving:
    """What gets an endpoint's paths. `pattern` is the behavior that the asked `path` matches,
    `origin` the ID of the origin it leads to. `own`: that is the endpoint's origin, with its VPC
    origin. `lost` says, one sentence each, which other paths do not come to the endpoint. `etag` is
    the configuration's.
    """

    path: str
    pattern: str
    origin: str
    own: bool
    reason: str = ""
    lost: tuple[str, ...] = ()
    etag: str = ""

    @property
    def drifted(self) -> bool:
        """Whether any of the endpoint's paths leads elsewhere."""
        return not self.own or bool(self.lost)


def serving_of(
    config: Config,
    *,
    path: str,
    own_patterns: Sequence[str],
    own_origin: str,
    vpc_origin: str,
    expected: Collection[str] = (),
) -> Serving | None:
    """What serves `path` in a DistributionConfig; None if it is none of the endpoint's paths.

    `own_origin` is the ID of the endpoint's origin, `vpc_origin` the ID of the VPC origin it
    should have ("" if not known). `expected` are origins and behaviors ("pattern to origin") that
    may come first. What `routes_of` gives is enough of a configuration.
    """
    if not any(matches(pattern, path) for pattern in own_patterns):
        return None
    behaviors = [(one["PathPattern"], one["TargetOriginId"]) for one in _items(config)]
    place = serving([pattern for pattern, _ in behaviors], path)
    default = ("*", config["DefaultCacheBehavior"]["TargetOriginId"])
    pattern, origin = default if place is None else behaviors[place]
    reason = f"{path} matches the behavior {pattern}, which leads to the origin {origin}"
    own = origin == own_origin
    if own and vpc_origin:
        found: Config = next((one for one in _items(config, "Origins") if one["Id"] == origin), {})
        has = (found.get("VpcOriginConfig") or {}).get("VpcOriginId", "")
        own = has == vpc_origin
        reason += "" if own else f", which has {has or 'no VPC origin'} instead of {vpc_origin}"
    lost = [
        sentence
        for mine in own_patterns
        for sentence in _lost(mine, behaviors, own_origin, expected)
    ]
    return Serving(path, pattern, origin, own, reason, tuple(lost))


def routes_of(config: Config) -> dict[str, Any]:
    """The part of a DistributionConfig that says which paths lead where: small, and without the
    header values of origins, which may be secrets.
    """
    return {
        "CacheBehaviors": {
            "Items": [
                {name: one[name] for name in ("PathPattern", "TargetOriginId")}
                for one in _items(config)
            ]
        },
        "DefaultCacheBehavior": {
            "TargetOriginId": config["DefaultCacheBehavior"]["TargetOriginId"]
        },
        "Origins": {
            "Items": [
                {
                    "Id": one["Id"],
                    "VpcOriginConfig": {
                        "VpcOriginId": (one.get("VpcOriginConfig") or {}).get("VpcOriginId", "")
                    },
                }
                for one in _items(config, "Origins")
            ]
        },
    }


def _lost(
    mine: str, behaviors: Sequence[tuple[str, str]], own_origin: str, expected: Collection[str]
) -> list[str]:
    place = next(
        (
            index
            for index, (pattern, origin) in enumerate(behaviors)
            if origin == own_origin and same_paths(pattern, mine)
        ),
        None,
    )
    if place is None:
        return [f"no behavior for {mine} leads to this endpoint"]
    before = behaviors[:place]
    if example_path(mine, [pattern for pattern, _ in before]) is None:
        return [f"the behaviors before {mine} match all of it"]
    return [
        f"the behavior {pattern}, with origin {origin}, comes before {mine} and takes a part of it"
        for pattern, origin in before
        if origin != own_origin
        and overlap(pattern, mine)
        and origin not in expected
        and f"{pattern} to {origin}" not in expected
    ]


def _items(config: Config, name: str = "CacheBehaviors") -> list[Any]:
    """AWS leaves Items out when there are none."""
    return list((config.get(name) or {}).get("Items") or ())
