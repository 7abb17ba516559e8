"""Step: the endpoint's origin and behaviors in the distribution, until AWS says Deployed. Forward,
as the plan wants them (none for a removal); backward, as they were before the run.

A distribution is shared, so one write carries every endpoint that waits for it, in either
direction: the run that gets the lock reads the config with its ETag, edits it as all of them need,
and writes with If-Match. Other origins and behaviors stay as they are, and a config with elements
that the installed botocore would drop is never written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from provisioning.aws import distributions, vpc_origins
from provisioning.aws.errors import AwsError
from provisioning.engine.decide import Direction, EntryKind
from provisioning.engine.gathering import seconds_to_wait
from provisioning.engine.outcome import Missing, Outcome, Ready, Refused, Retry, Working
from provisioning.engine.step import StepSide
from provisioning.facts.path_patterns import position_for
from provisioning.facts.watched import DEPLOYED, DISTRIBUTION
from provisioning.models import Run
from provisioning.plan.distribution_config import (
    Conflict,
    with_endpoint,
    without_endpoint,
    would_take_from,
)
from provisioning.redaction.references import references
from provisioning.secrets.encryption import fingerprint
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.parsing import read_spec
from provisioning.steps.context import RunContext, errors_as_outcomes
from provisioning.steps.rows import Part, Rows, WatchFacts

FRESH_SECONDS = 60.0


@errors_as_outcomes
def observe_after(context: RunContext) -> Outcome:
    """Does the distribution have what the plan wants there, and is it Deployed?

    A run that creates asks AWS only if what we know is stale: sweeps keep it fresh while it waits.
    A change can differ in any setting, so it reads them all.
    """
    if context.run.creates:
        watch = _watch(context)
        if watch is None or not _is_in(context, watch):
            return Missing(_intention(context, Direction.FORWARD))
        return _deployed(context, watch.status, watch, Direction.FORWARD)
    return _observe(context, Direction.FORWARD, context.clock())


@errors_as_outcomes
def observe_before(context: RunContext) -> Outcome:
    """Is the distribution as it was before the run, and Deployed? (Only then can a VPC origin be
    deleted.)

    A run that is writing the distribution right now may have picked us as a companion before we
    withdrew, so observe only while nobody writes: later writers no longer find us, until we ask to
    be put back.
    """
    context.rows.wants_to_write("")
    with context.rows.lock(_lock(context)) as alone:
        if not alone:
            return _being_written()
        return _observe(context, Direction.BACKWARD, context.clock())


@errors_as_outcomes
def write_after(context: RunContext) -> Outcome:
    """Write what every run that waits for this distribution needs, in one update."""
    return _write_together(context, Direction.FORWARD)


@errors_as_outcomes
def write_before(context: RunContext) -> Outcome:
    """The same, with the endpoint's own part as it was before the run."""
    return _write_together(context, Direction.BACKWARD)


SWITCH: StepSide[RunContext] = StepSide(observe_after, write_after)
SWITCH_BACK: StepSide[RunContext] = StepSide(observe_before, write_before)


def _write_together(context: RunContext, direction: Direction) -> Outcome:
    distribution_id, now = context.spec.distribution_id, context.clock()
    context.rows.wants_to_write(distribution_id)
    wait = seconds_to_wait(
        context.rows.began("behaviors", EntryKind.INTENT, direction) or now,
        context.rows.others_due(distribution_id, now),
        now,
        context.pace,
    )
    if wait is not None:
        return Retry(
            "Other runs are about to change this distribution; writing together.",
            "busy",
            after=wait,
            quiet=True,
        )
    with context.rows.lock(_lock(context)) as alone:
        if not alone:
            return _being_written()
        companions = context.rows.companions(distribution_id)
        try:
            return _write(context, [(context.run, direction), *companions])
        except AwsError as error:
            if error.transient or error.is_stale or not companions:
                raise
        # A companion needs something that AWS refuses. It will fail by itself; leave it out here.
        return _write(context, [(context.run, direction)])


def _being_written() -> Retry:
    return Retry("Another run is writing this distribution.", "busy", after=1.0, quiet=True)


def _observe(context: RunContext, direction: Direction, began: datetime) -> Outcome:
    """Compare the distribution as AWS shows it with the endpoint's part of it."""
    record = distributions.read(context.aws, context.spec.distribution_id)
    part = _part(context.run, direction)
    if record is None:
        return Ready("The distribution no longer exists.") if part is None else _gone(context)
    if part is None:
        _refuse_to_drop(context, context.run, record.config)
    try:
        _, differs = _edited(context, context.run, direction, record.config)
    except Conflict:
        # The write says what is in the way; reading changes nothing.
        differs = True
    if differs:
        return Missing(_intention(context, direction))
    return _deployed(context, record.status, _record(context, record, began), direction)


