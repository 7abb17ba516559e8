"""Invalidations: create, get, list. The edge's caches are not affected."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lab.aws.cloudfront.context import Context, Operation, new_id, page
from lab.aws.cloudfront.entities.lifecycle import INVALIDATION_SECONDS, Invalidation, duration
from lab.aws.cloudfront.operations import distributions
from lab.aws.cloudfront.protocol.errors import CloudFrontError, invalid
from lab.aws.cloudfront.protocol.rest_xml import Call, Values

# Developer Guide, "What you need to know when invalidating paths": a leading slash, RFC 1738's
# unsafe characters escaped, no tilde.
_PATH = re.compile(r"/(?:[A-Za-z0-9$\-_.+!*'(),;/?:@=&]|%(?!7[Ee])[0-9A-Fa-f]{2})*")
_LONGEST_PATH = 4000


def create_invalidation(context: Context, call: Call) -> Values:
    """CreateInvalidation. The same reference with the same paths returns the existing
    invalidation.
    """
    distribution = distributions.find(context, call.parameters["DistributionId"])
    batch = call.parameters["InvalidationBatch"]
    paths, reference = list(batch["Paths"].get("Items") or []), batch["CallerReference"]
    if not reference:
        raise invalid("The parameter CallerReference must not be empty.")
    _check_paths(context, paths)
    own = _of_distribution(context, distribution.id)
    for earlier in own:
        if earlier.reference == reference:
            if earlier.paths != paths:
                # The API reference mentions InvalidationBatchAlreadyExists, but no list of errors
                # has it.
                raise invalid(
                    "Your request contains a caller reference that was used for a previous "
                    "invalidation batch for the "
                    "same distribution."
                )
            return _created(context, earlier)
    _check_room(context, own, paths)
    invalidation_id = new_id("I", 25)
    made = Invalidation(
        account=context.account,
        id=invalidation_id,
        distribution=distribution.id,
        reference=reference,
        paths=paths,
        created=context.real_time,
        completed_at=context.now + duration(INVALIDATION_SECONDS, invalidation_id),
    )
    context.store.invalidations.put(made)
    return _created(context, made)


def get_invalidation(context: Context, call: Call) -> Values:
    """GetInvalidation."""
    distribution = distributions.find(context, call.parameters["DistributionId"])
    found = context.store.invalidations.get(call.parameters["Id"])
    if found is None or found.distribution != distribution.id:
        raise CloudFrontError("NoSuchInvalidation", "The specified invalidation does not exist.")
    return {"Invalidation": _shown(context, found)}


def list_invalidations(context: Context, call: Call) -> Values:
    """ListInvalidations: newest first, in pages; a marker is the last id of the previous page."""
    distribution = distributions.find(context, call.parameters["DistributionId"])
    newest = sorted(_of_distribution(context, distribution.id), key=lambda found: -found.created)
    places = {found.id: f"{place:09}" for place, found in enumerate(newest)}
    marker = call.parameters.get("Marker", "")
    if marker and marker not in places:
        raise invalid(f"The value of Marker is not valid: {marker}")
    listed = page(
        context,
        newest,
        {**call.parameters, "Marker": places.get(marker, "")},
        lambda found: places[found.id],
        lambda found: {
            "Id": found.id,
            "CreateTime": found.created,
            "Status": found.status(context.now),
        },
    )
    listed["Marker"] = marker
    if "NextMarker" in listed:
        listed["NextMarker"] = listed["Items"][-1]["Id"]
    return {"InvalidationList": listed}


def _of_distribution(context: Context, distribution_id: str) -> list[Invalidation]:
    return [
        entity
        for entity in context.store.invalidations.values()
        if entity.distribution == distribution_id
    ]


def _check_paths(context: Context, paths: Sequence[str]) -> None:
    if not paths:
        raise invalid("The parameter Paths must have at least one item.")
    limit = context.quotas["invalidation_paths_in_progress"]
    if len(paths) > limit:
        raise CloudFrontError(
            "BatchTooLarge", f"An invalidation cannot have more than {limit} paths."
        )
    for path in paths:
        if len(path) > _LONGEST_PATH or not _PATH.fullmatch(path):
            raise invalid(
                f"Your request contains one or more invalid invalidation paths: {path[:100]}"
            )


def _check_room(context: Context, own: Sequence[Invalidation], paths: Sequence[str]) -> None:
    """The quotas page counts paths in progress per distribution, and paths with a wildcard
    separately.
    """
    busy = [
        path for found in own if found.status(context.now) == "InProgress" for path in found.paths
    ]
    together = [*busy, *paths]
    wildcards = sum(path.endswith("*") for path in together)
    if (
        len(together) > context.quotas["invalidation_paths_in_progress"]
        or wildcards > context.quotas["invalidation_wildcards_in_progress"]
    ):
        raise CloudFrontError(
            "TooManyInvalidationsInProgress",
            "Processing your request will cause you to exceed the maximum number of "
            "in-progress invalidations.",
        )


def _created(context: Context, invalidation: Invalidation) -> Values:
    location = (
        f"https://cloudfront.amazonaws.com/2020-05-31/distribution/{invalidation.distribution}"
        f"/invalidation/{invalidation.id}"
    )
    return {"Invalidation": _shown(context, invalidation), "Location": location}


def _shown(context: Context, invalidation: Invalidation) -> Values:
    return {
        "Id": invalidation.id,
        "Status": invalidation.status(context.now),
        "CreateTime": invalidation.created,
        "InvalidationBatch": {
            "Paths": {"Quantity": len(invalidation.paths), "Items": invalidation.paths},
            "CallerReference": invalidation.reference,
        },
    }


OPERATIONS: Mapping[str, Operation] = {
    "CreateInvalidation": create_invalidation,
    "GetInvalidation": get_invalidation,
    "ListInvalidations": list_invalidations,
}
