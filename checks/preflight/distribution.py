"""Preflight questions about the distribution and the account: is there room, are the paths free,
who answers first?

PURE.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from checks.preflight.results import (
    Amendment,
    Fix,
    Level,
    PreflightResult,
    PreflightSubject,
    unknown,
)
from provisioning.facts.distribution import DistributionFacts
from provisioning.facts.path_patterns import (
    covers,
    example_path,
    matches,
    overlap,
    position_for,
    same_paths,
    serving,
)
from provisioning.facts.snapshot import Snapshot, VpcOriginFacts
from provisioning.plan.path_ownership import contests, who_has, whom_to_ask
from provisioning.spec.app_kinds import APP_KINDS
from provisioning.spec.fields import MAX_PATHS

DISTRIBUTIONS_PER_VPC_ORIGIN = 50
LONGEST_BROAD_PREFIX = 2
"""Characters before the first wildcard, with the slash: `/a*` says too little about an app."""


def endpoint_name(subject: PreflightSubject) -> Iterator[PreflightResult]:
    """Another endpoint may have got the name since the request was made."""
    if subject.name_free:
        yield PreflightResult("PF-NAME", Level.PASS, f"{subject.name} is free.")
    elif subject.name_free is not None:
        yield PreflightResult(
            "PF-NAME",
            Level.BLOCK,
            f"This account already has an endpoint named {subject.name}.",
            "Names are unique in an account, so that people and tickets can use them.",
            Fix("Change the request: choose another name."),
        )


def distribution_exists(subject: PreflightSubject, snapshot: Snapshot) -> PreflightResult:
    distribution = snapshot.distribution
    if gap := snapshot.gap("distribution"):
        return unknown("PF-DISTRIBUTION", gap.reason)
    if distribution is None:
        return PreflightResult(
            "PF-DISTRIBUTION",
            Level.BLOCK,
            f"The account has no distribution {subject.distribution_id}.",
            "It was deleted, or belongs to another account.",
            Fix("Choose another distribution from the list."),
        )
    if distribution.multi_tenant:
        return PreflightResult(
            "PF-DISTRIBUTION",
            Level.BLOCK,
            f"{distribution.id} is a multi-tenant distribution.",
            "It has no address of its own: viewers connect to its distribution tenants, each with "
            "its own domain. The portal checks and shows addresses of standard distributions only.",
            Fix(
                "Choose a standard distribution: CloudFront > Distributions, type Standard.",
                "aws cloudfront list-distributions --query "
                "\"DistributionList.Items[?ConnectionMode!='tenant-only'].[Id,DomainName]\"",
            ),
        )
    if not distribution.enabled:
        return PreflightResult(
            "PF-DISTRIBUTION",
            Level.BLOCK,
            f"{distribution.id} is disabled.",
            "A disabled distribution refuses every request.",
            Fix(
                f"CloudFront > Distributions > {distribution.id} > Enable.",
                "",
                "enabled = true",
                opens="All of its paths are served again, not only this one.",
                narrower="Ask its owner why it is disabled, or choose another distribution.",
            ),
        )
    return PreflightResult(
        "PF-DISTRIBUTION", Level.PASS, f"{distribution.domain_name} is {distribution.status}."
    )


def staging(
    subject: PreflightSubject, distribution: DistributionFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """CloudFront Developer Guide, continuous deployment: viewers come to a staging distribution by
    its primary only, and a promotion puts the staging one's behaviors and origins in place of the
    primary's.
    """
    if distribution.staging:
        yield PreflightResult(
            "PF-STAGING",
            Level.BLOCK,
            f"{distribution.id} is a staging distribution.",
            f"Viewers cannot use {distribution.domain_name}: it serves only a "
            "share of its primary distribution's requests.",
            Fix(
                "Use its primary distribution: the one whose continuous deployment "
                f"policy names {distribution.domain_name}.",
                "aws cloudfront list-continuous-deployment-policies --query "
                '"ContinuousDeploymentPolicyList.Items[?'
                "contains(to_string(@), "
                f"'{distribution.domain_name}')].ContinuousDeploymentPolicy.Id\"",
                "the aws_cloudfront_distribution with the continuous_deployment_policy_id",
            ),
        )
        return
    policy = distribution.continuous_deployment_policy_id
    if not policy:
        yield PreflightResult(
            "PF-STAGING", Level.PASS, f"{distribution.id} has no staging distribution."
        )
        return
    yield PreflightResult(
        "PF-STAGING",
        Level.WARN,
        f"{distribution.id} has the continuous deployment policy {policy}.",
        "When its staging distribution is promoted, that one's behaviors "
        "and origins replace those here: an endpoint published in the "
        "meantime is lost.",
        Fix(
            "Promote first, then request the endpoint; or, before promoting, "
            "copy the primary distribution to staging again.",
            f"aws cloudfront get-continuous-deployment-policy --id {policy}",
            "the endpoint's origin and behaviors in the staging aws_cloudfront_distribution too",
        ),
    )


def unknown_settings(
    subject: PreflightSubject, distribution: DistributionFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    if distribution.unknown_elements:
        yield PreflightResult(
            "PF-UNKNOWN-SETTINGS",
            Level.BLOCK,
            f"Unknown settings: {', '.join(distribution.unknown_elements)}.",
            "Writing the distribution would lose these settings, so the portal does not write it.",
            Fix(
                "Ask the portal's operators to update its boto3.",
                "pip install --upgrade boto3",
            ),
        )
    else:
        yield PreflightResult("PF-UNKNOWN-SETTINGS", Level.PASS, "Writing it loses no settings.")


def paths(
    subject: PreflightSubject, distribution: DistributionFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Each path by itself: taken, then the order, since the first behavior that matches wins."""
    afterwards = _without_leaving(subject, distribution)
    for pattern in subject.path_patterns:
        existing = distribution.behavior_for(pattern)
        if existing is not None and existing.target_origin_id != subject.origin_id:
            yield PreflightResult(
                "PF-PATH-TAKEN",
                Level.BLOCK,
                f"{existing.path_pattern} already forwards to {existing.target_origin_id}.",
                "A request for a new endpoint takes over no existing path. One that leads to a VPC "
                "origin can be adopted instead.",
                Fix(
                    who_has(existing, subject.rights)
                    if subject.rights
                    else "Choose another path, or ask the distribution's owner to remove that "
                    "behavior."
                ),
            )
            continue
        holder = subject.rights and subject.rights.holder(pattern, besides=subject.origin_id)
        if holder and existing is None:
            yield PreflightResult(
                "PF-PATH-TAKEN",
                Level.BLOCK,
                f"{pattern} is the path of endpoint {holder.endpoint} of team {holder.team}, "
                "although the distribution has no behavior for it now.",
                "Both endpoints would answer at the same address.",
                Fix("Choose another path, or restore or remove that endpoint first."),
            )
            continue
        yield PreflightResult("PF-PATH-TAKEN", Level.PASS, f"No other behavior has {pattern}.")
        yield _order(pattern, afterwards)