def _deployed(
    context: RunContext, status: str, watch: WatchFacts | None, direction: Direction
) -> Outcome:
    text = f"Distribution {context.spec.distribution_id}"
    if status != DEPLOYED and watch is not None:
        return Working(f"{text}: {status}.", watch.id, watch.status)
    context.rows.wants_to_write("")
    part = _part(context.run, direction)
    if part is None:
        return Ready(f"The endpoint is removed from distribution {context.spec.distribution_id}.")
    return Ready(f"{text} is deployed with {', '.join(part['spec']['path_patterns'])}.")


def _intention(context: RunContext, direction: Direction) -> str:
    part = _part(context.run, direction)
    paths = ", ".join((part or context.run.plan_data)["spec"]["path_patterns"])
    distribution_id = context.spec.distribution_id
    if part is None:
        return f"Removing {paths} from distribution {distribution_id}."
    if direction is Direction.BACKWARD:
        return f"Restoring {paths} in distribution {distribution_id}."
    verb, where = ("Adding", "to") if context.run.creates else ("Changing", "in")
    return f"{verb} {paths} {where} distribution {distribution_id}."


def _refuse_to_drop(context: RunContext, run: Run, config: Mapping[str, Any]) -> None:
    """Raises Conflict if behaviors that the portal did not create lead to the endpoint's origin:
    they would go with it.
    """
    ours = run.endpoint.origin_id
    planned = set(run.plan_data["spec"]["path_patterns"])
    if run.applied:
        planned |= set(run.applied["spec"]["path_patterns"])
    leading = {
        behavior["PathPattern"]
        for behavior in (config.get("CacheBehaviors") or {}).get("Items") or ()
        if behavior["TargetOriginId"] == ours
    }
    if strangers := sorted(leading - planned):
        raise Conflict(
            "changed_by_others",
            f"Behavior(s) {', '.join(strangers)} use the portal's origin {ours}, but it did not "
            "create them.",
        )


def _lock(context: RunContext) -> str:
    return f"distribution {context.account.pk} {context.spec.distribution_id}"


def _write(context: RunContext, parts: Sequence[Part]) -> Outcome:
    """One update with all parts, of which the first is the run's own. Raises Conflict if that one
    is impossible; a companion whose part is will fail by itself.
    """
    direction = parts[0][1]
    began = context.clock()
    record = distributions.read(context.aws, context.spec.distribution_id)
    if record is None:
        part = _part(context.run, direction)
        return Ready("The distribution no longer exists.") if part is None else _gone(context)
    config, changed = record.config, []
    for run, side in parts:
        try:
            config, differs = _edited(context, run, side, config)
        except Conflict:
            if run == context.run:
                raise
            continue
        if differs:
            changed.append((run, side))
    if not changed:
        _record(context, record, began)
        return Ready("The distribution is already as it should be.")
    companions = [run for run, _ in changed if run != context.run]
    others = f" together with {len(companions)} other endpoint(s)" if companions else ""
    outcome = _update(context, record, config, f"{_done(context, direction)} distribution", others)
    if isinstance(outcome, Ready):
        for run, side in changed:
            part = _part(run, side)
            names = references(read_spec(part["spec"]).origin_headers) if part else ()
            used_by = f"The origin of {run.endpoint.name}"
            context.rows.record_use(run.endpoint.owner, names, used_by=used_by)
    return outcome


def _done(context: RunContext, direction: Direction) -> str:
    if _part(context.run, direction) is None:
        return "Removed from"
    if direction is Direction.BACKWARD:
        return "Restored in"
    return "Added to" if context.run.creates else "Changed in"


def _gone(context: RunContext) -> Refused:
    return Refused(
        f"Distribution {context.spec.distribution_id} no longer exists.",
        "distribution_gone",
        "Request the endpoint on another distribution.",
    )


class VpcOriginGone(Conflict):
    """The endpoint's VPC origin is not known any more, so nothing can lead to it."""

    def __init__(self) -> None:
        super().__init__("vpc_origin_gone", "The VPC origin for this endpoint was deleted in AWS.")


