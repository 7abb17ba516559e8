"""Whether an endpoint can change hands, and every reason why not at once (PURE).

Asked when a team offers it and again when the other accepts: between the two, anything may have
changed. Nothing changes in AWS, because no tag or name there says which team an endpoint is of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from json import dumps
from typing import Any

from provisioning.spec.parsing import FieldError


@dataclass(frozen=True)
class Handover:
    """An endpoint and the team that is to get it, as far as the rules care.

    `open_request` is what is asked for in a request that is not over, "" if there is none.
    `uses_secrets` names what sends a secret of the present team, `contested` what others claim of
    its paths against the new one, each in words. `offered` is the digest of the settings that were
    offered, "" before that; `present` is the digest of those of now.
    """

    account: str
    team: str
    deployed: bool = True
    running: bool = False
    open_request: str = ""
    checking: bool = False
    uses_secrets: tuple[str, ...] = ()
    contested: tuple[str, ...] = ()
    same_team: bool = False
    has_members: bool = True
    has_account: bool = True
    offered: str = ""
    present: str = ""


def settings_digest(spec_data: Mapping[str, Any]) -> str:
    """Changes with any setting of the endpoint, its name included."""
    return sha256(dumps(spec_data, sort_keys=True).encode()).hexdigest()


def obstacles(handover: Handover) -> tuple[FieldError, ...]:
    """Every reason why the endpoint cannot change hands now; the field is `team` where another team
    could have it.
    """
    return tuple(_obstacles(handover))


def _obstacles(it: Handover) -> Iterator[FieldError]:
    if it.same_team:
        yield FieldError("team", "same_team", f"The endpoint is {it.team}’s already.")
    if not it.has_members:
        message = f"{it.team} has no active member who could accept. Ask the platform team."
        yield FieldError("team", "no_members", message)
    if not it.has_account:
        message = (
            f"{it.team} cannot use account {it.account}. A platform admin gives the team the "
            "account first."
        )
        yield FieldError("team", "account_lost", message)
    if it.contested and not it.same_team:
        message = (
            f"{it.team} may not have these paths: {'; '.join(it.contested)}. A platform admin "
            f"assigns them to {it.team} first."
        )
        yield FieldError("team", "path_contested", message)
    if not it.deployed:
        message = "Only a deployed endpoint can be transferred."
        yield FieldError("endpoint", "wrong_state", message)
    if it.open_request:
        message = f"A request for it is not over ({it.open_request}). Wait for it, or cancel it."
        yield FieldError("endpoint", "request_under_way", message)
    elif it.running:
        message = "A run is changing it in AWS. Wait until it is over."
        yield FieldError("endpoint", "request_under_way", message)
    if it.checking:
        message = "A check or a probe of it is running. Try again when it has finished."
        yield FieldError("endpoint", "busy", message)
    if it.uses_secrets:
        message = (
            f"Secrets of its team are sent by {', '.join(it.uses_secrets)}. They do not move with "
            "the endpoint: change it, or delete the checks, so that none is needed."
        )
        yield FieldError("endpoint", "secret_in_use", message)
    if it.offered and it.offered != it.present:
        message = "Its settings have changed since it was offered. It has to be offered again."
        yield FieldError("endpoint", "changed_since", message)
