"""Step: the VPC origin. Endpoints on the same target share one; it is made with the first and
deleted with the last.

CreateVpcOrigin takes no client token, so its deterministic name is the token: we look by name,
adopt what carries our tag, and refuse what does not. An endpoint is written down as a user of the
VPC origin before anything is sent, so that nobody deletes it from under us.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction

from provisioning.aws import vpc_origins
from provisioning.aws.errors import AwsError
from provisioning.engine.outcome import Missing, Outcome, Ready, Refused, Retry, Working
from provisioning.facts import names
from provisioning.facts.names import VpcOriginId
from provisioning.locks import only_one
from provisioning.models import Run, VpcOrigin, Watch
from provisioning.plan.vpc_origin import desired_vpc_origin
from provisioning.steps.context import RunContext, answering_errors
from provisioning.watches import DEPLOYED, GONE, note_look, note_write

FRESH_SECONDS = 60.0
DEPLOYING = "Deploying"
BUSY = Retry("Another run is at work on the same VPC origin.", "busy", after=1.0, quiet=True)


@answering_errors
def see(context: RunContext) -> Outcome:
    """Is it there and Deployed? Asks AWS only when what we know is not fresh; a sweep keeps it
    fresh for waiters.
    """
    row = _claim(context)
    if not row.aws_id:
        return Missing(f"No VPC origin named {_name(context)} yet. Creating it.")
    watch = _fresh_watch(context, row)
    if watch.status == GONE:
        VpcOrigin.objects.filter(pk=row.pk, aws_id=row.aws_id).update(aws_id="")
        return Missing(f"{row.aws_id} is gone. Creating it anew.")
    if watch.detail.get("deleting") and watch.status == DEPLOYED:
        # Announced and not sent, or sent and refused. Only under the lock can that be told from
        # "about to be sent".
        return Missing(f"{row.aws_id} was about to be deleted. Seeing whether it can be kept.")
    if watch.detail.get("deleting"):
        return Working(
            f"{row.aws_id} is just being deleted; then it is made anew.", watch.pk, watch.status
        )
    if watch.status == DEPLOYED:
        return Ready(f"{row.aws_id} is Deployed.", {"vpc_origin_id": row.aws_id})
    if watch.status == DEPLOYING:
        return Working(f"AWS says {row.aws_id} is Deploying.", watch.pk, watch.status)
    return Refused(
        f"AWS says that {row.aws_id} is {watch.status}.",
        "vpc_origin_failed",
        "Look at the VPC origin in the CloudFront console; then try again.",
    )


@answering_errors
def create(context: RunContext) -> Outcome:
    """Adopt ours, refuse a stranger's, else create. One at a time for each VPC origin."""
    row = _claim(context)
    with only_one(_lock(context)) as alone:
        if not alone:
            return BUSY
        found = vpc_origins.find(context.aws, _name(context))
        if found is not None:
            arn = vpc_origins.arn(context.account.account_id, found.id)
            if vpc_origins.owner_of(context.aws, arn) != context.owner:
                return Refused(
                    f"A VPC origin named {found.name} exists ({found.id}) without this "
                    "portal's tag.",
                    "vpc_origin_foreign",
                    "Somebody else made it. Rename or remove it; the portal will not touch it.",
                )
            if found.status == DEPLOYED:
                _announce(context, found.id, found.status, deleting=False)
            _remember(context, row, found.id, found.status)
            return Ready(f"Found {found.id}, made by this portal earlier. Using it.")
        tags = {names.OWNER_TAG: context.owner}
        context.hold()
        try:
            record = vpc_origins.create(
                context.aws, desired_vpc_origin(context.spec, context.owner), tags
            )
        except AwsError as error:
            if error.already_exists:
                return Retry("AWS says the name exists already; looking again.", error.code)
            raise
        _remember(context, row, record.facts.id, record.facts.status)
        return Ready(f"AWS accepted {record.facts.id}.", {"vpc_origin_id": record.facts.id})


@answering_errors
def see_that_it_is_gone(context: RunContext) -> Outcome:
    """Gone, or kept because somebody else uses it. Found by name, in case a reply was lost before
    its id was stored, and not while another worker may just be making it.
    """
    row, others = _release(context)
    if others:
        return Ready(f"{row.aws_id or 'The VPC origin'} stays: {others} other endpoint(s) use it.")
    with only_one(_lock(context)) as alone:
        if not alone:
            return BUSY
        found = vpc_origins.find(context.aws, _name(context))
    if found is None:
        VpcOrigin.objects.filter(pk=row.pk, users__isnull=True).update(aws_id="")
        return Ready("No VPC origin is left.")
    if (
        vpc_origins.owner_of(context.aws, vpc_origins.arn(context.account.account_id, found.id))
        != context.owner
    ):
        return Ready(f"{found.id} is not ours; it stays.")
    watch = _remember(context, row, found.id, found.status)
    if found.status != DEPLOYING:
        return Missing(f"{found.id} has no user left. Deleting it.")
    what = (
        "deleting"
        if watch.detail.get("deleting")
        else "still deploying; it can be deleted afterwards"
    )
    return Working(f"AWS is {what}: {found.id}.", watch.pk, watch.status)


