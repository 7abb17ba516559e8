"""A whole lab for faults: AWS, edge and apps as processes, one account made through boto3, and
clients of other makes.

It decides what the account looks like and how a client looks at it. The clients know nothing of the
lab: a raw socket for status and headers, the `websockets` library for what comes after 101.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import secrets
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from lab.apps.addresses import BY_NAME
from tests.lab.account import Account, Lab, behavior, listed, viewer_certificate, vpc_origin
from tests.ports import free_ports

from .stage import PATIENCE, Client, Process

ALIAS = "ws.faults.example"
TLS_NAME = "app.faults.internal"
CHAT_TARGET = ("10.9.8.10", 8080)
SITE_TARGET = ("10.9.8.20", 8080)
ALL_METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE")
HANDSHAKE_HEADERS = (
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
)
ALL_VIEWER_EXCEPT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# Everything that is due in the lab is due at once.
FAST = 2000


@dataclass(frozen=True)
class Answer:
    """The head of what came back, and whether a 101's Accept belongs to the key."""

    status: int
    headers: dict[str, str]
    accepted: bool = False


class Rehearsal:
    """The running lab and the endpoint in it."""

    def __init__(self, directory: Path) -> None:
        free = free_ports()
        self.tls_port, self.plain_port, self.app_port = free.edge_tls, free.edge, free.apps
        ports = {
            "LAB_EDGE_TLS_PORT": str(self.tls_port),
            "LAB_EDGE_PORT": str(self.plain_port),
            "LAB_APP_PORT": str(self.app_port),
        }
        self.lab = Lab(directory, environment=ports)
        self.directory = directory
        self.distribution = ""
        self.domain = ""
        self.account: Account
        self._environment = {
            **os.environ,
            **ports,
            "LAB_STATE_DIR": str(directory),
            "LAB_AWS_PORT": str(self.lab.port),
        }

    @contextlib.contextmanager
    def running(self) -> Iterator[Rehearsal]:
        """All three processes, and the endpoint deployed."""
        apps = Process("apps", self._environment)
        self.lab.start()
        edge = Process("edge", self._environment)
        try:
            apps.wait_ready()
            edge.wait_ready()
            self.lab.post("/_lab/clock", {"scale": FAST})
            self.account = self.lab.account()
            self._build()
            yield self
        finally:
            ended = [edge.end(), apps.end(), self.lab.end()]
        assert ended == [0, 0, 0]

    def set(self, name: str, **given: Any) -> dict[str, Any]:
        """Set a fault; the edge knows it when this returns."""
        made: dict[str, Any] = self.lab.post("/_lab/faults", {"name": name, **given})
        if made["hit"] and not made["edge_knows"]:
            # A busy machine: let this test fail alone.
            self.clear(made["id"])
            raise AssertionError(f"the edge does not know of the fault yet: {made}")
        return made

    def clear(self, fault_id: str = "") -> list[dict[str, Any]]:
        """Clear one fault, or all."""
        cleared: list[dict[str, Any]] = self.lab.delete(f"/_lab/faults/{fault_id}".rstrip("/"))[
            "cleared"
        ]
        return cleared

    def handshake(
        self,
        path: str = "/ws/chat",
        *,
        host: str = "",
        tls: bool = True,
        headers: Sequence[str] = (),
    ) -> Answer:
        """A handshake over a raw socket."""
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {host or self.domain}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            *headers,
        ]
        answer = self.ask(lines, tls=tls)
        expected = base64.b64encode(
            hashlib.sha1((key + _MAGIC).encode(), usedforsecurity=False).digest()
        ).decode()
        return Answer(
            answer.status, answer.headers, answer.headers.get("sec-websocket-accept") == expected
        )

    def post(self, path: str = "/ws/chat") -> Answer:
        """A POST as Socket.IO's polling makes them."""
        return self.ask(
            [
                f"POST {path} HTTP/1.1",
                f"Host: {self.domain}",
                "Content-Length: 0",
                "Connection: close",
            ],
            tls=True,
        )

    def get(self, path: str = "/ws/chat") -> Answer:
        """An ordinary request."""
        return self.ask(
            [f"GET {path} HTTP/1.1", f"Host: {self.domain}", "Connection: close"], tls=True
        )

    def ask(self, lines: Sequence[str], *, tls: bool) -> Answer:
        """Send a head, read a head."""
        with self._connected(tls=tls) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            received = b""
            while b"\r\n\r\n" not in received:
                some = connection.recv(65536)
                assert some, f"the connection ended after {received!r}"
                received += some
        first, *rest = received.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        named = (line.partition(": ") for line in rest)
        return Answer(int(first.split()[1]), {name.lower(): value for name, _, value in named})

    @contextlib.contextmanager
    def websocket(self, path: str = "/ws/chat") -> Iterator[Client]:
        """A client of the `websockets` library that offers no compression."""
        client = Client(
            connect(
                f"wss://{self.domain}{path}",
                host="127.0.0.1",
                port=self.tls_port,
                ssl=self._trust(),
                proxy=None,
                compression=None,
                ping_interval=None,
                close_timeout=1,
            )
        )
        try:
            yield client
        finally:
            client.close()

    def close_code(self, path: str, message: str = "") -> int | None:
        """The close code that a client sees; waits until the connection is closed."""
        with self.websocket(path) as client:
            if message:
                with contextlib.suppress(ConnectionClosed):
                    client.send(message)
            return client.wait_closed_for(PATIENCE)

    def hears_echo(self, path: str = "/ws/chat") -> bool:
        """Whether a message comes back."""
        with (
            self.websocket(path) as client,
            contextlib.suppress(TimeoutError, ConnectionClosed, ValueError),
        ):
            client.send("hello")
            return any(client.recv(0.7)["type"] == "echo" for _ in range(2))
        return False

    def _connected(self, *, tls: bool) -> socket.socket:
        plain = socket.create_connection(
            ("127.0.0.1", self.tls_port if tls else self.plain_port), timeout=PATIENCE
        )
        return self._trust().wrap_socket(plain, server_hostname=self.domain) if tls else plain

    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.directory / "ca.pem"))

    def _build(self) -> None:
        """One distribution: a website, a chat endpoint over HTTP, the same with a policy that
        passes on nothing but the handshake's own headers, one over HTTPS, and one on API Gateway.
        """
        account = self.account
        network = account.vpc()
        lists = account.ec2.describe_managed_prefix_lists(
            Filters=[
                {
                    "Name": "prefix-list-name",
                    "Values": ["com.amazonaws.global.cloudfront.origin-facing"],
                }
            ]
        )["PrefixLists"]
        source = {
            "PrefixListIds": [
                {"PrefixListId": lists[0]["PrefixListId"], "Description": "CloudFront"}
            ]
        }
        groups = []
        # The prefix list weighs 55 of a group's 60 rules: two ports do not fit into one group.
        for port in (80, 443):
            made = account.ec2.create_security_group(
                GroupName=f"edge-{port}", Description="edge", VpcId=network.vpc
            )
            permission = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **source}
            account.ec2.authorize_security_group_ingress(
                GroupId=made["GroupId"], IpPermissions=[permission]
            )
            groups.append(made["GroupId"])
        chat = account.balancer(network, "int-chat", SecurityGroups=groups)
        site = account.balancer(network, "int-site", SecurityGroups=groups)
        to_chat = {
            "Type": "forward",
            "TargetGroupArn": self._target_group("chat", network.vpc, CHAT_TARGET),
        }
        to_site = {
            "Type": "forward",
            "TargetGroupArn": self._target_group("site", network.vpc, SITE_TARGET),
        }
        certificate = account.client("acm").request_certificate(DomainName=TLS_NAME)[
            "CertificateArn"
        ]
        for balancer, action in ((chat, to_chat), (site, to_site)):
            made = account.elbv2.create_listener(
                LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=[action]
            )["Listeners"][0]["ListenerArn"]
            if balancer == chat:
                self._rooms(made, action)
        account.elbv2.create_listener(
            LoadBalancerArn=chat,
            Protocol="HTTPS",
            Port=443,
            DefaultActions=[to_chat],
            Certificates=[{"CertificateArn": certificate}],
            SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06",
        )
        self.lab.post("/_lab/hosts", self._hosts())
        plain = account.create_vpc_origin("chat", Arn=chat)["VpcOrigin"]["Id"]
        tls = account.create_vpc_origin("tls", Arn=chat, OriginProtocolPolicy="https-only")[
            "VpcOrigin"
        ]["Id"]
        web = account.create_vpc_origin("site", Arn=site)["VpcOrigin"]["Id"]
        self.lab.advance()
        gateway = self._gateway()
        methods = {**listed(*ALL_METHODS), "CachedMethods": listed("GET", "HEAD")}
        to_anybody = {"ViewerProtocolPolicy": "allow-all", "AllowedMethods": methods}
        except_host = {"OriginRequestPolicyId": ALL_VIEWER_EXCEPT_HOST}
        handshake_only = {"OriginRequestPolicyId": self._handshake_only()}
        made = account.create_distribution(
            Aliases=listed(ALIAS),
            ViewerCertificate=viewer_certificate(account.certificate(ALIAS)),
            Origins=listed(
                vpc_origin("site", web),
                vpc_origin("chat", plain),
                {**vpc_origin("tls", tls), "DomainName": TLS_NAME},
                {
                    "Id": "gateway",
                    "DomainName": gateway,
                    "CustomOriginConfig": {
                        "HTTPPort": 80,
                        "HTTPSPort": 443,
                        "OriginProtocolPolicy": "https-only",
                    },
                },
            ),
            DefaultCacheBehavior=behavior("site"),
            CacheBehaviors=listed(
                {**behavior("chat", "/ws/*"), **to_anybody},
                {**behavior("chat", "/kept/*"), **handshake_only},
                {**behavior("tls", "/tls/*"), **except_host},
                {**behavior("gateway", "/prod"), **except_host},
            ),
        )["Distribution"]
        self.distribution, self.domain = made["Id"], made["DomainName"]
        self.lab.advance()
        self._until_live()

    def _rooms(self, listener: str, to_chat: dict[str, str]) -> None:
        """Paths that end in /room are for one room, which the query string must name."""
        rooms = {"Field": "path-pattern", "Values": ["/*/room"]}
        blue = {
            "Field": "query-string",
            "QueryStringConfig": {"Values": [{"Key": "room", "Value": "blue"}]},
        }
        unknown = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
        for priority, conditions, action in ((1, [rooms, blue], to_chat), (2, [rooms], unknown)):
            self.account.elbv2.create_rule(
                ListenerArn=listener, Priority=priority, Conditions=conditions, Actions=[action]
            )

    def _handshake_only(self) -> str:
        """An origin request policy."""
        made = self.account.cloudfront.create_origin_request_policy(
            OriginRequestPolicyConfig={
                "Name": "handshake-only",
                "HeadersConfig": {
                    "HeaderBehavior": "whitelist",
                    "Headers": listed(*HANDSHAKE_HEADERS),
                },
                "CookiesConfig": {"CookieBehavior": "none"},
                "QueryStringsConfig": {"QueryStringBehavior": "none"},
            }
        )
        return str(made["OriginRequestPolicy"]["Id"])

    def _target_group(self, name: str, vpc: str, target: tuple[str, int]) -> str:
        elbv2 = self.account.elbv2
        made = elbv2.create_target_group(
            Name=name, Protocol="HTTP", Port=8080, VpcId=vpc, TargetType="ip"
        )
        arn = str(made["TargetGroups"][0]["TargetGroupArn"])
        elbv2.register_targets(TargetGroupArn=arn, Targets=[{"Id": target[0], "Port": target[1]}])
        return arn

    def _gateway(self) -> str:
        """The host name of a WebSocket API with the stage `prod`."""
        gateway = self.account.client("apigatewayv2")
        made = gateway.create_api(
            Name="chat", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.x"
        )
        integration = gateway.create_integration(
            ApiId=made["ApiId"],
            IntegrationType="HTTP_PROXY",
            IntegrationUri="http://10.9.8.10:8080/chat",
        )
        target = f"integrations/{integration['IntegrationId']}"
        gateway.create_route(ApiId=made["ApiId"], RouteKey="$default", Target=target)
        gateway.create_stage(ApiId=made["ApiId"], StageName="prod")
        return str(made["ApiEndpoint"]).partition("://")[2].partition("/")[0]

    def _hosts(self) -> dict[str, str]:
        chat, site = (f"{address}:{port}" for address, port in (CHAT_TARGET, SITE_TARGET))
        return {
            chat: f"127.0.0.1:{self.app_port}",
            site: f"{BY_NAME['single-page'].loopback}:{self.app_port}",
        }

    def _until_live(self) -> None:
        deadline = time.monotonic() + PATIENCE
        paths = ("/ws/chat", "/tls/chat", "/prod")
        while [self.handshake(path).status for path in paths] != [101, 101, 101]:
            assert time.monotonic() < deadline, json.dumps(
                [vars(self.handshake(path)) for path in paths], default=str
            )
            time.sleep(0.1)
