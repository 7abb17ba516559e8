"""The rest-xml protocol: parses requests and writes replies by botocore's shapes.

It does not know what an operation means.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

from botocore.model import ListShape, OperationModel, Shape, StructureShape

from lab.aws.cloudfront.protocol.errors import CloudFrontError, invalid
from lab.aws.cloudfront.protocol.service_model import (
    API_VERSION,
    NAMESPACE,
    SERVICE_MODEL,
    structure,
)
from lab.aws.cloudfront.protocol.xml_document import Document, Element, malformed, parse
from lab.aws.replies import HttpReply, printable

Values: TypeAlias = dict[str, Any]
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_DECIMAL = re.compile(r"[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,2})?")
_LIMITS = {"integer": 2**31, "long": 2**63}


@dataclass(frozen=True)
class Verbatim:
    """XML that is sent as it is, instead of a written element."""

    xml: str


@dataclass(frozen=True)
class Call:
    """A parsed request. `document` is its body, for operations that keep the bytes."""

    operation: OperationModel
    parameters: Values
    document: Document | None


@dataclass(frozen=True)
class _Route:
    operation: OperationModel
    method: str
    path: re.Pattern[str]
    query: frozenset[tuple[str, str]]


@dataclass
class Router:
    """Finds the operation of a request in botocore's model."""

    routes: list[_Route] = field(default_factory=list)

    @classmethod
    def for_all_operations(cls) -> Router:
        """Every operation of the model; those with a query in their URI first, since they are more
        specific.
        """
        routes = []
        for name in SERVICE_MODEL.operation_names:
            operation = SERVICE_MODEL.operation_model(name)
            path, _, query = operation.http["requestUri"].partition("?")
            pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))
            fixed = frozenset(parse_qsl(query, keep_blank_values=True))
            routes.append(
                _Route(operation, operation.http["method"], re.compile(pattern + "/?"), fixed)
            )
        return cls(sorted(routes, key=lambda route: -len(route.query)))

    def match(self, method: str, path: str, query: str) -> tuple[OperationModel, Values]:
        """The operation, and the parameters in URI and query.

        :raises CloudFrontError: NoSuchOperation.
        """
        pairs = parse_qsl(query, keep_blank_values=True)
        given = frozenset(pairs)
        for route in self.routes:
            if route.method != method or not route.query <= given:
                continue
            found = route.path.fullmatch(path)
            if found:
                labels = {name: unquote(text) for name, text in found.groupdict().items()}
                return route.operation, {"uri": labels, "querystring": dict(pairs)}
        raise CloudFrontError(
            "NoSuchOperation", f"CloudFront {API_VERSION} has no operation {method} {path}"
        )


def read_call(
    router: Router, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
) -> Call:
    """Parse a request; `headers` have lower-case names.

    :raises CloudFrontError: MalformedInput, MalformedXML, InconsistentQuantities, MissingBody,
    InvalidArgument, NoSuchOperation.
    """
    operation, located = router.match(method, path, query)
    shape = operation.input_shape
    if shape is None:
        return Call(operation, {}, None)
    parameters: Values = {}
    payload = shape.serialization.get("payload")
    in_body = []
    for name, member in shape.members.items():
        location = member.serialization.get("location")
        wire_name = member.serialization.get("name", name)
        if location == "header":
            if wire_name.lower() in headers:
                parameters[name] = _scalar(member, headers[wire_name.lower()], name)
        elif location in ("uri", "querystring"):
            if wire_name in located[location]:
                parameters[name] = _scalar(member, located[location][wire_name], name)
        else:
            in_body.append(name)
            continue
        # A missing version has its own code, which the operation raises when it has found the
        # entity.
        if name in shape.required_members and name not in parameters and wire_name != "If-Match":
            raise invalid(f"The parameter {wire_name} is required.")
    document = None
    if payload is not None:
        document = _parse_as(shape.members[payload], payload, body)
        parameters[payload] = _read(shape.members[payload], document.root, _lower_first(payload))
    elif in_body:
        document = _parse_as(shape, shape.name, body)
        read = _read(shape, document.root, "")
        parameters.update({name: read[name] for name in in_body if name in read})
    return Call(operation, parameters, document)


def read_structure(shape_name: str, element: Element) -> Values:
    """A structure of the model read from an element, as botocore would represent it."""
    return _read_structure(structure(shape_name), element, _lower_first(shape_name))


def write_reply(operation: OperationModel, result: Values, request_id: str) -> HttpReply:
    """The success reply: members of the output shape as headers and payload."""
    status = int(operation.http.get("responseCode", 200))
    headers = [("x-amzn-RequestId", request_id)]
    shape = operation.output_shape
    body = b""
    if shape is not None:
        payload = shape.serialization.get("payload")
        for name, member in shape.members.items():
            if member.serialization.get("location") == "header" and result.get(name) is not None:
                headers.append((member.serialization.get("name", name), str(result[name])))
        if payload is not None:
            member = shape.members[payload]
            value = result[payload]
            text = (
                value.xml
                if isinstance(value, Verbatim)
                else write_element(payload, member, value, root=True)
            )
            body = f'<?xml version="1.0"?>\n{text}'.encode()
            headers.append(("Content-Type", "text/xml"))
        elif any(not member.serialization.get("location") for member in shape.members.values()):
            body = f'<?xml version="1.0"?>\n{_bare_result(shape, result)}'.encode()
            headers.append(("Content-Type", "text/xml"))
    return HttpReply(status, tuple(headers), body)


