"""Generators of malformed requests, and the check of their replies.

Everything follows from a seeded `Random`, so a failure can be repeated by its seed. A reply must be
a success, or an error in the service's form; never a status of 500 and above, and never silence.
"""

from __future__ import annotations

import gzip
import http.client
import json
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote, urlencode
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from botocore.model import ListShape, OperationModel, Shape, StructureShape
from botocore.session import get_session

from lab.aws.cloudfront.protocol.service_model import NAMESPACE, SERVICE_MODEL
from lab.aws.cloudfront.service import OPERATIONS
from lab.aws.replies import protocol_of
from tests.lab.account import PATIENCE

SCOPE = (
    "AWS4-HMAC-SHA256 Credential=lab/20261121/us-east-1/{}/aws4_request, SignedHeaders=host, "
    "Signature=0"
)
TEXTS = (
    "",
    "0",
    "-1",
    "true",
    "a" * 3000,
    "\x00",
    "\x01\x1f",
    "é€😀",
    "\ufffe",
    "../../etc/passwd",
    "%00%ff",
    "' OR 1=1 --",
    "<script>",
    "]]>",
    "&amp;",
    "1e999",
    "9" * 5000,
    "{}",
    "null",
    "arn:aws:cloudfront::123456789012:vpcorigin/vo_x",
    "vpc-1",
    "10.0.0.0/8",
    "\r\nX-Injected: 1",
    "*",
)
# Services by their signing name, with botocore's name and operations that moto implements.
MOTO = {
    "ec2": (
        "ec2",
        (
            "CreateVpc",
            "CreateSubnet",
            "RunInstances",
            "AuthorizeSecurityGroupIngress",
            "CreateRoute",
            "CreateTags",
            "DescribeSecurityGroupRules",
            "CreateNetworkInterface",
            "CreateNetworkAclEntry",
            "ModifyVpcBlockPublicAccessOptions",
            "CreateVpcBlockPublicAccessExclusion",
            "DescribeVpcBlockPublicAccessExclusions",
            "ModifyVpcBlockPublicAccessExclusion",
            "DescribeSecurityGroupReferences",
            "GetSecurityGroupsForVpc",
            "CreateManagedPrefixList",
        ),
    ),
    "elasticloadbalancing": (
        "elbv2",
        (
            "CreateLoadBalancer",
            "CreateTargetGroup",
            "CreateListener",
            "CreateRule",
            "RegisterTargets",
            "ModifyLoadBalancerAttributes",
            "DescribeTargetHealth",
            "SetSecurityGroups",
            "ModifyListener",
        ),
    ),
    "sts": ("sts", ("AssumeRole", "GetCallerIdentity")),
    "iam": ("iam", ("CreateRole", "GetRole", "CreateServiceLinkedRole", "SimulatePrincipalPolicy")),
    "acm": ("acm", ("RequestCertificate", "DescribeCertificate", "ImportCertificate")),
    "wafv2": ("wafv2", ("CreateWebACL", "GetWebACL", "ListWebACLs")),
    "ram": (
        "ram",
        (
            "CreateResourceShare",
            "AssociateResourceShare",
            "DisassociateResourceShare",
            "GetResourceShares",
            "GetResourceShareInvitations",
            "AcceptResourceShareInvitation",
            "ListResources",
            "ListPrincipals",
            "ListResourceSharePermissions",
        ),
    ),
    "servicequotas": (
        "service-quotas",
        ("ListServiceQuotas", "GetServiceQuota", "ListAWSDefaultServiceQuotas"),
    ),
    "route53": ("route53", ("CreateHostedZone", "GetHostedZone")),
    "logs": ("logs", ("PutDeliverySource", "CreateLogGroup")),
}
_MODELS: dict[str, Any] = {}


@dataclass(frozen=True)
class Request:
    """One request. `service` is what it is signed for, None for an unsigned one."""

    method: str
    path: str
    body: bytes = b""
    service: str | None = "cloudfront"
    headers: dict[str, str] = field(default_factory=dict)


