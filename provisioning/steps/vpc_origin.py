"""Step: the VPC origin. Endpoints on the same target share one; it is created with the first and
deleted with the last.

CreateVpcOrigin takes no client token, so its deterministic name is the token: we find it by name,
adopt it if it has our tag, and refuse it if not. An endpoint is recorded as a user of the VPC
origin before anything is sent, so that no other run deletes it meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from provisioning.aws import vpc_origins
from provisioning.aws.errors import AwsError
from provisioning.engine.outcome import Missing, Outcome, Ready, Refused, Retry, Working
from provisioning.engine.step import StepSide
from provisioning.facts import names
from provisioning.facts.names import VpcOriginId
from provisioning.facts.snapshot import VpcOriginFacts
from provisioning.facts.watched import DEPLOYED, GONE, VPC_ORIGIN
from provisioning.plan.vpc_origin import desired_vpc_origin
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.parsing import read_spec
from provisioning.steps.context import AwsContext, RunContext, errors_as_outcomes
from provisioning.steps.rows import SharedVpcOrigin, WatchFacts

FRESH_SECONDS = 60.0
DEPLOYING = "Deploying"
BUSY = Retry("Another run is changing the same VPC origin.", "busy", after=1.0, quiet=True)


@errors_as_outcomes
def observe(context: AwsContext) -> Outcome:
    """Does it exist, and is it Deployed? Asks AWS only if what we know is stale; sweeps keep it
    fresh while a run waits.
    """
    row = _claim(context)
    if not row.aws_id:
        return Missing(f"Creating VPC origin {_name(context)}.")
    watch = _fresh_watch(context, row)
    if watch.status == GONE and context.spec.vpc_origin_id:
        return Refused(
            f"VPC origin {row.aws_id}, which was adopted, no longer exists.",
            "vpc_origin_gone",
            "Request a change of the target, port or protocol: the portal then creates its own.",
        )
    if watch.status == GONE:
        context.rows.forget_vpc_origin(row.key, row.aws_id)
        return Missing(f"VPC origin {row.aws_id} no longer exists. Creating it again.")
    if watch.detail.get("deleting") and watch.status == DEPLOYED:
        # Announced but not sent, or refused by AWS. Only under the lock can that be told apart from
        # "about to be sent".
        return Missing(f"VPC origin {row.aws_id} was to be deleted. Checking if it can stay.")
    if watch.detail.get("deleting"):
        return Working(
            f"AWS is deleting VPC origin {row.aws_id}; then the portal creates it again.",
            watch.id,
            watch.status,
        )
    if watch.status == DEPLOYED:
        return Ready(f"VPC origin {row.aws_id} is deployed.", {"vpc_origin_id": row.aws_id})
    if watch.status == DEPLOYING:
        return Working(f"VPC origin {row.aws_id}: {watch.status}.", watch.id, watch.status)
    return Refused(
        f"VPC origin {row.aws_id}: {watch.status}.",
        "vpc_origin_failed",
        "Check the VPC origin in the CloudFront console, then try again.",
    )


@errors_as_outcomes
def create(context: AwsContext) -> Outcome:
    """Adopt ours, refuse a foreign one, else create. One run at a time for each VPC origin."""
    row = _claim(context)
    with context.rows.lock(_lock(context)) as alone:
        if not alone:
            return BUSY
        found = vpc_origins.find(context.aws, _name(context))
        if found is not None:
            arn = vpc_origins.arn(context.account.account_id, found.id)
            if vpc_origins.owner_of(context.aws, arn) != context.owner:
                return Refused(
                    f"A VPC origin named {found.name} already exists ({found.id}) without this "
                    "portal's tag.",
                    "vpc_origin_foreign",
                    "Rename or delete it. The portal does not change what it did not create.",
                )
            if found.status == DEPLOYED:
                _announce(context, found.id, found.status, deleting=False)
            _remember(context, row, found.id, found.status)
            return Ready(f"Using VPC origin {found.id}, which the portal created earlier.")
        tags = {names.OWNER_TAG: context.owner}
        context.renew_lease()
        try:
            record = vpc_origins.create(
                context.aws, desired_vpc_origin(context.spec, context.owner), tags
            )
        except AwsError as error:
            if error.already_exists:
                return Retry("AWS says the name already exists; checking again.", error.code)
            raise
        _remember(context, row, record.facts.id, record.facts.status)
        return Ready(f"Created VPC origin {record.facts.id}.", {"vpc_origin_id": record.facts.id})


@errors_as_outcomes
def observe_absence(context: AwsContext) -> Outcome:
    """Gone, or kept because another endpoint uses it. Found by name, in case the reply with its ID
    was lost, and not while another run may be creating it. An adopted one also stays while any
    distribution uses it.
    """
    row = _release(context)
    if row.others:
        return Ready(
            f"The VPC origin stays: it is used by {row.others} other endpoint(s) or requests."
        )
    began = context.clock()
    with context.rows.lock(_lock(context)) as alone:
        if not alone:
            return BUSY
        found = _present(context)
    if found is None:
        context.rows.forget_unused_vpc_origin(row.key)
        return Ready("The VPC origin is deleted.")
    if context.spec.vpc_origin_id:
        if elsewhere := vpc_origins.distributions_of(context.aws, found.id):
            return Ready(f"VPC origin {found.id} stays: {elsewhere} distribution(s) use it.")
    elif (
        vpc_origins.owner_of(context.aws, vpc_origins.arn(context.account.account_id, found.id))
        != context.owner
    ):
        return Ready(f"VPC origin {found.id} was not created by the portal; it stays.")
    context.rows.record_vpc_origin(row.key, found.id)
    # A read: two runs that wait to delete it must not wake each other with the same news.
    watch = context.rows.record_observation(
        VPC_ORIGIN, found.id, found.status, None, began=began, now=context.clock()
    )
    if found.status != DEPLOYING:
        return Missing(f"Deleting VPC origin {found.id}: no endpoint uses it.")
    if watch.detail.get("deleting"):
        text = f"AWS is deleting VPC origin {found.id}."
    else:
        text = f"VPC origin {found.id} is still deploying; it can be deleted afterwards."
    return Working(text, watch.id, watch.status)


@errors_as_outcomes
def delete(context: AwsContext) -> Outcome:
    """Delete it unless another endpoint began to use it. Absence is success, and "in use" passes
    once CloudFront's edge has released it.

    The deletion is recorded before it is sent, in the transaction that finds no user: an endpoint
    that claimed it earlier is found here, and one that claims it later reads that it will go.
    """
    with context.rows.lock(_lock(context)) as alone:
        if not alone:
            return BUSY
        row = _release(context)
        if row.others or not row.aws_id:
            return Ready("Nothing left to delete.")
        record = vpc_origins.read(context.aws, VpcOriginId(row.aws_id))
        if record is None:
            return Ready(f"VPC origin {row.aws_id} is already deleted.")
        now_used = context.rows.announce_deletion(row.key, record.facts.id, record.facts.status)
        if now_used.others:
            return Ready(
                f"VPC origin {row.aws_id} stays: another endpoint has just started to use it."
            )
        context.renew_lease()
        try:
            vpc_origins.delete(context.aws, record.facts.id, record.etag)
        except AwsError as error:
            if error.is_absent:
                return Ready(f"VPC origin {row.aws_id} is already deleted.")
            if error.is_in_use or error.is_stale or error.code == "IllegalDelete":
                return Retry(
                    f"AWS cannot delete VPC origin {row.aws_id} yet ({error.code}).", error.code
                )
            raise
        _announce(context, record.facts.id, DEPLOYING, deleting=True)
        return Ready(f"AWS is deleting VPC origin {row.aws_id}.")


def release(of: Callable[[RunContext], EndpointSpec | None]) -> StepSide[RunContext]:
    """End the use of the VPC origin of the settings that `of` gives, and delete it with its last
    user. None: there is nothing to release.
    """

    def observe_release(context: RunContext) -> Outcome:
        spec = of(context)
        if spec is None:
            return Ready("The VPC origin stays.")
        return observe_absence(context.for_spec(spec))

    def delete_released(context: RunContext) -> Outcome:
        spec = of(context)
        return Ready("Nothing to delete.") if spec is None else delete(context.for_spec(spec))

    return StepSide(observe_release, delete_released)


def replaced(context: RunContext) -> EndpointSpec | None:
    """The settings before the run, where they need another VPC origin than those after it."""
    applied = context.run.applied
    before = read_spec(applied["spec"]) if applied else None
    if before is None or before.vpc_origin_key == context.spec.vpc_origin_key:
        return None
    return before


def replacement(context: RunContext) -> EndpointSpec | None:
    """The settings after the run, where they need another VPC origin than those before it."""
    return context.spec if replaced(context) else None


def _lock(context: AwsContext) -> str:
    return f"vpc-origin {context.account.pk} {context.spec.vpc_origin_key}"


def _name(context: AwsContext) -> str:
    return context.spec.vpc_origin_name(context.owner)


def _present(context: AwsContext) -> VpcOriginFacts | None:
    """The VPC origin in AWS: an adopted one by its ID, one of the portal's by its name."""
    if not context.spec.vpc_origin_id:
        return vpc_origins.find(context.aws, _name(context))
    record = vpc_origins.read(context.aws, context.spec.vpc_origin_id)
    return record.facts if record else None


