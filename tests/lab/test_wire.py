"""The protocol: unknown elements survive, invalid requests get AWS's errors, botocore can parse
every reply.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

import boto3
import pytest

from lab.aws.cloudfront.protocol.config_editing import (
    aliases_member,
    flag_member,
    text_member,
    with_members,
)
from lab.aws.cloudfront.protocol.errors import CloudFrontError
from lab.aws.cloudfront.protocol.rest_xml import Router, read_structure
from lab.aws.cloudfront.protocol.service_model import NAMESPACE, SERVICE_MODEL
from lab.aws.cloudfront.protocol.xml_document import MAX_ELEMENTS, parse
from lab.aws.cloudfront.rules.defaults import complete
from lab.aws.cloudfront.service import OPERATIONS
from tests.lab.account import CACHING_DISABLED, Account, Lab

BASE = "/2020-05-31"

CONFIG = f"""<?xml version="1.0" encoding="UTF-8"?>
<DistributionConfig xmlns="{NAMESPACE}">
  <!-- kept --><CallerReference>REFERENCE</CallerReference>
  <Comment>a &amp; b</Comment><Enabled>true</Enabled>
  <Origins><Quantity>1</Quantity><Items><Origin><Id>web</Id><DomainName>web.example.com</DomainName>
    <FutureOriginSetting mode='x > y'><Deep>1</Deep></FutureOriginSetting>
    <CustomOriginConfig><HTTPPort>80</HTTPPort><HTTPSPort>443</HTTPSPort>
    <OriginProtocolPolicy>http-only</OriginProtocolPolicy></CustomOriginConfig></Origin></Items></Origins>
  <DefaultCacheBehavior><TargetOriginId>web</TargetOriginId>
    <ViewerProtocolPolicy>https-only</ViewerProtocolPolicy><CachePolicyId>{CACHING_DISABLED}</CachePolicyId>
    <FutureBehaviorSetting/></DefaultCacheBehavior>
  <FutureSetting>tomorrow</FutureSetting>
