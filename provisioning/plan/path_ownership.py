"""Who has which paths of a distribution, and what a new endpoint would take from them (PURE).

Teams share distributions. A behavior in front of another's receives that one's requests, with their
cookies and Authorization headers, so no team gets such paths without the consent of who has them.
Consent is recorded as an assignment: a platform admin assigns a path pattern of a distribution to a
team.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from provisioning.facts.distribution import Behavior, DistributionFacts
from provisioning.facts.path_patterns import covers, losing, overlap, position_for, same_paths

WELL_KNOWN = "/.well-known/*"
"""RFC 8615: who answers there speaks for the whole domain, for example to a certificate authority
(RFC 8555, 8.3).
"""


@dataclass(frozen=True)
class PathClaim:
    """A path pattern of a distribution and the team that has it: by its endpoint, or, with an empty
    `endpoint`, by assignment. `origin_id` is the endpoint's origin in the distribution.
    """

    pattern: str
    team: str
    endpoint: str = ""
    origin_id: str = ""


@dataclass(frozen=True)
class PathRights:
    """The team that asks for paths of a distribution, and all claims on that distribution."""

    team: str
    claims: tuple[PathClaim, ...] = ()

    def assigned(self, pattern: str) -> Iterator[PathClaim]:
        """The team's own assignments that include every path of `pattern`."""
        return (
            claim
            for claim in self.claims
            if not claim.endpoint and claim.team == self.team and covers(claim.pattern, pattern)
        )

    def holder(self, pattern: str, *, besides: str) -> PathClaim | None:
        """The endpoint that has exactly the paths of `pattern`, other than the one with the origin
        `besides`; also where its behavior is missing in AWS.
        """
        return next(
            (
                claim
                for claim in self.claims
                if claim.endpoint
                and claim.origin_id != besides
                and same_paths(claim.pattern, pattern)
            ),
            None,
        )


@dataclass(frozen=True)
class Contest:
    """A path pattern that is asked for, and another that shares paths with it. `holder` says whose
    the other is, `team` whom to ask ("" if the portal does not know). `takes`: requests that are
    answered there today would come to the new endpoint. `permitted`: an assignment allows it.
    `endpoint` is the name of the other endpoint, if it is one's.
    """

    pattern: str
    other: str
    holder: str
    team: str = ""
    takes: bool = False
    permitted: bool = False
    endpoint: str = ""

    def __str__(self) -> str:
        verb = "takes requests from" if self.takes else "overlaps"
        return f"{self.pattern} {verb} {self.other}, {self.holder}"


def whom_to_ask(contest: Contest) -> str:
    """Who can give the paths, in a sentence."""
    ask = f"team {contest.team}" if contest.team else "its owner"
    return (
        f"Choose a path outside {contest.other}, or ask {ask}; if they agree, a platform admin "
        f"assigns {contest.pattern} to your team."
    )


def who_has(behavior: Behavior, rights: PathRights) -> str:
    """Whose a behavior is and what follows for the team that asks for its paths, in sentences."""
    claim = next(
        (
            one
            for one in rights.claims
            if one.endpoint and one.origin_id == behavior.target_origin_id
        ),
        None,
    )
    if claim is None:
        return "Choose another path, or ask the distribution's owner to remove that behavior."
    if claim.team == rights.team:
        return (
            f"It is the path of your team's own endpoint {claim.endpoint}, which keeps its target. "
            "Choose another path for this one."
        )
    return (
        f"It is the path of endpoint {claim.endpoint} of team {claim.team}. Choose another path, "
        "or ask that team."
    )


def describe(behavior: Behavior) -> str:
    """A behavior in one line."""
    return f"{behavior.path_pattern} to {behavior.target_origin_id}"


def contested_claims(
    patterns: Sequence[str],
    rights: PathRights,
    *,
    origin_id: str,
    losers: frozenset[str] = frozenset(),
) -> Iterator[Contest]:
    """What others claim of these paths. `origin_id` is the asking endpoint's own origin, `losers`
    are the origins whose behaviors lose requests.

    1. Another team's endpoint: permitted by an assignment that lies inside the endpoint's pattern
       and is narrower, so that it can only have been meant for just this.
    2. Another team's assignment: permitted by an own one that is as narrow or narrower.
    """
    for pattern in patterns:
        own = tuple(rights.assigned(pattern))
        for claim in rights.claims:
            if claim.team == rights.team or claim.origin_id == origin_id:
                continue
            if not overlap(claim.pattern, pattern):
                continue
            inside = [one for one in own if covers(claim.pattern, one.pattern)]
            if claim.endpoint:
                inside = [one for one in inside if not covers(one.pattern, claim.pattern)]
                holder = f"the path of endpoint {claim.endpoint} of team {claim.team}"
            else:
                holder = f"assigned to team {claim.team}"
            yield Contest(
                pattern,
                claim.pattern,
                holder,
                claim.team,
                takes=bool(claim.origin_id) and claim.origin_id in losers,
                permitted=bool(inside),
                endpoint=claim.endpoint,
            )


def contests(
    patterns: Sequence[str],
    distribution: DistributionFacts,
    rights: PathRights,
    *,
    origin_id: str,
) -> tuple[Contest, ...]:
    """Everything that these paths would share with others or take from them.

    1. What other teams' endpoints and assignments claim.
    2. Behaviors, other than the default one, that no endpoint has and that lose requests: permitted
       by an own assignment.
    3. The well-known paths of the domain: likewise.
    """
    lost = {
        pattern: tuple(
            one for one in taken_from(pattern, distribution) if one.target_origin_id != origin_id
        )
        for pattern in patterns
    }
    losers = frozenset(one.target_origin_id for ones in lost.values() for one in ones)
    known = {claim.origin_id for claim in rights.claims if claim.endpoint}
    found = list(contested_claims(patterns, rights, origin_id=origin_id, losers=losers))
    for pattern in patterns:
        permitted = any(rights.assigned(pattern))
        found += (
            Contest(
                pattern,
                behavior.path_pattern,
                f"a behavior with origin {behavior.target_origin_id}",
                takes=True,
                permitted=permitted,
            )
            for behavior in lost[pattern]
            if behavior.target_origin_id not in known
        )
        if overlap(pattern, WELL_KNOWN):
            found.append(
                Contest(
                    pattern, WELL_KNOWN, "which speaks for the whole domain", permitted=permitted
                )
            )
    return tuple(found)


def taken_from(pattern: str, distribution: DistributionFacts) -> Iterator[Behavior]:
    """The behaviors, other than the default one, that lose requests to a new behavior for `pattern`
    at the place that it gets; none if it exists already.
    """
    behaviors = distribution.behaviors
    if distribution.behavior_for(pattern) is not None:
        return
    order = tuple(behavior.path_pattern for behavior in behaviors)
    lost = losing(pattern, position_for(pattern, order), order)
    yield from (one for one in behaviors if one.path_pattern in lost)
