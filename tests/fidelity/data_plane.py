"""Rules of the data plane: requests, WebSockets, timeouts, load balancers, answers, logs; and of
the API's protocol.
"""

from __future__ import annotations

from tests.fidelity.rule import (
    COMMON,
    CUSTOM_ORIGIN,
    ELB_GUIDE,
    ERRORS,
    LOGS,
    MODEL,
    MODEL_ELB,
    MULTI_TENANT,
    NLB_GUIDE,
    NOBODY,
    POLICIES,
    QUOTAS,
    SETTINGS,
    TROUBLE,
    UPDATING,
    WEBSOCKETS,
    Known,
    Rule,
)

_D, _B, _F, _I, _U = Known.DOCUMENTED, Known.MODEL, Known.FIELD, Known.INFERRED, Known.UNVERIFIED

_REQUEST = (
    Rule(
        "distribution/answers-by-name",
        "It answers for its domain and its aliases only.",
        SETTINGS,
        _D,
    ),
    Rule(
        "distribution/multi-tenant-has-no-name",
        "A multi-tenant distribution serves nothing by its own name.",
        MULTI_TENANT,
        _D,
    ),
    Rule(
        "distribution/disabled-is-not-served",
        "A disabled distribution serves nothing.",
        SETTINGS,
        _D,
    ),
    Rule(
        "distribution/disabled-alias-stops",
        "A disabled one's alias beats a wildcard elsewhere.",
        SETTINGS,
        _D,
    ),
    Rule(
        "distribution/first-pattern-wins",
        "Behaviors are tried in order, the default last.",
        SETTINGS,
        _D,
    ),
    Rule(
        "distribution/pattern-characters", "* is any characters, ? one; case matters.", SETTINGS, _D
    ),
    Rule(
        "distribution/path-normalized",
        "Patterns see the path's normal form, the origin its raw one.",
        SETTINGS,
        _D,
    ),
    Rule(
        "distribution/viewer-protocol-policy",
        "http:// is served, redirected (301) or refused (403).",
        MODEL,
        _B,
    ),
    Rule(
        "distribution/security-policy",
        "Viewers need a TLS version of the security policy.",
        SETTINGS,
        _D,
    ),
    Rule(
        "distribution/redirect-keeps-method",
        "Other methods than GET and HEAD get 307, or 403.",
        SETTINGS,
        _D,
    ),
    Rule("distribution/methods", "A method outside the set is 403.", TROUBLE, _D),
    Rule("distribution/get-with-body", "GET with a body is 403.", CUSTOM_ORIGIN, _D),
    Rule("distribution/error-pages", "CustomErrorResponses replace status and body.", MODEL, _B),
    Rule("distribution/error-caching", "404, 414 and 5xx are cached for 10 s.", ERRORS, _D),
    Rule(
        "distribution/error-caching-with-max-age",
        "400, 403, 405, 412, 415 only with max-age.",
        ERRORS,
        _D,
    ),
    Rule("distribution/error-caching-disabled", "CachingDisabled caches no errors.", ERRORS, _D),
    Rule("distribution/origin-path", "OriginPath is prepended to the path.", SETTINGS, _D),
    Rule("distribution/origin-headers", "Custom headers of the origin are added.", SETTINGS, _D),
    Rule(
        "distribution/origin-protocol-policy",
        "It decides scheme and port to the origin.",
        SETTINGS,
        _D,
    ),
    Rule(
        "distribution/public-custom-origin",
        "A custom origin is found by its public name.",
        SETTINGS,
        _D,
    ),
    Rule("distribution/geo-restriction", "A blocked country is 403.", TROUBLE, _D),
    Rule(
        "distribution/signed-requests",
        "A trusted key group requires a signature, otherwise 403.",
        TROUBLE,
        _D,
    ),
    Rule(
        "distribution/core-rule-set",
        "AWSManagedRulesCommonRuleSet blocks by its documented sizes and examples; overrides count "
        "and label.",
        "AWS WAF Developer Guide: Baseline rule groups",
        _D,
    ),
    Rule("distribution/web-acl-blocks", "A web ACL's block is 403.", TROUBLE, _D),
    Rule("distribution/api-gateway-https", "API Gateway takes HTTPS only.", "field report", _F),
    Rule(
        "distribution/api-gateway-host",
        "API Gateway refuses a forwarded Host with 403.",
        "field report",
        _F,
    ),
    Rule(
        "distribution/api-gateway-stage", "The origin path is the API's stage.", "field report", _F
    ),
    Rule(
        "distribution/origin-groups",
        "An origin group fails over for the status codes it names.",
        SETTINGS,
        _D,
    ),
    Rule(
        "distribution/origin-group-unconnected",
        "503 stands for an origin it cannot connect to.",
        SETTINGS,
        _D,
    ),
    Rule(
        "distribution/default-root-object", "The default root object answers for /.", SETTINGS, _D
    ),
    Rule(
        "distribution/functions",
        "Functions and Lambda@Edge run at the edge.",
        SETTINGS,
        _D,
        "the lab's edge runs no customer code",
    ),
    Rule(
        "distribution/origin-shield",
        "Origin Shield is one more cache layer.",
        SETTINGS,
        _D,
        "the lab has one edge without layers",
    ),
    Rule(
        "distribution/caching",
        "Responses are cached by cache policy.",
        SETTINGS,
        _D,
        "WebSockets are never cached; of other answers the edge keeps errors only, which "
        "people meet",
    ),
)

