"""EC2's public images: moto makes 1,300 of them, with a snapshot each, for every account in every
Region.

It decides only when: at the first call that can show one, not with the account. Their ids do not
depend on which call that is. It must never leave one out that somebody asks for.
"""

from __future__ import annotations

from typing import Any

from moto.ec2.models.amis import AmiBackend
from moto.ec2.models.elastic_block_store import EBSBackend

from lab.aws.moto_patches.time_and_random import random_numbers_of

_WAITING = "_public_images_are_waited_for"


def patch_public_images() -> None:
    """Make images and snapshots complete themselves when they are looked at."""
    load = AmiBackend._load_amis

    def later(backend: Any) -> None:
        vars(backend)[_WAITING] = True

    def complete(name: str) -> property:
        def get(backend: Any) -> Any:
            # No longer waited for before they are made, because making them looks here too.
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
