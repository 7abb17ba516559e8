"""Who may come in: countries, AWS WAF, signed URLs and cookies, and the certificate's account."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lab.edge.account.distributions import PublicKey
from lab.edge.account.lab_settings import parse_settings
from lab.edge.account.state import parse_state
from lab.edge.account.web_acls import parse_web_acl
from lab.edge.cdn.signed_requests import refuse_unsigned, without_signature
from lab.edge.cdn.viewer_rules import refuse_country, refuse_misdirected
from lab.edge.cdn.waf import RateCounter, refuse_by_web_acl
from lab.edge.http.messages import ViewerRequest

from .account import Json, account, behavior, distribution, items, vpc_origin_ref
from .cloudfront_situations import (
    BLOCKED_ADDRESS,
    IN_GERMANY,
    KEY_ID,
    byte_match,
    rule,
    signing_key,
)
from .stage import PATIENCE, Stage

NOW = 1_800_000_000.0
PATH: Json = {"UriPath": {}}
AGENT: Json = {"SingleHeader": {"Name": "User-Agent"}}
IN_SET: Json = {"IPSetReferenceStatement": {"ARN": "arn:bad"}}
URL = "https://dsigned.cloudfront.net/ws/chat?room=a"


def viewer(
    target: str = "/ws/chat?room=a", address: str = "198.51.100.7", **headers: str
) -> ViewerRequest:
    named = {
        "host": "dsigned.cloudfront.net",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return ViewerRequest(
        "GET", target, tuple(named.items()), "https", "1.1", address, 50000, country="US"
    )


class TestCountries:
    @pytest.mark.parametrize(
        ("kind", "listed", "country", "allowed"),
        [
            ("none", [], "US", True),
            ("whitelist", ["DE"], "DE", True),
            ("whitelist", ["DE"], "US", False),
            ("whitelist", ["DE"], "", True),
            ("blacklist", ["DE"], "DE", False),
            ("blacklist", ["DE"], "US", True),
        ],
    )
    def test_which_come_in(self, kind: str, listed: list[str], country: str, allowed: bool) -> None:
        restriction = {
            "GeoRestriction": {"RestrictionType": kind, "Quantity": len(listed), "Items": listed}
        }
        made = distribution(
            "dgeo", [vpc_origin_ref("chat")], behavior("chat"), Restrictions=restriction
        )
        (found,) = parse_state(account([made])).distributions
        refusal = refuse_country(found, country)
        assert (refusal is None) is allowed
        assert refusal is None or (refusal.status, refusal.detail) == (403, "ClientGeoBlocked")

    def test_the_narrowest_network_says_where_an_address_is(self) -> None:
        settings = parse_settings(
            {
                "viewer_country": "us",
                "viewer_countries": {"127.0.0.0/8": "FR", "127.0.0.49": "de", "nonsense": "XX"},
            }
        )
        places = {
            address: settings.country_of(address)
            for address in ("127.0.0.49", "127.0.0.1", "::1", "?")
        }
        assert places == {"127.0.0.49": "DE", "127.0.0.1": "FR", "::1": "US", "?": "US"}
        assert parse_settings({}).country_of("127.0.0.1") == "US"

    @pytest.mark.rule("distribution/geo-restriction")
    def test_one_address_gets_in_where_another_does_not(self, stage: Stage) -> None:
        status, headers, body = get(stage, "dgeo", "/healthz")
        assert (status, headers["server"], headers["x-cache"]) == (
            403,
            "CloudFront",
            "Error from cloudfront",
        )
        assert b"block access from your country" in body
        row = stage.edge.wait_for_entry(
            lambda entry: entry["x-edge-request-id"] == headers["x-amz-cf-id"]
        )
        assert (row["x-edge-detailed-result-type"], row["c-country"]) == ("ClientGeoBlocked", "US")
        assert get(stage, "dgeo", "/healthz", source=IN_GERMANY)[0] == 200

    def test_a_custom_error_response_takes_the_place_of_the_refusal(self, stage: Stage) -> None:
        status, headers, _ = get(stage, "dgeopage", "/ws/chat")
        assert (status, headers["x-cache"]) == (200, "Error from cloudfront")


def managed(**given: Any) -> Json:
    """The core managed rule group."""
    name = {"VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet"}
    return {"ManagedRuleGroupStatement": name | given}


def handshake(
    path: str = "/ws/chat",
    query: str = "",
    user_agent: str | None = "Mozilla/5.0",
    cookie: str = "",
) -> ViewerRequest:
    """What a browser sends, with some parts replaced."""
    lines = {"host": "d.cloudfront.net", "user-agent": user_agent, "cookie": cookie}
    headers = tuple((name, value) for name, value in lines.items() if value)
    target = f"{path}?{query}" if query else path
    return ViewerRequest("GET", target, headers, "https", "1.1", "198.51.100.7", 1)


class TestFirewall:
    ACL = "arn:acl"

    def blocked(
        self,
        request: ViewerRequest,
        *statements: Json,
        action: Json | None = None,
        default: str = "Allow",
    ) -> Any:
        rules = [
            rule(f"r{number}", number, statement, action)
            for number, statement in enumerate(statements)
        ]
        entry = {"default_action": {default: {}}, "rules": rules}
        sets = {
            "ip_sets": {"arn:bad": ["198.51.100.0/24", "nonsense"]},
            "pattern_sets": {"arn:re": ["^/ws/.*t$", "("]},
        }
        counter = RateCounter()

        def rate_exceeded(name: str, whom: str, window: float, limit: int) -> bool:
            return counter.exceeds(name, whom, window, limit, NOW)

        refusal = refuse_by_web_acl(parse_web_acl(self.ACL, entry, sets), request, rate_exceeded)
        return None if refusal is None else refusal.status

    @pytest.mark.parametrize(
        ("statement", "matches"),
        [
            (IN_SET, True),
            ({"IPSetReferenceStatement": {"ARN": "arn:unknown"}}, False),
            ({"GeoMatchStatement": {"CountryCodes": ["US"]}}, True),
            ({"GeoMatchStatement": {"CountryCodes": ["DE"]}}, False),
            ({"ByteMatchStatement": byte_match(PATH, "/ws/", "STARTS_WITH")}, True),
            ({"ByteMatchStatement": byte_match(PATH, "/ws", "EXACTLY")}, False),
            ({"ByteMatchStatement": byte_match({"QueryString": {}}, "=a", "ENDS_WITH")}, True),
            (
                {"ByteMatchStatement": byte_match({"Method": {}}, "get", "EXACTLY", "LOWERCASE")},
                True,
            ),
            ({"ByteMatchStatement": byte_match(AGENT, "bot", "CONTAINS")}, True),
            ({"ByteMatchStatement": byte_match(AGENT, "bo", "CONTAINS_WORD")}, False),
            (
                {
                    "ByteMatchStatement": byte_match(
                        {"SingleQueryArgument": {"Name": "room"}}, "a", "EXACTLY"
                    )
                },
                True,
            ),
            ({"ByteMatchStatement": byte_match({"Body": {}}, "a", "CONTAINS")}, False),
            ({"RegexMatchStatement": {"RegexString": "^/ws", "FieldToMatch": PATH}}, True),
            ({"RegexMatchStatement": {"RegexString": "(", "FieldToMatch": PATH}}, False),
            ({"RegexPatternSetReferenceStatement": {"ARN": "arn:re", "FieldToMatch": PATH}}, True),
            (
                {
                    "SizeConstraintStatement": {
                        "FieldToMatch": PATH,
                        "ComparisonOperator": "GT",
                        "Size": 7,
                    }
                },
                True,
            ),
            (
                {
                    "SizeConstraintStatement": {
                        "FieldToMatch": PATH,
                        "ComparisonOperator": "LE",
                        "Size": 7,
                    }
                },
                False,
            ),
            (
                {
                    "AndStatement": {
                        "Statements": [{"GeoMatchStatement": {"CountryCodes": ["US"]}}] * 2
                    }
                },
                True,
            ),
            ({"OrStatement": {"Statements": [{"LabelMatchStatement": {}}, IN_SET]}}, True),
            (
                {"NotStatement": {"Statement": {"GeoMatchStatement": {"CountryCodes": ["DE"]}}}},
                True,
            ),
            ({"NotStatement": {"Statement": {"ManagedRuleGroupStatement": {"Name": "x"}}}}, False),
            (
                {
                    "ManagedRuleGroupStatement": {
                        "VendorName": "AWS",
                        "Name": "AWSManagedRulesCommonRuleSet",
                    }
                },
                False,
            ),
            ({"SizeConstraintStatement": {"FieldToMatch": PATH, "Size": "much"}}, False),
            ({}, False),
        ],
    )
    def test_each_statement(self, statement: Json, matches: bool) -> None:
        assert self.blocked(viewer(user_agent="a bot"), statement) == (403 if matches else None)

    def test_priorities_actions_and_defaults(self) -> None:
        everybody = {"GeoMatchStatement": {"CountryCodes": ["US"]}}
        assert self.blocked(viewer(), default="Block") == 403
        assert self.blocked(viewer(), everybody, action={"Allow": {}}, default="Block") is None
        assert self.blocked(viewer(), everybody, action={"Count": {}}) is None
        assert self.blocked(viewer(), everybody, action={"Captcha": {}}) == 405
        assert (
            self.blocked(
                viewer(), everybody, action={"Block": {"CustomResponse": {"ResponseCode": 429}}}
            )
            == 429
        )

    @pytest.mark.rule("distribution/core-rule-set")
    @pytest.mark.parametrize(
        ("bad", "fine"),
        [
            ({"user_agent": None}, {"user_agent": "Mozilla/5.0"}),
            ({"user_agent": "Nmap Scripting Engine"}, {"user_agent": "my-client/1"}),
            ({"user_agent": "x nessus y"}, {"user_agent": "vanessa"}),
            ({"query": "a=" + "x" * 2047}, {"query": "a=" + "x" * 2046}),
            ({"cookie": "a=" + "x" * 10_239}, {"cookie": "a=" + "x" * 10_238}),
            ({"path": "/" + "x" * 1024}, {"path": "/" + "x" * 1023}),
            ({"query": "u=http://169.254.169.254/latest"}, {"query": "u=169.254.1.1"}),
            ({"cookie": "u=169.254.169.254"}, {"cookie": "u=169.254.169.25"}),
            ({"path": "/169.254.169.254/ws"}, {"path": "/169.254.169.25/ws"}),
            ({"query": "f=..%2F..%2Fetc"}, {"query": "f=../etc"}),
            ({"path": "/a/../../etc"}, {"path": "/a/../ws"}),
            ({"path": "/app.log"}, {"path": "/app.logs"}),
            ({"query": "f=web.ini"}, {"query": "f=init"}),
            ({"query": "u=https://203.0.113.9/x"}, {"query": "u=https://example.com/x"}),
            ({"path": "/ftp://203.0.113.9/x"}, {"path": "/203.0.113.9/x"}),
            ({"query": "q=%3Cscript%3E"}, {"query": "q=script"}),
            ({"cookie": "q=<script>"}, {"cookie": "q=script"}),
            ({"path": "/%3Cscript%3E"}, {"path": "/script"}),
        ],
    )
    def test_the_core_rule_set_blocks_what_aws_documents(self, bad: Any, fine: Any) -> None:
        assert self.blocked(handshake(**bad), managed()) == 403
        assert self.blocked(handshake(**fine), managed()) is None

    @pytest.mark.rule("distribution/core-rule-set")
    def test_a_rule_that_only_counts_lets_through_and_leaves_its_label(self) -> None:
        count = [{"Name": "NoUserAgent_HEADER", "ActionToUse": {"Count": {}}}]
        counting = managed(RuleActionOverrides=count)
        nameless = handshake(user_agent=None)
        assert self.blocked(nameless, counting) is None
        assert self.blocked(nameless, managed(ExcludedRules=[{"Name": count[0]["Name"]}])) is None
        assert self.blocked(handshake(user_agent=None, path="/a.log"), counting) == 403
        here = {"ByteMatchStatement": byte_match(PATH, "/ws/", "STARTS_WITH")}
        label = "awswaf:managed:aws:core-rule-set:NoUserAgent_Header"
        by_label = {"LabelMatchStatement": {"Scope": "LABEL", "Key": label}}
        elsewhere = {
            "AndStatement": {"Statements": [by_label, {"NotStatement": {"Statement": here}}]}
        }
        assert self.blocked(nameless, counting, elsewhere) is None
        assert self.blocked(handshake(user_agent=None, path="/api"), counting, elsewhere) == 403
        assert self.blocked(handshake(path="/api"), counting, elsewhere) is None
        group = {"LabelMatchStatement": {"Scope": "NAMESPACE", "Key": "core-rule-set:"}}
        assert self.blocked(nameless, counting, group) == 403
        assert self.blocked(handshake(), counting, group) is None

    def test_a_scope_down_statement_and_an_overridden_group(self) -> None:
        nameless = handshake(user_agent=None)
        only = {"ByteMatchStatement": byte_match(PATH, "/api", "STARTS_WITH")}
        scoped = managed(ScopeDownStatement=only)
        assert self.blocked(nameless, scoped) is None
        assert self.blocked(handshake(user_agent=None, path="/api/x"), scoped) == 403
        item = dict(rule("r", 0, managed()))
        overrides: list[tuple[Json | None, int | None]] = [
            (None, 403),
            ({"None": {}}, 403),
            ({"Count": {}}, None),
        ]
        for override, status in overrides:
            entry = {
                "default_action": {"Allow": {}},
                "rules": [item | {"override_action": override}],
            }
            refusal = refuse_by_web_acl(
                parse_web_acl(self.ACL, entry, {}), nameless, lambda *_: False
            )
            assert (refusal.status if refusal else None) == status

    def test_a_group_that_is_not_imitated_or_malformed_blocks_nothing(self) -> None:
        nameless = handshake(user_agent=None)
        for given in (
            {"VendorName": "AWS", "Name": "AWSManagedRulesSQLiRuleSet"},
            {"VendorName": "Other", "Name": "AWSManagedRulesCommonRuleSet"},
            managed(RuleActionOverrides=[{}])["ManagedRuleGroupStatement"],
        ):
            assert self.blocked(nameless, {"ManagedRuleGroupStatement": given}) is None

    def test_a_rate_is_counted_for_each_address_over_a_window(self) -> None:
        counter = RateCounter()
        asked = [counter.exceeds("r", "a", 60, 3, NOW + second) for second in range(5)]
        assert asked == [False, False, False, True, True]
        assert not counter.exceeds("r", "b", 60, 3, NOW)
        assert not counter.exceeds("r", "a", 60, 3, NOW + 70)

    @pytest.mark.rule("distribution/web-acl-blocks")
    def test_an_address_and_an_agent_are_kept_out_and_others_are_not(self, stage: Stage) -> None:
        for blocked in (
            get(stage, "dwaf", source=BLOCKED_ADDRESS),
            get(stage, "dwaf", user_agent="BadBot/1"),
        ):
            status, headers, body = blocked
            assert (status, headers["server"], headers["x-cache"]) == (
                403,
                "CloudFront",
                "Error from cloudfront",
            )
            assert b"Request blocked" in body
        row = stage.edge.wait_for_entry(
            lambda entry: entry["x-edge-request-id"] == headers["x-amz-cf-id"]
        )
        assert (row["x-edge-result-type"], row["x-edge-detailed-result-type"]) == ("Error", "Error")
        assert get(stage, "dwaf", "/healthz")[0] == 200

    def test_too_many_handshakes_are_too_many(self, stage: Stage) -> None:
        answers = [get(stage, "dwaf", "/ws/limited", source="127.0.0.67")[0] for _ in range(12)]
        assert answers == [*[426] * 10, 403, 403]
        assert get(stage, "dwaf", "/ws/other", source="127.0.0.67")[0] == 426


class TestSignatures:
    """As the Developer Guide has it under "Serve private content with signed URLs and signed
    cookies".
    """

    KEYS = (
        PublicKey(
            KEY_ID,
            signing_key()
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            .decode(),
        ),
    )

    def outcome(self, request: ViewerRequest) -> str:
        refusal = refuse_unsigned(request, self.KEYS, NOW)
        assert refusal is None or (refusal.status, refusal.detail) == (403, "Error")
        return "" if refusal is None else refusal.code

    @pytest.mark.parametrize("expires", [NOW + 60, NOW - 60])
    def test_a_canned_policy_in_the_url_and_in_cookies(self, expires: float) -> None:
        signed = canned(URL, int(expires))
        in_url = "&".join(f"{name}={value}" for name, value in signed.items())
        expected = "" if expires > NOW else "AccessDenied"
        assert self.outcome(viewer(f"/ws/chat?room=a&{in_url}")) == expected
        assert self.outcome(viewer(cookie=cookies(signed))) == expected

    @pytest.mark.parametrize(
        ("resource", "since", "until", "network", "expected"),
        [
            ("https://dsigned.cloudfront.net/ws/*", None, NOW + 9, None, ""),
            ("http?://*/ws/ch?t*", None, NOW + 9, None, ""),
            (None, None, NOW + 9, None, ""),
            ("https://dsigned.cloudfront.net/other/*", None, NOW + 9, None, "AccessDenied"),
            ("*", None, NOW, None, "AccessDenied"),
            ("*", NOW - 9, NOW + 9, None, ""),
            ("*", NOW + 5, NOW + 9, None, "AccessDenied"),
            ("*", None, NOW + 9, "198.51.100.0/24", ""),
            ("*", None, NOW + 9, "203.0.113.9", "AccessDenied"),
        ],
    )
    def test_a_custom_policy(
        self,
        resource: str | None,
        since: float | None,
        until: float,
        network: str | None,
        expected: str,
    ) -> None:
        condition: Json = {"DateLessThan": {"AWS:EpochTime": int(until)}}
        if since is not None:
            condition["DateGreaterThan"] = {"AWS:EpochTime": int(since)}
        if network is not None:
            condition["IpAddress"] = {"AWS:SourceIp": network}
        statement = {**({} if resource is None else {"Resource": resource}), "Condition": condition}
        signed = custom(json.dumps({"Statement": [statement]}))
        assert self.outcome(viewer(cookie=cookies(signed))) == expected

    def test_what_is_missing_or_not_what_it_seems(self) -> None:
        signed = canned(URL, int(NOW + 60))
        other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        assert self.outcome(viewer()) == "MissingKey"
        assert (
            self.outcome(viewer(cookie=cookies({**signed, "Key-Pair-Id": "KUNKNOWN"})))
            == "InvalidKey"
        )
        assert (
            self.outcome(viewer(cookie=cookies({**signed, "Signature": "?!"})))
            == "MalformedSignature"
        )
        assert self.outcome(viewer(cookie=cookies({**signed, "Expires": "soon"}))) == "AccessDenied"
        assert self.outcome(viewer("/ws/other", cookie=cookies(signed))) == "AccessDenied"
        assert (
            self.outcome(viewer(cookie=cookies(canned(URL, int(NOW + 60), other))))
            == "AccessDenied"
        )
        assert self.outcome(viewer(cookie=cookies(custom("no policy at all")))) == "MalformedPolicy"
        assert self.outcome(viewer(cookie=cookies(custom("[]")))) == "MalformedPolicy"
        assert self.outcome(viewer(cookie="odd[]=1; " + cookies(signed))) == ""
        # A signed URL is judged by itself, whatever cookies come with it.
        assert (
            self.outcome(viewer("/ws/chat?room=a&Expires=1", cookie=cookies(signed)))
            == "MissingKey"
        )

    def test_the_origin_does_not_get_the_signature(self) -> None:
        assert without_signature("/a?b=1&Expires=2&Signature=x&Key-Pair-Id=y&c=3") == "/a?b=1&c=3"
        assert without_signature("/a?Policy=x&Signature=y&Key-Pair-Id=z") == "/a"
        assert without_signature("/a") == "/a"

    @pytest.mark.rule("distribution/signed-requests")
    def test_a_handshake_needs_the_cookies(self, stage: Stage) -> None:
        status, headers, body = get(stage, "dsigned", "/ws/chat")
        assert (status, headers["content-type"], headers["server"]) == (
            403,
            "text/xml",
            "CloudFront",
        )
        assert (
            b"<Code>MissingKey</Code><Message>Missing Key-Pair-Id query parameter or cookie "
            b"value</Message>" in body
        )
        url = "https://dsigned.cloudfront.net/ws/chat"
        signed = canned(url, int(time.time()) + 60)
        with stage.websocket("dsigned", additional_headers={"Cookie": cookies(signed)}) as client:
            assert client.recv()["type"] == "welcome"
        query = "&".join(f"{name}={value}" for name, value in signed.items())
        with stage.websocket("dsigned", f"/ws/chat?{query}") as client:
            id = client.recv()["id"]
        seen = stage.chat.wait_for_entry(
            lambda entry: entry["msg"] == "ws connected" and entry["id"] == id
        )
        assert seen["url"] == "/ws/chat"


class TestCertificateOfAnotherAccount:
    @pytest.mark.rule("answer/wrong-certificate")
    @pytest.mark.parametrize(
        ("named", "in_tls", "host", "refused"),
        [
            ("da", "ws.a.example", "ws.a.example", False),
            ("db", "ws.b.example", "ws.a.example", False),
            (None, "elsewhere.example", "ws.a.example", False),
            ("dc", "ws.c.example", "ws.a.example", True),
            ("dc", "ws.c.example", "da.cloudfront.net", True),
            ("dc", "dc.cloudfront.net", "ws.a.example", True),
            ("dc", "dc.cloudfront.net", "da.cloudfront.net", False),
            ("dc", "x.stars.example", "ws.stars.example", False),
            ("dc", "x.stars.example", "deep.ws.stars.example", True),
        ],
    )
    def test_only_a_host_of_another_account_that_the_certificate_does_not_cover_is_misdirected(
        self, named: str | None, in_tls: str, host: str, refused: bool
    ) -> None:
        entries = [
            distribution(name, [vpc_origin_ref("chat")], behavior("chat"))
            for name in ("da", "db", "dc")
        ]
        entries[2]["config"]["Aliases"] = items(["ws.c.example", "*.stars.example"])
        accounts = ("111122223333", "111122223333", "444455556666")
        told = [
            {**entry, "account": number} for entry, number in zip(entries, accounts, strict=True)
        ]
        known = {
            f"d{found.id[-1].lower()}": found for found in parse_state(account(told)).distributions
        }
        request = ViewerRequest(
            "GET", "/", (("Host", host),), "https", "1.1", "198.51.100.7", 1, server_name=in_tls
        )
        refusal = refuse_misdirected(known["da"], known[named] if named else None, request)
        assert (refusal is not None) is refused
        if refusal is not None:
            assert (refusal.status, refusal.detail) == (421, "InvalidRequestCertificate")

    @pytest.mark.rule("answer/wrong-certificate")
    def test_a_host_behind_anothers_certificate(self, stage: Stage) -> None:
        assert get(stage, "dother", "/healthz")[0] == 200
        assert get(stage, "dother", "/healthz", server_name="localhost")[0] == 200
        # CloudFront's own certificate covers all of its names, also those of other accounts.
        assert get(stage, "dother", "/healthz", server_name="dchat.cloudfront.net")[0] == 200
        status, headers, _ = get(stage, "dother", "/healthz", server_name="app.allowed.example")
        assert (status, headers["x-cache"]) == (421, "Error from cloudfront")
        row = stage.edge.wait_for_entry(
            lambda entry: entry["x-edge-request-id"] == headers["x-amz-cf-id"]
        )
        assert (row["DistributionId"], row["x-edge-detailed-result-type"]) == (
            "EDOTHER",
            "InvalidRequestCertificate",
        )


def get(
    stage: Stage,
    name: str,
    path: str = "/",
    *,
    source: str = "127.0.0.1",
    server_name: str = "",
    user_agent: str = "tests",
) -> tuple[int, Mapping[str, str], bytes]:
    """A GET from an address of one's own; status, headers and body."""
    host = f"{name}.cloudfront.net"
    plain = socket.create_connection(
        ("127.0.0.1", stage.tls_port), timeout=PATIENCE, source_address=(source, 0)
    )
    context: ssl.SSLContext = stage.trust()
    # The lab's certificate names no aliases.
    context.check_hostname = not server_name
    with context.wrap_socket(plain, server_hostname=server_name or host) as raw:
        raw.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: "
            f"{user_agent}\r\nConnection: close\r\n\r\n".encode()
        )
        whole = b""
        while piece := raw.recv(65536):
            whole += piece
    head, _, body = whole.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, body


def canned(url: str, expires: int, key: rsa.RSAPrivateKey | None = None) -> dict[str, str]:
    limit = f'{{"DateLessThan":{{"AWS:EpochTime":{expires}}}}}'
    policy = f'{{"Statement":[{{"Resource":"{url}","Condition":{limit}}}]}}'
    return {
        "Expires": str(expires),
        "Signature": signature(policy, key or signing_key()),
        "Key-Pair-Id": KEY_ID,
    }


def custom(policy: str) -> dict[str, str]:
    return {
        "Policy": encoded(policy.encode()),
        "Signature": signature(policy, signing_key()),
        "Key-Pair-Id": KEY_ID,
    }


def signature(policy: str, key: rsa.RSAPrivateKey) -> str:
    return encoded(key.sign(policy.encode(), padding.PKCS1v15(), hashes.SHA1()))  # noqa: S303


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode().replace("+", "-").replace("=", "_").replace("/", "~")


def cookies(parts: Mapping[str, str]) -> str:
    return "; ".join(f"CloudFront-{name}={value}" for name, value in parts.items())