_POLICY = (
    Rule(
        "policy/nothing-without-policy",
        "Without an origin request policy, no viewer header reaches the origin.",
        POLICIES,
        _D,
    ),
    Rule(
        "policy/all-viewer",
        "AllViewer forwards all headers, cookies, query strings, and Host.",
        POLICIES,
        _D,
    ),
    Rule(
        "policy/except-host",
        "AllViewerExceptHostHeader: Host is the origin's domain.",
        POLICIES,
        _D,
    ),
    Rule("policy/listed-headers", "A whitelist forwards the listed headers.", MODEL, _B),
    Rule("policy/cloudfront-headers", "CloudFront-… headers are added when named.", POLICIES, _D),
    Rule("policy/cookies-and-queries", "Cookies and query strings follow the policy.", MODEL, _B),
    Rule("policy/cache-key-is-forwarded", "What is in the cache key is forwarded.", POLICIES, _D),
    Rule("policy/forwarded-values", "ForwardedValues has the same effect.", MODEL, _B),
    Rule(
        "policy/cookies-sorted",
        "Cookies are sorted by name; those that start with $ are removed.",
        CUSTOM_ORIGIN,
        _D,
    ),
    Rule(
        "policy/edge-headers-removed", "X-Edge-… headers of viewers are removed.", CUSTOM_ORIGIN, _D
    ),
    Rule(
        "policy/set-cookie",
        "Where no cookie is forwarded, Set-Cookie is removed.",
        CUSTOM_ORIGIN,
        _D,
    ),
    Rule("policy/vary", "Vary loses names of headers that are not forwarded.", CUSTOM_ORIGIN, _D),
    Rule("policy/response-headers", "A response headers policy changes the answer.", MODEL, _B),
)

_WEBSOCKET = (
    Rule(
        "websocket/no-switch",
        "WebSocket works on every distribution; there is no setting.",
        WEBSOCKETS,
        _D,
    ),
    Rule("websocket/vpc-origins", "It works over VPC origins.", "AWS What's New, 1 May 2026", _D),
    Rule("websocket/http-1-1-only", "It works over HTTP/1.1 only.", WEBSOCKETS, _D),
    Rule(
        "websocket/h2-is-refused",
        "An upgrade on a connection that negotiated h2 fails.",
        "field report",
        _F,
    ),
    Rule("websocket/key-and-version", "Key and Version must be forwarded.", WEBSOCKETS, _D),
    Rule(
        "websocket/listed-headers-suffice",
        "Listing the Sec-WebSocket headers is enough.",
        WEBSOCKETS,
        _D,
    ),
    Rule(
        "websocket/compression",
        "Compression is negotiated only if Sec-WebSocket-Extensions is forwarded.",
        WEBSOCKETS,
        _D,
    ),
    Rule(
        "websocket/subprotocol",
        "A subprotocol is negotiated only if Sec-WebSocket-Protocol is forwarded.",
        WEBSOCKETS,
        _D,
    ),
    Rule(
        "websocket/viewer-protocol-policy",
        "The viewer protocol policy applies to ws and wss.",
        WEBSOCKETS,
        _D,
    ),
    Rule("websocket/get-suffices", "GET and HEAD suffice as allowed methods.", MODEL, _I),
    Rule(
        "websocket/upgrade-passes",
        "Upgrade is passed for a WebSocket and removed otherwise.",
        CUSTOM_ORIGIN,
        _D,
    ),
    Rule("websocket/connection-replaced", "Otherwise Connection is replaced.", CUSTOM_ORIGIN, _D),
    Rule(
        "websocket/removed-headers",
        "X-Real-IP and X-Forwarded-Proto are removed.",
        CUSTOM_ORIGIN,
        _D,
    ),
    Rule(
        "websocket/user-agent",
        "User-Agent is Amazon CloudFront unless forwarded.",
        CUSTOM_ORIGIN,
        _D,
    ),
    Rule(
        "websocket/forwarded-for",
        "The viewer's address is appended to X-Forwarded-For.",
        CUSTOM_ORIGIN,
        _D,
    ),
    Rule(
        "websocket/headers-at-the-app",
        "The app sees what the article's app saw.",
        "the 2026 article",
        _F,
    ),
    Rule(
        "websocket/bytes-unchanged",
        "Frames pass both ways unchanged, close codes too.",
        WEBSOCKETS,
        _I,
    ),
    Rule(
        "websocket/one-to-one",
        "Messages, fragments and pings pass unchanged.",
        WEBSOCKETS,
        _I,
    ),
    Rule(
        "websocket/origin-dns-error",
        "An internal name as custom origin is 502.",
        "the 2025 article",
        _F,
    ),
    Rule(
        "websocket/stays-on-update",
        "An open WebSocket survives a change of configuration.",
        NOBODY,
        _U,
    ),
)