def _claim(context: AwsContext) -> SharedVpcOrigin:
    """The VPC origin, recorded as needed here."""
    return context.rows.claim_vpc_origin(context.spec.vpc_origin_key)


def _release(context: AwsContext) -> SharedVpcOrigin:
    """The VPC origin, recorded as not needed here any more."""
    return context.rows.release_vpc_origin(context.spec.vpc_origin_key)


def _announce(context: AwsContext, aws_id: VpcOriginId, status: str, *, deleting: bool) -> None:
    """Record for other runs whether it is being deleted."""
    detail = {"deleting": True} if deleting else {}
    context.rows.record_write(VPC_ORIGIN, aws_id, status, detail, context.clock())


def _remember(
    context: AwsContext, row: SharedVpcOrigin, aws_id: VpcOriginId, status: str
) -> WatchFacts:
    """Record the ID and what AWS says about it."""
    context.rows.record_vpc_origin(row.key, aws_id)
    known = context.rows.watch(VPC_ORIGIN, aws_id)
    detail = known.detail if known else {}
    return context.rows.record_write(VPC_ORIGIN, aws_id, status, detail, context.clock())


def _fresh_watch(context: AwsContext, row: SharedVpcOrigin) -> WatchFacts:
    """What AWS says about it, at most a minute old (of AWS's time)."""
    now = context.clock()
    watch = context.rows.watch(VPC_ORIGIN, row.aws_id)
    if watch is None or (
        not watch.waited_for
        and now - watch.seen_at > timedelta(seconds=FRESH_SECONDS / context.pace)
    ):
        record = vpc_origins.read(context.aws, VpcOriginId(row.aws_id))
        status = record.facts.status if record else GONE
        watch = context.rows.record_observation(
            VPC_ORIGIN, row.aws_id, status, None, began=now, now=context.clock()
        )
    return watch
