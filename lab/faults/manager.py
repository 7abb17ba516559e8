"""The faults that are set: sets and clears them, and keeps them over a restart.

A step is stored before it is made, and undone before it is forgotten. So a fault can be cleared
even if the process was killed in between, and whatever has happened to the account since. The
manager never calls AWS while it holds the lab's lock, which the answer needs.
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
from lab.faults.aws_clients import AwsClients, operations_of
from lab.faults.catalogue.call_matching import AwsCall, matches_call
from lab.faults.catalogue.fault import Fault, FaultKind
from lab.faults.catalogue.registry import FAULTS
from lab.faults.overlaps import renamed, under_every_name, undo_first, without_change
from lab.faults.parameters import check
from lab.faults.plans.distributions import PLANS as DISTRIBUTION_PLANS
from lab.faults.plans.networks import PLANS as NETWORK_PLANS
from lab.faults.plans.plan import Plan, PlanContext
from lab.faults.set_fault import SetFault, edge_section, hosts_with, read
from lab.faults.steps import deployments
from lab.faults.steps.cloudfront import STEP_KINDS as CLOUDFRONT_STEPS
from lab.faults.steps.networks import STEP_KINDS as NETWORK_STEPS
from lab.faults.steps.step import Step
from lab.faults.steps.step_kind import StepContext, StepKind, hand_over
from lab.faults.targeting import FaultRefused, FaultTarget, find_target

_ENTITY = "fault"
_STEP_KINDS: Mapping[str, StepKind] = {
    kind.verb: kind for kind in (*NETWORK_STEPS, *CLOUDFRONT_STEPS)
}
_PLANS = {**DISTRIBUTION_PLANS, **NETWORK_PLANS}
NEVER_DEPLOYED = "never-deployed"
_TLS_FAULTS = "origin-certificate-"


class FaultManager:
    """All faults that are set. `changes` grows with every change that the edge must know of."""

    def __init__(
        self, aws: AwsClients, cloudfront: CloudFront, database: LabDatabase, clock: LabClock
    ) -> None:
        self._steps = StepContext(aws, cloudfront)
        self._cloudfront = cloudfront
        self._database = database
        self._clock = clock
        self._one_at_a_time = threading.Lock()
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
        """The faults that the edge must simulate."""
        return edge_section(self.listing())

    def hosts(self, hosts: Mapping[str, str]) -> dict[str, str]:
        """The host map with misbehaving apps in place of targets."""
        return hosts_with(self.listing(), hosts)

    def set(self, name: str, given: Mapping[str, Any], state: State) -> SetFault:
        """Set a fault; `state` is what the edge knows now.

        :raises FaultRefused: no such fault, wrong parameters, nothing to hit, or AWS refused a
        change.
        """
        fault, checked = check(name, given, operations_of)
        with self._one_at_a_time:
            number = max((other.number for other in self._set.values()), default=0) + 1
            made = SetFault(
                f"fault-{secrets.token_hex(4)}", number, fault.name, self._clock.now(), checked
            )
            if fault.kind is FaultKind.CALLS:
                self._store(made)
                if fault.name == NEVER_DEPLOYED:
                    self.hold_deployments()
                return made
            found = find_target(state, checked["distribution"], checked.get("path", "/"))
            made = replace(made, hit=_hit(fault, found))
            if fault.kind is not FaultKind.ACCOUNT:
                self._store(made)
                return made
            context = PlanContext(self._steps.aws, self._cloudfront, state, found, f"lab-{made.id}")
            return self._change_account(made, _PLANS[fault.name](context))

    def clear(self, fault_id: str) -> SetFault:
        """Clear a fault.

        :raises FaultRefused: no fault with that id is set, or AWS refused a change; then the fault
        stays set, and can be cleared again.
        """
        with self._one_at_a_time:
            fault = self._set.get(fault_id)
            if fault is None:
                known = ", ".join(self._set) or "none"
                raise FaultRefused(f"No fault {fault_id!r} is set. Set are: {known}.", 404)
            self._undo_all(fault)
            if fault.name == NEVER_DEPLOYED:
                self._release()
            return fault

    def clear_all(self) -> list[SetFault]:
        """Clear all faults, the newest first.

        :raises FaultRefused: AWS refused a change; newer faults have been cleared.
        """
        return [self.clear(fault.id) for fault in reversed(self.listing())]

    def hold_deployments(self) -> None:
        """Stop all running deployments of accounts that have the fault `never-deployed`."""
        accounts = self._held_accounts()
        if accounts:
            self._cloudfront.change(lambda context: deployments.hold(context, accounts))

    def match_call(self, call: AwsCall) -> Fault | None:
        """The fault that hits this call, which is counted; None if no fault does."""
        if call.own:
            return None
        hit: Fault | None = None
        with self._cloudfront.moto.lock:
            for fault in self.listing():
                if fault.kind is not FaultKind.CALLS or fault.name == NEVER_DEPLOYED:
                    continue
                if not matches_call(fault.name, fault.given, call):
                    continue
                hits = hit is None and fault.calls + 1 >= fault.given.get("nth", 1)
                hits = hits and fault.spent < fault.given.get("times", float("inf"))
                # Counted before the answer is sent, so that no call is hit again after a restart.
                self._store(
                    replace(fault, calls=fault.calls + 1, spent=fault.spent + hits), edge=False
                )
                if hits:
                    hit = FAULTS[fault.name]
        return hit

    def has_call_faults(self, name: str = "") -> bool:
        """Whether any call fault is set, or the one with that name."""
        return any(
            fault.kind is FaultKind.CALLS and name in ("", fault.name)
            for fault in self._set.values()
        )

    def _release(self) -> None:
        held = self._held_accounts()
        self._cloudfront.change(lambda context: deployments.release(context, held))

    def _held_accounts(self) -> frozenset[str]:
        held = [fault for fault in self._set.values() if fault.name == NEVER_DEPLOYED]
        return frozenset(fault.given.get("account", deployments.EVERY_ACCOUNT) for fault in held)

    def _change_account(self, fault: SetFault, plan: Plan) -> SetFault:
        self._store(fault)
        result: Any = None
        try:
            while True:
                step = plan.send(result)
                fault = replace(fault, steps=(*fault.steps, step))
                self._store(fault)
                result = _STEP_KINDS[step.verb].do(self._steps, step)
        except StopIteration:
            return fault
        except FaultRefused:
            self._undo_all(fault)
            raise
        except (ClientError, BotoCoreError, KeyError) as error:
            self._undo_all(fault)
            raise FaultRefused(
                f"The account could not be changed: {error}. The fault is not set.", 409
            ) from error

    def _undo_all(self, fault: SetFault) -> None:
        while fault.steps:
            step = fault.steps[-1]
            shorter = replace(fault, steps=fault.steps[:-1])
            try:
                if self._hand_over(fault, step):
                    self._store(shorter)
                else:
                    self._store(*self._undo(shorter, step))
            except (ClientError, BotoCoreError) as error:
                raise FaultRefused(
                    f"{fault.name} is still set, because {step.verb!r} could not be undone: "
                    f"{error}. Try again.",
                    409,
                ) from error
            fault = self._set[fault.id]
        self._forget(fault)

    def _undo(self, fault: SetFault, step: Step) -> list[SetFault]:
        """Undo a step in the account. Gives the fault without it, and the other faults that change
        with it. All are stored together: if the process is killed before, the undo is repeated with
        the same result.
        """
        others = [other for other in self.listing() if other.id != fault.id]
        names: dict[str, str] = {}
        with self._undone_for_now(undo_first(step, others)):
            for named in under_every_name(step, others):
                names |= _STEP_KINDS[step.verb].undo(self._steps, named) or {}
        changed = [renamed(without_change(other, step), names) for other in others]
        return [
            renamed(fault, names),
            *(new for new, old in zip(changed, others, strict=True) if new != old),
        ]

    @contextmanager
    def _undone_for_now(self, steps: Sequence[Step]) -> Iterator[None]:
        for step in reversed(steps):
            _STEP_KINDS[step.verb].undo(self._steps, step)
        try:
            yield
        finally:
            for step in steps:
                _STEP_KINDS[step.verb].do(self._steps, step)

    def _hand_over(self, fault: SetFault, leaving: Step) -> bool:
        """Whether another fault that changes the same thing takes over the restoring."""
        kind = _STEP_KINDS[leaving.verb]
        others = [other for other in self.listing() if other.id != fault.id]
        # The next later one first: it has overwritten the leaving one.
        for other in sorted(others, key=lambda other: (other.number < fault.number, other.number)):
            for index, staying in enumerate(other.steps):
                if (staying.verb, staying.account, staying.region, staying.key) != (
                    leaving.verb,
                    leaving.account,
                    leaving.region,
                    leaving.key,
                ):
                    continue
                changed = hand_over(kind, leaving, staying, later=other.number > fault.number)
                if changed is not None:
                    steps = (*other.steps[:index], changed, *other.steps[index + 1 :])
                    self._store(replace(other, steps=steps))
                    return True
        return False

    def _store(self, *faults: SetFault, edge: bool = True) -> None:
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


def _hit(fault: Fault, found: FaultTarget) -> dict[str, Any]:
    """What a fault for an endpoint hits.

    :raises FaultRefused: what it acts on is missing.
    """
    if fault.name.startswith(_TLS_FAULTS) and not found.require_listener().terminates_tls:
        raise FaultRefused(
            f"The origin of {found.path} uses plain HTTP. A certificate fault needs https-only and "
            "an HTTPS listener.",
            409,
        )
    if fault.name == "era-2025":
        found.require_vpc_origin()
    targets = (
        found.require_targets()
        if fault.kind is FaultKind.APP or fault.name == "target-cut"
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