_TIMEOUT = (
    Rule(
        "timeout/websocket-idle",
        "After 10 minutes without a byte from the origin it ends.",
        QUOTAS,
        _D,
    ),
    Rule("timeout/client-bytes-do-not-count", "Bytes from the client do not reset it.", QUOTAS, _D),
    Rule("timeout/cut-without-close-frame", "Clients see 1006.", "the 2026 article", _F),
    Rule("timeout/origin-read", "No answer within the read timeout is 504.", SETTINGS, _D),
    Rule(
        "timeout/origin-read-between-packets",
        "It also bounds the wait for the next packet.",
        CUSTOM_ORIGIN,
        _D,
    ),
    Rule(
        "timeout/origin-read-attempts",
        "GET and HEAD are retried up to the number of connection attempts.",
        CUSTOM_ORIGIN,
        _D,
        "the lab tries origins once, so that a rehearsal waits once",
    ),
    Rule("timeout/origin-read-after-upgrade", "It does not cut an open WebSocket.", NOBODY, _U),
    Rule("timeout/connection", "Attempts times timeout, then 504.", SETTINGS, _D),
    Rule("timeout/completion", "ResponseCompletionTimeout caps the whole answer.", SETTINGS, _D),
    Rule(
        "timeout/origin-keep-alive",
        "Idle connections to the origin are kept.",
        SETTINGS,
        _D,
        "the edge opens a connection per request, which viewers cannot notice",
    ),
    Rule("timeout/alb-idle", "An ALB ends a connection after 60 s without a byte.", ELB_GUIDE, _D),
    Rule("timeout/alb-idle-range", "idle_timeout.timeout_seconds is 1 to 4000.", MODEL_ELB, _B),
    Rule(
        "timeout/nlb-idle", "An NLB forgets a connection after 350 s without a byte.", NLB_GUIDE, _D
    ),
    Rule("timeout/nlb-idle-range", "tcp.idle_timeout.seconds is 60 to 6000.", MODEL_ELB, _B),
    Rule(
        "timeout/alb-client-keep-alive",
        "client_keep_alive ends HTTP connections.",
        ELB_GUIDE,
        _D,
        "the edge opens a connection per request; AWS does not document the effect on a WebSocket",
    ),
    Rule(
        "timeout/deregistration",
        "A deregistered target's connections end after the delay.",
        ELB_GUIDE,
        _D,
    ),
)

