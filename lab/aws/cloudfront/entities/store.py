"""CloudFront's entities in memory, written through to the database.

It decides how they become documents and back. It must never judge a request; the caller holds the
world's lock and, for changes, a transaction.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from lab.aws.cloudfront.entities.lifecycle import (
    ContinuousDeploymentPolicy,
    Distribution,
    Invalidation,
    KeyGroup,
    Policy,
    PublicKey,
    ResourcePolicy,
    Revision,
    VpcOrigin,
)
from lab.aws.cloudfront.protocol.rest_xml import read_structure
from lab.aws.cloudfront.protocol.xml_document import parse
from lab.aws.database import LabDatabase


class Entity(Protocol):
    """A frozen dataclass whose fields JSON can hold."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def id(self) -> str:
        """Its key."""


Kept = TypeVar("Kept", bound=Entity)


class Shelf(Mapping[str, Kept]):
    """All entities of one kind by id; what is put on it or dropped from it is written through."""

    def __init__(self, store: CloudFrontStore, kind: str, build: Callable[..., Kept]) -> None:
        self._store = store
        self._kind = kind
        self._entities = {
            document["id"]: build(**document) for document in store.database.entities(kind)
        }

    def put(self, entity: Kept) -> None:
        """Insert or replace."""
        self._store.database.put_entity(self._kind, entity.id, dataclasses.asdict(entity))
        self._store.history.note(self._entities, entity.id)
        self._entities[entity.id] = entity
        self._store.changes += 1

    def drop(self, entity: Kept) -> None:
        """Forget it."""
        self._store.database.delete_entity(self._kind, entity.id)
        self._store.history.note(self._entities, entity.id)
        del self._entities[entity.id]
        self._store.changes += 1

    def as_of(self, moment: float) -> Shelf[Kept]:
        """The same shelf as it was at a moment of lab time, for reading."""
        past = copy.copy(self)
        past._entities = self._store.history.as_of(self._entities, moment)
        return past

    def __getitem__(self, key: str) -> Kept:
        return self._entities[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entities)

    def __len__(self) -> int:
        return len(self._entities)


class History:
    """What entities were before they were written, for as long as reads may lag behind writes.

    Before a write the caller says what time it is (lab time) and how long the past may be asked
    for.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._lag = 0.0
        # By the identity of a shelf's dict: which entity was what, until when.
        self._past: dict[int, list[tuple[float, str, Any]]] = {}

    def begin(self, now: float, lag: float) -> None:
        """A call begins; forget what nobody may ask for any more."""
        self._now, self._lag = now, lag
        for key, noted in list(self._past.items()):
            self._past[key] = [entry for entry in noted if entry[0] > now - lag]

    def note(self, entities: Mapping[str, Any], entity_id: str) -> None:
        """The entity is about to be put or dropped."""
        if self._lag:
            self._past.setdefault(id(entities), []).append(
                (self._now, entity_id, entities.get(entity_id))
            )

    def as_of(self, entities: dict[str, Kept], moment: float) -> dict[str, Kept]:
        """The entities as they were at `moment`."""
        found = dict(entities)
        for until, entity_id, was in reversed(self._past.get(id(entities), [])):
            if until > moment:
                if was is None:
                    found.pop(entity_id, None)
                else:
                    found[entity_id] = was
        return found


class CloudFrontStore:
    """All accounts' CloudFront entities by id. `changes` grows with every write."""

    def __init__(self, database: LabDatabase) -> None:
        self.database = database
        self.changes = 0
        self.history = History()
        self.vpc_origins = Shelf(self, "vpc_origin", VpcOrigin)
        self.origin_request_policies = Shelf(self, "origin_request_policy", Policy)
        self.cache_policies = Shelf(self, "cache_policy", Policy)
        self.response_headers_policies = Shelf(self, "response_headers_policy", Policy)
        self.public_keys = Shelf(self, "public_key", PublicKey)
        self.key_groups = Shelf(self, "key_group", KeyGroup)
        self.resource_policies = Shelf(self, "resource_policy", ResourcePolicy)
        self.continuous_deployment_policies = Shelf(
            self, "continuous_deployment_policy", ContinuousDeploymentPolicy
        )
        self.invalidations = Shelf(self, "invalidation", Invalidation)
        self.distributions = {
            document["id"]: self._load_distribution(document)
            for document in database.entities("distribution")
        }
        # Caller references and aliases must be unique; looked up on every create and update.
        self._references = {
            (d.account, d.latest.config["CallerReference"]): d.id
            for d in self.distributions.values()
        }

    def put_distribution(
        self, distribution: Distribution, new_revision: Revision | None = None
    ) -> None:
        """Insert or replace; only a new revision's configuration is written, those no longer listed
        are deleted.
        """
        document = {
            "account": distribution.account,
            "id": distribution.id,
            "domain": distribution.domain,
            "created": distribution.created,
            "tags": distribution.tags,
        }
        self.database.put_entity("distribution", distribution.id, document)
        if new_revision is not None:
            written = {
                "number": new_revision.number,
                "etag": new_revision.etag,
                "modified": new_revision.modified,
                "deployed_at": new_revision.deployed_at,
            }
            self.database.put_revision(
                distribution.id, new_revision.number, written, new_revision.raw
            )
            self.database.delete_revisions(distribution.id, below=distribution.revisions[0].number)
        self.history.note(self.distributions, distribution.id)
        self.distributions[distribution.id] = distribution
        self._references[distribution.account, distribution.latest.config["CallerReference"]] = (
            distribution.id
        )
        self.changes += 1

    def drop_distribution(self, distribution: Distribution) -> None:
        """Forget it and its revisions."""
        self.database.delete_entity("distribution", distribution.id)
        self.database.delete_revisions(distribution.id)
        self.history.note(self.distributions, distribution.id)
        del self.distributions[distribution.id]
        self._references.pop(
            (distribution.account, distribution.latest.config["CallerReference"]), None
        )
        self.changes += 1

    def by_caller_reference(self, account: str, reference: str) -> str | None:
        """Id of the account's distribution that was created with that reference."""
        return self._references.get((account, reference))

    def as_of(self, moment: float) -> CloudFrontStore:
        """Everything as it was at a moment of lab time, for reading."""
        past = copy.copy(self)
        past.distributions = self.history.as_of(self.distributions, moment)
        for name, shelf in vars(self).items():
            if isinstance(shelf, Shelf):
                setattr(past, name, shelf.as_of(moment))
        return past

    def _load_distribution(self, document: dict[str, Any]) -> Distribution:
        revisions = tuple(
            Revision(
                raw=raw, config=read_structure("DistributionConfig", parse(raw).root), **written
            )
            for written, raw in self.database.revisions(document["id"])
        )
        return Distribution(revisions=revisions, **document)
