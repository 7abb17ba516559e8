"""Checks every reply of CloudFront against botocore's model of the operation, and records what was
seen.

A success has the declared status, all required members, no unknown ones, and values of the declared
types; an error has the declared status and CloudFront's form. botocore's own parser must find the
same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

import pytest
from botocore.exceptions import ClientError
from botocore.model import ListShape, OperationModel, Shape, StructureShape

from lab.aws.cloudfront.protocol.service_model import NAMESPACE
from tests.lab.account import Account

SUCCESS = ""


class Contract:
    """What was seen per operation: error codes, and SUCCESS."""

    def __init__(self) -> None:
        self.seen: defaultdict[str, set[str]] = defaultdict(set)

    def watch(self, account: Account) -> Any:
        """The account's client, whose replies are all checked from now on."""
        account.cloudfront.meta.events.register("after-call.cloudfront", self._check)
        return account.cloudfront

    def refuses(self, code: str, call: Callable[..., Any], **given: Any) -> None:
        """The call fails with this code."""
        with pytest.raises(ClientError) as caught:
            call(**given)
        reply: Any = caught.value.response
        assert reply["Error"]["Code"] == code, caught.value

    def _check(self, http_response: Any, parsed: Any, model: OperationModel, **_: Any) -> None:
        request_id = http_response.headers.get("x-amzn-RequestId")
        assert request_id, f"{model.name} has no request id"
        if http_response.status_code >= 300:
            code = _checked_error(model, http_response, request_id)
            assert parsed["Error"]["Code"] == code
            assert parsed["ResponseMetadata"]["HTTPStatusCode"] == http_response.status_code
            self.seen[model.name].add(code)
        else:
            _check_success(model, http_response, parsed)
            self.seen[model.name].add(SUCCESS)


def _check_success(model: OperationModel, http_response: Any, parsed: dict[str, Any]) -> None:
    assert http_response.status_code == int(model.http.get("responseCode", 200)), model.name
    shape = model.output_shape
    if shape is None:
        assert http_response.content == b"", model.name
        return
    for name, member in shape.members.items():
        if member.serialization.get("location") == "header" and name in ("ETag", "Location"):
            assert parsed.get(name), f"{model.name} has no {name}"
    payload = shape.serialization.get("payload")
    in_body = [
        name for name, member in shape.members.items() if not member.serialization.get("location")
    ]
    if not in_body:
        assert http_response.content == b"", model.name
        return
    root = ElementTree.fromstring(http_response.content)  # noqa: S314
    if payload:
        assert _local(root) == payload, model.name
        _check_element(root, shape.members[payload], model.name)
        _check_parsed(parsed[payload], shape.members[payload], model.name)
    else:
        _check_element(root, shape, model.name)
        _check_parsed(parsed, shape, model.name)


def _checked_error(model: OperationModel, http_response: Any, request_id: str) -> str:
    root = ElementTree.fromstring(http_response.content)  # noqa: S314
    assert _local(root) == "ErrorResponse"
    assert [_local(child) for child in root] == ["Error", "RequestId"]
    assert [_local(child) for child in root[0]] == ["Type", "Code", "Message"]
    kind, code, message = (child.text or "" for child in root[0])
    assert (kind, bool(message), root[1].text) == ("Sender", True, request_id)
    for declared in model.error_shapes:
        if declared.name == code:
            assert http_response.status_code == declared.metadata["error"]["httpStatusCode"], (
                model.name,
                code,
            )
    return code


def _check_element(element: ElementTree.Element, shape: Shape, where: str) -> None:
    """An element of the body against its shape: nothing unknown, nothing missing, every value
    readable.
    """
    if isinstance(shape, StructureShape):
        members = {
            member.serialization.get("name", name): member for name, member in shape.members.items()
        }
        found = [_local(child) for child in element]
        assert len(set(found)) == len(found), f"{where} has an element twice: {found}"
        assert members.keys() >= set(found), (
            f"{where} has unknown elements: {set(found) - members.keys()}"
        )
        for name in shape.required_members:
            member = shape.members[name]
            if not member.serialization.get("location") and not _empty_items(name, element):
                assert member.serialization.get("name", name) in found, f"{where} misses {name}"
        for child in element:
            _check_element(child, members[_local(child)], f"{where}.{_local(child)}")
    elif isinstance(shape, ListShape):
        wanted = shape.member.serialization.get("name", "member")
        for child in element:
            assert _local(child) == wanted, f"{where} holds {_local(child)} instead of {wanted}"
            _check_element(child, shape.member, f"{where}.{wanted}")
    else:
        assert len(element) == 0, f"{where} has children"
        _check_text(element.text or "", shape, where)


def _check_text(text: str, shape: Shape, where: str) -> None:
    if shape.type_name in ("integer", "long"):
        int(text)
    elif shape.type_name in ("float", "double"):
        float(text)
    elif shape.type_name == "boolean":
        assert text in ("true", "false"), f"{where} is {text!r}"
    elif shape.type_name == "timestamp":
        assert datetime.fromisoformat(text).tzinfo is not None, f"{where} is {text!r}"
    allowed = shape.metadata.get("enum")
    assert not allowed or text in allowed, f"{where} is {text!r}, none of {allowed}"


def _check_parsed(value: Any, shape: Shape, where: str) -> None:
    """What botocore parsed has all required members."""
    if isinstance(shape, StructureShape):
        for name in shape.required_members:
            assert name in value or (name == "Items" and not value.get("Quantity")), (
                f"{where} misses {name}"
            )
        for name, member in shape.members.items():
            if name in value:
                _check_parsed(value[name], member, f"{where}.{name}")
    elif isinstance(shape, ListShape):
        for item in value:
            _check_parsed(item, shape.member, where)


def _empty_items(name: str, element: ElementTree.Element) -> bool:
    """CloudFront omits the Items of an empty list, even if required."""
    quantity = element.find(f"{{{NAMESPACE}}}Quantity")
    return name == "Items" and quantity is not None and quantity.text == "0"


def _local(element: ElementTree.Element) -> str:
    uri, _, name = element.tag.rpartition("}")
    assert uri in ("{" + NAMESPACE.rstrip("}"), ""), element.tag
    return name