_BALANCER = (
    Rule(
        "balancer/upgrades",
        "An ALB passes HTTP/1.1 upgrades on HTTP and HTTPS listeners.",
        ELB_GUIDE,
        _D,
    ),
    Rule("balancer/rules-by-priority", "Rules apply by priority, then the default.", ELB_GUIDE, _D),
    Rule(
        "balancer/websocket-is-sticky",
        "The target that answered 101 keeps the socket.",
        ELB_GUIDE,
        _D,
    ),
    Rule("balancer/cookie-stickiness", "Cookie stickiness brings a client back.", ELB_GUIDE, _D),
    Rule("balancer/weights", "Target groups share requests by weight.", ELB_GUIDE, _D),
    Rule(
        "balancer/least-outstanding",
        "least_outstanding_requests picks the target with the fewest requests.",
        ELB_GUIDE,
        _D,
    ),
    Rule("balancer/healthy-first", "Healthy targets get the requests.", ELB_GUIDE, _D),
    Rule("balancer/fails-open", "With no healthy target, all targets get requests.", ELB_GUIDE, _D),
    Rule(
        "balancer/health-checks", "The target group's check decides what is healthy.", ELB_GUIDE, _D
    ),
    Rule("balancer/no-targets", "Without a target it answers 503.", ELB_GUIDE, _D),
    Rule(
        "balancer/target-refuses",
        "A target that refuses or breaks the connection is 502.",
        ELB_GUIDE,
        _D,
    ),
    Rule("balancer/target-silent", "A target that does not answer is 504.", ELB_GUIDE, _D),
    Rule(
        "balancer/client-silent",
        "A client that stops in the middle is 408 after the idle timeout.",
        ELB_GUIDE,
        _D,
    ),
    Rule("balancer/malformed", "A malformed request is 400.", ELB_GUIDE, _D),
    Rule(
        "balancer/desync-mitigation",
        "The strictest mode refuses ambiguous framing.",
        ELB_GUIDE,
        _D,
    ),
    Rule(
        "balancer/too-large-headers", "Lines over 16 KB, headers over 64 KB are 400.", ELB_GUIDE, _D
    ),
    Rule("balancer/redirects", "A redirect action fills in its placeholders.", MODEL_ELB, _B),
    Rule(
        "balancer/redirect-loop", "HTTP to HTTPS behind http-only is a loop of 301.", "articles", _F
    ),
    Rule("balancer/forwarded-headers", "It adds X-Forwarded-For, -Proto and -Port.", ELB_GUIDE, _D),
    Rule(
        "balancer/forwarded-for-mode",
        "routing.http.xff_header_processing.mode decides.",
        ELB_GUIDE,
        _D,
    ),
    Rule(
        "balancer/own-answers-say-so",
        "Its own answers say Server: awselb/2.0.",
        "field reports",
        _F,
    ),
    Rule(
        "balancer/https-listener",
        "An HTTPS listener terminates TLS with its certificate.",
        ELB_GUIDE,
        _D,
    ),
    Rule(
        "balancer/protocol-version",
        "Target groups of HTTP2 or gRPC do not support upgrades.",
        ELB_GUIDE,
        _I,
    ),
    Rule(
        "balancer/nlb-passes-tcp",
        "An NLB's TCP listener passes bytes; TLS is the target's.",
        NLB_GUIDE,
        _D,
    ),
    Rule(
        "balancer/security-group", "Its security group applies before its listeners.", ELB_GUIDE, _D
    ),
    Rule(
        "balancer/instance-target",
        "An EC2 instance is reached without a load balancer.",
        TROUBLE,
        _D,
    ),
    Rule(
        "balancer/default-attributes", "Idle timeout 60 and the rest have defaults.", MODEL_ELB, _B
    ),
    Rule(
        "balancer/internal-name",
        "An internal one's DNS name starts with internal-.",
        "field reports",
        _F,
    ),
    Rule(
        "balancer/target-optimizer",
        "No upgrade with the target optimizer.",
        ELB_GUIDE,
        _D,
        "moto's ELBv2 has no target control port",
    ),
)