def cloudfront_request(chance: Random, known_ids: list[str]) -> Request:
    """A request for an operation of CloudFront; each part is valid or invalid with the same
    probability.
    """
    names = SERVICE_MODEL.operation_names if chance.random() < 0.1 else tuple(OPERATIONS)
    operation = SERVICE_MODEL.operation_model(chance.choice(names))
    path, _, query = operation.http["requestUri"].partition("?")
    for name in (
        "Id",
        "DistributionId",
        "VpcOriginId",
        "ResourceArn",
        "CachePolicyId",
        "PrimaryDistributionId",
    ):
        path = path.replace("{" + name + "}", quote(chance.choice([*known_ids, *TEXTS]), safe=""))
    path = "".join(
        quote(chance.choice(TEXTS), safe="") if part.startswith("{") else part
        for part in _split(path)
    )
    pairs = [
        (name, chance.choice(TEXTS))
        for name in ("MaxItems", "Marker", "Type", "Alias")
        if chance.random() < 0.2
    ]
    if chance.random() < 0.2:
        pairs.append((chance.choice(TEXTS)[:50], chance.choice(TEXTS)))
    query = "&".join(piece for piece in (query, urlencode(pairs)) if piece)
    headers = {}
    if chance.random() < 0.6:
        headers["If-Match"] = chance.choice(["E0000000000000", "x", "", '"E1"', "E1, E2", "é", "*"])
    body = cloudfront_body(chance, operation)
    if chance.random() < 0.05:
        headers["Content-Encoding"], body = "gzip", gzip.compress(body)
    method = (
        operation.http["method"]
        if chance.random() < 0.95
        else chance.choice(["PATCH", "HEAD", "OPTIONS", "X"])
    )
    service = "cloudfront" if chance.random() < 0.95 else chance.choice([None, "ec2", "é", ""])
    return Request(method, path + (f"?{query}" if query else ""), body, service, headers)


def _split(path: str) -> list[str]:
    pieces = []
    for part in path.replace("{", "\0{").replace("}", "}\0").split("\0"):
        pieces.append(part)
    return pieces


def cloudfront_body(chance: Random, operation: OperationModel) -> bytes:
    """XML for the operation's payload, valid or mutilated."""
    shape = operation.input_shape
    if shape is None:
        return b"" if chance.random() < 0.9 else b"<x/>"
    payload = shape.serialization.get("payload")
    root = shape.members[payload] if payload else shape
    name = payload or f"{operation.name}Request"
    space = chance.choice([NAMESPACE] * 8 + ["", "urn:elsewhere"])
    opening = f'<{name} xmlns="{space}">' if space else f"<{name}>"
    body = f"{opening}{_xml_content(chance, root, 0)}</{name}>".encode("utf-8", "replace")
    if chance.random() < 0.3:
        return mutilated(chance, body)
    if chance.random() < 0.05:
        return chance.choice(MONSTERS)
    return body


LAUGHS = (
    b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b '
    b'"&a;&a;&a;&a;&a;&a;&a;&a;">]><DistributionConfig>&b;</DistributionConfig>'
)
MONSTERS = (
    LAUGHS,
    b"<!DOCTYPE x SYSTEM 'file:///etc/passwd'><x/>",
    b"<a>" * 40_000,
    b"<a>" * 40_000 + b"</a>" * 40_000,
    b"<DistributionConfig>" + b"<Comment>x</Comment>" * 20_000 + b"</DistributionConfig>",
    b"<DistributionConfig><Comment>" + b"x" * 1_000_000 + b"</Comment></DistributionConfig>",
    b'<?xml version="1.0" encoding="utf-16"?><DistributionConfig/>',
    '<?xml version="1.0"?><DistributionConfig/>'.encode("utf-16"),
    b"<DistributionConfig>&#xD800;</DistributionConfig>",
    b"<DistributionConfig>\xed\xa0\x80</DistributionConfig>",
    b"<DistributionConfig>\x00</DistributionConfig>",
    b"<DistributionConfig a='1' a='2'/>",
    b"<p:DistributionConfig xmlns:p='http://cloudfront.amazonaws.com/doc/2020-05-31/'/>",
    b"<DistributionConfig><![CDATA[<Comment/>]]></DistributionConfig>",
    b"<?x y?><!-- - --><DistributionConfig/><!-- -->",
    b"<DistributionConfig/><DistributionConfig/>",
    b"{}",
    b"\xff" * 1000,
)