</DistributionConfig>"""


def test_unknown_elements_survive_byte_for_byte(account: Account) -> None:
    sent = CONFIG.replace("REFERENCE", f"raw-{account.number}")
    status, body, headers = account.send("POST", f"{BASE}/distribution", sent.encode())
    assert status == 201, body
    found = re.search(rb"<Id>(E\w+)</Id>", body)
    assert found is not None
    address = f"{BASE}/distribution/{found.group(1).decode()}/config"
    _, read, headers = account.send("GET", address)
    for piece in (
        b"<FutureOriginSetting mode='x > y'><Deep>1</Deep></FutureOriginSetting>",
        b"<FutureBehaviorSetting/>",
        b"<FutureSetting>tomorrow</FutureSetting>",
        b"<!-- kept -->",
        b"a &amp; b",
    ):
        assert piece in read
    config = read[read.index(b"<DistributionConfig") :]
    changed = config.replace(b"a &amp; b", b"changed")
    status, body, _ = account.send("PUT", address, changed, {"If-Match": headers["ETag"]})
    assert status == 200, body
    _, again, _ = account.send("GET", address)
    assert again[again.index(b"<DistributionConfig") :] == changed


def test_what_is_copied_changes_in_the_named_members_only() -> None:
    raw = complete(parse(CONFIG.encode()))
    bare = raw.replace(b"<WebACLId></WebACLId>", b"<WebACLId/>").replace(
        b"<Staging>false</Staging>", b""
    )
    assert bare != raw
    members = {
        "CallerReference": text_member("CallerReference", "a & b"),
        "WebACLId": text_member("WebACLId", "acl"),
        "Staging": flag_member("Staging", True),
        "Aliases": aliases_member(["ws.example.com"]),
    }
    changed = with_members(bare, members)
    for text in members.values():
        assert changed.count(text.encode()) == 1
    undone = changed.replace(members["Staging"].encode(), b"").replace(
        members["WebACLId"].encode(), b"<WebACLId/>"
    )
    undone = undone.replace(members["Aliases"].encode(), aliases_member(()).encode())
    assert undone.replace(b"a &amp; b</CallerReference>", b"REFERENCE</CallerReference>") == bare
    read = read_structure("DistributionConfig", parse(changed).root)
    assert (read["CallerReference"], read["Staging"], read["Aliases"]["Items"]) == (
        "a & b",
        True,
        ["ws.example.com"],
    )


def test_completion_only_inserts() -> None:
    document = parse(CONFIG.encode())
    alone = parse(document.cut(document.root))
    completed = complete(alone)
    iterator = iter(completed)
    assert all(byte in iterator for byte in alone.raw), (
        "what was sent is a subsequence of what is kept"
    )
    assert complete(parse(completed)) == completed
    assert read_structure("DistributionConfig", parse(completed).root)["Restrictions"][
        "GeoRestriction"
    ] == {
        "RestrictionType": "none",
        "Quantity": 0,
    }


def test_prefixes_are_taken_away_because_not_every_client_looks_through_them() -> None:
    plain = parse(CONFIG.encode())
    prefixed = re.sub(r"<(/?)(?=[A-Z])", r"<\1c:", CONFIG).replace("xmlns=", "xmlns:c=")
    read = parse(prefixed.encode())
    assert (
        read.raw
        == CONFIG.replace(" xmlns=", " xmlns:c=")
        .replace("fig xm", f'fig xmlns="{NAMESPACE}" xm')
        .encode()
    )
    assert complete(read) == complete(plain).replace(
        b" xmlns=", b' xmlns="%s" xmlns:c=' % NAMESPACE.encode()
    )
    tagged = f"<t:A xmlns:t='{NAMESPACE}'><t:B xmlns:x='urn:x' x:y='>'><x:C/></t:B></t:A>"
    inner = parse(tagged.encode()).root.children[0]
    assert (inner.name, inner.children[0].name) == ("B", "{urn:x}C")
    assert parse(parse(tagged.encode()).cut(inner)).root.children[0].name == "{urn:x}C"


def test_every_implemented_operation_is_found_by_its_uri() -> None:
    router = Router.for_all_operations()
    for name in OPERATIONS:
        http = SERVICE_MODEL.operation_model(name).http
        path, _, query = http["requestUri"].partition("?")
        operation, _ = router.match(http["method"], re.sub(r"\{\w+\}", "x", path), query)
        assert operation.name == name


@pytest.mark.rule("api/all-operations")
def test_what_is_not_imitated_says_so_in_awss_form(account: Account) -> None:
    """No operation of the model is unknown: what the lab leaves out is refused as AWS does for a
    feature that a Region lacks.

    Required parameters and enums are checked first.
    """
    left_out = set(SERVICE_MODEL.operation_names) - set(OPERATIONS)
    assert left_out, "then this test may go"
    for name in sorted(left_out):
        http = SERVICE_MODEL.operation_model(name).http
        path = re.sub(r"\{\w+\+?\}", "x", http["requestUri"])
        status, reply, _ = account.send(http["method"], path)
        code = re.search(rb"<Code>(\w+)</Code>", reply)
        assert status == 400, (name, reply)
        assert code is not None
        assert code[1] in (
            b"UnsupportedOperation",
            b"MissingBody",
            b"InvalidArgument",
            b"MalformedXML",
        ), name


@pytest.mark.rule("api/global")
def test_every_region_sees_the_same_account(account: Account) -> None:
    made = account.create_distribution()["Distribution"]["Id"]
    for region in ("us-east-1", "eu-central-1", "ap-northeast-1"):
        client = account.client("cloudfront", region)
        assert [
            item["Id"] for item in client.list_distributions()["DistributionList"]["Items"]
        ] == [made]


@pytest.mark.rule("api/malformed-body", "api/declared-errors")
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MissingBody"),
        (b"not xml", "MalformedInput"),
        (b"<a><b></a>", "MalformedInput"),
        (b"\xff\xfe<\x00a\x00", "MalformedInput"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "MalformedInput"),
        (b"<a>" * 100 + b"</a>" * 100, "MalformedInput"),
        (b"<DistributionConfig/>", "MalformedXML"),
        (CONFIG.replace("DistributionConfig", "Distribution").encode(), "MalformedInput"),
        (
            CONFIG.replace(NAMESPACE, "http://cloudfront.amazonaws.com/doc/2012-05-05/").encode(),
            "MalformedInput",
        ),
        (CONFIG.replace("https-only", "sometimes").encode(), "MalformedXML"),
        (CONFIG.replace("<HTTPPort>80", "<HTTPPort>eighty").encode(), "MalformedInput"),
        (CONFIG.replace("<Enabled>true", "<Enabled>perhaps").encode(), "MalformedInput"),
        (CONFIG.replace("<Quantity>1", "<Quantity>3").encode(), "InconsistentQuantities"),
        (CONFIG.replace("<Quantity>1", "<Quantity>\u0661").encode(), "MalformedInput"),
        (b"<a>" + b"<b/>" * MAX_ELEMENTS + b"</a>", "MalformedInput"),
        (CONFIG.replace("<Comment>", "<Comment>one</Comment><Comment>").encode(), "MalformedInput"),
    ],
)
def test_nonsense_in_a_body(account: Account, body: bytes, code: str) -> None:
    status, reply, headers = account.send("POST", f"{BASE}/distribution", body)
    assert status == 400
    assert f"<Code>{code}</Code>".encode() in reply
    assert headers["x-amzn-RequestId"].encode() in reply


@pytest.mark.rule("api/declared-errors")
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/2020-05-31/nothing-here", 404, "NoSuchOperation"),
        ("PATCH", "/2020-05-31/distribution", 404, "NoSuchOperation"),
        ("GET", "/2020-05-31/distribution/%00%ff/config", 404, "NoSuchDistribution"),
        ("GET", "/2020-05-31/vpc-origin/..%2f..%2fetc", 404, "EntityNotFound"),
        ("GET", "/2020-05-31/distribution?MaxItems=-1", 400, "InvalidArgument"),
        ("GET", "/2020-05-31/distribution?MaxItems=99999999999999999999", 400, "InvalidArgument"),
        ("GET", "/2020-05-31/distribution?MaxItems=%D9%A1", 400, "InvalidArgument"),
        ("GET", "/2020-05-31/origin-request-policy?Type=mine", 400, "MalformedXML"),
        ("GET", "/2020-05-31/tagging?Resource=arn:aws:s3:::b", 400, "InvalidArgument"),
        ("GET", "/2020-05-31/origin-access-control", 400, "UnsupportedOperation"),
    ],
)
def test_nonsense_in_an_address(
    account: Account, method: str, path: str, status: int, code: str
) -> None:
    answered, reply, _ = account.send(method, path)
    assert (answered, f"<Code>{code}</Code>".encode() in reply) == (status, True), reply


@pytest.mark.rule("api/missing-version")
def test_a_version_that_is_missing_has_its_own_code(account: Account) -> None:
    """Even where the model requires the header, so that botocore would never omit it."""
    made = account.create_vpc_origin()["VpcOrigin"]["Id"]
    status, reply, _ = account.send("DELETE", f"{BASE}/vpc-origin/{made}")
    assert (status, b"<Code>InvalidIfMatchVersion</Code>" in reply) == (400, True), reply


CERTIFICATE = (
    "<ViewerCertificate><ACMCertificateArn>{}</ACMCertificateArn>"
    "<SSLSupportMethod>sni-only</SSLSupportMethod>"
)


@pytest.mark.parametrize(
    ("given", "filled_in"),
    [
        (
            "<ViewerCertificate></ViewerCertificate>",
            {"CertificateSource": "cloudfront", "SSLSupportMethod": "vip"},
        ),
        (
            CERTIFICATE.format("arn:a") + "</ViewerCertificate>",
            {
                "CertificateSource": "acm",
                "Certificate": "arn:a",
                "CloudFrontDefaultCertificate": False,
            },
        ),
        (
            CERTIFICATE.format("arn:b") + "<Certificate>arn:a</Certificate></ViewerCertificate>",
            {"Certificate": "arn:b", "MinimumProtocolVersion": "TLSv1"},
        ),
        (
            "<ViewerCertificate><CloudFrontDefaultCertificate>true</CloudFrontDefaultCertificate>"
            "<Certificate>arn:a</Certificate><CertificateSource>acm</CertificateSource></ViewerCertificate>",
            {
                "CertificateSource": "cloudfront",
                "MinimumProtocolVersion": "TLSv1",
                "Certificate": None,
            },
        ),
    ],
)
def test_which_certificate_was_chosen_is_said_again(
    given: str, filled_in: dict[str, object]
) -> None:
    sent = CONFIG.replace("<FutureSetting>", f"{given}<FutureSetting>").encode()
    completed = complete(parse(sent))
    chosen = read_structure("DistributionConfig", parse(completed).root)["ViewerCertificate"]
    assert {name: chosen.get(name) for name in filled_in} == filled_in
    assert complete(parse(completed)) == completed


def test_legacy_cache_settings_are_filled_in_order() -> None:
    legacy = (
        "<ForwardedValues><QueryString>false</QueryString>"
        "<Cookies><Forward>none</Forward></Cookies>"
    )
    sent = CONFIG.replace(
        "<FutureBehaviorSetting/>", f"{legacy}</ForwardedValues><MinTTL>90000</MinTTL>"
    ).encode()
    made = read_structure("DistributionConfig", parse(complete(parse(sent))).root)[
        "DefaultCacheBehavior"
    ]
    assert (made["MinTTL"], made["DefaultTTL"], made["MaxTTL"]) == (90_000, 90_000, 31_536_000)
    assert made["ForwardedValues"]["Headers"] == {"Quantity": 0}


@pytest.mark.rule("api/unsigned")
def test_a_request_without_a_signature(lab: Lab) -> None:
    reply = lab.send("GET", f"{BASE}/distribution")
    assert reply.status == 403
    assert b"MissingAuthenticationToken" in reply.body


def test_the_number_of_an_account_is_a_key_of_it(account: Account) -> None:
    made = account.create_distribution()["Distribution"]["Id"]

    def seen_by(key: str) -> tuple[str, list[str]]:
        caller = boto3.Session(
            aws_access_key_id=key, aws_secret_access_key="any", region_name=account.region
        )
        listed = (
            caller.client("cloudfront", endpoint_url=account.lab.url)
            .list_distributions()["DistributionList"]
            .get("Items", [])
        )
        return caller.client("sts", endpoint_url=account.lab.url).get_caller_identity()[
            "Account"
        ], [one["Id"] for one in listed]

    assert seen_by(account.number) == (account.number, [made])
    neighbor = str(int(account.number) + 500_000)
    assert seen_by(neighbor) == (neighbor, [])


def test_mutilated_requests_never_break_the_server(account: Account) -> None:
    """Bytes are flipped, removed and doubled; every answer is a 2xx or an AWS error below 500."""
    chance = random.Random(20261121)  # noqa: S311
    made = account.create_distribution()
    address = f"{BASE}/distribution/{made['Distribution']['Id']}/config"
    origin = (
        f'<VpcOriginEndpointConfig xmlns="{NAMESPACE}"><Name>a</Name></VpcOriginEndpointConfig>'
    )
    for number in range(150):
        body = bytearray(
            (CONFIG if number % 3 else origin).replace("REFERENCE", str(number)).encode()
        )
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(body))
            action = chance.randrange(3)
            if action == 0:
                body[at] = chance.randrange(256)
            elif action == 1:
                del body[at : at + chance.randint(1, 40)]
            else:
                body[at:at] = body[at : at + chance.randint(1, 40)]
        method, path = chance.choice(
            [
                ("POST", f"{BASE}/distribution"),
                ("PUT", address),
                ("POST", f"{BASE}/vpc-origin"),
                ("POST", BASE + "/x"),
            ]
        )
        status, reply, _ = account.send(method, path, bytes(body), {"If-Match": made["ETag"]})
        assert status < 500, (bytes(body), reply)
        assert status < 300 or b"<ErrorResponse" in reply


def test_a_code_aws_does_not_know_fails_at_once() -> None:
    with pytest.raises(KeyError):
        CloudFrontError("NoSuchNonsense", "")


@pytest.mark.rule("api/declared-errors")
def test_every_raised_code_is_one_of_awss() -> None:
    """Searches the sources: an error path without a test must not answer 500 either."""
    package = Path(__file__).parents[2] / "lab" / "aws"
    raised = re.compile(r'CloudFrontError\(\s*"(\w+)"')
    codes = {
        code for source in package.rglob("*.py") for code in raised.findall(source.read_text())
    }
    assert {"NoSuchDistribution", "InvalidIfMatchVersion"} <= codes
    assert {CloudFrontError(code, "").code for code in codes} == codes
