"""What an export holds, as frozen values, and the names that it gets in a file (PURE).

A configuration is botocore's dict, with two kinds of values that only a file can resolve: a Hidden
value, which whoever applies the export supplies, and a VpcOriginRef.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from provisioning.facts.network import SecurityGroupRule
from provisioning.redaction.masking import mask_text

Config = Mapping[str, Any]


class Format(StrEnum):
    """What an export is written in."""

    TERRAFORM = "terraform"
    CLOUDFORMATION = "cloudformation"
    CDK_TYPESCRIPT = "cdk-typescript"
    CDK_PYTHON = "cdk-python"


TITLES = {
    Format.TERRAFORM: "Terraform",
    Format.CLOUDFORMATION: "CloudFormation",
    Format.CDK_TYPESCRIPT: "CDK (TypeScript)",
    Format.CDK_PYTHON: "CDK (Python)",
}


class Scope(StrEnum):
    """How much is exported."""

    ENDPOINT = "endpoint"
    DISTRIBUTION = "distribution"
    FLEET = "fleet"


@dataclass(frozen=True)
class Hidden:
    """A value that is not exported. `what` names it for people, and differs for each."""

    what: str


@dataclass(frozen=True)
class VpcOriginRef:
    """The ID of a VPC origin that is in the same export."""

    id: str


@dataclass(frozen=True)
class ExportedVpcOrigin:
    """A VPC origin: its VpcOriginEndpointConfig and tags. `shared_with` counts the other endpoints
    of the portal on it.
    """

    id: str
    config: Config
    tags: Mapping[str, str]
    shared_with: int = 0


@dataclass(frozen=True)
class ExportedRule:
    """An ingress rule that the portal added, with its tags."""

    rule: SecurityGroupRule
    tags: Mapping[str, str]
    shared_with: int = 0


@dataclass(frozen=True)
class ExportedDistribution:
    """A whole distribution: its DistributionConfig and tags."""

    id: str
    domain_name: str
    config: Config
    tags: Mapping[str, str]


@dataclass(frozen=True)
class PlacedBehavior:
    """One of an endpoint's behaviors: how many stand before it in the distribution, and the pattern
    of the next one, "" for the last.
    """

    config: Config
    position: int
    before: str


@dataclass(frozen=True)
class Fragment:
    """An endpoint's part of a distribution, for whoever keeps the distribution in code."""

    distribution_id: str
    domain_name: str
    origin: Config
    behaviors: tuple[PlacedBehavior, ...]


@dataclass(frozen=True)
class Stack:
    """What goes into one root module, or one stack: things of one account in one Region. `remarks`
    are what somebody who applies it has to know, beside what holds for every export.
    """

    account_id: str
    region: str
    distributions: tuple[ExportedDistribution, ...] = ()
    vpc_origins: tuple[ExportedVpcOrigin, ...] = ()
    rules: tuple[ExportedRule, ...] = ()
    fragment: Fragment | None = None
    remarks: tuple[str, ...] = ()

    @cached_property
    def hidden(self) -> tuple[Hidden, ...]:
        """Every value that has to be supplied, in the order of the file."""
        trees: list[Any] = [
            *((one.config, one.tags) for one in self.vpc_origins),
            *(one.tags for one in self.rules),
            *((one.config, one.tags) for one in self.distributions),
        ]
        if self.fragment:
            trees.append([self.fragment.origin, *(one.config for one in self.fragment.behaviors)])
        return tuple(dict.fromkeys(_hidden_in(trees)))


@dataclass(frozen=True)
class Export:
    """An export. `name` says of what, in a word that can be a file's name."""

    scope: Scope
    name: str
    stacks: tuple[Stack, ...]


def _hidden_in(tree: Any) -> Iterable[Hidden]:
    if isinstance(tree, Hidden):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from _hidden_in(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _hidden_in(value)


def without_secrets(config: Any, what: str) -> Any:
    """The configuration with every custom header's value, and every text that shows a credential,
    replaced by a Hidden. `what` says of what it is part.
    """
    if isinstance(config, Mapping):
        if "HeaderValue" in config:
            return {**config, "HeaderValue": Hidden(f"{what} header {config['HeaderName']}")}
        return {
            key: without_secrets(value, what if key in _UNSAID else f"{what} {key}")
            for key, value in config.items()
        }
    if isinstance(config, list):
        return [
            without_secrets(one, f"{what} {_label(one, number)}".rstrip())
            for number, one in enumerate(config, 1)
        ]
    return Hidden(what) if isinstance(config, str) and mask_text(config) != config else config


_UNSAID = frozenset({"Origins", "CustomHeaders", "Items"})


def _label(one: Any, number: int) -> str:
    if isinstance(one, Mapping) and "HeaderName" in one:
        return ""
    return str(one["Id"]) if isinstance(one, Mapping) and "Id" in one else str(number)


def with_references(config: Any, vpc_origin_ids: Iterable[str]) -> Any:
    """The configuration with a VpcOriginRef for each of these VPC origins."""
    known = frozenset(vpc_origin_ids)
    if isinstance(config, Mapping):
        return {
            key: VpcOriginRef(value)
            if key == "VpcOriginId" and value in known
            else with_references(value, known)
            for key, value in config.items()
        }
    return [with_references(one, known) for one in config] if isinstance(config, list) else config


def items(config: Config, name: str) -> list[Any]:
    """The items of one of CloudFront's Quantity/Items pairs; AWS leaves Items out when there are
    none.
    """
    return list((config.get(name) or {}).get("Items") or ())


def unique_names(texts: Iterable[str], spell: Callable[[str], str]) -> dict[str, str]:
    """A name for each text, spelled as the format wants it. Those that would be the same get a
    number.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for text in texts:
        name = plain = spell(text)
        number = 2
        while name.lower() in taken:
            name, number = f"{plain}{number}", number + 1
        taken.add(name.lower())
        names[text] = name
    return names


def snake(text: str) -> str:
    """`E1 origin chat header X-Key` as `e1_origin_chat_header_x_key`."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def pascal(text: str) -> str:
    """The same as `E1OriginChatHeaderXKey`: letters and digits, as CloudFormation wants."""
    words = re.findall(r"[A-Za-z0-9]+", text)
    return "".join(word[0].upper() + word[1:] for word in words)
