"""The boto3 clients of an AWS account: credentials, Regions, timeouts and retries.

No key is stored: boto3's own environment applies (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, …), and an
account's role is assumed from there. botocore retries reads. Writes are sent once: a retry after a
lost answer could create a second resource, so the caller observes before it writes again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

import boto3
import botocore.loaders
import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    Credentials,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import NoCredentialsError
from botocore.parsers import ResponseParserError

from provisioning.aws import call_log, metrics, unknown_elements
from provisioning.aws.errors import calling

if TYPE_CHECKING:
    from mypy_boto3_cloudfront import CloudFrontClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client

CLOUDFRONT_REGION = "us-east-1"
ROLE_SESSION_NAME = "edge-portal"

# Three tries of a read without an answer take half a minute: well within a run's lease.
# A checks worker has 32 threads, and a snapshot reads with 11 of its own in each. A pool keeps only
# connections that were open at the same time, so a bound that is never reached costs nothing; one
# that is makes urllib3 close connections, warn, and open them again with the next call.
CALLS_AT_ONCE = 32 * 11
READ = Config(
    retries={"mode": "standard", "total_max_attempts": 3},
    connect_timeout=5,
    read_timeout=10,
    max_pool_connections=CALLS_AT_ONCE,
    user_agent_extra="edge-portal",
)
WRITE = Config(
    retries={"total_max_attempts": 1},
    connect_timeout=5,
    read_timeout=20,
    max_pool_connections=CALLS_AT_ONCE,
    user_agent_extra="edge-portal",
)

Client = TypeVar("Client")
_PAGES = (b"<html", b"<!doctype html")


@dataclass(frozen=True)
class AccountRef:
    """An AWS account and its role; without a role, the portal's own identity is used.

    `before_cloudfront` is called with account ID and operation before each call to CloudFront, and
    may raise an AwsError to stop it. It belongs to the process, not to the account's identity.
    """

    account_id: str
    region: str
    role_arn: str = ""
    external_id: str = ""
    before_cloudfront: Callable[[str, str], None] | None = field(
        default=None, compare=False, repr=False
    )


class Aws:
    """The clients of one account, created on first use and shared by all threads."""

    def __init__(self, account: AccountRef) -> None:
        self.account = account
        self._lock = threading.Lock()
        self._session: boto3.Session | None = None
        self._clients: dict[tuple[str, str, bool], Any] = {}

    @property
    def cloudfront_read(self) -> CloudFrontClient:
        """For Get and List."""
        return cast("CloudFrontClient", self._client("cloudfront", CLOUDFRONT_REGION, writes=False))

    @property
    def cloudfront_write(self) -> CloudFrontClient:
        """For all writes; sends once."""
        return cast("CloudFrontClient", self._client("cloudfront", CLOUDFRONT_REGION, writes=True))

    def ec2_read(self, region: str) -> EC2Client:
        """For Describe."""
        return cast("EC2Client", self._client("ec2", region, writes=False))

    def ec2_write(self, region: str) -> EC2Client:
        """For Authorize and Revoke; sends once."""
        return cast("EC2Client", self._client("ec2", region, writes=True))

    def elbv2_read(self, region: str) -> ElasticLoadBalancingv2Client:
        """For Describe. The portal changes nothing at a load balancer."""
        return cast("ElasticLoadBalancingv2Client", self._client("elbv2", region, writes=False))

    def acm_read(self, region: str) -> Any:
        """For Describe; a distribution's own certificate is in us-east-1."""
        return self._client("acm", region, writes=False)

    def api_gateway_read(self, region: str) -> Any:
        """For Get, of REST APIs."""
        return self._client("apigateway", region, writes=False)

    def http_apis_read(self, region: str) -> Any:
        """For Get, of HTTP and WebSocket APIs."""
        return self._client("apigatewayv2", region, writes=False)

    def waf_read(self, region: str) -> Any:
        """For Get; web ACLs of distributions are in us-east-1."""
        return self._client("wafv2", region, writes=False)

    def quotas_read(self, region: str) -> Any:
        """For Get and List; CloudFront's quotas are kept in us-east-1."""
        return self._client("service-quotas", region, writes=False)

    @property
    def iam_read(self) -> Any:
        """For Get. The portal changes nothing in IAM."""
        return self._client("iam", CLOUDFRONT_REGION, writes=False)

    def _client(self, service: str, region: str, *, writes: bool) -> Any:
        key = (service, region, writes)
        found = self._clients.get(key)
        if found is not None:
            return found
        # Threads may share clients, but not create them on one session at the same time.
        with self._lock, calling("GetCredentials"):
            if key not in self._clients:
                self._clients[key] = self._make(service, region, WRITE if writes else READ)
            return self._clients[key]

    def _make(self, service: str, region: str, config: Config) -> Any:
        if self._session is None:
            self._session = _open_session(self.account)
        make: Callable[..., Any] = self._session.client
        client = make(service, region_name=region, config=config)
        metrics.count_calls(client.meta.events, self.account.account_id)
        call_log.log_calls(client.meta.events, self.account.account_id, region)
        if service == "cloudfront":
            unknown_elements.watch(client)
            client.meta.events.register("before-call.cloudfront", self._before_cloudfront)
        return client

    def _before_cloudfront(self, model: Any, **_: object) -> None:
        if self.account.before_cloudfront is not None:
            self.account.before_cloudfront(self.account.account_id, model.name)