@answering_errors
def delete(context: RunContext) -> Outcome:
    """Delete it unless somebody began to use it. Absence is success; "in use" passes once the edge
    has let go.

    That it is being deleted is written down before it is sent, in the transaction that sees no
    user: who claims it before is seen here, and who claims it after reads that it must not be
    relied on.
    """
    with only_one(_lock(context)) as alone:
        if not alone:
            return BUSY
        row, others = _release(context)
        if others or not row.aws_id:
            return Ready("Nothing to delete any more.")
        record = vpc_origins.read(context.aws, VpcOriginId(row.aws_id))
        if record is None:
            return Ready(f"{row.aws_id} is gone already.")
        with transaction.atomic():
            row, others = _release(context)
            if others:
                return Ready(f"{row.aws_id} stays: somebody has just begun to use it.")
            _announce(context, record.facts.id, record.facts.status, deleting=True)
        context.hold()
        try:
            vpc_origins.delete(context.aws, record.facts.id, record.etag)
        except AwsError as error:
            if error.is_absent:
                return Ready(f"{row.aws_id} is gone already.")
            if error.is_in_use or error.is_stale or error.code == "IllegalDelete":
                return Retry(f"AWS does not let go of {row.aws_id} yet ({error.code}).", error.code)
            raise
        _announce(context, record.facts.id, DEPLOYING, deleting=True)
        return Ready(f"AWS is deleting {row.aws_id}.")


def _lock(context: RunContext) -> str:
    return f"vpc-origin {context.account.pk} {context.spec.vpc_origin_key}"


def _name(context: RunContext) -> str:
    return names.vpc_origin_name(context.owner, context.spec.vpc_origin_key)


def _claim(context: RunContext) -> VpcOrigin:
    """The row, with this endpoint written down as a user, in the transaction that sees that the run
    is still ours.
    """
    with transaction.atomic():
        VpcOrigin.objects.get_or_create(account=context.account, key=context.spec.vpc_origin_key)
        row = VpcOrigin.objects.select_for_update().get(
            account=context.account, key=context.spec.vpc_origin_key
        )
        context.hold()
        row.users.add(context.endpoint)
    return row


def _release(context: RunContext) -> tuple[VpcOrigin, int]:
    """The row without this endpoint as a user, and how many others there are."""
    with transaction.atomic():
        VpcOrigin.objects.get_or_create(account=context.account, key=context.spec.vpc_origin_key)
        row = VpcOrigin.objects.select_for_update().get(
            account=context.account, key=context.spec.vpc_origin_key
        )
        context.hold()
        row.users.remove(context.endpoint)
        return row, row.users.count()


def _announce(context: RunContext, aws_id: VpcOriginId, status: str, *, deleting: bool) -> None:
    """Write down, for whoever claims it, whether it is being deleted."""
    detail = {"deleting": True} if deleting else {}
    note_write(context.account, Watch.Resource.VPC_ORIGIN, aws_id, status, detail, context.clock())


def _remember(context: RunContext, row: VpcOrigin, aws_id: VpcOriginId, status: str) -> Watch:
    """Write the id down and what AWS says of it."""
    VpcOrigin.objects.filter(pk=row.pk).update(aws_id=aws_id)
    row.aws_id = aws_id
    known = Watch.objects.filter(
        account=context.account, resource=Watch.Resource.VPC_ORIGIN, aws_id=aws_id
    ).first()
    detail = known.detail if known else {}
    return note_write(
        context.account, Watch.Resource.VPC_ORIGIN, aws_id, status, detail, context.clock()
    )


def _fresh_watch(context: RunContext, row: VpcOrigin) -> Watch:
    """What AWS says of it, not older than a minute (of AWS's time)."""
    now = context.clock()
    key = {"account": context.account, "resource": Watch.Resource.VPC_ORIGIN, "aws_id": row.aws_id}
    watch = Watch.objects.filter(**key).first()
    waited_for = watch is not None and watch.waiters.filter(state=Run.State.WAITING).exists()
    if watch is None or (
        not waited_for and now - watch.seen_at > timedelta(seconds=FRESH_SECONDS / context.pace)
    ):
        record = vpc_origins.read(context.aws, VpcOriginId(row.aws_id))
        status = record.facts.status if record else GONE
        note_look(
            context.account,
            Watch.Resource.VPC_ORIGIN,
            row.aws_id,
            status,
            None,
            began=now,
            now=context.clock(),
        )
        watch = Watch.objects.get(**key)
    return watch
