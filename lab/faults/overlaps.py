"""What becomes of the faults that stay set when one is cleared (PURE).

It decides how a change is found that another fault moved elsewhere, how it is taken out of what
another fault keeps of a listener that is away, how steps name a thing that was made again, and what
must be there for a moment. It must never call AWS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from lab.faults.set_fault import SetFault
from lab.faults.steps.step import JsonObject, Step, like

REMOVED_LISTENER = "remove listener"


def names_now(leaving: Step, others: Iterable[SetFault]) -> Iterator[Step]:
    """The step, and the step again for every other name that a behavior of its distribution has
    been given.
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


def in_the_way(leaving: Step, others: Iterable[SetFault]) -> list[Step]:
    """What must be undone while the step is taken back, and done again after it: CloudFront writes
    no distribution that names a VPC origin which is away.
    """
    if leaving.verb != "edit distribution":
        return []
    hidden = (
        step for step in _steps(others) if step.verb == "set VPC origin" and step.after is None
    )
    return [step for step in hidden if step.account == leaving.account]


def renamed(fault: SetFault, names: Mapping[str, str]) -> SetFault:
    """The fault with new ARNs in the place of old ones, wherever its steps and what it hit name
    them.
    """
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
    """The fault; what it keeps of a removed listener is as if the leaving step had been taken back
    before.
    """
    take_out = _TAKEN_OUT.get(leaving.verb)
    if take_out is None:
        return fault
    steps = tuple(
        _without(step, leaving, take_out)
        if step.verb == REMOVED_LISTENER and _same_place(step, leaving)
        else step
        for step in fault.steps
    )
    return replace(fault, steps=steps)


def _steps(faults: Iterable[SetFault]) -> Iterator[Step]:
    for fault in faults:
        yield from fault.steps


def _same_place(one: Step, other: Step) -> bool:
    return (one.account, one.region) == (other.account, other.region)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """A value with every old name replaced; ARNs end in random letters, so that none is a part of
    another's.
    """
    if isinstance(value, str):
        for old, new in names.items():
            value = value.replace(old, new)
        return value
    if isinstance(value, Mapping):
        return {name: _renamed(item, names) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(item, names) for item in value]
    return value


_TakeOut = Callable[[JsonObject, Step], JsonObject]


def _without(removed: Step, leaving: Step, take_out: _TakeOut) -> Step:
    kept = [take_out(item, leaving) for item in removed.before]
    if leaving.verb != "move listener":
        return replace(removed, before=kept)
    # The key says on which port the listener was.
    keys = {f"{item['listener']['LoadBalancerArn']}:{item['listener']['Port']}" for item in kept}
    return replace(removed, before=kept, key=keys.pop() if len(keys) == 1 else removed.key)


def _port(kept: JsonObject, leaving: Step) -> JsonObject:
    listener = kept["listener"]
    if kept["arn"] != leaving.key or listener["Port"] != leaving.after:
        return kept
    return {**kept, "listener": {**listener, "Port": leaving.before}}


def _actions(kept: JsonObject, leaving: Step) -> JsonObject:
    listener = kept["listener"]
    if kept["arn"] == leaving.key and like(listener["DefaultActions"], leaving.after):
        return {**kept, "listener": {**listener, "DefaultActions": leaving.before}}
    rules = [
        {**rule, "given": {**rule["given"], "Actions": leaving.before}}
        if rule["arn"] == leaving.key and like(rule["given"]["Actions"], leaving.after)
        else rule
        for rule in kept["rules"]
    ]
    return {**kept, "rules": rules}


def _rule(kept: JsonObject, leaving: Step) -> JsonObject:
    if kept["arn"] != leaving.after["listener"]:
        return kept
    # By number and path: another fault may have replaced its actions.
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


_TAKEN_OUT: Mapping[str, _TakeOut] = {
    "move listener": _port,
    "replace actions": _actions,
    "add rule": _rule,
    "set attribute": _attribute,
}
