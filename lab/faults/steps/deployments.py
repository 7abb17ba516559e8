"""Deployments that never end, as long as a fault says so.

It decides what is held: everything of the accounts that is Deploying or InProgress. It must never
touch what is Deployed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from lab.aws.cloudfront.context import Context
from lab.aws.cloudfront.entities.lifecycle import Distribution
from lab.faults.steps.cloudfront import NEVER

EVERY_ACCOUNT = ""


def hold(context: Context, accounts: Collection[str]) -> None:
    """Move the end of every deployment of the accounts out of reach."""
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
    """Let whatever was held be deployed now, except in the accounts that still are held."""
    for origin in list(context.store.vpc_origins.values()):
        if not _meant(origin.account, held) and origin.settled_at >= NEVER:
            context.store.vpc_origins.put(dataclasses.replace(origin, settled_at=context.now))
    for distribution in list(context.store.distributions.values()):
        if not _meant(distribution.account, held) and distribution.latest.deployed_at >= NEVER:
            _deploy(context, distribution, context.now)


def _meant(account: str, accounts: Collection[str]) -> bool:
    return account in accounts or EVERY_ACCOUNT in accounts


def _deploy(context: Context, distribution: Distribution, at: float) -> None:
    """The newest revision is out at `at`; those before it keep their turn."""
    latest = dataclasses.replace(distribution.latest, deployed_at=at)
    changed = dataclasses.replace(distribution, revisions=(*distribution.revisions[:-1], latest))
    context.store.put_distribution(changed, latest)