def _xml_content(chance: Random, shape: Shape, depth: int) -> str:
    if chance.random() < 0.02:
        return escape(_xml_text(chance)) + "<Unknown/>"
    if isinstance(shape, StructureShape):
        pieces = []
        for name, member in shape.members.items():
            wanted = 0.95 if name in shape.required_members else 0.25 / (1 + depth)
            if member.serialization.get("location") or chance.random() > wanted or depth > 8:
                continue
            wire = member.serialization.get("name", name)
            times = 2 if chance.random() < 0.01 else 1
            pieces.append(f"<{wire}>{_xml_content(chance, member, depth + 1)}</{wire}>" * times)
        return "".join(pieces)
    if isinstance(shape, ListShape):
        name = shape.member.serialization.get("name", "member")
        return "".join(
            f"<{name}>{_xml_content(chance, shape.member, depth + 1)}</{name}>"
            for _ in range(chance.randint(0, 2))
        )
    return escape(_plausible(chance, shape))


def _plausible(chance: Random, shape: Shape) -> str:
    if chance.random() < 0.1:
        return _xml_text(chance)
    allowed = shape.metadata.get("enum")
    if allowed:
        return str(chance.choice(allowed))
    if shape.type_name == "boolean":
        return chance.choice(["true", "false"])
    if shape.type_name in ("integer", "long"):
        return str(chance.choice([0, 1, 2, 80, 443, 2**31 - 1, -(2**31), 300]))
    if shape.type_name in ("float", "double"):
        return chance.choice(["0", "0.1", "1e5", "-3.5"])
    return chance.choice(
        ["web", "web.example.com", "/ws/*", "a", "name", "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"]
    )


def _xml_text(chance: Random) -> str:
    return "".join(
        letter for letter in chance.choice(TEXTS) if letter >= " " and letter != "\ufffe"
    )


def mutilated(chance: Random, body: bytes) -> bytes:
    """The bytes with some flipped, removed or doubled."""
    changed = bytearray(body or b"x")
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(len(changed) or 1)
        action = chance.randrange(4)
        if action == 0 and changed:
            changed[at] = chance.randrange(256)
        elif action == 1:
            del changed[at : at + chance.randint(1, 40)]
        elif action == 2:
            changed[at:at] = changed[at : at + chance.randint(1, 40)]
        else:
            changed[at:at] = chance.choice(TEXTS).encode("utf-8", "replace")
    return bytes(changed)


def moto_request(chance: Random) -> Request:
    """A request for one of the services that moto serves."""
    service, (name, actions) = chance.choice(list(MOTO.items()))
    if name not in _MODELS:
        _MODELS[name] = get_session().get_service_model(name)
    model = _MODELS[name]
    operation = model.operation_model(chance.choice(actions))
    values = _values(chance, operation.input_shape, 0) if operation.input_shape else {}
    protocol = model.metadata["protocol"]
    if protocol in ("query", "ec2"):
        action = operation.name if chance.random() < 0.9 else chance.choice(TEXTS)
        form = {"Action": action, "Version": model.metadata["apiVersion"], **_flat("", values)}
        return Request("POST", "/", urlencode(form).encode(), service, {"Content-Type": FORM})
    body = json.dumps(
        values if chance.random() < 0.9 else chance.choice([[], None, 1, "x", [[]]])
    ).encode()
    if chance.random() < 0.1:
        body = mutilated(chance, body)
    headers = {"Content-Type": "application/x-amz-json-1.1"}
    if protocol == "json":
        headers["X-Amz-Target"] = f"{model.metadata['targetPrefix']}.{operation.name}"
        return Request("POST", "/", body, service, headers)
    path = "".join(
        quote(chance.choice(TEXTS), safe="") if part.startswith("{") else part
        for part in _split(operation.http["requestUri"])
    )
    return Request(operation.http["method"], path, body, service, headers)


FORM = "application/x-www-form-urlencoded"


def _values(chance: Random, shape: Shape, depth: int) -> Any:
    if chance.random() < 0.05:
        return chance.choice([*TEXTS, 0, -1, None, [], {}, True])
    if isinstance(shape, StructureShape):
        return {
            name: _values(chance, member, depth + 1)
            for name, member in shape.members.items()
            if name != "DryRun"
            and chance.random() < (0.9 if name in shape.required_members else 0.3 / (1 + depth))
        }
    if isinstance(shape, ListShape):
        return [_values(chance, shape.member, depth + 1) for _ in range(chance.randint(0, 2))]
    return _plausible(chance, shape)