_ANSWER = (
    Rule(
        "answer/cloudfronts-headers",
        "Via, X-Cache and X-Amz-Cf-Id are on every answer.",
        CUSTOM_ORIGIN,
        _D,
    ),
    Rule("answer/error-from-cloudfront", "Errors say X-Cache: Error from cloudfront.", TROUBLE, _D),
    Rule("answer/unknown-host", "An unknown name is 403.", TROUBLE, _D),
    Rule("answer/bad-request", "A malformed request is 400.", TROUBLE, _D),
    Rule("answer/url-too-long", "A URL that is too long is 414.", TROUBLE, _D),
    Rule("answer/headers-too-large", "Headers that are too large are 494.", TROUBLE, _D),
    Rule(
        "answer/too-large-ends-connection",
        "After either, the connection is closed.",
        CUSTOM_ORIGIN,
        _D,
    ),
    Rule(
        "answer/wrong-certificate", "A connection for another account's name is 421.", TROUBLE, _D
    ),
    Rule(
        "answer/dropped-packets", "A group, network ACL or firewall that drops is 504.", TROUBLE, _D
    ),
    Rule("answer/refused-port", "A refused port is 502.", TROUBLE, _D),
    Rule("answer/origin-tls-name", "A certificate for another name is 502.", TROUBLE, _D),
    Rule(
        "answer/origin-tls-trust", "Expired, self-signed or incomplete chains are 502.", TROUBLE, _D
    ),
    Rule("answer/origin-tls-protocol", "No common protocol or cipher is 502.", TROUBLE, _D),
    Rule(
        "answer/origin-tls-host",
        "With Host forwarded, the certificate must match the viewer's Host.",
        SETTINGS,
        _D,
    ),
    Rule("answer/origin-dns", "A name that does not resolve is 502.", TROUBLE, _D),
    Rule("answer/malformed-origin", "An origin's malformed answer is 502.", TROUBLE, _D),
    Rule("answer/vpc-origin-not-deployed", "A VPC origin that is not Deployed is 502.", NOBODY, _U),
    Rule(
        "answer/origin-headers-too-large", "Response headers over 32,768 bytes are 502.", QUOTAS, _D
    ),
    Rule(
        "answer/passes-the-origins",
        "Other answers of the origin pass unchanged.",
        CUSTOM_ORIGIN,
        _D,
    ),
    Rule("answer/edge-capacity", "503 when the edge lacks capacity.", TROUBLE, _D),
    Rule("answer/one-continue", "An origin's second 100 Continue is an error.", CUSTOM_ORIGIN, _D),
    Rule("answer/expect-continue", "Expect: 100-continue is answered.", CUSTOM_ORIGIN, _D),
)

_LOG = (
    Rule("log/websocket-is-miss", "A WebSocket's row says Miss.", LOGS, _D),
    Rule("log/written-at-close", "Its time is the time of closing.", LOGS, _D),
    Rule("log/protocol", "cs-protocol is ws or wss.", LOGS, _D),
    Rule("log/totals", "sc-bytes and cs-bytes are totals of the connection.", LOGS, _D),
    Rule("log/viewer-left-first", "sc-status is 000 when the viewer left first.", LOGS, _D),
    Rule(
        "log/viewer-left-midway",
        "x-edge-result-type is Error if it left in the middle.",
        LOGS,
        _D,
    ),
    Rule("log/content-range", "sc-range-start and -end are those of Content-Range.", LOGS, _D),
    Rule("log/request-id", "x-edge-request-id is the X-Amz-Cf-Id of the answer.", LOGS, _D),
    Rule("log/fields", "A row has 33 fields in their order.", LOGS, _D),
    Rule("log/result-types", "x-edge-result-type is one of a list.", LOGS, _D),
    Rule("log/detailed-results", "The detailed result says what failed.", LOGS, _D),
    Rule("log/unlogged", "Headers that are too large leave no row.", TROUBLE, _D),
)

_API = (
    Rule("api/version-of-every-write", "Every write creates a new ETag.", MODEL, _B),
    Rule("api/stale-version", "A stale If-Match is PreconditionFailed.", MODEL, _B),
    Rule(
        "api/missing-version",
        "A missing or malformed If-Match is InvalidIfMatchVersion.",
        MODEL,
        _B,
    ),
    Rule("api/declared-errors", "Errors have AWS's codes, statuses and form.", MODEL, _B),
    Rule(
        "api/malformed-body",
        "A body that does not match the model is MalformedXML or InvalidArgument.",
        MODEL,
        _B,
    ),
    Rule("api/unsigned", "A request without a signature is refused.", MODEL, _B),
    Rule("api/unknown-key", "An unknown access key is refused.", COMMON, _D),
    Rule("api/global", "CloudFront is global; requests are signed for us-east-1.", MODEL, _B),
    Rule("api/own-account", "Callers see their own account only.", MODEL, _B),
    Rule(
        "api/throttling",
        "Too many calls are Throttling, Rate exceeded, status 400.",
        "field reports",
        _F,
    ),
    Rule("api/pages", "Lists come in pages of MaxItems, with NextMarker.", MODEL, _B),
    Rule("api/tags", "Tags are listed, set and removed by ARN.", MODEL, _B),
    Rule("api/invalid-tags", "Bad tags are InvalidTagging.", MODEL, _B),
    Rule("api/eventually-consistent", "A read may lag behind a write.", UPDATING, _I),
    Rule("api/all-operations", "Every operation of the model answers in AWS's form.", MODEL, _B),
    Rule("api/waiters", "botocore's waiters work.", MODEL, _B),
)

RULES: tuple[Rule, ...] = (
    *_REQUEST,
    *_POLICY,
    *_WEBSOCKET,
    *_TIMEOUT,
    *_BALANCER,
    *_ANSWER,
    *_LOG,
    *_API,
)
