"""CloudFront's entities in memory, written through to the database.

It decides how they become documents and back. It must never judge a request; the caller holds the world's lock
and, for changes, a transaction.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from lab.aws.cloudfront.document import parse
from lab.aws.cloudfront.lifecycle import Distribution, OriginRequestPolicy, Revision, VpcOrigin
from lab.aws.cloudfront.wire import read_structure
from lab.aws.database import LabDatabase


class CloudFrontStore:
    """All accounts' CloudFront entities by id."""

    def __init__(self, database: LabDatabase) -> None:
        self.database = database
        self.changes = 0
        self.vpc_origins = {document["id"]: VpcOrigin(**document) for document in database.entities("vpc_origin")}
        self.policies = {
            document["id"]: OriginRequestPolicy(**document) for document in database.entities("origin_request_policy")
        }
        self.distributions = {
            document["id"]: self._load_distribution(document) for document in database.entities("distribution")
        }
        # Caller references and aliases must be unique; looked up on every create and update.
        self._references = {(d.account, d.latest.config["CallerReference"]): d.id for d in self.distributions.values()}

    def put_vpc_origin(self, origin: VpcOrigin) -> None:
        """Insert or replace."""
        self.database.put_entity("vpc_origin", origin.id, dataclasses.asdict(origin))
        self.vpc_origins[origin.id] = origin
        self.changes += 1

    def drop_vpc_origin(self, origin: VpcOrigin) -> None:
        """Forget it."""
        self.database.delete_entity("vpc_origin", origin.id)
        del self.vpc_origins[origin.id]
        self.changes += 1

    def put_policy(self, policy: OriginRequestPolicy) -> None:
        """Insert or replace."""
        self.database.put_entity("origin_request_policy", policy.id, dataclasses.asdict(policy))
        self.policies[policy.id] = policy
        self.changes += 1

    def drop_policy(self, policy: OriginRequestPolicy) -> None:
        """Forget it."""
        self.database.delete_entity("origin_request_policy", policy.id)
        del self.policies[policy.id]
        self.changes += 1

    def put_distribution(self, distribution: Distribution, new_revision: Revision | None = None) -> None:
        """Insert or replace; only a new revision's configuration is written, those no longer listed are deleted."""
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
            self.database.put_revision(distribution.id, new_revision.number, written, new_revision.raw)
            self.database.delete_revisions(distribution.id, below=distribution.revisions[0].number)
        self.distributions[distribution.id] = distribution
        self._references[distribution.account, distribution.latest.config["CallerReference"]] = distribution.id
        self.changes += 1

    def drop_distribution(self, distribution: Distribution) -> None:
        """Forget it and its revisions."""
        self.database.delete_entity("distribution", distribution.id)
        self.database.delete_revisions(distribution.id)
        del self.distributions[distribution.id]
        self._references.pop((distribution.account, distribution.latest.config["CallerReference"]), None)
        self.changes += 1

    def by_caller_reference(self, account: str, reference: str) -> str | None:
        """Id of the account's distribution that was created with that reference."""
        return self._references.get((account, reference))

    def _load_distribution(self, document: dict[str, Any]) -> Distribution:
        revisions = tuple(
            Revision(raw=raw, config=read_structure("DistributionConfig", parse(raw).root), **written)
            for written, raw in self.database.revisions(document["id"])
        )
        return Distribution(revisions=revisions, **document)
