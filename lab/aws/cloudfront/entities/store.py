"""CloudFront's entities in memory, written through to the database. Callers hold the lab's lock
and, for changes, a transaction.
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


EntityT = TypeVar("EntityT", bound=Entity)


class EntityTable(Mapping[str, EntityT]):
    """All entities of one kind by id; changes are written through."""

    def __init__(self, store: CloudFrontStore, kind: str, build: Callable[..., EntityT]) -> None:
        self._store = store
        self._kind = kind
        self._entities = {
            document["id"]: build(**document) for document in store.database.entities(kind)
        }

    def put(self, entity: EntityT) -> None:
        """Insert or replace."""
        self._store.database.put_entity(self._kind, entity.id, dataclasses.asdict(entity))
        self._store.history.record(self._entities, entity.id)
        self._entities[entity.id] = entity
        self._store.changes += 1

    def drop(self, entity: EntityT) -> None:
        """Remove it."""
        self._store.database.delete_entity(self._kind, entity.id)
        self._store.history.record(self._entities, entity.id)
        del self._entities[entity.id]
        self._store.changes += 1

    def as_of(self, moment: float) -> EntityTable[EntityT]:
        """The same entities as at an earlier lab time, read-only."""
        past = copy.copy(self)
        past._entities = self._store.history.as_of(self._entities, moment)
        return past

    def __getitem__(self, key: str) -> EntityT:
        return self._entities[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entities)

    def __len__(self) -> int:
        return len(self._entities)


class History:
    """Earlier states of entities, for as long as reads may lag behind writes.

    Before a write, `begin` sets the lab time and the lag.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._lag = 0.0
        # By the id() of a table's dict: (until when, entity id, entity).
        self._past: dict[int, list[tuple[float, str, Any]]] = {}

    def begin(self, now: float, lag: float) -> None:
        """Start a call; drop states older than the lag."""
        self._now, self._lag = now, lag
        for key, noted in list(self._past.items()):
            self._past[key] = [entry for entry in noted if entry[0] > now - lag]

    def record(self, entities: Mapping[str, Any], entity_id: str) -> None:
        """Record an entity that is about to be put or dropped."""
        if self._lag:
            self._past.setdefault(id(entities), []).append(
                (self._now, entity_id, entities.get(entity_id))
            )

    def as_of(self, entities: dict[str, EntityT], moment: float) -> dict[str, EntityT]:
        """The entities as at lab time `moment`."""
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
        self.vpc_origins = EntityTable(self, "vpc_origin", VpcOrigin)
        self.origin_request_policies = EntityTable(self, "origin_request_policy", Policy)
        self.cache_policies = EntityTable(self, "cache_policy", Policy)
        self.response_headers_policies = EntityTable(self, "response_headers_policy", Policy)
        self.public_keys = EntityTable(self, "public_key", PublicKey)
        self.key_groups = EntityTable(self, "key_group", KeyGroup)
        self.resource_policies = EntityTable(self, "resource_policy", ResourcePolicy)
        self.continuous_deployment_policies = EntityTable(
            self, "continuous_deployment_policy", ContinuousDeploymentPolicy
        )
        self.invalidations = EntityTable(self, "invalidation", Invalidation)
        self.distributions = {
            document["id"]: self._load_distribution(document)
            for document in database.entities("distribution")
        }
        # Caller references must be unique, and are looked up at every create.
        self._references = {
            (d.account, d.latest.config["CallerReference"]): d.id
            for d in self.distributions.values()
        }

    def put_distribution(
        self, distribution: Distribution, new_revision: Revision | None = None
    ) -> None:
        """Insert or replace. Only a new revision's configuration is written, and unlisted revisions
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
        self.history.record(self.distributions, distribution.id)
        self.distributions[distribution.id] = distribution
        self._references[distribution.account, distribution.latest.config["CallerReference"]] = (
            distribution.id
        )
        self.changes += 1

    def drop_distribution(self, distribution: Distribution) -> None:
        """Remove it with its revisions."""
        self.database.delete_entity("distribution", distribution.id)
        self.database.delete_revisions(distribution.id)
        self.history.record(self.distributions, distribution.id)
        del self.distributions[distribution.id]
        self._references.pop(
            (distribution.account, distribution.latest.config["CallerReference"]), None
        )
        self.changes += 1

    def by_caller_reference(self, account: str, reference: str) -> str | None:
        """Id of the account's distribution with that caller reference."""
        return self._references.get((account, reference))

    def as_of(self, moment: float) -> CloudFrontStore:
        """Everything as at an earlier lab time, read-only."""
        past = copy.copy(self)
        past.distributions = self.history.as_of(self.distributions, moment)
        for name, table in vars(self).items():
            if isinstance(table, EntityTable):
                setattr(past, name, table.as_of(moment))
        return past

    def _load_distribution(self, document: dict[str, Any]) -> Distribution:
        revisions = tuple(
            Revision(
                raw=raw, config=read_structure("DistributionConfig", parse(raw).root), **written
            )
            for written, raw in self.database.revisions(document["id"])
        )
        return Distribution(revisions=revisions, **document)