def _without_leaving(
    subject: PreflightSubject, distribution: DistributionFacts
) -> DistributionFacts:
    """The distribution without the endpoint's own behaviors that the change deletes."""
    stay = tuple(
        one
        for one in distribution.behaviors
        if not subject.origin_id
        or one.target_origin_id != subject.origin_id
        or any(same_paths(one.path_pattern, kept) for kept in subject.path_patterns)
    )
    return replace(distribution, behaviors=stay)


def _order(pattern: str, distribution: DistributionFacts) -> PreflightResult:
    """What stands, or will stand, in front of `pattern`.

    A new behavior goes before the first that covers it, so those in front can only share some of
    its paths; and all its paths were answered by what it now stands before, so it takes none from
    any behavior further down.
    """
    patterns = tuple(behavior.path_pattern for behavior in distribution.behaviors)
    exists = pattern in patterns
    place = patterns.index(pattern) if exists else position_for(pattern, patterns)
    swallowing = [other for other in patterns[:place] if covers(other, pattern)]
    if swallowing:
        return PreflightResult(
            "PF-PATH-ORDER",
            Level.BLOCK,
            f"{swallowing[0]} comes before {pattern} and matches all of it.",
            "The order was changed: the endpoint's behavior no longer receives requests.",
            Fix(f"CloudFront > Distributions > {distribution.id} > Behaviors: move {pattern} up."),
        )
    if example_path(pattern, patterns[:place]) is None:
        return PreflightResult(
            "PF-PATH-ORDER",
            Level.BLOCK,
            f"{', '.join(patterns[:place])} together match all of {pattern}.",
            "They come first, so no request would be left for this endpoint.",
            Fix("Choose a path that they do not match."),
        )
    sharing = [other for other in patterns[:place] if overlap(other, pattern)]
    if sharing:
        return PreflightResult(
            "PF-PATH-ORDER",
            Level.WARN,
            f"Before {pattern}: {', '.join(sharing)}.",
            "Requests that match both go there, not to this endpoint. Check that this is intended.",
            Fix("If it is not, choose a path that does not overlap."),
        )
    if exists:
        return PreflightResult(
            "PF-PATH-ORDER", Level.PASS, f"No behavior before {pattern} overlaps."
        )
    answering = (
        patterns[place] if place < len(patterns) else distribution.default_behavior.path_pattern
    )
    return PreflightResult(
        "PF-PATH-ORDER",
        Level.PASS,
        f"{pattern} currently matches the behavior {answering}; this "
        "endpoint will answer it instead.",
    )


