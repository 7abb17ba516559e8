"""The differences between two plans: for people, and to decide if an approval still holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioning.plan.items import binding
from provisioning.plan.reliance import NOT_KNOWN
from provisioning.spec.fields import FIELD


def what_changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The differences between two plans (their dicts), one line each, for people."""
    sentences = []
    for part in ("spec", "relies_on"):
        before, after = old.get(part, {}), new.get(part, {})
        for key in sorted(set(before) | set(after)):
            if before.get(key) != after.get(key):
                what = FIELD[key].label if key in FIELD else key.replace("_", " ")
                sentences.append(
                    f"{what}: was {_brief(before.get(key))}, is now {_brief(after.get(key))}"
                )
    old_items = {(item["resource"], item["title"]): item for item in old.get("items", ())}
    new_items = {(item["resource"], item["title"]): item for item in new.get("items", ())}
    for key in sorted(set(old_items) | set(new_items)):
        before_item, after_item = old_items.get(key), new_items.get(key)
        if before_item is None:
            sentences.append(f"new in the plan: {key[1]}")
        elif after_item is None:
            sentences.append(f"no longer in the plan: {key[1]}")
        elif binding(before_item) != binding(after_item):
            was, now = before_item["action"], after_item["action"]
            told = f" (was {was}, is now {now})" if was != now else ""
            fingerprints = _fingerprints(before_item)
            others = [
                name
                for name, value in _fingerprints(after_item).items()
                if fingerprints.get(name, value) != value
            ]
            if others:
                told += f" (another value of {', '.join(others)})"
            sentences.append(f"changed: {key[1]}{told}")
    return sentences


def no_longer_known(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The facts that plan `old` had seen and plan `new` (their dicts) could not: ask AWS again."""
    before, after = old.get("relies_on", {}), new.get("relies_on", {})
    return sorted(
        key
        for key, value in after.items()
        if value == NOT_KNOWN and before.get(key, NOT_KNOWN) != NOT_KNOWN
    )


def _fingerprints(item: Mapping[str, Any]) -> dict[str, str]:
    """Those of the custom headers of an item, by name."""
    headers = ((item["after"] or {}).get("CustomHeaders") or {}).get("Items") or ()
    return {one["HeaderName"]: one.get("ValueFingerprint", "") for one in headers}


def _brief(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if text else "nothing"
