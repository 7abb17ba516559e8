"""Finds what the installed botocore would drop from a distribution's configuration.

UpdateDistribution replaces the whole configuration, and botocore parses only the elements that it
knows: read, edit and write back would delete settings newer than the library. This module compares
the raw XML of each answer with botocore's own shape. It never changes an answer; a caller must not
write if it found something.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from botocore.model import ListShape, OperationModel, Shape, StructureShape

if TYPE_CHECKING:
    from mypy_boto3_cloudfront import CloudFrontClient

WATCHED_OPERATIONS = ("GetDistribution", "GetDistributionConfig", "UpdateDistribution")
CONFIGURATION = "DistributionConfig"
_KEY = "UnknownElements"


def watch(client: CloudFrontClient) -> None:
    """From now on every answer with a distribution's configuration carries what botocore does not
    know in it.
    """
    for operation in WATCHED_OPERATIONS:
        client.meta.events.register(f"before-parse.cloudfront.{operation}", _compare)


def found_in(response: Mapping[str, Any]) -> tuple[str, ...]:
    """The paths found in one answer, as in DistributionConfig/Origins/Items/Origin/NewThing."""
    paths: tuple[str, ...] = response[_KEY]
    return paths


def _compare(
    operation_model: OperationModel,
    response_dict: Mapping[str, Any],
    customized_response_dict: dict[str, Any],
    **_: object,
) -> None:
    # botocore lays this dict over the parsed answer of the very call it belongs to: no state shared
    # by threads.
    if response_dict["status_code"] >= 300:
        return
    try:
        # The body comes from AWS over TLS, and botocore is about to parse it with the same parser.
        root = ElementTree.fromstring(response_dict["body"])  # noqa: S314
    except ElementTree.ParseError:
        # botocore will fail on it too, with an error that is in the table.
        return
    shape = operation_model.service_model.shape_for(CONFIGURATION)
    element = (
        root
        if _name(root) == CONFIGURATION
        else next((e for e in root if _name(e) == CONFIGURATION), None)
    )
    customized_response_dict[_KEY] = (
        () if element is None else tuple(dict.fromkeys(unknown(shape, element, CONFIGURATION)))
    )


def unknown(shape: Shape, element: ElementTree.Element, path: str) -> Iterator[str]:
    """Paths of the elements and attributes below `element` that botocore's parser would not carry
    over.

    1. In a structure: a name that is not a member; a member that comes twice without being a list.
    2. In a list: an element whose name is not the list's.
    3. In a plain value: any element inside it.
    4. Anywhere: an attribute (none is modelled in a distribution's configuration).
    """
    for attribute in element.attrib:
        yield f"{path}/@{_local(attribute)}"
    if isinstance(shape, StructureShape):
        members = {
            str(member.serialization.get("name", name)): member
            for name, member in shape.members.items()
        }
        seen: set[str] = set()
        for child in element:
            name = _name(child)
            if name not in members or name in seen:
                yield f"{path}/{name}"
                continue
            seen.add(name)
            yield from unknown(members[name], child, f"{path}/{name}")
    elif isinstance(shape, ListShape):
        expected = str(shape.member.serialization.get("name", "member"))
        for child in element:
            if _name(child) != expected:
                yield f"{path}/{_name(child)}"
            else:
                yield from unknown(shape.member, child, f"{path}/{expected}")
    else:
        for child in element:
            yield f"{path}/{_name(child)}"


def _name(element: ElementTree.Element) -> str:
    return _local(element.tag)


def _local(name: str) -> str:
    return name.rsplit("}", 1)[-1]