def _part(run: Run, direction: Direction) -> Mapping[str, Any] | None:
    """The plan whose origin and behaviors the distribution has once the run has gone this way; None
    if it has none of the endpoint's.
    """
    if direction is Direction.BACKWARD:
        return run.applied
    return None if run.removes else run.plan_data


def _edited(
    context: RunContext, run: Run, direction: Direction, config: Mapping[str, Any]
) -> tuple[dict[str, Any], bool]:
    """The configuration with the endpoint's part as the run wants it, and whether it differs.
    Raises Conflict.
    """
    part = _part(run, direction)
    if part is None:
        _refuse_to_drop(context, run, config)
        return without_endpoint(config, run.endpoint.origin_id)
    origin, behaviors = _fragment(context, run, direction, part, config)
    _refuse_to_take(context, run, part, config)
    other = run.plan_data if direction is Direction.BACKWARD else run.applied
    patterns = part["spec"]["path_patterns"]
    dropped = [
        pattern
        for pattern in (other["spec"]["path_patterns"] if other else ())
        if pattern not in patterns
    ]
    return with_endpoint(config, origin, behaviors, position_for, dropped)


def _refuse_to_take(
    context: RunContext, run: Run, part: Mapping[str, Any], config: Mapping[str, Any]
) -> None:
    """Raises Conflict if the behaviors of `part` would take requests that nobody agreed to: those
    of a behavior that came after the plan was checked, unless it leads to another endpoint of the
    team.
    """
    agreed = part["relies_on"]["takes_requests_from"]
    patterns = part["spec"]["path_patterns"]
    taken = would_take_from(config, patterns, position_for)
    if not taken:
        return
    teams = set(context.rows.team_origins(run))
    for pattern, origin in taken:
        if origin not in teams and f"{pattern} to {origin}" not in agreed:
            raise Conflict(
                "path_contested",
                f"The distribution has a new behavior for {pattern}, with origin {origin}, and "
                f"{', '.join(patterns)} would take requests from it.",
            )


def _update(
    context: RunContext,
    record: distributions.DistributionRecord,
    config: dict[str, Any],
    done: str,
    others: str = "",
) -> Outcome:
    context.renew_lease()
    try:
        written = distributions.write(context.aws, record, config)
    except AwsError as error:
        if error.is_stale:
            return Retry(
                "The distribution was changed at the same time; reading it again.",
                error.code,
                1.0,
            )
        if error.code == "NoSuchDistribution":
            return Retry(
                "The distribution was deleted at the same time; checking again.",
                error.code,
                1.0,
            )
        if error.code == "EntityNotFound" and (refused := _kept_out_by_others(context, record)):
            return refused
        raise
    detail = distributions.outline(written)
    now = context.clock()
    distribution_id = context.spec.distribution_id
    context.rows.record_write(DISTRIBUTION, distribution_id, written.status, detail, now)
    context.rows.wake_companions(distribution_id, now)
    return Ready(f"{done} {distribution_id}{others}.")


def _kept_out_by_others(
    context: RunContext, record: distributions.DistributionRecord
) -> Refused | None:
    """CloudFront refuses every update of a distribution while one of its origins names a VPC origin
    that was deleted or is no longer shared. None if that is our own, or none is found.
    """
    unusable = vpc_origins.unusable(context.aws, record.facts.origins)
    others = [one for one in unusable if one.id != _origin_id(context)]
    if not others:
        return None
    first = others[0]
    used = ", ".join(record.facts.patterns_of(first.id)) or "no path"
    whose, ask = "", "Let"
    if first.owner_account:
        whose = f" of account {first.owner_account}"
        ask = f"Ask account {first.owner_account} to share it again in AWS RAM, or let"
    return Refused(
        f"CloudFront does not accept changes of distribution {record.facts.id}: its origin "
        f"{first.id} ({used}) uses VPC origin {first.vpc_origin_id}{whose}, which was deleted or "
        "is no longer shared.",
        "other_origin_unusable",
        f"{ask} the distribution's owner remove that origin and its behaviors.",
    )


