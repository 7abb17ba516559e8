"""A running AWS endpoint of the lab, and app accounts in it."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.client import ClientCreator
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.ports import free_port

REPOSITORY = Path(__file__).parents[2]
REGION = "us-east-1"
CHAT_ACCOUNT = "111122223333"
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"

TIMEOUTS = {"OriginReadTimeout": 30, "OriginKeepaliveTimeout": 5}

# Longer than any deployment in the lab, in lab seconds.
DEPLOYMENT = 700
# Real seconds: more than any request takes, even on a busy machine.
PATIENCE = 60

_accounts = itertools.count(700_000_000_001)

_creator: Any = ClientCreator  # the method is private, and its stubs leave it out
_make_class = _creator._create_client_class
_classes: dict[str, type] = {}


def _class_of(creator: ClientCreator, service: str, model: Any) -> type:
    """botocore creates a class for each client, with 700 methods for EC2; hundreds of accounts
    share one here.
    """
    if service not in _classes:
        _classes[service] = _make_class(creator, service, model)
    return _classes[service]


_creator._create_client_class = _class_of


class Reply(NamedTuple):
    """An HTTP reply, whatever its status."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Lab:
    """One `python -m lab aws` process. Its clock stands still until a test advances it."""

    state_dir: Path
    port: int = field(default_factory=free_port)
    quotas: dict[str, int] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        environment = {
            **os.environ,
            "LAB_STATE_DIR": str(self.state_dir),
            "LAB_AWS_PORT": str(self.port),
            "LAB_TIME_SCALE": "0",
            "LAB_QUOTAS": json.dumps(self.quotas),
            **self.environment,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lab", "aws"],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("ready aws")

    def end(self, signal_number: int = signal.SIGTERM) -> int:
        """End the process; gives its exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(signal_number)
        code = self.process.wait(timeout=PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code

    def get(self, path: str) -> Any:
        """JSON of a /_lab address, None when it answers without content."""
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as reply:
            body = reply.read()
            return json.loads(body) if body else None

    def post(self, path: str, document: Any) -> Any:
        """Post JSON to a /_lab address."""
        request = urllib.request.Request(self.url + path, data=json.dumps(document).encode())
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            return json.loads(reply.read())

    def delete(self, path: str) -> Any:
        """DELETE a /_lab address."""
        with urllib.request.urlopen(
            urllib.request.Request(self.url + path, method="DELETE"), timeout=PATIENCE
        ) as reply:
            return json.loads(reply.read())

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Send any request, unchanged."""
        request = urllib.request.Request(
            self.url + path, data=body, headers=headers or {}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
                return Reply(reply.status, reply.read(), dict(reply.headers))
        except urllib.error.HTTPError as error:
            return Reply(error.code, error.read(), dict(error.headers))

    def advance(self, seconds: float = DEPLOYMENT) -> None:
        """Advance lab time."""
        self.post("/_lab/clock", {"advance_seconds": seconds})

    def account(self, number: str | None = None) -> Account:
        """An app account: the given one, or a new one."""
        return Account(self, number or str(next(_accounts)))


@dataclass
class Account:
    """Clients of one account, with keys that AssumeRole gave."""

    lab: Lab
    number: str
    region: str = REGION

    @cached_property
    def keys(self) -> dict[str, str]:
        sts = self._client("sts", {"aws_access_key_id": "lab", "aws_secret_access_key": "lab"})
        role = f"arn:aws:iam::{self.number}:role/OrganizationAccountAccessRole"
        given = sts.assume_role(RoleArn=role, RoleSessionName="tests")["Credentials"]
        return {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }

    @cached_property
    def cloudfront(self) -> Any:
        return self._client("cloudfront", self.keys)

    @cached_property
    def ec2(self) -> Any:
        return self._client("ec2", self.keys)

    @cached_property
    def elbv2(self) -> Any:
        return self._client("elbv2", self.keys)

    @cached_property
    def iam(self) -> Any:
        return self._client("iam", self.keys)

    def vpc(self, *, gateway: bool = True) -> Network:
        """A VPC with two private subnets and a security group."""
        vpc = self.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            self.ec2.create_subnet(
                VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=f"{self.region}{zone}"
            )["Subnet"]["SubnetId"]
            for number, zone in ((8, "a"), (9, "b"))
        ]
        if gateway:
            made = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
            self.ec2.attach_internet_gateway(InternetGatewayId=made, VpcId=vpc)
        group = self.ec2.create_security_group(GroupName="alb", Description="alb", VpcId=vpc)[
            "GroupId"
        ]
        return Network(vpc, subnets, group)

    def balancer(self, network: Network, name: str = "int-app", **given: Any) -> str:
        """ARN of an internal load balancer."""
        wanted = {
            "Type": "application",
            "Scheme": "internal",
            "SecurityGroups": [network.group],
            **given,
        }
        made = self.elbv2.create_load_balancer(Name=name, Subnets=network.subnets, **wanted)
        return str(made["LoadBalancers"][0]["LoadBalancerArn"])

    @cached_property
    def target(self) -> str:
        """ARN of a load balancer that may become a VPC origin."""
        return self.balancer(self.vpc())

    @cached_property
    def image(self) -> str:
        """Id of a public image; there are more than a thousand."""
        named = [{"Name": "name", "Values": ["amzn2-ami-hvm-2.0.*-x86_64-gp2"]}]
        return str(self.ec2.describe_images(Filters=named)["Images"][0]["ImageId"])

    def create_vpc_origin(self, name: str = "app", **changes: Any) -> dict[str, Any]:
        """CreateVpcOrigin for `target`, with changes."""
        endpoint = {
            "Name": name,
            "Arn": changes.pop("Arn", None) or self.target,
            "HTTPPort": 80,
            "HTTPSPort": 443,
            "OriginProtocolPolicy": "http-only",
            **changes,
        }
        made: dict[str, Any] = self.cloudfront.create_vpc_origin(VpcOriginEndpointConfig=endpoint)
        return made

    def deployed_vpc_origin(self, name: str = "app") -> str:
        """Id of a VPC origin that is Deployed."""
        made = self.create_vpc_origin(name)["VpcOrigin"]["Id"]
        self.lab.advance()
        return str(made)

    def create_distribution(self, **changes: Any) -> dict[str, Any]:
        """CreateDistribution with a small configuration."""
        made: dict[str, Any] = self.cloudfront.create_distribution(
            DistributionConfig=configuration(**changes)
        )
        return made

    def certificate(self, *names: str, region: str = REGION) -> str:
        """ARN of an imported, self-signed certificate for these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        acm = self._client("acm", self.keys, region)
        given = acm.import_certificate(
            Certificate=made.public_bytes(Encoding.PEM), PrivateKey=private
        )
        return str(given["CertificateArn"])

    def web_acl(self, name: str = "shield", scope: str = "CLOUDFRONT") -> str:
        """ARN of a web ACL without rules."""
        visible = {
            "SampledRequestsEnabled": False,
            "CloudWatchMetricsEnabled": False,
            "MetricName": name,
        }
        made = self.client("wafv2").create_web_acl(
            Name=name, Scope=scope, DefaultAction={"Allow": {}}, VisibilityConfig=visible
        )
        return str(made["Summary"]["ARN"])

    def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """A request to CloudFront, signed by this account, with any body."""
        signed = AWSRequest(method, self.lab.url + path, data=body, headers=headers or {})
        credentials = Credentials(
            self.keys["aws_access_key_id"],
            self.keys["aws_secret_access_key"],
            self.keys["aws_session_token"],
        )
        SigV4Auth(credentials, "cloudfront", REGION).add_auth(signed)
        return self.lab.send(method, path, body or None, dict(signed.headers))

    def client(self, service: str, region: str | None = None) -> Any:
        """A client of any other service."""
        return self._client(service, self.keys, region)

    def _client(self, service: str, keys: dict[str, str], region: str | None = None) -> Any:
        once = Config(retries={"total_max_attempts": 1})
        return boto3.client(
            service,
            endpoint_url=self.lab.url,
            region_name=region or self.region,
            config=once,
            **keys,
        )  # type: ignore[call-overload]


@dataclass(frozen=True)
class Network:
    """Ids of a VPC and what is in it."""

    vpc: str
    subnets: list[str]
    group: str


_references = itertools.count()


def configuration(**changes: Any) -> dict[str, Any]:
    """The smallest DistributionConfig that CloudFront accepts, with changes."""
    return {
        "CallerReference": f"test-{os.getpid()}-{next(_references)}",
        "Comment": "",
        "Enabled": True,
        "Origins": listed(custom_origin("web")),
        "DefaultCacheBehavior": behavior("web"),
        **changes,
    }


def custom_origin(name: str) -> dict[str, Any]:
    """An origin on the internet."""
    kind = {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only", **TIMEOUTS}
    return {**_named(name), "DomainName": f"{name}.example.com", "CustomOriginConfig": kind}


def vpc_origin(name: str, origin_id: str) -> dict[str, Any]:
    """An origin that is a VPC origin."""
    return {
        **_named(name),
        "DomainName": f"{name}.internal",
        "VpcOriginConfig": {"VpcOriginId": origin_id, **TIMEOUTS},
    }


def _named(name: str) -> dict[str, Any]:
    # A create may leave the headers out, an update may not.
    return {"Id": name, "CustomHeaders": {"Quantity": 0}}


def behavior(target: str, pattern: str | None = None) -> dict[str, Any]:
    """A behavior that is fit for WebSockets."""
    made = {
        "TargetOriginId": target,
        "ViewerProtocolPolicy": "https-only",
        "CachePolicyId": CACHING_DISABLED,
        "OriginRequestPolicyId": ALL_VIEWER,
    }
    return {"PathPattern": pattern, **made} if pattern else made


def viewer_certificate(arn: str) -> dict[str, Any]:
    """A ViewerCertificate that uses a certificate of ACM."""
    return {
        "ACMCertificateArn": arn,
        "SSLSupportMethod": "sni-only",
        "MinimumProtocolVersion": "TLSv1.2_2021",
    }


def listed(*items: Any) -> dict[str, Any]:
    """AWS's way to write a list."""
    return {"Quantity": len(items), "Items": list(items)}


@contextlib.contextmanager
def assert_refused(code: str, status: int) -> Iterator[None]:
    """The call inside is refused with this code and HTTP status."""
    with pytest.raises(ClientError) as caught:
        yield
    reply: Any = caught.value.response
    assert (reply["Error"]["Code"], reply["ResponseMetadata"]["HTTPStatusCode"]) == (
        code,
        status,
    ), caught.value
