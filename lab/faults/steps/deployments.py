"""Deployments that never end while the fault `never-deployed` is set: everything that is Deploying
or InProgress stays so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from lab.aws.cloudfront.context import Context
from lab.aws.cloudfront.entities.lifecycle import Distribution
from lab.faults.steps.cloudfront import NEVER

EVERY_ACCOUNT = ""


def hold(context: Context, accounts: Collection[str]) -> None:
    """Postpone every running deployment of the accounts for ever."""
    for origin in list(context.store.vpc_origins.values()):
        if (
            _meant(origin.account, accounts)
            and origin.deleted_at is None
            and context.now < origin.settled_at < NEVER
        ):
            context.store.vpc_origins.put(dataclasses.replace(origin, settled_at=NEVER))
    for distribution in list(context.store.distributions.values()):
        if (
            _meant(distribution.account, accounts)
            and context.now < distribution.latest.deployed_at < NEVER
        ):
            _deploy(context, distribution, NEVER)


def release(context: Context, held: Collection[str]) -> None:
    """Complete the held deployments now, except in accounts that are still held."""
    for origin in list(context.store.vpc_origins.values()):
        if not _meant(origin.account, held) and origin.settled_at >= NEVER:
            context.store.vpc_origins.put(dataclasses.replace(origin, settled_at=context.now))
    for distribution in list(context.store.distributions.values()):
        if not _meant(distribution.account, held) and distribution.latest.deployed_at >= NEVER:
            _deploy(context, distribution, context.now)


def _meant(account: str, accounts: Collection[str]) -> bool:
    return account in accounts or EVERY_ACCOUNT in accounts


def _deploy(context: Context, distribution: Distribution, at: float) -> None:
    """Set when the newest revision is deployed; earlier ones keep their times."""
    latest = dataclasses.replace(distribution.latest, deployed_at=at)
    changed = dataclasses.replace(distribution, revisions=(*distribution.revisions[:-1], latest))
    context.store.put_distribution(changed, latest)
