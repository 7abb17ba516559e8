"""The faults that are set: sets them, clears them, and keeps them over a restart.

It decides the order: a step is written down, then done; it is taken back, then forgotten. So a
fault can be cleared whatever was killed, and whatever became of the account meanwhile. It must
never hold the lab's lock while it calls AWS.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lab.aws.cloudfront.service import CloudFront
from lab.aws.database import LabDatabase
from lab.clock import LabClock
from lab.edge.account.state import State
from lab.faults.aws_clients import Aws, operations_of
from lab.faults.catalogue.call_matching import Call, matches_call
from lab.faults.catalogue.fault import Fault, Kind
from lab.faults.catalogue.registry import FAULTS
from lab.faults.overlaps import in_the_way, names_now, renamed, without_change
from lab.faults.parameters import check
from lab.faults.plans.distributions import PLANS as DISTRIBUTION_PLANS
from lab.faults.plans.networks import PLANS as NETWORK_PLANS
from lab.faults.plans.networks import Circumstances, Plan
from lab.faults.set_fault import (
    SetFault,
    edge_section,
    hosts_with,
    read,
    with_step,
    without_last_step,
)
from lab.faults.steps import deployments
from lab.faults.steps.cloudfront import VERBS as CLOUDFRONT_VERBS
from lab.faults.steps.networks import VERBS as NETWORK_VERBS
from lab.faults.steps.step import Step
from lab.faults.steps.step_kinds import Hands, Verb, hand_over
from lab.faults.targeting import Aim, FaultRefused, aim

_ENTITY = "fault"
_VERBS: Mapping[str, Verb] = {**NETWORK_VERBS, **CLOUDFRONT_VERBS}
_PLANS = {**DISTRIBUTION_PLANS, **NETWORK_PLANS}
NEVER_DEPLOYED = "never-deployed"
_TLS_FAULTS = "origin-certificate-"


class Faults:
    """All faults that are set. `changes` grows with every change that the edge must hear of."""

    def __init__(
        self, aws: Aws, cloudfront: CloudFront, database: LabDatabase, clock: LabClock
    ) -> None:
        self._hands = Hands(aws, cloudfront)
        self._cloudfront = cloudfront
        self._database = database
        self._clock = clock
        self._turn = threading.Lock()
        self._set: dict[str, SetFault] = {}
        self.changes = 0
        for document in database.entities(_ENTITY):
            if document["name"] in FAULTS:
                fault = read(document)
                self._set[fault.id] = fault
        self._release()

    def listing(self) -> list[SetFault]:
        """Every fault that is set, oldest first."""
        return sorted(self._set.values(), key=lambda fault: fault.number)

    def edge_section(self) -> list[dict[str, Any]]:
        """What the edge must act out."""
        return edge_section(self.listing())

    def hosts(self, hosts: Mapping[str, str]) -> dict[str, str]:
        """The host map with misbehaving apps in the place of targets."""
        return hosts_with(self.listing(), hosts)

    def set(self, name: str, given: Mapping[str, Any], state: State) -> SetFault:
        """Set a fault; `state` is what the edge knows now.

        :raises FaultRefused: no such fault, wrong parameters, nothing there to hit, or AWS refused
        a change.
        """
        fault, checked = check(name, given, operations_of)
        with self._turn:
            number = max((other.number for other in self._set.values()), default=0) + 1
            made = SetFault(
                f"fault-{secrets.token_hex(4)}", number, fault.name, self._clock.now(), checked
            )
            if fault.kind is Kind.CALLS:
                self._keep(made)
                if fault.name == NEVER_DEPLOYED:
                    self.hold_deployments()
                return made
            found = aim(state, checked["distribution"], checked.get("path", "/"))
            made = replace(made, hit=_hit(fault, found))
            if fault.kind is not Kind.ACCOUNT:
                self._keep(made)
                return made
            circumstances = Circumstances(
                self._hands.aws, self._cloudfront, state, found, f"lab-{made.id}"
            )
            return self._change_account(made, _PLANS[fault.name](circumstances))

    def clear(self, fault_id: str) -> SetFault:
        """Take one back.

        :raises FaultRefused: none of that id is set, or AWS refused; then it stays set and may be
        cleared again.
        """
        with self._turn:
            fault = self._set.get(fault_id)
            if fault is None:
                known = ", ".join(self._set) or "none"
                raise FaultRefused(f"no fault {fault_id!r} is set; set are: {known}", 404)
            self._take_back(fault)
            if fault.name == NEVER_DEPLOYED:
                self._release()
            return fault

    def clear_all(self) -> list[SetFault]:
        """Take all back, the newest first.

        :raises FaultRefused: AWS refused; those before it are cleared.
        """
        return [self.clear(fault.id) for fault in reversed(self.listing())]

    def hold_deployments(self) -> None:
        """Keep what is being deployed from ever being deployed, in the accounts that have the fault
        for it.
        """
        accounts = self._held_accounts()
        if accounts:
            self._cloudfront.change(lambda context: deployments.hold(context, accounts))

    def strike(self, call: Call) -> Fault | None:
        """The fault that this call meets, counted; None to let it pass."""
        if call.own:
            return None
        struck: Fault | None = None
        with self._cloudfront.moto.lock:
            for fault in self.listing():
                if fault.kind is not Kind.CALLS or fault.name == NEVER_DEPLOYED:
                    continue
                if not matches_call(fault.name, fault.given, call):
                    continue
                hits = struck is None and fault.calls + 1 >= fault.given.get("nth", 1)
                hits = hits and fault.spent < fault.given.get("times", float("inf"))
                # Counted before the answer goes out, so that a restart does not strike a call too
                # often.
                self._keep(
                    replace(fault, calls=fault.calls + 1, spent=fault.spent + hits), edge=False
                )
                if hits:
                    struck = FAULTS[fault.name]
        return struck

    def any_of_calls(self, name: str = "") -> bool:
        """Whether any fault of calls is set, or the one of that name."""
        return any(
            fault.kind is Kind.CALLS and name in ("", fault.name) for fault in self._set.values()
        )

    def _release(self) -> None:
        held = self._held_accounts()
        self._cloudfront.change(lambda context: deployments.release(context, held))

    def _held_accounts(self) -> frozenset[str]:
        held = [fault for fault in self._set.values() if fault.name == NEVER_DEPLOYED]
        return frozenset(fault.given.get("account", deployments.EVERY_ACCOUNT) for fault in held)

    def _change_account(self, fault: SetFault, plan: Plan) -> SetFault:
        self._keep(fault)
        result: Any = None
        try:
            while True:
                step = plan.send(result)
                fault = with_step(fault, step)
                self._keep(fault)
                result = _VERBS[step.verb].do(self._hands, step)
        except StopIteration:
            return fault
        except FaultRefused:
            self._take_back(fault)
            raise
        except (ClientError, BotoCoreError, KeyError) as error:
            self._take_back(fault)
            raise FaultRefused(
                f"the account could not be changed: {error}. Nothing is set", 409
            ) from error

    def _take_back(self, fault: SetFault) -> None:
        while fault.steps:
            step = fault.steps[-1]
            shorter = without_last_step(fault)
            try:
                if self._handed_over(fault, step):
                    self._keep(shorter)
                else:
                    self._keep(*self._undone(shorter, step))
            except (ClientError, BotoCoreError) as error:
                why = (
                    f"{fault.name} is still set, because {step.verb} could not be taken back: "
                    f"{error}. Try again"
                )
                raise FaultRefused(why, 409) from error
            fault = self._set[fault.id]
        self._forget(fault)

    def _undone(self, fault: SetFault, step: Step) -> list[SetFault]:
        """Take a step back in the account. The fault without it, and the others as they must be
        from then on: kept together, so that whoever is killed before does it once more to the same
        end.
        """
        others = [other for other in self.listing() if other.id != fault.id]
        names: dict[str, str] = {}
        with self._put_aside(in_the_way(step, others)):
            for named in names_now(step, others):
                names |= _VERBS[step.verb].undo(self._hands, named) or {}
        changed = [renamed(without_change(other, step), names) for other in others]
        return [
            renamed(fault, names),
            *(new for new, old in zip(changed, others, strict=True) if new != old),
        ]

    @contextmanager
    def _put_aside(self, steps: Sequence[Step]) -> Iterator[None]:
        for step in reversed(steps):
            _VERBS[step.verb].undo(self._hands, step)
        try:
            yield
        finally:
            for step in steps:
                _VERBS[step.verb].do(self._hands, step)

    def _handed_over(self, fault: SetFault, leaving: Step) -> bool:
        """Whether another fault that changes the same thing takes over what is to be put back in
        the end.
        """
        verb = _VERBS[leaving.verb]
        others = [other for other in self.listing() if other.id != fault.id]
        # The next later one first: it is the one that wrote over the leaving one.
        for other in sorted(others, key=lambda other: (other.number < fault.number, other.number)):
            for index, staying in enumerate(other.steps):
                if (staying.verb, staying.account, staying.region, staying.key) != (
                    leaving.verb,
                    leaving.account,
                    leaving.region,
                    leaving.key,
                ):
                    continue
                changed = hand_over(verb, leaving, staying, later=other.number > fault.number)
                if changed is not None:
                    steps = (*other.steps[:index], changed, *other.steps[index + 1 :])
                    self._keep(replace(other, steps=steps))
                    return True
        return False

    def _keep(self, *faults: SetFault, edge: bool = True) -> None:
        with self._cloudfront.moto.lock, self._database.transaction():
            for fault in faults:
                self._database.put_entity(_ENTITY, fault.id, fault.document())
            self._set = {**self._set, **{fault.id: fault for fault in faults}}
            self.changes += edge

    def _forget(self, fault: SetFault) -> None:
        with self._cloudfront.moto.lock, self._database.transaction():
            self._database.delete_entity(_ENTITY, fault.id)
            self._set = {id: other for id, other in self._set.items() if id != fault.id}
            self.changes += 1


def _hit(fault: Fault, found: Aim) -> dict[str, Any]:
    """What a fault for an endpoint must find there, and what it has found.

    :raises FaultRefused: what it is to act on is missing.
    """
    if fault.name.startswith(_TLS_FAULTS) and not found.need_listener().terminates_tls:
        why = (
            f"the origin of {found.path} is reached over plain HTTP; a certificate fault needs "
            "https-only"
        )
        raise FaultRefused(f"{why} and an HTTPS listener", 409)
    if fault.name == "era-2025":
        found.need_vpc_origin()
    targets = (
        found.need_targets()
        if fault.kind is Kind.APP or fault.name == "target-cut"
        else found.targets
    )
    return {
        "account": found.distribution.account,
        "distribution": found.distribution.id,
        "domain": found.distribution.domain,
        "path": found.path,
        "vpc_origin": found.vpc_origin.id if found.vpc_origin else "",
        "load_balancer": found.balancer.arn if found.balancer else "",
        "listener": found.listener.arn if found.listener else "",
        "targets": list(targets),
    }
