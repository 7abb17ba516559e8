"""An endpoint's part of a distribution's configuration: add it, remove it, leave the rest as it is.

A configuration is botocore's DistributionConfig dict. These functions do not change their arguments
and affect only the origin with the given ID and the behaviors that lead to it. They return whether
anything differs, so that no distribution is written without need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from provisioning.facts.path_patterns import losing, same_paths

Config = dict[str, Any]
PositionFor = Callable[[str, Sequence[str]], int]


class Conflict(Exception):
    """The change would affect what the portal did not create. `code`: path_taken, path_contested
    or origin_shared.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


def with_endpoint(
    config: Mapping[str, Any],
    origin: Mapping[str, Any],
    behaviors: Sequence[Mapping[str, Any]],
    position_for: PositionFor,
    dropped: Sequence[str] = (),
) -> tuple[Config, bool]:
    """The configuration with `origin` and `behaviors` in it, and whether that differs from what it
    was. Behaviors of that origin for the `dropped` patterns are removed.

    1. The origin with our id is adjusted where it differs, or added as the last.
    2. A behavior for our pattern's paths is adjusted where it differs; it stays where it is.
    3. A missing behavior goes to `position_for(pattern, patterns so far)`.
    Settings that AWS added to our entries stay. Raises Conflict if a pattern leads to another
    origin.
    """
    origins = _items(config, "Origins")
    place = _place(origins, "Id", origin["Id"])
    if place is None:
        origins.append(dict(origin))
    else:
        origins[place] = _adjusted(origins[place], origin)
    entries = [
        entry
        for entry in _items(config, "CacheBehaviors")
        if entry["TargetOriginId"] != origin["Id"]
        or not any(same_paths(entry["PathPattern"], pattern) for pattern in dropped)
    ]
    for behavior in behaviors:
        pattern = behavior["PathPattern"]
        place = next(
            (i for i, entry in enumerate(entries) if same_paths(entry["PathPattern"], pattern)),
            None,
        )
        if place is None:
            entries.insert(
                position_for(pattern, tuple(entry["PathPattern"] for entry in entries)),
                _without_no_policy(behavior),
            )
        elif entries[place]["TargetOriginId"] != origin["Id"]:
            raise Conflict(
                "path_taken",
                f"The distribution already has a behavior for {entries[place]['PathPattern']}, "
                f"with origin {entries[place]['TargetOriginId']}.",
            )
        else:
            entries[place] = _adjusted(entries[place], behavior)
    return _replaced(config, origins, entries)


def would_take_from(
    config: Mapping[str, Any], patterns: Sequence[str], position_for: PositionFor
) -> list[tuple[str, str]]:
    """The behaviors of `config`, as (pattern, origin ID), that lose requests once behaviors for
    `patterns` are added to it. Those that exist already take nothing more.
    """
    entries = _items(config, "CacheBehaviors")
    order = [entry["PathPattern"] for entry in entries]
    added = [p for p in patterns if not any(same_paths(other, p) for other in order)]
    lost = {
        loser for pattern in added for loser in losing(pattern, position_for(pattern, order), order)
    }
    return [
        (entry["PathPattern"], entry["TargetOriginId"])
        for entry in entries
        if entry["PathPattern"] in lost
    ]


def without_endpoint(config: Mapping[str, Any], origin_id: str) -> tuple[Config, bool]:
    """The configuration without the origin and the behaviors that lead to it, and whether that
    differs.

    Raises Conflict when the default behavior or an origin group leads to the origin: the portal
    made neither.
    """
    origins = [origin for origin in _items(config, "Origins") if origin["Id"] != origin_id]
    entries = [
        entry for entry in _items(config, "CacheBehaviors") if entry["TargetOriginId"] != origin_id
    ]
    if len(origins) < len(_items(config, "Origins")):
        _refuse_if_shared(config, origin_id)
    return _replaced(config, origins, entries)


def _refuse_if_shared(config: Mapping[str, Any], origin_id: str) -> None:
    users = []
    if config["DefaultCacheBehavior"]["TargetOriginId"] == origin_id:
        users.append("its default behavior")
    for group in _items(config, "OriginGroups"):
        if any(member["OriginId"] == origin_id for member in _items(group, "Members")):
            users.append(f"its origin group {group['Id']}")
    if users:
        raise Conflict(
            "origin_shared",
            f"The distribution uses origin {origin_id} in {' and '.join(users)}, which the portal "
            "did not create. Point them to another origin first.",
        )


def _replaced(
    config: Mapping[str, Any], origins: list[Any], entries: list[Any]
) -> tuple[Config, bool]:
    new = dict(config)
    changed = False
    for name, items in (("Origins", origins), ("CacheBehaviors", entries)):
        if items != _items(config, name):
            new[name] = _listed(config.get(name) or {}, items)
            changed = True
    return new, changed


def _listed(before: Mapping[str, Any], items: list[Any]) -> Config:
    """CloudFront's pair of Quantity and Items; AWS leaves Items out when there are none."""
    rest = {key: value for key, value in before.items() if key not in ("Quantity", "Items")}
    return rest | {"Quantity": len(items)} | ({"Items": items} if items else {})


def _items(config: Mapping[str, Any], name: str) -> list[Any]:
    return list((config.get(name) or {}).get("Items") or ())


def _place(items: Sequence[Mapping[str, Any]], key: str, value: str) -> int | None:
    return next((index for index, item in enumerate(items) if item[key] == value), None)


def _adjusted(existing: Mapping[str, Any], wanted: Mapping[str, Any]) -> Config:
    """`existing`, with every wanted value that it does not have already."""
    return _without_no_policy(
        dict(existing)
        | {
            key: _merged(existing.get(key), value)
            for key, value in wanted.items()
            if not has_settings(existing.get(key), value)
        }
    )


def _without_no_policy(behavior: Mapping[str, Any]) -> Config:
    """AWS takes no empty ID of an origin request policy: a behavior without one leaves it out."""
    none = ("OriginRequestPolicyId", "")
    return {name: value for name, value in behavior.items() if (name, value) != none}


def _merged(existing: Any, wanted: Any) -> Any:
    # Quantity and Items only make sense together, so such a pair is replaced as a whole.
    if isinstance(existing, Mapping) and isinstance(wanted, Mapping) and "Quantity" not in wanted:
        return _adjusted(existing, wanted)
    return wanted


def has_settings(existing: Any, wanted: Any) -> bool:
    """Whether `existing` says what is wanted. It may say more; AWS orders lists of words as it
    likes, and may leave out what is empty or off.
    """
    if existing is None:
        return _is_off(wanted)
    if isinstance(wanted, Mapping):
        return isinstance(existing, Mapping) and all(
            has_settings(existing.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(existing, list) and sorted(map(repr, existing)) == sorted(
            map(repr, wanted)
        )
    return bool(existing == wanted)


def _is_off(wanted: Any) -> bool:
    return all(map(_is_off, wanted.values())) if isinstance(wanted, Mapping) else not wanted
