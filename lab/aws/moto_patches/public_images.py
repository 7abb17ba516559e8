"""EC2's public images: moto creates 1,300 of them, with a snapshot each, for every account in every
Region.

Here they are created at the first call that can show one. Their ids do not depend on which call
that is.
"""

from __future__ import annotations

from typing import Any

from moto.ec2.models.amis import AmiBackend
from moto.ec2.models.elastic_block_store import EBSBackend

from lab.aws.moto_patches.time_and_random import random_numbers_of

_WAITING = "_public_images_are_waited_for"


def patch_public_images() -> None:
    """Create images and snapshots when they are first accessed."""
    load = AmiBackend._load_amis

    def later(backend: Any) -> None:
        vars(backend)[_WAITING] = True

    def complete(name: str) -> property:
        def get(backend: Any) -> Any:
            # Cleared first, because loading them accesses this property too.
            if vars(backend).pop(_WAITING, False):
                with random_numbers_of(f"images/{backend.account_id}/{backend.region_name}"):
                    load(backend)
            return vars(backend)[name]

        def put(backend: Any, entities: Any) -> None:
            vars(backend)[name] = entities

        return property(get, put)

    setattr(AmiBackend, "_load_amis", later)  # noqa: B010
    setattr(AmiBackend, "amis", complete("amis"))  # noqa: B010
    setattr(EBSBackend, "snapshots", complete("snapshots"))  # noqa: B010