def _flat(prefix: str, value: Any) -> dict[str, str]:
    if isinstance(value, dict):
        pairs = [(f"{prefix}.{name}" if prefix else name, inner) for name, inner in value.items()]
    elif isinstance(value, list):
        pairs = [(f"{prefix}.{number}", inner) for number, inner in enumerate(value, 1)]
    else:
        return {prefix: str(value)}
    flat: dict[str, str] = {}
    for name, inner in pairs:
        flat |= _flat(name, inner)
    return flat


LAB_PATHS = ("clock", "hosts", "settings", "state", "calls", "edge", "faults", "nothing", "")


def lab_request(chance: Random) -> Request:
    """A request to /_lab. It never advances the clock, and changes nothing that other tests
    need.
    """
    wrong: list[Any] = [None, [], "x", -1, [[]], {"a": {"b": [None]}}, "9" * 5000, True]
    document: Any = chance.choice(
        [
            *wrong,
            {"advance_seconds": chance.choice([None, "1", -1, [], True, 1e300])},
            {"quotas": chance.choice(wrong)},
            {
                "quotas": {
                    chance.choice(["origins", "x"]): chance.choice([None, "1", 0, -5, [], 10**400])
                }
            },
            {"throttling": {"read_rate": chance.choice([-1, "fast", [], {}])}},
            {"targets": chance.choice(wrong), "public": chance.choice(wrong)},
            {chance.choice(TEXTS): chance.choice(wrong)},
        ]
    )
    body = json.dumps(document).encode()
    if chance.random() < 0.2:
        body = chance.choice(
            [mutilated(chance, body), b"[" * 100_000, b'{"a":' * 50_000, b"NaN", b"\xff", b""]
        )
    path = f"/_lab/{chance.choice(LAB_PATHS)}"
    if chance.random() < 0.2:
        path += "?version=" + quote(chance.choice(TEXTS))
    return Request(chance.choice(["GET", "POST", "POST", "DELETE", "PUT"]), path, body, None)


class Sender:
    """A keep-alive connection that is opened again when the server ends it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: http.client.HTTPConnection | None = None

    def send(self, request: Request) -> tuple[int, bytes, str]:
        """Status, body and content type."""
        headers = {**request.headers}
        if request.service is not None:
            headers["Authorization"] = SCOPE.format(request.service)
        encoded = {name: value.encode("utf-8", "replace") for name, value in headers.items()}
        for attempt in (1, 2):
            if self._connection is None:
                self._connection = http.client.HTTPConnection(
                    "127.0.0.1", self._port, timeout=PATIENCE
                )
            try:
                self._connection.request(
                    request.method, request.path, body=request.body, headers=encoded
                )
                reply = self._connection.getresponse()
                body = reply.read()
            except (http.client.HTTPException, OSError):
                self._connection.close()
                self._connection = None
                if attempt == 2:
                    raise
                continue
            return reply.status, body, reply.headers.get("Content-Type", "")
        raise AssertionError("unreachable")

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()


def judge(request: Request, status: int, body: bytes, content_type: str) -> None:
    """Fails unless the reply is a success, or an error that the service's clients can parse."""
    assert status < 500, (request, status, body[:500])
    if request.method == "HEAD" or status == 413:
        return
    if content_type.startswith("text/html") and request.path.partition("?")[0] == "/_lab/":
        return
    if request.path.startswith("/_lab/"):
        assert status == 204 or (
            content_type.startswith("application/json") and json.loads(body) is not None
        )
        assert status < 400 or json.loads(body)["error"], (request, body)
        return
    if status < 400:
        if request.path.startswith("/2020-05-31/") and body:
            ElementTree.fromstring(body)  # noqa: S314
        return
    assert _error_code(request, body), (request, status, body[:500])


def _error_code(request: Request, body: bytes) -> str:
    """The code in an error's body, "" if it is in none of AWS's forms."""
    cloudfront = request.path.startswith("/2020-05-31/")
    protocol = "rest-xml" if cloudfront else protocol_of(request.service or "")
    if protocol == "json":
        try:
            given = json.loads(body)
        except ValueError:
            return ""
        return (
            str(given.get("__type") or given.get("code") or given.get("Code") or "")
            if isinstance(given, dict)
            else ""
        )
    try:
        root = ElementTree.fromstring(body)  # noqa: S314
    except ElementTree.ParseError:
        return ""
    codes = [element.text for element in root.iter() if element.tag.rpartition("}")[2] == "Code"]
    return codes[0] or "" if codes else ""