# EC2's model alone is tens of megabytes once parsed: read once per process, not once per account.
_models = botocore.loaders.create_loader()
_accounts: dict[AccountRef, Aws] = {}
_accounts_lock = threading.Lock()


def aws_for(account: AccountRef) -> Aws:
    """The account's clients: one set per process."""
    with _accounts_lock:
        return _accounts.setdefault(account, Aws(account))


def _forget_after_fork() -> None:
    """A forked worker must not share its parent's sockets, nor wait for a lock of a thread that
    does not exist there.
    """
    global _accounts_lock
    _accounts_lock = threading.Lock()
    _accounts.clear()


os.register_at_fork(after_in_child=_forget_after_fork)


class _AssumedRole(CredentialProvider):
    METHOD = "assume-role"
    CANONICAL_NAME = "edge-portal"

    def __init__(self, credentials: DeferredRefreshableCredentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> Credentials | None:
        return self._credentials


def _open_session(account: AccountRef) -> boto3.Session:
    """A session with the portal's own credentials, or with those of the account's role, renewed
    before they expire.
    """
    own = _botocore_session()
    credentials = own.get_credentials()
    if credentials is None:
        # A client created without credentials would never get any.
        raise NoCredentialsError()
    if not account.role_arn:
        return boto3.Session(botocore_session=own, region_name=account.region)
    extra: dict[str, str] = {"RoleSessionName": ROLE_SESSION_NAME}
    if account.external_id:
        extra["ExternalId"] = account.external_id

    def sts(service: str, **given: Any) -> Any:
        make: Callable[..., Any] = own.create_client
        client = make(service, **(given | {"region_name": account.region, "config": READ}))
        call_log.log_calls(client.meta.events, account.account_id, account.region)
        return client

    fetcher = AssumeRoleCredentialFetcher(sts, credentials, account.role_arn, extra_args=extra)
    renewed = DeferredRefreshableCredentials(
        refresh_using=fetcher.fetch_credentials, method=_AssumedRole.METHOD
    )
    assumed = _botocore_session()
    assumed.register_component("credential_provider", CredentialResolver([_AssumedRole(renewed)]))
    return boto3.Session(botocore_session=assumed, region_name=account.region)


def _botocore_session() -> botocore.session.Session:
    session = botocore.session.get_session()
    session.register_component("data_loader", _models)
    session.register("before-parse", _refuse_web_pages)
    return session


def _refuse_web_pages(**event: Any) -> None:
    """botocore would parse a proxy's sign-in page (status 200) as an empty answer."""
    answer = event["response_dict"]
    if answer["status_code"] < 300 and bytes(answer["body"][:200]).lstrip().lower().startswith(
        _PAGES
    ):
        raise ResponseParserError("received a web page instead of AWS's answer; check for a proxy")
