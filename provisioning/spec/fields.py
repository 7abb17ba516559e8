"""The settings of an endpoint, one row each, in the order in which a form asks for them.

Parsing, derivation, the request form, the API's body and its documentation, the settings page and
the labels of the plan follow from these rows. A new setting is a row here, an attribute of
`EndpointSpec`, and its place in `provisioning.plan`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from provisioning.facts import guards
from provisioning.redaction.references import REFERENCE
from provisioning.spec import derivation
from provisioning.spec.app_kinds import APP_KINDS
from provisioning.spec.client_profiles import CLIENTS
from provisioning.spec.derivation import DOMAIN, METHOD_SETS, always
from provisioning.spec.field_kinds import (
    Choice,
    Choices,
    Field,
    Flag,
    Lines,
    Number,
    Place,
    Section,
    Text,
    Words,
)

TARGET_ARN = re.compile(
    r"arn:aws:(?:elasticloadbalancing:(?P<lb>[a-z]{2}(?:-[a-z]+)+-[0-9]):(?P<lb_account>[0-9]{12}):"
    r"loadbalancer/(?:app|net|gwy)/[A-Za-z0-9-]{1,32}/[a-z0-9]{1,32}"
    r"|ec2:(?P<ec2>[a-z]{2}(?:-[a-z]+)+-[0-9]):(?P<ec2_account>[0-9]{12}):instance/i-[0-9a-f]{8,17})",
    re.ASCII,
)
MAX_PATHS = 5
ADVANCED, CHECK = Section.ADVANCED, Section.CHECK

NAME = Text(
    name="name",
    label="Name",
    help="Identifies the endpoint in the portal, for example team-chat.",
    example="team-chat",
    pattern=re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?", re.ASCII),
    advice="Use 1 to 40 lower-case letters, digits and hyphens, starting with a letter, for "
    "example team-chat.",
)
ACCOUNT_ID = Text(
    name="account_id",
    label="AWS account",
    help="The AWS account that holds the target and the distribution.",
    example="111122223333",
    pattern=re.compile(r"[0-9]{12}", re.ASCII),
    advice="Enter the AWS account's twelve digits.",
)
TARGET = Text(
    name="target_arn",
    label="Target",
    help="The internal load balancer in front of your app, or the EC2 instance it runs on.",
    example="arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/int-chat/"
    "50dc6c495c0c9188",
    pattern=TARGET_ARN,
    advice="Choose a load balancer or an EC2 instance, or enter its ARN.",
    missing="Choose a load balancer or an EC2 instance.",
    place=Place("vpc-origin", "Arn"),
)
DISTRIBUTION = Text(
    name="distribution_id",
    label="Distribution",
    help="The CloudFront distribution that gets your endpoint. Your endpoint is added as a path; "
    "existing paths are unchanged.",
    example="E1A2B3C4D5E6F7",
    pattern=re.compile(r"E[A-Z0-9]{7,19}", re.ASCII),
    advice="Choose a distribution, or enter its ID, for example E1A2B3C4D5E6F7.",
    missing="Choose a distribution.",
)
PATHS = Words(
    name="path_patterns",
    label="Path",
    help="Where clients connect, for example /ws/chat, or /socket.io/* for Socket.IO. To include "
    f"everything below /ws/chat, add /ws/chat/*. Up to {MAX_PATHS}, separated by commas.",
    example=("/ws/chat",),
    pattern=re.compile(r"/[A-Za-z0-9_\-.*$/~'@:+&?]{0,254}", re.ASCII),
    advice='Paths must start with "/", for example /ws/orders. Letters, digits and '
    "_-.*$/~'@:+&? are allowed.",
    most=MAX_PATHS,
    place=Place("behavior", "PathPattern"),
)
MAX_SILENCE = Number(
    name="max_silence_seconds",
    label="Longest gap between messages (seconds)",
    help="The longest time a connection may go without a message or ping in either direction. "
    "Load balancers close idle connections; we check this against their timeouts.",
    example=45,
    default=30,
    low=1,
    high=86400,
)
APP_KIND = Choice(
    name="app_kind",
    label="Kind of app",
    help="The protocol that your clients speak. The portal's check speaks it too, and a request "
    "allows the HTTP methods that it needs. Automatic goes by the path. If your app is not listed, "
    "choose “Any WebSocket server”.",
    example="greeting",
    choices=tuple(APP_KINDS),
    labels={key: kind.title for key, kind in APP_KINDS.items()},
    groups={key: kind.group for key, kind in APP_KINDS.items()},
    rule=derivation.app_kind,
)
CHECK_PATH = Text(
    name="check_path",
    label="Path and query of the check",
    help="What a check requests, with its query. It must match the endpoint's path.",
    example="/ws/chat?room=lobby",
    section=CHECK,
    pattern=re.compile(r"/[!-~]{0,1023}", re.ASCII),
    advice='Start with "/" and leave out spaces, for example /ws/chat?room=lobby.',
    may_be_empty=True,
    rule=derivation.check_path,
)
CHECK_CLIENT = Choice(
    name="check_client",
    label="Connect as",
    help="The client whose headers a check sends, including User-Agent. Firewalls can treat "
    "clients differently.",
    example="browser",
    section=CHECK,
    choices=tuple(CLIENTS),
    labels={key: client.title for key, client in CLIENTS.items()},
    rule=always("browser", "Most clients of a distribution are browsers."),
)
SUBPROTOCOLS = Words(
    name="subprotocols",
    label="Subprotocols",
    help="WebSocket subprotocols that your app speaks, for example graphql-transport-ws, separated "
    "by commas. Leave empty if unsure.",
    example=("graphql-transport-ws",),
    pattern=re.compile(rf"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]|{REFERENCE.pattern}){{1,64}}", re.ASCII),
    advice="Use names without spaces, for example graphql-transport-ws.",
    most=10,
    section=CHECK,
    rule=derivation.subprotocols,
)
CHECK_HEADERS = Lines(
    name="check_headers",
    label="Headers of the check",
    help="Headers that a check adds, one per line.",
    example="X-Tenant: demo",
    section=CHECK,
    pattern=re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}:[ \t]*[ -~]+", re.ASCII),
    advice="Write Name: value, one per line.",
    longest=4096,
    rule=always("", "None is added."),
)
CHECK_SCRIPT = Lines(
    name="check_script",
    label="Messages of the check",
    help="What a check sends and expects once the connection is open, one step per line: "
    'send …, expect text …, expect json $.type == "welcome".',
    example='expect json $.type == "welcome"',
    section=CHECK,
    pattern=re.compile(r"[^\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]+"),
    advice="Write one step per line, without control characters.",
    longest=16 * 1024,
    rule=derivation.check_script,
)
STAY_OPEN = Number(
    name="stay_open_seconds",
    label="Stays open for (seconds)",
    help="How long a check keeps the connection open and silent, to see that nothing closes it.",
    example=3,
    section=CHECK,
    low=0,
    high=60,
    rule=always(3, "Long enough to see an app or proxy that closes new connections."),
)
CARRIES_HTTP_API = Flag(
    name="carries_http_api",
    label="This path also serves HTTP requests",
    help="Whether methods such as POST must pass too. For Socket.IO and similar kinds of app they "
    "always do.",
    example=True,
    default=False,
    in_spec=False,
)
ORIGIN_PROTOCOL = Choice(
    name="origin_protocol",
    label="Protocol to the target",
    help="The protocol that CloudFront uses to connect to the target.",
    example="http-only",
    section=ADVANCED,
    choices=("http-only", "https-only", "match-viewer"),
    rule=derivation.origin_protocol,
    place=Place("vpc-origin", "OriginProtocolPolicy"),
)
HTTP_PORT = Number(
    name="http_port",
    label="HTTP port",
    help="The port of the target's HTTP listener.",
    example=80,
    section=ADVANCED,
    low=1024,
    high=65535,
    also=(80, 443),
    rule=derivation.http_port,
    place=Place("vpc-origin", "HTTPPort"),
)
HTTPS_PORT = Number(
    name="https_port",
    label="HTTPS port",
    help="The port of the target's HTTPS listener.",
    example=443,
    section=ADVANCED,
    low=1024,
    high=65535,
    also=(80, 443),
    rule=derivation.https_port,
    place=Place("vpc-origin", "HTTPSPort"),
)
FORWARD_HOST = Flag(
    name="forward_host",
    label="Forward the viewer's Host header",
    help="Whether your app sees the host name that the viewer used.",
    example=True,
    section=ADVANCED,
    rule=derivation.forward_host,
    place=Place("behavior", "OriginRequestPolicyId"),
)
ORIGIN_DOMAIN = Text(
    name="origin_domain",
    label="Origin domain name",
    help="The host name that CloudFront uses for the target. If empty, the target's own DNS name.",
    example="chat.internal.example.com",
    section=ADVANCED,
    pattern=DOMAIN,
    advice="Enter a full host name, for example chat.internal.example.com, or leave it empty.",
    may_be_empty=True,
    rule=derivation.origin_domain,
    place=Place("origin", "DomainName"),
)
VIEWER_PROTOCOL = Choice(
    name="viewer_protocol_policy",
    label="Viewer protocol policy",
    help="Whether CloudFront refuses ws:// viewers or redirects them to HTTPS.",
    example="https-only",
    section=ADVANCED,
    choices=("https-only", "redirect-to-https"),
    rule=always("https-only", "WebSocket clients do not follow redirects, so only wss:// works."),
    place=Place("behavior", "ViewerProtocolPolicy"),
)
METHODS = Choice(
    name="allowed_methods",
    label="Allowed HTTP methods",
    help="The HTTP methods that CloudFront forwards. A handshake needs only GET.",
    example="GET,HEAD",
    section=ADVANCED,
    choices=METHOD_SETS,
    rule=derivation.allowed_methods,
    place=Place("behavior", "AllowedMethods"),
)
READ_TIMEOUT = Number(
    name="read_timeout",
    label="Response timeout (seconds)",
    help="How long CloudFront waits for the target's answer to the handshake.",
    example=30,
    section=ADVANCED,
    low=1,
    high=120,
    rule=always(30, "CloudFront's default. It applies to the handshake, not to the open socket."),
    place=Place("origin", "VpcOriginConfig.OriginReadTimeout"),
)
KEEPALIVE_TIMEOUT = Number(
    name="keepalive_timeout",
    label="Keep-alive timeout (seconds)",
    help="How long CloudFront keeps idle HTTP connections to the target open.",
    example=5,
    section=ADVANCED,
    low=1,
    high=120,
    rule=always(5, "Applies to plain HTTP only; open WebSockets are not affected."),
    place=Place("origin", "VpcOriginConfig.OriginKeepaliveTimeout"),
)
OPEN_SECURITY_GROUP = Flag(
    name="open_security_group",
    label="Open the security group if needed",
    help="Whether the plan may allow CloudFront in the target's security group.",
    example=True,
    section=ADVANCED,
    rule=always(True, "Lets the plan allow CloudFront where no rule does yet."),
    place=Place("ingress-rule"),
)
ORIGIN_HEADERS = Lines(
    name="origin_headers",
    label="Headers to the target",
    help="Headers that CloudFront adds to each request to the target, one per line, for example a "
    "secret that the load balancer's rule requires. Write ${secret:NAME} for a secret of the team.",
    example="X-Origin-Verify: ${secret:ORIGIN_VERIFY}",
    section=ADVANCED,
    pattern=re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[ \t]*[!-~](?:[ -~]*[!-~])?", re.ASCII),
    advice="Write Name: value, one per line.",
    longest=12 * 1024,
    rule=always("", "None is added."),
    place=Place("origin", "CustomHeaders"),
)
CARRY_OVER = Choices(
    name="carry_over",
    label="Carry over from the current behavior",
    help="What the new behavior keeps of the behavior that matches the path today: its viewer "
    "functions, its key groups (signed URLs and cookies), its response headers policy, its "
    "real-time logs; and the headers that an origin with the same target gets.",
    example=("functions",),
    section=ADVANCED,
    choices=guards.CARRY_OVER,
    rule=always((), "Nothing is carried over; what does not apply to the path is named."),
    place=Place("behavior"),
)

ORIGIN_ID = Text(
    name="origin_id",
    label="Adopted origin",
    help="The origin in the distribution, if the endpoint was there before the portal.",
    example="chat-origin",
    section=ADVANCED,
    pattern=re.compile(r"[!-~](?:[ -~]{0,126}[!-~])?", re.ASCII),
    advice="Use the ID of an origin of the distribution.",
    may_be_empty=True,
    rule=always("", "The portal adds its own."),
    place=Place("origin", "Id"),
    asked=False,
)
VPC_ORIGIN_ID = Text(
    name="vpc_origin_id",
    label="Adopted VPC origin",
    help="The VPC origin, if it was there before the portal.",
    example="vo_Cg6A14otX0DB1yyDQ6Nond",
    section=ADVANCED,
    pattern=re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII),
    advice="Use the ID of a VPC origin of the account.",
    may_be_empty=True,
    rule=always("", "The portal creates one, or shares its own."),
    place=Place("origin", "VpcOriginName"),
    asked=False,
)

USUAL_CHECK: tuple[Field, ...] = (
    APP_KIND,
    CHECK_PATH,
    CHECK_CLIENT,
    SUBPROTOCOLS,
    CHECK_HEADERS,
    CHECK_SCRIPT,
    STAY_OPEN,
)
"""The settings of the usual check. A change of them changes nothing in AWS."""
FIELDS: tuple[Field, ...] = (
    NAME,
    ACCOUNT_ID,
    TARGET,
    DISTRIBUTION,
    PATHS,
    APP_KIND,
    MAX_SILENCE,
    CARRIES_HTTP_API,
    CHECK_PATH,
    CHECK_CLIENT,
    SUBPROTOCOLS,
    CHECK_HEADERS,
    CHECK_SCRIPT,
    STAY_OPEN,
    ORIGIN_PROTOCOL,
    HTTP_PORT,
    HTTPS_PORT,
    FORWARD_HOST,
    ORIGIN_DOMAIN,
    VIEWER_PROTOCOL,
    METHODS,
    READ_TIMEOUT,
    KEEPALIVE_TIMEOUT,
    OPEN_SECURITY_GROUP,
    ORIGIN_HEADERS,
    CARRY_OVER,
    ORIGIN_ID,
    VPC_ORIGIN_ID,
)
ASKED: tuple[Field, ...] = tuple(row for row in FIELDS if row.asked)
"""The rows that people and ticket systems answer."""
FIELD: Mapping[str, Field] = {field.name: field for field in FIELDS}
"""The rows by name."""
