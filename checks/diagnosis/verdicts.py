"""Every verdict a handshake check can reach, as data (DATA).

Decides the words: a stable code, what it means in plain words, the usual cause, a fix a stranger
can follow and how to confirm it. It must never decide when a verdict applies; that is `diagnose`.
Codes are stored and linked: add, never rename. Sources: CloudFront Developer Guide (troubleshooting
error responses), RFC 6455, field reports.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Severity(StrEnum):
    """How bad it is for people who want to connect."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One conclusion; `plain` is what a person reads first, `fix` what to change, `confirm` how to
    be sure.
    """

    code: str
    title: str
    plain: str
    cause: str
    fix: str
    confirm: str
    severity: Severity = Severity.ERROR


_ALL = (
    Verdict(
        code="WSE-LIVE",
        title="The endpoint is live",
        plain="A WebSocket opened through this address and answered. Clients can connect.",
        cause="The 101 and its Sec-WebSocket-Accept prove that a WebSocket server read this very "
        "request.",
        fix="Nothing to change. Send a heartbeat from the server every 20 to 30 seconds, so "
        "that no idle clock "
        "closes it.",
        confirm="Run one of the commands on this page from your own machine.",
        severity=Severity.OK,
    ),
    # --- before anything is sent
    # -------------------------------------------------------------------------------------
    Verdict(
        code="WSE-URL",
        title="This address or header cannot be used",
        plain="The check was not started, because the address or one of the headers is not "
        "allowed in a handshake.",
        cause="A WebSocket address has the form wss://host/path, without user name, #fragment or "
        "spaces, on port 443 "
        "or 80. A header must not contain line breaks, and the lines of the handshake "
        "itself cannot be replaced.",
        fix="Correct the part named in the evidence and run the check again.",
        confirm="The evidence names the character or the header that was refused.",
    ),
    Verdict(
        code="WSE-GUARD",
        title="The name leads to an address that must not be contacted",
        plain="The host name resolves to an address that is not public, so the check did not "
        "connect.",
        cause="The portal never connects to private, loopback, link-local or metadata addresses. "
        "A private name "
        "(an internal load balancer, for example) is reachable through CloudFront only.",
        fix="Check the endpoint's CloudFront name instead of the load balancer's own name. In a "
        "lab, the "
        "administrator can admit its network with PROBE_ALLOWED_NETWORKS.",
        confirm="Resolve the name: dig +short HOST. Every address it gives must be public.",
    ),
    Verdict(
        code="WSE-PROBE",
        title="The check itself is not set up correctly",
        plain="This says nothing about the endpoint: the portal could not prepare the check.",
        cause="A setting of the portal, such as PROBE_CA_FILE, is wrong or its file cannot be "
        "read.",
        fix="Tell the platform team; the evidence names the setting.",
        confirm="Run the check again after the setting has been corrected.",
    ),
    # --- the way there
    # -----------------------------------------------------------------------------------------------
    Verdict(
        code="WSE-DNS",
        title="The host name does not exist",
        plain="The name could not be turned into an address, so nobody can connect to it.",
        cause="The distribution was deleted, the alias has no DNS record yet, or the name is "
        "misspelt. The name of a "
        "new distribution takes a few minutes to appear.",
        fix="For an own domain name: create a CNAME or a Route 53 alias record that points to "
        "the distribution's "
        "dXXXX.cloudfront.net name. For a dXXXX.cloudfront.net name: compare it with the "
        "distribution's page.",
        confirm="dig +short HOST gives addresses once the record exists.",
    ),
    Verdict(
        code="WSE-TCP-REFUSED",
        title="Nothing listens on that port",
        plain="The address was reached, but it refused the connection.",
        cause="The port in the address is wrong, or the service there is down. CloudFront itself "
        "listens on 80 and "
        "443.",
        fix="Use the port 443 for wss:// and 80 for ws://, or start the service that should "
        "listen.",
        confirm="curl -v https://HOST/ from your machine shows the same refusal.",
    ),
    Verdict(
        code="WSE-TCP-TIMEOUT",
        title="The address does not answer",
        plain="No connection came about: packets to the address are dropped or it cannot be "
        "reached.",
        cause="A firewall between the portal and the address drops the packets, or the address is "
        "not in use. "
        "CloudFront's own addresses normally answer at once, so look at the way out of the "
        "portal's network first.",
        fix="Allow outgoing TCP 443 from the portal to CloudFront in its security group, "
        "network ACL and firewall.",
        confirm="curl -v https://HOST/ from another network: if that works, it is the portal's own "
        "way out.",
    ),
    Verdict(
        code="WSE-TLS-NAME",
        title="The certificate is for another name",
        plain="The other side's certificate does not cover this host name, so clients refuse to "
        "connect.",
        cause="The alias is not on the distribution's certificate, or DNS points to something "
        "else than the "
        "distribution.",
        fix="Request a certificate in ACM (Region us-east-1) that covers the name, attach it to "
        "the distribution and "
        "list the name under its alternate domain names.",
        confirm="Compare the names in the certificate (under the evidence) with the host of the "
        "address.",
    ),
    Verdict(
        code="WSE-TLS-EXPIRED",
        title="The certificate is not valid today",
        plain="The certificate has expired or is not valid yet, so clients refuse to connect.",
        cause="It was not renewed; an imported ACM certificate is never renewed automatically.",
        fix="Import the renewed certificate into ACM (us-east-1), or replace it by one that ACM "
        "issues and renews.",
        confirm="The evidence shows the dates. The clock of the portal must be right, too.",
    ),
    Verdict(
        code="WSE-TLS-SELFSIGNED",
        title="The certificate is signed by itself",
        plain="Nobody vouches for the certificate, so clients refuse to connect.",
        cause="A development certificate is in use, or the connection does not end at CloudFront "
        "at all.",
        fix="Use a certificate issued by ACM. For the lab, give the client the lab's CA file.",
        confirm="The evidence shows that subject and issuer of the certificate are the same.",
    ),
    Verdict(
        code="WSE-TLS-CA",
        title="The certificate is not signed by a known authority",
        plain="The certificate's issuer is unknown here, or an intermediate certificate is "
        "missing.",
        cause="A private CA signed it, the chain is incomplete, or a proxy on the way replaces "
        "certificates.",
        fix="Serve the full chain, or use a certificate issued by ACM. For a private CA, the "
        "administrator names its "
        "file in PROBE_CA_FILE and clients must trust it, too.",
        confirm="openssl s_client -connect HOST:443 -servername HOST -showcerts shows the chain "
        "that is sent.",
    ),
    Verdict(
        code="WSE-TLS-PROTOCOL",
        title="The two sides cannot agree on TLS",
        plain="The encrypted connection could not be set up.",
        cause="The port speaks plain HTTP, the TLS version or ciphers have nothing in common, the "
        "edge knows no "
        "distribution with this name, or the server demands a certificate of the client.",
        fix="Use wss:// on 443 and ws:// on 80. On the distribution, choose the security policy "
        "TLSv1.2_2021 or newer, "
        "and check that the name is the distribution's own or one of its alternate domain names.",
        confirm="openssl s_client -connect HOST:443 -servername HOST -alpn http/1.1",
    ),
    # --- no usable answer
    # --------------------------------------------------------------------------------------------
    Verdict(
        code="WSE-TIMEOUT",
        title="No answer to the upgrade in time",
        plain="The request went out, but no complete answer came back within the time of the "
        "check.",
        cause="CloudFront waits up to 30 seconds for a dead origin (3 attempts of 10 seconds) "
        "before it answers 504; "
        "an app may also accept slowly.",
        fix="Check that the load balancer's security group admits CloudFront, as for "
        "WSE-504-SG. If it does, look "
        "for what delays the app's accept.",
        confirm="Run the check again with a longer limit: a 504 after 30 seconds means dropped "
        "packets.",
    ),
    Verdict(
        code="WSE-RESET",
        title="The connection was cut before an answer",
        plain="The other side ended the connection instead of answering the upgrade.",
        cause="The server crashed while accepting, a firewall cut the connection, or request "
        "headers were too large "
        "(CloudFront then closes without a log line).",
        fix="Look into the app's log for a crash at this moment. Send fewer or shorter headers "
        "and cookies.",
        confirm="Run the check again without extra headers.",
    ),
    Verdict(
        code="WSE-NOT-HTTP",
        title="The answer is not HTTP",
        plain="Something answered, but it does not speak HTTP/1.1 on this port.",
        cause="A wss:// port was addressed with ws://, or another service listens on this port.",
        fix="Use wss:// for a TLS port. Check which service listens on the port.",
        confirm="The evidence shows the first bytes of the answer.",
    ),
    Verdict(
        code="WSE-HEAD",
        title="The answer's head is broken or too large",
        plain="The answer breaks HTTP or is larger than any client accepts.",
        cause="A faulty server or proxy: endless headers, a line without a colon, or more than 64 "
        "KB of them.",
        fix="Correct the server that writes this answer; very large or repeated Set-Cookie "
        "lines are the usual reason.",
        confirm="curl -v on the same address shows the same lines.",
    ),
    # --- 101, but wrong
    # ----------------------------------------------------------------------------------------------
    Verdict(
        code="WSE-101-BADACCEPT",
        title="101, but the proof is wrong",
        plain="The server said yes, but its Sec-WebSocket-Accept does not match the key that was "
        "sent. Every client "
        "will close at once.",
        cause="Something in between answers with a stored or invented 101, or changes "
        "Sec-WebSocket-Key on the way: "
        "a proxy, a cache, or a mock that returns a fixed value.",
        fix="Forward Sec-WebSocket-Key unchanged (origin request policy AllViewer), use the "
        "cache policy "
        "CachingDisabled, and remove proxies that answer upgrades themselves.",
        confirm="Ask the app directly, without the edge: if its Accept is right there, something in "
        "between answers.",
    ),
    Verdict(
        code="WSE-101-NOUPGRADE",
        title="101, but without the upgrade lines",
        plain="The status says switching, but the lines that name WebSocket are missing or wrong. "
        "Clients refuse that.",
        cause="A proxy removed Upgrade or Connection from the answer, or the app writes its 101 "
        "by hand.",
        fix="Let a WebSocket library write the answer, and make proxies between load balancer "
        "and app pass Upgrade "
        "and Connection (nginx: proxy_http_version 1.1 and both proxy_set_header lines).",
        confirm="The findings beside the answer show which line is missing.",
    ),
    Verdict(
        code="WSE-101-SUBPROTOCOL",
        title="101 with a subprotocol nobody asked for",
        plain="The server chose a subprotocol that the client had not offered. Browsers close "
        "such a connection.",
        cause="The server always answers with its own subprotocol, or the edge dropped "
        "Sec-WebSocket-Protocol from "
        "the request.",
        fix="Let the server choose only among the offered names, and forward "
        "Sec-WebSocket-Protocol (AllViewer does).",
        confirm="Compare Sec-WebSocket-Protocol in request and answer.",
    ),
    Verdict(
        code="WSE-101-NOSUBPROTOCOL",
        title="No subprotocol was chosen",
        plain="The WebSocket opened, but the server chose none of the offered subprotocols. Many "
        "apps then close or "
        "stay silent.",
        cause="Sec-WebSocket-Protocol did not reach the app, or the app does not know these names.",
        fix="Forward Sec-WebSocket-Protocol (origin request policy AllViewer), then check the "
        "names in the app.",
        confirm="The app's log shows the header if it arrived.",
        severity=Severity.WARNING,
    ),
    Verdict(
        code="WSE-101-POLICY",
        title="The policy drops the subprotocol",
        plain="The WebSocket opened, but the app was never told which subprotocol the client "
        "wants.",
        cause="The origin request policy of the behavior does not forward Sec-WebSocket-Protocol, "
        "so the app chose "
        "none. Many clients then close at once.",
        fix="Attach the managed policy AllViewer, or add Sec-WebSocket-Protocol to the headers "
        "of the custom policy.",
        confirm="The behavior's origin request policy lists Sec-WebSocket-Protocol, and the 101 "
        "names the subprotocol.",
        severity=Severity.WARNING,
    ),
    Verdict(
        code="WSE-101-EXTENSION",
        title="101 with an extension nobody asked for",
        plain="The server switched on an extension, such as compression, that the client had not "
        "offered, or on terms "
        "that no client takes.",
        cause="A proxy drops or adds Sec-WebSocket-Extensions in one direction only, or the "
        "server compresses always.",
        fix="Forward Sec-WebSocket-Extensions in full (AllViewer), or switch compression off in "
        "the app.",
        confirm="Compare Sec-WebSocket-Extensions in request and answer.",
    ),
    # --- refused: whatever the status
    # ---------------------------------------------------------------------------------
    Verdict(
        code="WSE-EDGE-FUNCTION",
        title="A function at the edge is in the way",
        plain="A CloudFront Function or Lambda@Edge answered the request itself, changed it on "
        "the way to the app, or "
        "failed.",
        cause="The behavior runs a function for every request, such as a sign-in, a redirect or a "
        "rewrite, and it was "
        "not written for WebSocket handshakes. Or it ended with an error, or took too long.",
        fix="Take the function off the behavior of the WebSocket path, or let it pass on "
        "requests that carry Upgrade: "
        "websocket. Its errors are in CloudWatch Logs: for a CloudFront Function in "
        "us-east-1, for Lambda@Edge in the "
        "Region nearest to the client.",
        confirm="CloudFront console → distribution → Behaviors → the path → Edit → Function "
        "associations. "
        "CloudFront's log row has MissGeneratedResponse, LambdaExecutionError or "
        "LambdaLimitExceeded.",
    ),
    Verdict(
        code="WSE-ALB-RULE",
        title="A rule of the load balancer answers itself",
        plain="The load balancer answered by itself instead of passing the request on to the app.",
        cause="The listener's default action, or one of its rules, is a fixed response, often for "
        "a Host or path that "
        "no other rule names; or it demands a login or a token before it forwards. "
        "CloudFront sends the viewer's Host "
        "or the origin's name, as its policy says.",
        fix="Add a rule to the listener that forwards this path and Host to the app's target "
        "group, before the one "
        "that answers: EC2 console → Load Balancers → the load balancer → Listeners and "
        "rules → the listener → "
        "Add rule. Where a token is demanded on purpose, send it.",
        confirm="aws elbv2 describe-rules --listener-arn ARN shows the fixed response with the text "
        "of this answer, or "
        "the authenticate or jwt-validation action.",
    ),
    # --- refused: 2xx and 3xx
    # ----------------------------------------------------------------------------------------
    Verdict(
        code="WSE-200-NOUPGRADE",
        title="An ordinary answer instead of an upgrade",
        plain="The request reached something that answered like a web page: the wish to upgrade "
        "was lost on the way.",
        cause="The path leads to a plain HTTP handler, or a proxy removed Upgrade and Connection.",
        fix="Check that the path is the app's WebSocket path, and that every proxy behind the "
        "load balancer passes "
        "Upgrade and Connection.",
        confirm="Ask the app directly on the same path: if it answers 101 there, something in "
        "between is to blame.",
    ),
    Verdict(
        code="WSE-200-SPA",
        title="A web page came instead of the WebSocket",
        plain="A web page answered, not the WebSocket server: the request went to the website, or "
        "CloudFront put a "
        "page in place of an error.",
        cause="The behavior's path pattern does not match this path (/ws/* does not match /ws), "
        "so the default "
        "behavior answered; or a custom error response turns an error such as 403 or 404 "
        "into a page (index.html).",
        fix="Add behaviors for both /ws and /ws/* before the default one. Custom error "
        "responses apply to the whole "
        "distribution and hide the real error: look for it in the load balancer's metrics "
        "and the app's log, or "
        "take the entry off the page Error pages, test again, and put it back.",
        confirm="CloudFront console → distribution → Behaviors and Error pages; the field "
        "cache-behavior-path-pattern "
        "of CloudFront's log (version 2) names the behavior that matched.",
    ),
    Verdict(
        code="WSE-301-REDIRECT",
        title="Redirected to https",
        plain="ws:// is redirected to https. WebSocket clients do not follow redirects, so they "
        "fail.",
        cause="The behavior's viewer protocol policy is redirect-to-https, and the address begins "
        "with ws://.",
        fix="Use the wss:// address in the client. For a behavior that serves WebSockets only, "
        "choose HTTPS only as "
        "viewer protocol policy.",
        confirm="The same check with wss:// opens.",
    ),
    Verdict(
        code="WSE-301-LOOP",
        title="The origin redirects to the very same address",
        plain="The answer is a redirect to the address that was asked for: it can never end.",
        cause="CloudFront speaks plain HTTP to the load balancer (origin protocol policy "
        "http-only), whose listener "
        "redirects every HTTP request to HTTPS.",
        fix="Either let the listener on port 80 forward to the target group, or set the "
        "origin's protocol policy to "
        "https-only with a certificate that matches.",
        confirm="aws elbv2 describe-listeners --load-balancer-arn ARN shows a redirect as default "
        "action of port 80.",
    ),
    Verdict(
        code="WSE-3XX-APP",
        title="Redirected elsewhere",
        plain="The answer sends the client to another address. WebSocket clients do not follow.",
        cause="The app, or a rule of the load balancer, asks for a login; or the app adds or "
        "removes a slash at the "
        "end of the path, or moves to another host.",
        fix="Use the address in Location if it is the right one (mind a slash at the end). If "
        "it is a login, let the "
        "app refuse unauthenticated upgrades with 401 instead, or give the load balancer a "
        "rule for this path that "
        "forwards without a login.",
        confirm="Compare Location with the address that was asked for.",
    ),
    # --- refused: 4xx
    # ------------------------------------------------------------------------------------------------
    Verdict(
        code="WSE-400-NOKEY",
        title="The handshake headers do not reach the app",
        plain="The app says that the request is no WebSocket handshake, although a complete one "
        "was sent.",
        cause="The behavior has no origin request policy, or one that does not forward "
        "Sec-WebSocket-Key and "
        "Sec-WebSocket-Version, so CloudFront removed them.",
        fix="Attach the managed origin request policy AllViewer "
        "(216adef6-5c7f-47e4-b989-5492eafa07d3) to the "
        "behavior, together with the cache policy CachingDisabled: CloudFront console → "
        "distribution → Behaviors → the "
        "path → Edit → Cache key and origin requests.",
        confirm="The app's log of this request has no Sec-WebSocket-Key; a plain GET on the same "
        "path works.",
    ),
    Verdict(
        code="WSE-NOT-FORWARDED",
        title="CloudFront keeps a part of the request from the app",
        plain="The app refuses what it would accept from a direct client: a header line, a cookie "
        "or a part of the "
        "query string that was sent does not reach it.",
        cause="CloudFront passes on only what the behavior's cache policy and origin request "
        "policy name. By default "
        "that is no cookie, no query string and hardly any header.",
        fix="Attach the managed origin request policy AllViewer "
        "(216adef6-5c7f-47e4-b989-5492eafa07d3) to the "
        "behavior, or add the headers, cookies and query strings named in the evidence to "
        "the custom policy.",
        confirm="The same request sent straight to the app is accepted; the probe of each header "
        "line shows what "
        "arrives.",
    ),
    Verdict(
        code="WSE-400-HOST",
        title="The app does not accept this host name",
        plain="The app refuses requests for this host name.",
        cause="AllViewer forwards the viewer's Host, and the app accepts other names only "
        "(Django's ALLOWED_HOSTS, "
        "a virtual host, an ALB host rule).",
        fix="Add the CloudFront name and every alias to the app's allowed hosts, or use "
        "AllViewerExceptHostHeader so "
        "that the app sees the origin's name.",
        confirm="The app's log names the host that it refused.",
    ),
    Verdict(
        code="WSE-400-EDGE",
        title="The edge calls the request malformed",
        plain="CloudFront or the load balancer refused the request before the app saw it.",
        cause="A header line longer than 16 KB or 64 KB in total, HTTP/2 chosen by the client for "
        "this connection, or "
        "characters that HTTP does not allow.",
        fix="Send fewer headers and cookies; let the client speak HTTP/1.1 only (ALPN http/1.1).",
        confirm="Run the check again without extra headers; this check never offers HTTP/2.",
    ),
    Verdict(
        code="WSE-401-AUTH",
        title="The app wants to know who connects",
        plain="The way works: the app, or a gate before it, refused because the request carries "
        "no valid credentials.",
        cause="The app or an authorizer demands a token or cookie in the handshake.",
        fix="Give the check the header the app expects (Authorization or Cookie), or let the "
        "app authenticate by the "
        "first message. Make sure that the policy forwards that header (AllViewer does).",
        confirm="The same check with the header opens.",
    ),
    Verdict(
        code="WSE-403-METHOD",
        title="The method is not allowed by the behavior",
        plain="CloudFront does not let this HTTP method through on this path.",
        cause="The behavior allows fewer methods than the app uses; a handshake needs GET, "
        "Socket.IO's polling POST.",
        fix="Set the behavior's Allowed HTTP methods to all seven (GET, HEAD is enough for a "
        "pure WebSocket path): "
        "CloudFront console → distribution → Behaviors → the path → Edit.",
        confirm="CloudFront's log row of the refused request has x-edge-detailed-result-type "
        "InvalidRequestMethod.",
    ),
    Verdict(
        code="WSE-403-VIEWER",
        title="ws:// is refused, wss:// is needed",
        plain="This path accepts encrypted connections only, and the address begins with ws://.",
        cause="The behavior's viewer protocol policy is https-only, and the address begins with "
        "ws://.",
        fix="Use the wss:// address.",
        confirm="The same check with wss:// opens.",
    ),
    Verdict(
        code="WSE-403-DISABLED",
        title="The distribution is switched off",
        plain="CloudFront knows this distribution, but it is disabled and refuses every request.",
        cause="Somebody disabled it, or it is about to be deleted.",
        fix="Enable the distribution: CloudFront console → Distributions → select it → Enable. "
        "It takes a few minutes "
        "to reach every edge.",
        confirm="aws cloudfront get-distribution --id ID shows Enabled: true and Status: Deployed.",
    ),
    Verdict(
        code="WSE-403-ALIAS",
        title="The distribution does not know this name",
        plain="DNS leads to CloudFront, but the distribution does not list this name.",
        cause="The alternate domain name (CNAME) was removed from the distribution, or it was "
        "never added.",
        fix="Add the name to the distribution's alternate domain names, with a certificate in "
        "us-east-1 that "
        "covers it, or use the dXXXX.cloudfront.net name.",
        confirm="The same check with the distribution's own dXXXX.cloudfront.net name opens.",
    ),
    Verdict(
        code="WSE-403-ORIGIN",
        title="The app refuses this Origin",
        plain="The app answered, but it does not accept the page (Origin) that this handshake "
        "claims to come from.",
        cause="The app guards against cross-site WebSockets: Phoenix check_origin, Channels' "
        "origin validators and "
        "Spring's allowed origins do so, and the list lacks the distribution's name or alias.",
        fix="Add https:// plus the CloudFront name and every alias to the app's allowed origins.",
        confirm="Run the check without Origin: if it opens then, it is the app's origin list.",
    ),
    Verdict(
        code="WSE-403-APP",
        title="The app refuses the request",
        plain="The way works: the 403 comes from behind the edge, not from CloudFront.",
        cause="The app's own rule: a missing Origin, Host, cookie or token, or an address list.",
        fix="Look for the refusal in the app's log, then give the check the header the app "
        "expects.",
        confirm="Run the check with the Origin and headers a real client sends.",
    ),
    Verdict(
        code="WSE-403-EDGE",
        title="CloudFront refuses the request",
        plain="The 403 was made at the edge; the app never saw the request.",
        cause="AWS WAF, a country rule, missing signed cookies, an alias that is not on the "
        "distribution, or a "
        "distribution that is switched off.",
        fix="In the CloudFront console look at the distribution's pages: Security (AWS WAF and "
        "CloudFront geographic "
        "restrictions), Behaviors → the path → Restrict viewer access, General → Alternate "
        "domain names, and whether "
        "it is enabled.",
        confirm="CloudFront's log row for the request id names the reason in "
        "x-edge-detailed-result-type.",
    ),
    Verdict(
        code="WSE-403-WAF",
        title="AWS WAF blocks the handshake",
        plain="A firewall rule refused the request; the app never saw it.",
        cause="A rule of a web ACL, on the distribution or on the load balancer, matches "
        "handshakes: a rate rule, an "
        "address list, or a managed rule group. A CAPTCHA or Challenge has the same effect: "
        "no WebSocket client can "
        "solve one.",
        fix="Find the rule: AWS WAF console → Web ACLs (or Protection packs), in Global "
        "(CloudFront) for a "
        "distribution → the ACL → Sampled requests. Exclude the WebSocket path from the "
        "rule, or set it to Count.",
        confirm="The sampled request has the time and address of this check.",
    ),
    Verdict(
        code="WSE-403-GEO",
        title="Refused because of the country",
        plain="The distribution refuses requests from the country that the check (or client) runs "
        "in.",
        cause="Geographic restrictions are switched on.",
        fix="Add the country to the allow list, or remove it from the block list: CloudFront "
        "console → distribution → "
        "Security → CloudFront geographic restrictions → Edit.",
        confirm="CloudFront's log row has x-edge-detailed-result-type ClientGeoBlocked.",
    ),
    Verdict(
        code="WSE-403-SIGNED",
        title="A signed URL or cookie is missing",
        plain="This path is only for requests with CloudFront's signed URL or signed cookies, and "
        "this one has none "
        "that is valid.",
        cause="Restrict viewer access is on for the behavior, with a key group; or what was sent "
        "has expired, or was "
        "signed with another key.",
        fix="Send CloudFront's three signed cookies with the handshake, or switch Restrict "
        "viewer access off for the "
        "WebSocket behavior and let the app authenticate.",
        confirm="The body of the answer contains MissingKey, InvalidKey or AccessDenied.",
    ),
    Verdict(
        code="WSE-403-APIGW",
        title="API Gateway refuses the forwarded Host",
        plain="The request reached API Gateway, which knows neither the host name nor the path "
        "that it was asked for.",
        cause="API Gateway accepts its own host name only, and the policy forwards the viewer's "
        "Host; or the stage is "
        "missing from the origin path.",
        fix="Use a policy that forwards the Sec-WebSocket headers but not Host "
        "(AllViewerExceptHostHeader), protocol "
        "https-only, and the stage (for example /prod) as origin path.",
        confirm="x-amz-apigw-id or x-amzn-errortype in the answer proves that API Gateway wrote it.",
    ),
    Verdict(
        code="WSE-PATH",
        title="Another behavior answers this path",
        plain="The request reached CloudFront, but the behavior that was made for this path did "
        "not get it.",
        cause="The path pattern does not match this path (/ws/* does not match /ws, and letters "
        "keep their case), "
        "or an earlier behavior matches it first.",
        fix="Give the distribution a behavior for exactly this path and one for what is below "
        "it (/ws and /ws/*), "
        "before any broader pattern.",
        confirm="CloudFront's v2 log row names the behavior in cache-behavior-path-pattern.",
    ),
    Verdict(
        code="WSE-404-PATH",
        title="Nothing at this path",
        plain="The request arrived, but there is no such path at the other end.",
        cause="The path is wrong, the origin path is added twice, the behavior's pattern does not "
        "match (/ws/* does "
        "not match /ws) so that another origin answered, or the load balancer's default "
        "rule says 404.",
        fix="Compare the path with the app's route. Add behaviors for /ws and /ws/*. Leave the "
        "origin path empty "
        "unless the app really lives below it.",
        confirm="The Server line of the answer says who looked for the path; the app's log shows "
        "the path it received.",
    ),
    Verdict(
        code="WSE-405-METHOD",
        title="The path exists, but does not take GET",
        plain="Something answers at this path, but it is not the WebSocket handler: a handshake "
        "is a GET.",
        cause="The path belongs to an ordinary API.",
        fix="Use the app's WebSocket path.",
        confirm="The app's list of routes shows which path takes the upgrade.",
    ),
    Verdict(
        code="WSE-421-DOMAIN",
        title="The edge does not serve this name on this connection",
        plain="The certificate of the connection and the host name belong to different AWS "
        "accounts.",
        cause="The alias is on a distribution of another account than the certificate, or DNS "
        "points to the wrong "
        "distribution.",
        fix="Point the name to the distribution that lists it under its alternate domain names.",
        confirm="aws cloudfront list-conflicting-aliases --distribution-id ID --alias NAME",
    ),
    Verdict(
        code="WSE-426-VERSION",
        title="The app did not see the wish to upgrade",
        plain="The app answers that the request asks for no upgrade to WebSocket, although it did.",
        cause="Upgrade, Connection or a Sec-WebSocket line was lost on the way: the behavior has "
        "no origin request "
        "policy, or a proxy between load balancer and app (nginx, an ingress, a service "
        "mesh) takes them away.",
        fix="Make every proxy before the app pass Upgrade, Connection and the Sec-WebSocket "
        "lines (nginx: "
        "proxy_http_version 1.1 and both proxy_set_header lines). If the behavior has no "
        "origin request policy, attach "
        "AllViewer (216adef6-5c7f-47e4-b989-5492eafa07d3).",
        confirm="The app's log of this request shows which of the lines arrived.",
    ),
    Verdict(
        code="WSE-429-RATE",
        title="Too many requests",
        plain="Too many requests came in a short time, and the other side refuses more for a "
        "while.",
        cause="A rate limit of the app, of WAF or of API Gateway.",
        fix="Wait as long as Retry-After says, and make clients reconnect with growing, random "
        "delays.",
        confirm="A single check after a pause opens.",
        severity=Severity.WARNING,
    ),
    Verdict(
        code="WSE-431-HEADERS",
        title="The request headers are too large",
        plain="The request was refused because its headers or cookies are too long.",
        cause="Large cookies or tokens: CloudFront takes 32 KB of headers, a load balancer 16 KB "
        "a line, apps often 8 "
        "KB.",
        fix="Send fewer cookies to this host, or move large tokens into the first message.",
        confirm="The check without extra headers passes.",
    ),
    Verdict(
        code="WSE-4XX",
        title="The request was refused",
        plain="The other side refused the request with a client error that has no entry of its "
        "own here.",
        cause="The status line in the evidence says which.",
        fix="Look the refusal up in the log of whoever wrote the answer (the Server line says "
        "who).",
        confirm="The same request sent straight to the app shows whether the app or something "
        "before it refuses.",
    ),
    # --- refused: 5xx
    # ------------------------------------------------------------------------------------------------
    Verdict(
        code="WSE-500-APP",
        title="The app failed while accepting",
        plain="The request reached the app, which had an error of its own.",
        cause="An exception in the handshake handler, often a missing dependency or setting.",
        fix="Look into the app's log at the time of this check.",
        confirm="The same handshake straight to the app fails as well.",
    ),
    Verdict(
        code="WSE-502-ORIGIN",
        title="CloudFront could not talk to the origin",
        plain="CloudFront reached out to the origin, but the connection was refused or the answer "
        "made no sense.",
        cause="Nothing listens on the origin's port (for example HTTPS 443 while the load "
        "balancer has HTTP 80 only), "
        "or the app crashed or closed the connection while it accepted, and no Application "
        "Load Balancer stands before "
        "it to say so.",
        fix="Compare the VPC origin's protocol and port with the load balancer's listeners: aws "
        "elbv2 "
        "describe-listeners --load-balancer-arn ARN. Add the listener, or use a VPC origin "
        "that fits. If they agree, "
        "look into the app's log at the time of this check.",
        confirm="CloudFront's log row has OriginConnectError or OriginInvalidResponseError.",
    ),
    Verdict(
        code="WSE-502-PORT",
        title="The origin's port or protocol fits no listener",
        plain="CloudFront reached the load balancer, but on a port on which it does not listen, "
        "or in a protocol that "
        "is not that port's.",
        cause="The VPC origin says another port or protocol than the load balancer has, for "
        "example HTTPS 443 or "
        "match-viewer while there is only a listener on HTTP 80.",
        fix="Add a listener on that port, or use a VPC origin with the protocol and port of the "
        "listener that exists.",
        confirm="aws elbv2 describe-listeners --load-balancer-arn ARN shows a listener on the port "
        "of the VPC origin.",
    ),
    Verdict(
        code="WSE-502-VPCORIGIN",
        title="The VPC origin is not ready",
        plain="The distribution points to a VPC origin that does not exist or is not Deployed yet.",
        cause="It is still being made (up to 15 minutes), it was deleted, or the load balancer "
        "behind it was.",
        fix="Wait until its status is Deployed. If it or its load balancer is gone, ask for an "
        "endpoint on the new "
        "target at another path: this one stays taken by this endpoint's behavior.",
        confirm="aws cloudfront get-vpc-origin --id ID shows Status: Deployed and an existing "
        "target.",
    ),
    Verdict(
        code="WSE-502-2025",
        title="WebSockets over VPC origins as they failed before May 2026",
        plain="Ordinary requests reach the app through the VPC origin, but the WebSocket upgrade "
        "ends with 502 and "
        "OriginDnsError.",
        cause="Until May 2026, CloudFront did not carry WebSockets over VPC origins. Where it "
        "still happens, the "
        "edge serves the old behavior or the origin is treated as a plain custom origin.",
        fix="CloudFront carries them today: make sure the origin has its VpcOriginConfig and "
        "try again. As a "
        "workaround use a custom origin with an internet-facing load balancer whose "
        "security group admits "
        "only the CloudFront prefix list.",
        confirm="A plain GET of the same path answers, the upgrade does not, and CloudFront's log "
        "row has "
        "OriginDnsError.",
    ),
    Verdict(
        code="WSE-502-TLS",
        title="CloudFront does not trust the origin's certificate",
        plain="The encrypted connection between CloudFront and the origin failed.",
        cause="The load balancer's certificate is expired, self-signed, lacks an intermediate, or "
        "is for another name: "
        "it must match the viewer's Host if Host is forwarded, else the origin's domain name.",
        fix="With a certificate for the viewer name use AllViewer; with one for the internal "
        "name use "
        "AllViewerExceptHostHeader; or set the origin to http-only, since the traffic stays "
        "inside AWS.",
        confirm="Compare the names in the load balancer's certificate with Host and the origin's "
        "domain name.",
    ),
    Verdict(
        code="WSE-502-DNS",
        title="CloudFront cannot resolve the origin's name",
        plain="The origin's domain name leads nowhere from CloudFront's point of view.",
        cause="The origin is a custom origin with a private name, or its name was deleted. Until "
        "2026, VPC origins "
        "could not carry WebSockets and failed in exactly this way (OriginDnsError).",
        fix="Make the origin a VPC origin (VpcOriginConfig), or give a custom origin a public "
        "name. If this is a VPC "
        "origin, re-create the distribution's origin with its current VPC origin id.",
        confirm="CloudFront's log row has OriginDnsError.",
    ),
    Verdict(
        code="WSE-502-ALB",
        title="The load balancer could not talk to the app",
        plain="The load balancer, or a proxy behind it, answered 502: the app closed the "
        "connection or its answer made "
        "no sense.",
        cause="The app crashed or reset the connection while accepting, or the target group "
        "speaks HTTP/2 or HTTPS "
        "to an app that speaks HTTP/1.1.",
        fix="Look into the app's log; make a target group with protocol version HTTP1 and the "
        "protocol that the "
        "app speaks, and let the listener forward to it: neither can be changed later.",
        confirm="The load balancer's metric HTTPCode_ELB_502_Count rises with each check.",
    ),
    Verdict(
        code="WSE-503-NOTARGET",
        title="The load balancer has no target",
        plain="The load balancer works, but there is no app behind it.",
        cause="The target group has no registered or no usable targets, or the listener's rule "
        "points to an empty one.",
        fix="Register the app's instances or addresses and make its health check pass: "
        "aws elbv2 describe-target-health --target-group-arn ARN",
        confirm="The target group's page shows at least one healthy target.",
    ),
    Verdict(
        code="WSE-503-EDGE",
        title="CloudFront cannot serve the request now",
        plain="The 503 comes from the edge itself: it is short of capacity, or a limit is reached.",
        cause="The edge location is short of capacity, a limit of the distribution is reached, or "
        "a function at the "
        "edge failed (WSE-EDGE-FUNCTION).",
        fix="Try again after a minute. If it stays, take functions off the WebSocket behavior "
        "and look at their logs.",
        confirm="CloudFront's log row has CapacityExceeded or LimitExceeded.",
    ),
    Verdict(
        code="WSE-503-APP",
        title="The app is not available",
        plain="The 503 comes from behind the edge: the app or a proxy before it is not ready.",
        cause="The app is starting, overloaded, or switched to maintenance.",
        fix="Look at the app's state and log, then run the check again.",
        confirm="The Server line shows who wrote the answer.",
    ),
    Verdict(
        code="WSE-504-SG",
        title="CloudFront's packets do not reach the load balancer",
        plain="CloudFront tried to reach the load balancer and got no answer at all: something "
        "drops its packets.",
        cause="The load balancer's security group does not admit CloudFront on the origin's port. "
        "VPC Block Public "
        "Access or a network ACL have the same effect.",
        fix="Add an inbound rule to the load balancer's security group: TCP, the origin's port, "
        "source = the security "
        "group CloudFront-VPCOrigins-Service-SG of the VPC, or the prefix list "
        "com.amazonaws.global.cloudfront.origin-facing: aws ec2 "
        "authorize-security-group-ingress --group-id GROUP "
        "--protocol tcp --port PORT --source-group SERVICE-GROUP",
        confirm="The load balancer's metrics show no request at the time of the check; CloudFront's "
        "log row has "
        "OriginCommError.",
    ),
    Verdict(
        code="WSE-504-BPA",
        title="VPC Block Public Access keeps CloudFront out",
        plain="CloudFront gets no answer from the load balancer, because the account blocks "
        "public access to its VPCs.",
        cause="VPC Block Public Access counts VPC origins as public and blocks them in both "
        "directions, without a "
        "word on the page about VPC origins.",
        fix="Create an exclusion with allow-bidirectional for the VPC or its subnets: "
        "aws ec2 create-vpc-block-public-access-exclusion --vpc-id ID "
        "--internet-gateway-exclusion-mode allow-bidirectional",
        confirm="aws ec2 describe-vpc-block-public-access-options shows the mode, "
        "aws ec2 describe-vpc-block-public-access-exclusions the exclusion in state "
        "create-complete.",
    ),
    Verdict(
        code="WSE-504-NACL",
        title="A network ACL drops the answers",
        plain="CloudFront's packets arrive, but the load balancer's answers do not leave the "
        "subnet.",
        cause="The outbound rules of the subnet's network ACL do not allow TCP 1024-65535 to "
        "CloudFront's "
        "addresses. Inbound rules are not evaluated for VPC origins.",
        fix="Allow outbound TCP 1024-65535 to 0.0.0.0/0 (or to CloudFront's ranges) in the "
        "network ACL of each of "
        "the load balancer's subnets.",
        confirm="aws ec2 describe-network-acls --filters Name=association.subnet-id,Values=SUBNET "
        "shows the outbound "
        "rule before any deny.",
    ),
    Verdict(
        code="WSE-504-ALB",
        title="The app does not answer the load balancer",
        plain="The load balancer, or a proxy behind it, waited for the app and gave up.",
        cause="The app's security group does not admit the load balancer, or the app accepts too "
        "slowly.",
        fix="Admit the load balancer's security group on the app's port; then look for what "
        "delays the accept.",
        confirm="The load balancer's metrics show the request, and HTTPCode_ELB_504_Count rises.",
    ),
    Verdict(
        code="WSE-504-SLOW",
        title="The origin answers too slowly",
        plain="CloudFront was connected to the origin, but the answer to the upgrade took longer "
        "than it waits.",
        cause="The app does work before it accepts, or the origin read timeout (30 seconds by "
        "default) is too short.",
        fix="Accept first and work afterwards; if that is impossible, raise the origin's "
        "response timeout (up to "
        "120 seconds).",
        confirm="The load balancer's metrics show the request arriving.",
    ),
    Verdict(
        code="WSE-5XX",
        title="The other side failed",
        plain="The answer is a server error that has no entry of its own here.",
        cause="The status line in the evidence says which.",
        fix="Look into the log of whoever wrote the answer (the Server line says who).",
        confirm="The same request sent straight to the app shows whether the app or something "
        "before it fails.",
    ),
    # --- after 101
    # ---------------------------------------------------------------------------------------------------
    Verdict(
        code="WSE-NOECHO",
        title="Open, but the test message did not come back",
        plain="The WebSocket opened. The app just did not repeat the test message, which many "
        "apps rightly do not.",
        cause="The app is no echo server, expects another message format, or another server "
        "process got the message.",
        fix="If the app should answer, set the check's message to one it understands. Otherwise "
        "check the handshake "
        "only.",
        confirm="Send the app's own first message with wscat and look for its answer.",
        severity=Severity.WARNING,
    ),
    Verdict(
        code="WSE-NOPONG",
        title="Open, but a ping was not answered",
        plain="The WebSocket opened, but the other side did not answer a ping, which every "
        "implementation must.",
        cause="The app's event loop is blocked, or it implements the protocol only in part.",
        fix="Use a maintained WebSocket library and keep long work out of its event loop.",
        confirm="wscat -P shows whether a pong comes back.",
        severity=Severity.WARNING,
    ),
    Verdict(
        code="WSE-SCRIPT",
        title="The app did not say what the script expects",
        plain="The WebSocket opened, but one step of the script that was to be followed did not "
        "go as written.",
        cause="The app answers other than the script says, later than it allows, or only after a "
        "message that the "
        "script does not send (a login, a subscription).",
        fix="Compare the step named in the evidence with the frames of the transcript. Correct "
        "the app, or the script: "
        "give it more time with within, or send first what the app waits for.",
        confirm="Send the same message with wscat or websocat and read what comes back.",
    ),
    Verdict(
        code="WSE-FRAME",
        title="The other side broke the WebSocket protocol",
        plain="After the 101 came bytes that are no valid WebSocket frames. Clients close with "
        "1002 or 1007.",
        cause="Compression on one side only (Sec-WebSocket-Extensions half forwarded), a proxy "
        "that writes into the "
        "connection, or a faulty server.",
        fix="Forward Sec-WebSocket-Extensions in full (AllViewer) or switch compression off in "
        "the app; remove proxies "
        "that do not understand WebSockets.",
        confirm="The evidence names the rule that was broken.",
    ),
    Verdict(
        code="WSE-LIMIT",
        title="The other side sends more than a check takes",
        plain="The WebSocket opened, then so much data came that the check ended itself.",
        cause="The app streams at once after the accept, or it is not the expected app.",
        fix="Nothing, if the app is meant to stream: check the handshake only. Otherwise find "
        "out what it sends.",
        confirm="The frames in the transcript show what came first.",
        severity=Severity.WARNING,
    ),
    Verdict(
        code="WSE-CLOSED",
        title="The app opened and then closed the WebSocket",
        plain="The handshake worked, then the app itself ended the conversation.",
        cause="The close code says why: 1008 and 4000 to 4999 are the app's own refusals (often a "
        "missing token), 1011 "
        "is an error in the app, 1001 and 1012 a restart, 1013 too much load; 1003, 1007 "
        "and 1009 are a message that "
        "it does not take, 1002 a message it could not read, as when compression was agreed "
        "on one side only.",
        fix="Look the close code and reason up in the app's documentation or log; give the "
        "check the token or "
        "subprotocol it expects.",
        confirm="The close frame in the transcript shows code and reason.",
    ),
    Verdict(
        code="WSE-IDLE-ALB",
        title="The load balancer's idle clock cut the connection",
        plain="The WebSocket works, but after some seconds without a byte the load balancer drops "
        "it without a "
        "goodbye.",
        cause="The load balancer's idle timeout (60 seconds unless changed) ran out: nothing was "
        "sent in either "
        "direction.",
        fix="Send a ping from the server every 20 to 30 seconds, or raise the attribute "
        "idle_timeout.timeout_seconds (up to 4000) above the longest silence.",
        confirm="Hold a socket silent again: with a heartbeat below the limit it stays open.",
        severity=Severity.WARNING,
    ),
    Verdict(
        code="WSE-IDLE-NLB",
        title="The Network Load Balancer's idle clock cut the connection",
        plain="The WebSocket works, but after some minutes without a byte the Network Load "
        "Balancer forgets it.",
        cause="The listener's tcp.idle_timeout.seconds (350 seconds unless changed) ran out: "
        "nothing was sent in "
        "either direction.",
        fix="Send a ping from the server every 20 to 30 seconds, or raise "
        "tcp.idle_timeout.seconds (up to 6000) "
        "on the listener.",
        confirm="Hold a socket silent again: with a heartbeat below the limit it stays open.",
        severity=Severity.WARNING,
    ),
    Verdict(
        code="WSE-IDLE-CLOUDFRONT",
        title="CloudFront's idle clock cut the connection",
        plain="The WebSocket works, but after ten minutes without a byte from the server "
        "CloudFront closes it.",
        cause="CloudFront counts only bytes from the origin to the client. What the client sends "
        "does not keep the "
        "connection open unless the server answers.",
        fix="Send a ping from the server every 20 to 30 seconds. A ping from the client works "
        "as well, because "
        "the server must answer it.",
        confirm="Hold a socket silent again: with a heartbeat from the server it stays open.",
        severity=Severity.WARNING,
    ),
    Verdict(
        code="WSE-IDLE-APP",
        title="The app closed the silent connection",
        plain="The WebSocket works, but the app itself ended it after some seconds of silence.",
        cause="The app, its framework or its server has an idle limit or a heartbeat of its own, "
        "and closed with a "
        "close frame.",
        fix="Raise the limit in the app's server, or answer its heartbeat. The close code in "
        "the evidence says more.",
        confirm="Hold a socket silent again and compare the second at which it ends.",
        severity=Severity.WARNING,
    ),
    Verdict(
        code="WSE-1006",
        title="The connection broke without a goodbye",
        plain="The WebSocket opened, then the connection ended without a close frame. Browsers "
        "call this 1006.",
        cause="The app crashed, an idle clock cut it (60 s load balancer, 350 s NLB, 600 s "
        "CloudFront), or something "
        "in between does not carry WebSockets.",
        fix="Look for a crash in the app's log. Send a ping from the server every 20 to 30 "
        "seconds against idle "
        "clocks. CloudFront reconnects nobody: let clients come back by themselves, with "
        "growing, random delays, and "
        "ask for what they missed.",
        confirm="Hold the socket silent and time it: the second at which it ends names the clock.",
    ),
    Verdict(
        code="WSE-MIXED",
        title="Some edges serve an older configuration",
        plain="The same check gives different answers: some opened, some did not.",
        cause="A change of the distribution is still spreading, or a continuous deployment sends "
        "a part of the "
        "requests to the staging distribution.",
        fix="Wait until the distribution is Deployed (aws cloudfront wait distribution-deployed "
        "--id ID) and try again "
        "for two minutes. If it stays, look for a continuous deployment policy on the "
        "distribution.",
        confirm="Ten checks in a row give the same answer.",
        severity=Severity.WARNING,
    ),
    Verdict(
        code="WSE-UNKNOWN",
        title="No known explanation",
        plain="The check did not succeed, and nothing seen matches a known failure.",
        cause="Unknown; the transcript holds everything that was seen.",
        fix="Run the check again. If it stays, give the transcript and the x-amz-cf-id to the "
        "platform team.",
        confirm="Compare with the same check straight to the load balancer, from inside the VPC.",
    ),
)

VERDICTS = MappingProxyType({verdict.code: verdict for verdict in _ALL})
"""Every verdict by its code."""

_OWN_BEHAVIOR = "A new endpoint gets a behavior for exactly its path, before every broader one."
_FORWARDS = (
    "A new endpoint gets a behavior that passes header lines, cookies and queries on, and "
    "caches none."
)
BY_REQUEST = MappingProxyType(
    {
        "WSE-PATH": _OWN_BEHAVIOR,
        "WSE-200-SPA": _OWN_BEHAVIOR,
        "WSE-200-NOUPGRADE": _OWN_BEHAVIOR,
        "WSE-404-PATH": _OWN_BEHAVIOR,
        "WSE-400-NOKEY": _FORWARDS,
        "WSE-NOT-FORWARDED": _FORWARDS,
        "WSE-426-VERSION": _FORWARDS,
        "WSE-101-POLICY": _FORWARDS,
        "WSE-502-DNS": "A new endpoint gets a VPC origin, which needs no public name.",
    }
)
"""What a request for a new endpoint brings, by the verdict's code, where the cause is the behavior
or the origin that answers a path that no endpoint has yet. No other verdict is here: what is wrong
in the app, the network, the name, the certificate or the client stays wrong behind a new endpoint,
and one that exists is not changed by asking for another.
"""