def checked_path(
    subject: PreflightSubject, distribution: DistributionFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Whether the path that checks ask comes to the endpoint once all its behaviors exist."""
    path, staying = subject.handshake_path, _without_leaving(subject, distribution)
    order = [one.path_pattern for one in staying.behaviors]
    if not path:
        return
    for pattern in subject.path_patterns:
        if distribution.behavior_for(pattern) is None:
            order.insert(position_for(pattern, order), pattern)
    place = serving(order, path)
    answering = "*" if place is None else order[place]
    if any(same_paths(answering, pattern) for pattern in subject.path_patterns):
        seen, kind = f"{path} matches {answering}.", APP_KINDS.get(subject.app_kind)
        doubt = kind.path_doubt(subject.path_patterns) if kind else ""
        if kind and doubt:
            told = (
                f"Is {path} the `path` of your server? If not, change the path to "
                f"{kind.usual_path}."
            )
            yield PreflightResult("PF-PATH-CHECK", Level.WARN, seen, doubt, Fix(told))
            return
        yield PreflightResult("PF-PATH-CHECK", Level.PASS, seen)
        return
    yield PreflightResult(
        "PF-PATH-CHECK",
        Level.BLOCK,
        f"Checks ask {path}, which matches {answering} first.",
        "That behavior would answer every check, so nothing could show that this endpoint works.",
        Fix("Add a path that only this endpoint has, for example one without wildcards."),
    )


def path_owners(
    subject: PreflightSubject, distribution: DistributionFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Whose paths these are: other teams' endpoints and assignments, behaviors made by hand, and
    the domain's own.
    """
    if subject.rights is None or not subject.path_patterns:
        return
    found = contests(
        subject.path_patterns, distribution, subject.rights, origin_id=subject.origin_id
    )
    for contest in found:
        taken = (
            "Their requests, with cookies and Authorization headers, would reach your target."
            if contest.takes
            else "Requests for these paths could reach the other's app, or theirs yours."
        )
        if contest.permitted:
            why = f"A platform admin assigned {contest.pattern} to your team. {taken}"
            yield PreflightResult("PF-PATH-OWNER", Level.WARN, f"{contest}.", why)
            continue
        yield PreflightResult(
            "PF-PATH-OWNER",
            Level.BLOCK,
            f"{contest}.",
            taken,
            Fix(
                whom_to_ask(contest),
                f"python manage.py assign_path {subject.distribution_id} '{contest.pattern}' "
                f"{subject.rights.team}",
                opens=f"Team {subject.rights.team} may then receive requests of these paths, with "
                "their cookies and Authorization headers.",
                narrower="Assign only after the other side has agreed, and no more than this "
                "pattern.",
            ),
        )
    if not found:
        yield PreflightResult(
            "PF-PATH-OWNER", Level.PASS, "No other team and no other behavior has requests there."
        )


SIGN_IN_PATHS = tuple(
    f"/{name}"
    for name in (
        *("account", "admin", "auth", "callback", "login", "logout", "oauth", "oauth2", "oidc"),
        *("password", "saml", "session", "sign-in", "signin", "signup", "sso", "token"),
    )
)
SITE_FILES = ("/favicon.ico", "/index.html", "/robots.txt", "/service-worker.js", "/sw.js")


def broad_paths(
    subject: PreflightSubject, distribution: DistributionFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """What the new paths take from the default behavior, if that is more than an app's own corner:
    the site's sign-in pages and files, or everything that begins with a letter.
    """
    default = distribution.default_behavior.target_origin_id
    for pattern in subject.path_patterns:
        if distribution.behavior_for(pattern) is not None:
            continue
        fixed = re.split(r"[*?]", pattern, maxsplit=1)[0]
        named = [
            path
            for path in (*SIGN_IN_PATHS, *SITE_FILES)
            if matches(pattern, path) or covers(f"{path}/*", pattern)
        ]
        if len(fixed) <= LONGEST_BROAD_PREFIX and fixed != pattern:
            seen = f"{pattern} matches every path that begins with {fixed or '/'} and fits it."
        elif named:
            seen = f"{pattern} matches {', '.join(named)}, which sites often serve themselves."
        else:
            continue
        yield PreflightResult(
            "PF-PATH-BROAD",
            Level.WARN,
            seen,
            f"Requests for it go to the default behavior's origin {default} today. From then on "
            "they reach this endpoint's target, with the site's cookies.",
            Fix("Choose a path that only your app uses, for example /ws/chat."),
        )


def bare_paths(
    subject: PreflightSubject, distribution: DistributionFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """/ws/* does not match /ws. The plan can add it, unless it is taken or there are
    enough paths. Clients of some kinds of app always request a path below.
    """
    patterns = subject.path_patterns
    if subject.app_kind and APP_KINDS[subject.app_kind].path:
        return
    for pattern in patterns:
        bare = pattern.removesuffix("/*")
        if bare in ("", pattern) or any(matches(other, bare) for other in patterns):
            continue
        room = len(patterns) < MAX_PATHS and distribution.behavior_for(bare) is None
        yield PreflightResult(
            "PF-PATH-BARE",
            Level.WARN,
            f"{pattern} does not match {bare}.",
            f"A client that connects to {bare} gets another behavior's answer "
            "instead of a handshake.",
            Fix(f"If clients connect to {bare}, add it as a second path."),
            amendment=Amendment(f"Add {bare} to the paths", (("path_patterns", (*patterns, bare)),))
            if room
            else None,
        )


def other_origins(
    subject: PreflightSubject, distribution: DistributionFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """CloudFront checks the whole configuration with every update, so an origin that it does not
    accept any more keeps everybody's changes out.
    """
    if gap := snapshot.gap("unusable_origins"):
        yield unknown("PF-OTHER-ORIGIN", gap.reason)
        return
    unusable = [
        origin
        for origin in distribution.origins
        if origin.id in snapshot.unusable_origins and origin.id != subject.origin_id
    ]
    if not unusable:
        yield PreflightResult(
            "PF-OTHER-ORIGIN", Level.PASS, "CloudFront knows the VPC origins of all of them."
        )
    for origin in unusable:
        used = ", ".join(distribution.patterns_of(origin.id)) or "no path"
        whose = f" of account {origin.owner_account}" if origin.owner_account else ""
        lost = "is no longer shared with this account" if whose else "no longer exists"
        remove = (
            f"CloudFront > Distributions > {distribution.id} > Behaviors, then Origins: remove "
            f"{used} and {origin.id}, if their owner agrees"
        )
        yield PreflightResult(
            "PF-OTHER-ORIGIN",
            Level.BLOCK,
            f"Origin {origin.id} ({used}) uses VPC origin {origin.vpc_origin_id}{whose}, which "
            f"{lost}.",
            "Its paths may still be served, but CloudFront refuses every update of the "
            "distribution until that is settled, also the one that adds this endpoint.",
            Fix(
                f"Ask account {origin.owner_account} to share {origin.vpc_origin_id} with this "
                f"account again in AWS RAM, and accept it in us-east-1; or {remove}."
                if whose
                else f"{remove}.",
                f"aws cloudfront get-vpc-origin --id {origin.vpc_origin_id}",
                "the origin block and its cache behaviors in the aws_cloudfront_distribution",
            ),
        )


def behavior_room(
    subject: PreflightSubject, distribution: DistributionFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """Behaviors and origins of the distribution."""
    if not subject.path_patterns:
        return
    behaviors = len(distribution.behaviors) + sum(
        distribution.behavior_for(p) is None for p in subject.path_patterns
    )
    origins = len(distribution.origins) + (
        not subject.origin_id or distribution.origin(subject.origin_id) is None
    )
    quota = snapshot.origin_quota
    seen = (
        f"It would have {behaviors} of {snapshot.behavior_quota} behaviors "
        f"and {origins} of {quota} origins."
    )
    if behaviors <= snapshot.behavior_quota and origins <= quota:
        yield PreflightResult("PF-BEHAVIORS", Level.PASS, seen)
    else:
        yield PreflightResult(
            "PF-BEHAVIORS",
            Level.BLOCK,
            seen,
            f"AWS allows no more in one distribution.{_default_quota(snapshot)}",
            Fix(
                "Choose another distribution, or request a higher quota: Service "
                "Quotas > Amazon CloudFront."
            ),
        )


def vpc_origin(subject: PreflightSubject, snapshot: Snapshot) -> PreflightResult:
    """Reuse ours, never touch another's of the same name, else there must be room for one more."""
    if gap := snapshot.gap("vpc_origins"):
        return unknown("PF-VPC-ORIGIN", gap.reason)
    if subject.vpc_origin_id:
        return _adopted(subject, snapshot)
    # `ours` was asked of those that carry the portal's name; of them, the key tells which one is
    # meant.
    named = (
        origin
        for origin in snapshot.vpc_origins
        if origin.ours is not None and subject.vpc_origin_key
    )
    same = next(
        (origin for origin in named if origin.name.endswith(f"-{subject.vpc_origin_key}")), None
    )
    if same is not None:
        return _reuse(same)
    have, quota = len(snapshot.vpc_origins), snapshot.vpc_origin_quota
    seen = f"The account has {have} of {quota} VPC origins."
    if have >= quota:
        return PreflightResult(
            "PF-VPC-ORIGIN",
            Level.BLOCK,
            seen,
            f"This endpoint needs its own, and AWS allows no more.{_default_quota(snapshot)}",
            Fix(
                "CloudFront > VPC origins: delete unused ones; or Service Quotas > "
                "Amazon CloudFront."
            ),
        )
    others = [
        origin.id for origin in snapshot.vpc_origins if origin.target_arn == subject.target_arn
    ]
    if others:
        seen += (
            f" {', '.join(others)} leads to the same target with other settings "
            "and stays unchanged."
        )
    return PreflightResult("PF-VPC-ORIGIN", Level.PASS, seen)


def _adopted(subject: PreflightSubject, snapshot: Snapshot) -> PreflightResult:
    """One that was there before the portal has to be there still."""
    found = next((one for one in snapshot.vpc_origins if one.id == subject.vpc_origin_id), None)
    if found is not None:
        seen = f"{found.id} ({found.name}) is {found.status}; it was there before the portal."
        return PreflightResult("PF-VPC-ORIGIN", Level.PASS, seen)
    return PreflightResult(
        "PF-VPC-ORIGIN",
        Level.BLOCK,
        f"The adopted VPC origin {subject.vpc_origin_id} does not exist any more.",
        "The portal creates only VPC origins of its own.",
        Fix("Request a change of the target, port or protocol: the portal then creates one."),
    )


def _default_quota(snapshot: Snapshot) -> str:
    gap = snapshot.gap("quotas")
    return (
        f" This is the default quota; the account's own is not visible: {gap.reason}" if gap else ""
    )


def _reuse(origin: VpcOriginFacts) -> PreflightResult:
    if not origin.ours:
        return PreflightResult(
            "PF-VPC-ORIGIN",
            Level.BLOCK,
            f"{origin.id} is named {origin.name}, but does not carry this portal's tag.",
            "Another owner created it, so the portal does not touch it; and "
            "AWS allows no second one with this name.",
            Fix("CloudFront > VPC origins: ask its owner to rename or delete it."),
        )
    if origin.status in ("Deployed", "Deploying"):
        if origin.distributions is None:
            return unknown(
                "PF-VPC-ORIGIN",
                f"{origin.id} is reused, but how many distributions use it was not checked.",
            )
        seen = (
            f"{origin.id} is {origin.status} and is reused; {origin.distributions} "
            "distributions use it."
        )
        if origin.distributions < DISTRIBUTIONS_PER_VPC_ORIGIN:
            return PreflightResult("PF-VPC-ORIGIN", Level.PASS, seen)
        return PreflightResult(
            "PF-VPC-ORIGIN",
            Level.WARN,
            seen,
            f"AWS allows {DISTRIBUTIONS_PER_VPC_ORIGIN}. Unless this "
            "distribution is one of them, AWS will refuse.",
            Fix(
                "Use a distribution that already uses it, or give the endpoint its own target.",
                f"aws cloudfront list-distributions-by-vpc-origin-id --vpc-origin-id {origin.id}",
            ),
        )
    return PreflightResult(
        "PF-VPC-ORIGIN",
        Level.WARN,
        f"{origin.id} would be reused, but it is {origin.status}.",
        "AWS documents no such status. It may not carry traffic.",
        Fix(f"CloudFront > VPC origins > {origin.id}: check its status."),
    )
