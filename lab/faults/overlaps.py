"""What clearing one fault means for the others that are set (PURE).

Faults overlap: one moves what another changed, removes the listener that another edited, or hides a
VPC origin that an update needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from lab.faults.set_fault import SetFault
from lab.faults.steps.step import JsonObject, Step, unchanged

REMOVED_LISTENER = "remove listener"


def under_every_name(leaving: Step, others: Iterable[SetFault]) -> Iterator[Step]:
    """The step, and the same step for every path pattern that another fault has given to its
    behavior.
    """
    yield leaving
    if leaving.verb != "edit distribution":
        return
    distribution, where, field = leaving.key.split("|")
    for step in _steps(others):
        if (
            step.verb == leaving.verb
            and step.key == f"{distribution}|{where}|PathPattern"
            and field != "PathPattern"
        ):
            yield replace(leaving, key=f"{distribution}|{step.after}|{field}")


def undo_first(leaving: Step, others: Iterable[SetFault]) -> list[Step]:
    """Steps to undo before this one is undone, and to make again afterwards: CloudFront updates no
    distribution that names a missing VPC origin.
    """
    if leaving.verb != "edit distribution":
        return []
    hidden = (
        step for step in _steps(others) if step.verb == "set VPC origin" and step.after is None
    )
    return [step for step in hidden if step.account == leaving.account]


def renamed(fault: SetFault, names: Mapping[str, str]) -> SetFault:
    """The fault with old ARNs replaced by new ones, in its steps and in what it hits."""
    steps = tuple(
        replace(
            step,
            key=_renamed(step.key, names),
            before=_renamed(step.before, names),
            after=_renamed(step.after, names),
        )
        for step in fault.steps
    )
    return replace(fault, steps=steps, hit=_renamed(fault.hit, names))


def without_change(fault: SetFault, leaving: Step) -> SetFault:
    """The fault, in whose copy of a removed listener the leaving step has been undone."""
    undo = _UNDONE_IN_COPY.get(leaving.verb)
    if undo is None:
        return fault
    steps = tuple(
        _without(step, leaving, undo)
        if step.verb == REMOVED_LISTENER
        and (step.account, step.region) == (leaving.account, leaving.region)
        else step
        for step in fault.steps
    )
    return replace(fault, steps=steps)


def _steps(faults: Iterable[SetFault]) -> Iterator[Step]:
    for fault in faults:
        yield from fault.steps


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """A value with every old ARN replaced. ARNs end in random letters, so none contains another."""
    if isinstance(value, str):
        for old, new in names.items():
            value = value.replace(old, new)
        return value
    if isinstance(value, Mapping):
        return {name: _renamed(item, names) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(item, names) for item in value]
    return value


_Undo = Callable[[JsonObject, Step], JsonObject]


def _without(removed: Step, leaving: Step, undo: _Undo) -> Step:
    kept = [undo(item, leaving) for item in removed.before]
    if leaving.verb != "move listener":
        return replace(removed, before=kept)
    # The key contains the port.
    keys = {f"{item['listener']['LoadBalancerArn']}:{item['listener']['Port']}" for item in kept}
    return replace(removed, before=kept, key=keys.pop() if len(keys) == 1 else removed.key)


def _port(kept: JsonObject, leaving: Step) -> JsonObject:
    listener = kept["listener"]
    if kept["arn"] != leaving.key or listener["Port"] != leaving.after:
        return kept
    return {**kept, "listener": {**listener, "Port": leaving.before}}


def _actions(kept: JsonObject, leaving: Step) -> JsonObject:
    listener = kept["listener"]
    if kept["arn"] == leaving.key and unchanged(listener["DefaultActions"], leaving.after):
        return {**kept, "listener": {**listener, "DefaultActions": leaving.before}}
    rules = [
        {**rule, "given": {**rule["given"], "Actions": leaving.before}}
        if rule["arn"] == leaving.key and unchanged(rule["given"]["Actions"], leaving.after)
        else rule
        for rule in kept["rules"]
    ]
    return {**kept, "rules": rules}


def _rule(kept: JsonObject, leaving: Step) -> JsonObject:
    if kept["arn"] != leaving.after["listener"]:
        return kept
    # By priority and path: another fault may have replaced its actions.
    ours = (int(leaving.after["rule"]["Priority"]), leaving.after["rule"]["Conditions"])
    rules = [
        rule
        for rule in kept["rules"]
        if (rule["given"]["Priority"], rule["given"]["Conditions"]) != ours
    ]
    return {**kept, "rules": rules}


def _attribute(kept: JsonObject, leaving: Step) -> JsonObject:
    if kept["arn"] != leaving.key:
        return kept
    attributes = [
        {**item, "Value": leaving.before[item["Key"]]}
        if leaving.after.get(item["Key"]) == item["Value"]
        else item
        for item in kept["attributes"]
    ]
    return {**kept, "attributes": attributes}


_UNDONE_IN_COPY: Mapping[str, _Undo] = {
    "move listener": _port,
    "replace actions": _actions,
    "add rule": _rule,
    "set attribute": _attribute,
}
