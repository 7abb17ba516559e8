"""Step: origin and behaviors in the distribution, and AWS says Deployed.

A distribution is shared, so one write carries every endpoint that waits for it: the run that gets
the lock reads the config with its ETag, adds what all of them want, and writes with If-Match.
Nobody else's origin or behavior is touched, and a config with elements that the installed botocore
would drop is not written at all.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from provisioning.aws import distributions
from provisioning.aws.errors import AwsError
from provisioning.engine.decide import Kind
from provisioning.engine.outcome import Missing, Outcome, Ready, Refused, Retry, Working
from provisioning.facts import names
from provisioning.locks import only_one
from provisioning.models import Run, VpcOrigin, Watch
from provisioning.plan.behaviors import desired_behavior, desired_origin, position_for
from provisioning.plan.distribution_config import Conflict, with_endpoint, without_endpoint
from provisioning.poller import distribution_detail
from provisioning.steps.context import RunContext, answering_errors
from provisioning.watches import DEPLOYED, note_look, note_write

FRESH_SECONDS = 60.0
GATHER_SECONDS = 10.0


@answering_errors
def see(context: RunContext) -> Outcome:
    """Are our origin and behaviors in, and is that Deployed?"""
    watch = _watch(context)
    if watch is None or not _is_in(context, watch):
        return Missing(
            f"Adding {', '.join(context.spec.path_patterns)} to {context.spec.distribution_id}."
        )
    if watch.status == DEPLOYED:
        Run.objects.filter(pk=context.run.pk).update(writes_distribution="")
        return Ready(
            f"{context.spec.distribution_id} is Deployed with "
            f"{', '.join(context.spec.path_patterns)}."
        )
    return Working(
        f"AWS says {context.spec.distribution_id} is {watch.status}.", watch.pk, watch.status
    )


@answering_errors
def publish(context: RunContext) -> Outcome:
    """Write what everybody who waits for this distribution wants, in one update."""
    distribution_id = context.spec.distribution_id
    Run.objects.filter(pk=context.run.pk).update(writes_distribution=distribution_id)
    if _others_are_about_to(context):
        return Retry(
            "Others are about to change the same distribution; going together.",
            "busy",
            after=1.0,
            quiet=True,
        )
    with only_one(_lock(context)) as alone:
        if not alone:
            return Retry(
                "Another run is writing the same distribution.", "busy", after=1.0, quiet=True
            )
        companions = list(
            Run.objects.active()
            .select_related("endpoint")
            .filter(writes_distribution=distribution_id, endpoint__account=context.account)
            .exclude(state=Run.State.UNDOING)
            .exclude(entries__kind=Kind.CANCEL)
            .exclude(pk=context.run.pk)
        )
        try:
            return _write(context, [context.run, *companions])
        except Conflict:
            if not companions:
                raise
        except AwsError as error:
            if error.transient or error.is_stale or not companions:
                raise
        # A companion asks for something impossible: it will be told so itself, and spoils nobody
        # else's write.
        return _write(context, [context.run])


@answering_errors
def see_that_it_is_gone(context: RunContext) -> Outcome:
    """Are our origin and behaviors out, and is that Deployed? (Only then does AWS let go of the VPC
    origin.)

    Whoever writes the distribution at this moment may have listed us as a companion before we took
    our name off, so we look only once no write is under way: later writers do not find us any more.
    """
    Run.objects.filter(pk=context.run.pk).update(writes_distribution="")
    with only_one(_lock(context)) as alone:
        if not alone:
            return Retry(
                "Another run is writing the same distribution.", "busy", after=1.0, quiet=True
            )
        began = context.clock()
        record = distributions.read(context.aws, context.spec.distribution_id)
    if record is None:
        return Ready("The distribution is gone, and ours with it.")
    ours = _origin_id(context)
    theirs = [b.path_pattern for b in record.facts.behaviors if b.target_origin_id == ours]
    if record.facts.origin(ours) is None and not theirs:
        watch = _note(context, record, began)
        if record.status == DEPLOYED or watch is None:
            return Ready(f"Nothing of ours is left in {context.spec.distribution_id}.")
        return Working(
            f"AWS says {context.spec.distribution_id} is {record.status}.", watch.pk, watch.status
        )
    if refused := _led_to_us_by_others(context, record):
        return refused
    return Missing(
        f"Taking {', '.join(context.spec.path_patterns)} out of {context.spec.distribution_id}."
    )


@answering_errors
def withdraw(context: RunContext) -> Outcome:
    """Take out our behaviors and our origin, and nothing else."""
    distribution_id = context.spec.distribution_id
    with only_one(_lock(context)) as alone:
        if not alone:
            return Retry(
                "Another run is writing the same distribution.", "busy", after=1.0, quiet=True
            )
        record = distributions.read(context.aws, distribution_id)
        if record is None:
            return Ready("The distribution is gone.")
        if refused := _led_to_us_by_others(context, record):
            return refused
        config, changed = without_endpoint(record.config, _origin_id(context))
        if not changed:
            return Ready("Nothing to take out any more.")
        return _update(context, record, config, "Taken out")


def _led_to_us_by_others(
    context: RunContext, record: distributions.DistributionRecord
) -> Refused | None:
    ours = _origin_id(context)
    leading = {
        behavior.path_pattern
        for behavior in record.facts.behaviors
        if behavior.target_origin_id == ours
    }
    strangers = sorted(leading - set(context.spec.path_patterns))
    if not strangers:
        return None
    return Refused(
        f"Somebody made the behavior(s) {', '.join(strangers)} lead to our origin {ours}.",
        "changed_by_others",
        "Point them elsewhere first; the portal does not remove what it did not make.",
    )


def _others_are_about_to(context: RunContext) -> bool:
    """Whether other runs on this distribution are due and may come here in a moment. Nobody waits
    for them long.
    """
    now = context.clock()
    began = (
        context.run.entries.filter(step="behaviors", kind=Kind.INTENT)
        .order_by("seq")
        .values_list("at", flat=True)
    )
    if now - began[0] > timedelta(seconds=GATHER_SECONDS / context.pace):
        return False
    due = Run.objects.active().filter(
        due_at__lte=now, writes_distribution="", endpoint__account=context.account
    )
    same = due.filter(plan_data__spec__distribution_id=context.spec.distribution_id)
    return bool(same.exclude(pk=context.run.pk).exclude(state=Run.State.UNDOING).exists())


def _lock(context: RunContext) -> str:
    return f"distribution {context.account.pk} {context.spec.distribution_id}"


def _write(context: RunContext, runs: list[Run]) -> Outcome:
    began = context.clock()
    record = distributions.read(context.aws, context.spec.distribution_id)
    if record is None:
        return Refused(
            f"The distribution {context.spec.distribution_id} is gone.",
            "distribution_gone",
            "Ask for the endpoint on another distribution.",
        )
    config, changed = record.config, False
    for run in runs:
        fragment = _fragment(run, context.owner)
        if fragment is None and run == context.run:
            return Refused(
                "The VPC origin that was made for this has been removed.",
                "vpc_origin_gone",
                "Somebody deleted it in AWS. Ask for the endpoint again.",
            )
        if fragment is None:
            continue
        config, differs = with_endpoint(config, *fragment, position_for)
        changed = changed or differs
    if not changed:
        _note(context, record, began)
        return Ready("It is in already.")
    others = f", together with {len(runs) - 1} other endpoint(s)" if len(runs) > 1 else ""
    return _update(context, record, config, f"AWS accepted the change{others}")


def _update(
    context: RunContext, record: distributions.DistributionRecord, config: dict[str, Any], done: str
) -> Outcome:
    context.hold()
    try:
        written = distributions.write(context.aws, record, config)
    except AwsError as error:
        if error.is_stale:
            return Retry(
                "Somebody changed the distribution at the same moment; reading it again.",
                error.code,
                1.0,
            )
        if error.code == "NoSuchDistribution":
            return Retry(
                "Somebody deleted the distribution at the same moment; looking again.",
                error.code,
                1.0,
            )
        raise
    detail = distribution_detail(written)
    now = context.clock()
    note_write(
        context.account,
        Watch.Resource.DISTRIBUTION,
        context.spec.distribution_id,
        written.status,
        detail,
        now,
    )
    companions = Run.objects.active().filter(
        writes_distribution=context.spec.distribution_id,
        endpoint__account=context.account,
        lease_until__isnull=True,
    )
    companions.make_due(now)
    return Ready(f"{done}: {context.spec.distribution_id}.")


def _fragment(run: Run, owner: str) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """What a run wants in the distribution; None while its VPC origin is not known."""
    spec, key = run.spec, run.endpoint.key
    row = VpcOrigin.objects.filter(account_id=spec.account_id, key=spec.vpc_origin_key).first()
    if row is None or not row.aws_id:
        return None
    planned = next(item for item in run.plan_data["items"] if item["resource"] == "origin")
    origin = desired_origin(spec, planned["after"]["DomainName"], key, owner)
    origin["VpcOriginConfig"] = {"VpcOriginId": row.aws_id} | origin["VpcOriginConfig"]
    return origin, [desired_behavior(spec, pattern, key, owner) for pattern in spec.path_patterns]


def _watch(context: RunContext) -> Watch | None:
    """What AWS says of the distribution, not older than a minute (of AWS's time) unless a sweep
    keeps it fresh.
    """
    key = {
        "account": context.account,
        "resource": Watch.Resource.DISTRIBUTION,
        "aws_id": context.spec.distribution_id,
    }
    watch = Watch.objects.filter(**key).first()
    now = context.clock()
    # Sweeps look for runs that wait; one that is stuck still names its watch, and nobody looks for
    # it any more.
    kept_fresh = watch is not None and watch.waiters.filter(state=Run.State.WAITING).exists()
    if watch is not None and (
        kept_fresh or now - watch.seen_at <= timedelta(seconds=FRESH_SECONDS / context.pace)
    ):
        return watch
    record = distributions.read(context.aws, context.spec.distribution_id)
    return _note(context, record, now) if record else None


def _note(
    context: RunContext, record: distributions.DistributionRecord, began: Any
) -> Watch | None:
    resource, aws_id = Watch.Resource.DISTRIBUTION, context.spec.distribution_id
    detail = distribution_detail(record)
    note_look(
        context.account, resource, aws_id, record.status, detail, began=began, now=context.clock()
    )
    return Watch.objects.filter(account=context.account, resource=resource, aws_id=aws_id).first()


def _is_in(context: RunContext, watch: Watch) -> bool:
    ours = _origin_id(context)
    behaviors = watch.detail.get("behaviors", {})
    return ours in watch.detail.get("origins", ()) and all(
        behaviors.get(pattern) == ours for pattern in context.spec.path_patterns
    )


def _origin_id(context: RunContext) -> str:
    return names.origin_id(context.owner, context.endpoint.key)