def _fragment(
    context: RunContext,
    run: Run,
    direction: Direction,
    part: Mapping[str, Any],
    config: Mapping[str, Any],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The origin and behaviors of a plan. The values of custom headers are in no plan: they are
    copied from another origin of `config` where the plan says so, or are the endpoint's own. Raises
    Conflict.
    """
    spec = read_spec(part["spec"])
    vpc_origin_id = context.rows.vpc_origin_id(spec.account_id, spec.vpc_origin_key)
    if not vpc_origin_id:
        raise VpcOriginGone
    planned = next(item["after"] for item in part["items"] if item["resource"] == "origin")
    # Also what an adopted origin has otherwise than the portal would build it.
    words = ("VpcOriginName", "CustomHeadersFrom")
    origin = {name: value for name, value in planned.items() if name not in words}
    headers = planned["CustomHeaders"].get("Items", ())
    copied = {one["HeaderName"] for one in headers if "ValueFingerprint" not in one}
    own = {
        one["HeaderName"]: one["ValueFingerprint"] for one in headers if "ValueFingerprint" in one
    }
    if headers:
        items = _headers_of(config, planned["CustomHeadersFrom"], copied) if copied else []
        present = _sent(config, origin["Id"])
        items += _own_headers(context.rows, run, direction, spec, own, present)
        origin["CustomHeaders"] = {"Quantity": len(items), "Items": items}
    origin["VpcOriginConfig"] = {"VpcOriginId": vpc_origin_id} | origin["VpcOriginConfig"]
    behaviors = [
        item["after"] for item in part["items"] if item["resource"] == "behavior" and item["after"]
    ]
    return origin, behaviors


def _headers_of(
    config: Mapping[str, Any], origin_id: str, planned: Collection[str]
) -> list[dict[str, str]]:
    """The planned custom headers with the values that another origin has for them, and no others.
    Raises Conflict if one is gone, since the endpoint would not work without it.
    """
    found = [
        {"HeaderName": name, "HeaderValue": value}
        for name, value in _sent(config, origin_id).items()
        if name in planned
    ]
    if len(found) < len(planned):
        raise Conflict(
            "headers_gone",
            f"Origin {origin_id} no longer has the headers {', '.join(sorted(planned))}, which the "
            "approved plan carries over.",
        )
    return found


def _own_headers(
    rows: Rows,
    run: Run,
    direction: Direction,
    spec: EndpointSpec,
    planned: Mapping[str, str],
    present: Mapping[str, str],
) -> list[dict[str, str]]:
    """The endpoint's own headers with the values whose fingerprints the plan has: as the secrets
    say now, or as they are `present` in the distribution. Raises Conflict if neither fits.

    What is put back has been approved with a value that may exist nowhere any more: then it gets
    the secret's value of today.
    """
    values = rows.header_values(spec, run.endpoint.owner)
    found = []
    for name, wanted in planned.items():
        known = [one[name] for one in (values, present) if name in one]
        value = next((one for one in known if fingerprint(name, one) == wanted), None)
        if value is None and direction is Direction.BACKWARD:
            value = values.get(name)
        if value is None and name in values:
            raise Conflict(
                "secret_replaced",
                f"A secret in the header {name} was replaced after the plan was approved.",
            )
        if value is None:
            raise Conflict("secret_unknown", f"A secret in the header {name} no longer exists.")
        found.append({"HeaderName": name, "HeaderValue": value})
    return found


def _sent(config: Mapping[str, Any], origin_id: str) -> dict[str, str]:
    """The custom headers of an origin as the distribution has them."""
    return {
        header["HeaderName"]: header["HeaderValue"]
        for origin in config["Origins"]["Items"]
        if origin["Id"] == origin_id
        for header in (origin.get("CustomHeaders") or {}).get("Items") or ()
    }


def _watch(context: RunContext) -> WatchFacts | None:
    """What AWS says about the distribution, at most a minute old (of AWS's time) unless sweeps keep
    it fresh: they look only for runs that wait.
    """
    watch = context.rows.watch(DISTRIBUTION, context.spec.distribution_id)
    now = context.clock()
    if watch is not None and (
        watch.waited_for or now - watch.seen_at <= timedelta(seconds=FRESH_SECONDS / context.pace)
    ):
        return watch
    record = distributions.read(context.aws, context.spec.distribution_id)
    return _record(context, record, now) if record else None


def _record(
    context: RunContext, record: distributions.DistributionRecord, began: datetime
) -> WatchFacts:
    return context.rows.record_observation(
        DISTRIBUTION,
        context.spec.distribution_id,
        record.status,
        distributions.outline(record),
        began=began,
        now=context.clock(),
    )


def _is_in(context: RunContext, watch: WatchFacts) -> bool:
    ours = _origin_id(context)
    behaviors = watch.detail.get("behaviors", {})
    return ours in watch.detail.get("origins", ()) and all(
        behaviors.get(pattern) == ours for pattern in context.spec.path_patterns
    )


def _origin_id(context: RunContext) -> str:
    return context.endpoint.origin_id
