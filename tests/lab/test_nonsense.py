"""Invalid requests for moto's services, and invalid bytes on the socket: an error in the right
form, and the server survives.
"""

from __future__ import annotations

import random
import socket

import pytest

from tests.lab.account import PATIENCE, Account, Lab

SCOPE = (
    "AWS4-HMAC-SHA256 Credential=lab/20261121/us-east-1/{}/aws4_request, SignedHeaders=host, "
    "Signature=0"
)
FORM = "application/x-www-form-urlencoded"


def send(
    lab: Lab, service: str | None, body: bytes, path: str = "/", **given: str
) -> tuple[int, bytes]:
    headers = {"Content-Type": FORM, **given}
    if service is not None:
        headers["Authorization"] = SCOPE.format(service)
    reply = lab.send("POST", path, body, headers)
    return reply.status, reply.body


@pytest.mark.parametrize(
    ("service", "body"),
    [
        ("ec2", b""),
        ("ec2", b"Action=Nonsense"),
        ("ec2", b"Action=CreateSubnet"),
        ("ec2", b"Action=AuthorizeSecurityGroupIngress&GroupId=sg-1&IpPermissions.1.FromPort=x"),
        ("ec2", b"Action=CreateVpc&CidrBlock=999.0.0.0/99"),
        ("ec2", b"\xff\xfe\x00Action"),
        ("elasticloadbalancing", b"Action=CreateLoadBalancer&Version=2015-12-01"),
        ("elasticloadbalancing", b"Action=DescribeRules&Version=2015-12-01"),
        ("sts", b"Action=AssumeRole&Version=2011-06-15&RoleArn=nonsense&RoleSessionName=x"),
        ("nonsense", b"Action=Anything"),
        ("../../etc", b"Action=Anything"),
    ],
)
def test_wrong_input_is_the_callers_fault(lab: Lab, service: str, body: bytes) -> None:
    status, reply = send(lab, service, body)
    assert 400 <= status < 500, reply
    assert lab.account().ec2.describe_vpcs()["Vpcs"]


def test_no_signature(lab: Lab) -> None:
    for path in ("/", "/moto-api/reset", "/bucket/key", "/latest/meta-data/"):
        status, reply = send(lab, None, b"", path)
        assert (status, b"MissingAuthenticationToken" in reply) == (403, True)


@pytest.mark.rule("api/unknown-key")
@pytest.mark.parametrize(
    ("service", "path", "status", "code"),
    [
        ("cloudfront", "/2020-05-31/distribution", 403, b"<Code>InvalidClientTokenId</Code>"),
        ("sts", "/", 403, b"<Code>InvalidClientTokenId</Code>"),
        ("ec2", "/", 401, b"<Code>AuthFailure</Code>"),
        ("acm", "/", 400, b'"UnrecognizedClientException"'),
    ],
)
def test_a_key_that_nobody_was_given(
    lab: Lab, service: str, path: str, status: int, code: bytes
) -> None:
    """Such as another lab's key, which would otherwise act for an arbitrary account."""
    signed = SCOPE.format(service)
    strange = signed.replace("=lab/", "=ASIAXXXXXXXXXXXXXXXX/")
    answered, reply = send(lab, None, b"", path, Authorization=strange)
    assert (answered, code in reply) == (status, True)
    account = lab.account()
    account.iam.create_user(UserName="ci")
    of_role = account.keys["aws_access_key_id"]
    of_user = account.iam.create_access_key(UserName="ci")["AccessKey"]["AccessKeyId"]
    of_session = account.client("sts").get_session_token()["Credentials"]["AccessKeyId"]
    for key in (of_role, of_user, of_session):
        given = signed.replace("=lab/", f"={key}/")
        assert send(lab, None, b"", path, Authorization=given)[0] not in (401, 403)


@pytest.mark.parametrize(
    "given", ["Basic bGFiOmxhYg==", "AWS4-HMAC-SHA256 Credential=lab, Signature=0", "AWS lab:0"]
)
def test_what_is_no_signature_of_version_4(lab: Lab, given: str) -> None:
    status, reply = send(lab, None, b"", "/2020-05-31/distribution", Authorization=given)
    assert (status, b"<Code>IncompleteSignature</Code>" in reply) == (400, True)


def test_motos_own_door_is_shut(lab: Lab) -> None:
    """moto's own API would change accounts without the journal."""
    before = lab.get("/_lab/state")["version"]
    status, _ = send(lab, "ec2", b"", "/moto-api/reset")
    assert status == 404
    assert lab.get("/_lab/state")["version"] == before


def test_random_forms(lab: Lab) -> None:
    chance = random.Random(20261121)  # noqa: S311
    actions = (
        "CreateVpc",
        "CreateSubnet",
        "RunInstances",
        "AuthorizeSecurityGroupIngress",
        "CreateRoute",
        "CreateTags",
    )
    names = (
        "CidrBlock",
        "VpcId",
        "GroupId",
        "IpPermissions.1.IpProtocol",
        "ImageId",
        "MinCount",
        "RouteTableId",
        "",
    )
    values = ("", "0", "-1", "vpc-1", "10.0.0.0/8", "\u0000", "é", "a" * 500, "1e9", "%", "sg-0")
    for _ in range(150):
        fields = [f"Action={chance.choice(actions)}", "Version=2016-11-15"]
        fields += [
            f"{chance.choice(names)}={chance.choice(values)}" for _ in range(chance.randint(0, 5))
        ]
        status, reply = send(lab, "ec2", "&".join(fields).encode())
        assert status < 500, (fields, reply)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /2020-05-31/distribution HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /2020-05-31/distribution HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /_lab/state HTTP/1.1\r\nHost: x\r\nX: " + b"b" * 70_000 + b"\r\n\r\n",
    ],
)
def test_garbage_on_the_socket(lab: Lab, account: Account, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", lab.port), timeout=PATIENCE) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    assert account.cloudfront.list_vpc_origins()["VpcOriginList"]["Quantity"] == 0