def _bare_result(shape: StructureShape, result: Values) -> str:
    """A reply without a payload member: an element with the shape's name, around the members that
    are not headers.
    """
    pieces = [
        write_element(member.serialization.get("name", name), member, result[name])
        for name, member in shape.members.items()
        if not member.serialization.get("location") and result.get(name) is not None
    ]
    return f'<{shape.name} xmlns="{NAMESPACE}">{"".join(pieces)}</{shape.name}>'


def write_error(error: CloudFrontError, request_id: str) -> HttpReply:
    """The error reply in CloudFront's form."""
    fault = "Receiver" if error.status >= 500 else "Sender"
    body = (
        f'<?xml version="1.0"?>\n<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>{fault}</Type>'
        f"<Code>{error.code}</Code><Message>{escape(printable(error.message))}</Message></Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return HttpReply(
        error.status,
        (("x-amzn-RequestId", request_id), ("Content-Type", "text/xml")),
        body.encode(),
    )


def new_request_id() -> str:
    """A request id in AWS's form."""
    digits = secrets.token_hex(16)
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def write_element(name: str, shape: Shape, value: Any, *, root: bool = False) -> str:
    """XML of one value. A member that the shape lacks is a bug and fails."""
    if isinstance(value, Verbatim):
        return value.xml
    opening = f'<{name} xmlns="{NAMESPACE}">' if root else f"<{name}>"
    return f"{opening}{_content(shape, value)}</{name}>"


def _content(shape: Shape, value: Any) -> str:
    if isinstance(shape, StructureShape):
        unknown = value.keys() - shape.members.keys()
        if unknown:
            raise TypeError(f"{shape.name} has no {', '.join(sorted(unknown))}")
        pieces = []
        for name, member in shape.members.items():
            if value.get(name) is not None:
                pieces.append(
                    write_element(member.serialization.get("name", name), member, value[name])
                )
            elif name in shape.required_members:
                raise TypeError(f"{shape.name}.{name} is required in replies")
        return "".join(pieces)
    if isinstance(shape, ListShape):
        name = shape.member.serialization.get("name", "member")
        return "".join(write_element(name, shape.member, item) for item in value)
    if shape.type_name == "boolean":
        return "true" if value else "false"
    if shape.type_name == "timestamp":
        moment = datetime.fromtimestamp(value, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    # A marker or a name is echoed, and may contain characters that XML cannot hold.
    return escape(printable(str(value)))


def _parse_as(shape: Shape, name: str, body: bytes) -> Document:
    """The body, whose root element must be the one that the model says."""
    document, wanted = parse(body), shape.serialization.get("name", name)
    if document.root.name != wanted:
        raise malformed(
            f"the root element is {document.root.name}; it must be {wanted} of the "
            f"namespace {NAMESPACE}"
        )
    return document


def _read(shape: Shape, element: Element, path: str) -> Any:
    if isinstance(shape, StructureShape):
        return _read_structure(shape, element, path)
    if isinstance(shape, ListShape):
        name = shape.member.serialization.get("name", "member")
        found = [child for child in element.children if child.name == name]
        return [
            _read(shape.member, child, f"{path}.{index}.member")
            for index, child in enumerate(found, 1)
        ]
    if element.children:
        raise malformed(f"{element.name} must not have child elements")
    return _scalar(shape, element.text, path)


def _read_structure(shape: StructureShape, element: Element, path: str) -> Values:
    members = {
        member.serialization.get("name", name): name for name, member in shape.members.items()
    }
    values: Values = {}
    for child in element.children:
        name = members.get(child.name)
        if name is None:
            continue
        if name in values:
            raise malformed(f"{child.name} is given twice in {element.name}")
        inner = f"{path}.{_lower_first(name)}" if path else _lower_first(name)
        values[name] = _read(shape.members[name], child, inner)
    for name in shape.required_members:
        # Clients may leave out Items if Quantity is 0, although the model requires both.
        if name not in values and not (name == "Items" and values.get("Quantity") == 0):
            if shape.members[name].serialization.get("location"):
                continue
            where = f"{path}.{_lower_first(name)}" if path else _lower_first(name)
            raise _violation("null", where, "Member must not be null")
    quantity, items = values.get("Quantity"), values.get("Items", [])
    if quantity is not None and "Items" in shape.members and quantity != len(items):
        raise CloudFrontError(
            "InconsistentQuantities",
            f"The value of Quantity and the size of Items don't match: {shape.name} has "
            f"Quantity {quantity} "
            f"and {len(items)} items.",
        )
    return values


def _scalar(shape: Shape, text: str, path: str) -> Any:
    if shape.type_name in _LIMITS:
        number = text.strip()
        if (
            not _INTEGER.fullmatch(number)
            or not -_LIMITS[shape.type_name] <= int(number) < _LIMITS[shape.type_name]
        ):
            raise malformed(f"{path or shape.name} is not a number")
        return int(number)
    if shape.type_name in ("float", "double"):
        if not _DECIMAL.fullmatch(text.strip()):
            raise malformed(f"{path or shape.name} is not a decimal number")
        return float(text)
    if shape.type_name == "boolean":
        word = text.strip().lower()
        if word not in ("true", "false"):
            raise malformed(f"{path or shape.name} is neither true nor false")
        return word == "true"
    allowed = getattr(shape, "enum", None)
    if allowed and text not in allowed:
        raise _violation(
            f"'{text}'", path, f"Member must satisfy enum value set: [{', '.join(allowed)}]"
        )
    return text


def _violation(value: str, path: str, rule: str) -> CloudFrontError:
    return CloudFrontError(
        "MalformedXML",
        f"1 validation error detected: Value {value} at '{path}' failed to satisfy "
        f"constraint: {rule}",
    )


def _lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]
