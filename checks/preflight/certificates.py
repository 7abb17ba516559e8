"""Preflight questions about names and certificates: between CloudFront and the target, and towards
viewers.

PURE. CloudFront Developer Guide, "Requirements for using SSL/TLS certificates with CloudFront" and
"HTTP 502": over HTTPS the target's certificate must name the Host that CloudFront sends, or else
the origin's domain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from checks.preflight.listener_rules import hosts_seen
from checks.preflight.results import (
    Amendment,
    Fix,
    Level,
    PreflightResult,
    PreflightSubject,
    unknown,
)
from provisioning.facts.certificate import Certificate
from provisioning.facts.distribution import DistributionFacts
from provisioning.facts.load_balancer import Listener
from provisioning.facts.snapshot import Snapshot
from provisioning.facts.target import TargetFacts

ISSUED = "ISSUED"
_NAMES_OF_AWS = (".amazonaws.com", ".cloudfront.net", ".internal")


def origin_certificate(
    subject: PreflightSubject, target: TargetFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """What the target shows to CloudFront: in force, and for the name that CloudFront asks for."""
    if subject.origin_protocol in ("", "http-only") or not subject.origin_ports:
        return
    if target.kind != "application":
        yield unknown(
            "PF-CERTIFICATE",
            "The app itself presents the certificate; the handshake check will verify it.",
        )
        return
    listener = target.listener_on(subject.origin_ports[-1])
    if gap := snapshot.gap("listeners") or snapshot.gap("certificates"):
        yield unknown("PF-CERTIFICATE", gap.reason)
        return
    if listener is None or listener.protocol != "HTTPS":
        # PF-LISTENER has said so already.
        return
    if listener.certificates is None:
        yield unknown("PF-CERTIFICATE", "Not checked.")
        return
    hosts = hosts_seen(subject, target, snapshot.distribution)
    if not hosts:
        yield unknown(
            "PF-CERTIFICATE", "Which name it must cover depends on the distribution. Choose one."
        )
        return
    result = _for_hosts(subject, target, listener, listener.certificates, hosts)
    if result.level is Level.BLOCK:
        result = replace(
            result, amendment=_another_name(target, listener, listener.certificates, snapshot)
        )
    yield result


def _for_hosts(
    subject: PreflightSubject,
    target: TargetFacts,
    listener: Listener,
    certificates: tuple[Certificate, ...],
    hosts: tuple[str, ...],
) -> PreflightResult:
    """The worst over all names: CloudFront connects under each of them. One certificate in force
    does for a name.
    """
    port, fix = listener.port, _fix(target, listener, hosts)
    names = (
        ", ".join(sorted({name for one in certificates for name in one.names}))
        or "no names that ACM knows"
    )
    if any(not one.status for one in certificates):
        return unknown(
            "PF-CERTIFICATE",
            "A certificate is not managed by ACM, so its names are not visible here.",
        )
    uncovered = [host for host in hosts if not any(one.covers(host) for one in certificates)]
    if uncovered:
        how = (
            "forwards the viewers' Host"
            if subject.forward_host
            else "sends the origin's own domain as Host"
        )
        return PreflightResult(
            "PF-CERTIFICATE",
            Level.BLOCK,
            f"The certificate on {port} is for {names}, not for {uncovered[0]}.",
            f"CloudFront {how}, does not find that name in the certificate, and "
            "answers every handshake with 502.",
            fix,
        )
    fitting = [one for one in certificates if any(one.covers(host) for host in hosts)]
    serving = [one for one in fitting if one.in_force]
    lacking = next((host for host in hosts if not any(one.covers(host) for one in serving)), None)
    if lacking is not None:
        bad = next(one for one in fitting if one.covers(lacking))
        return PreflightResult(
            "PF-CERTIFICATE",
            Level.BLOCK,
            f"The certificate for {', '.join(bad.names)} is {_invalid_because(bad)}.",
            "CloudFront trusts only valid certificates from a public CA; handshakes fail with 502.",
            fix,
        )
    until = f"valid until {serving[0].expires}" if serving[0].expires else "in force"
    seen = f"The certificate on {port} names {', '.join(hosts)} and is {until}."
    if any(one.kind == "IMPORTED" for one in serving):
        return PreflightResult(
            "PF-CERTIFICATE",
            Level.UNKNOWN,
            f"{seen} It was imported.",
            "ACM does not say who signed an imported certificate, and does not "
            "renew it. CloudFront requires a public CA.",
            Fix(
                "Compare the issuer with the list of public CAs that CloudFront "
                "trusts (Mozilla's), or use one issued by ACM."
            ),
        )
    left_over = [one for one in fitting if not one.in_force]
    if left_over:
        return PreflightResult(
            "PF-CERTIFICATE",
            Level.WARN,
            f"{seen} Another certificate for it is {_invalid_because(left_over[0])}.",
            "Of several for a name, the load balancer prefers one with an "
            "ECDSA key, and only then one that has not expired. If it presents "
            "the other, handshakes fail with 502.",
            _take_away(target, listener, left_over[0], serving[0]),
        )
    return PreflightResult("PF-CERTIFICATE", Level.PASS, seen)


def _invalid_because(certificate: Certificate) -> str:
    return "from a private CA" if certificate.status == ISSUED else certificate.status


def _another_name(
    target: TargetFacts,
    listener: Listener,
    certificates: tuple[Certificate, ...],
    snapshot: Snapshot,
) -> Amendment | None:
    """The Host that the certificate does name: the viewers', where it has all of their names, else
    its first own.
    """
    trusted = [one for one in certificates if one.in_force]
    distribution = snapshot.distribution
    viewers = distribution.aliases if distribution else ()
    if viewers and all(any(one.covers(name) for one in trusted) for name in viewers):
        changes = (("forward_host", True), ("origin_domain", ""))
        return Amendment("Forward the viewers' Host, which the certificate names", changes)
    names = target.certificate_names().get(listener.port, ())
    if not names:
        return None
    changes = (("forward_host", False), ("origin_domain", names[0]))
    return Amendment(
        f"Use {names[0]}, which the certificate names, as the origin's domain", changes
    )


def _fix(target: TargetFacts, listener: Listener, hosts: tuple[str, ...]) -> Fix:
    """Only AWS can get a certificate for an AWS name: then the request has to use another
    one.
    """
    change = (
        "set the origin's domain, under Advanced, to a name on the "
        "certificate, and do not forward Host"
    )
    aws_names = [host for host in hosts if host.endswith(_NAMES_OF_AWS)]
    if aws_names:
        return Fix(
            f"In this request: {change}. You cannot get a certificate for {aws_names[0]}.",
            f"aws elbv2 describe-listener-certificates --listener-arn {listener.arn or 'LISTENER'}",
            "domain_name of the origin: a name in the certificate",
        )
    return Fix(
        f"EC2 > Load Balancers > {target.name} > Listeners and rules > "
        f"HTTPS:{listener.port} > Certificates: add one from ACM that "
        f"covers {', '.join(hosts)}; or, in this request, {change}.",
        f"aws acm request-certificate --region {target.arn.split(':')[3]} --domain-name {hosts[0]} "
        "--validation-method DNS",
        f'resource "aws_lb_listener_certificate" … with an aws_acm_certificate for "{hosts[0]}"',
    )


def _take_away(target: TargetFacts, listener: Listener, bad: Certificate, good: Certificate) -> Fix:
    """The default certificate can only be replaced by another."""
    place = (
        f"EC2 > Load Balancers > {target.name} > Listeners and rules > HTTPS:{listener.port} > "
        "Certificates"
    )
    arn = listener.arn or "LISTENER"
    if listener.certificates and listener.certificates[0] == bad:
        return Fix(
            f"{place}: make {good.arn} the default.",
            f"aws elbv2 modify-listener --listener-arn {arn} --certificates "
            f"CertificateArn={good.arn}",
            "certificate_arn of the aws_lb_listener: the one that is in force",
        )
    return Fix(
        f"{place}: remove {bad.arn}.",
        f"aws elbv2 remove-listener-certificates --listener-arn {arn} --certificates "
        f"CertificateArn={bad.arn}",
        "no aws_lb_listener_certificate for it",
    )


def viewer_certificate(
    subject: PreflightSubject, distribution: DistributionFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """What viewers are shown under the distribution's own names. Without any, CloudFront's own
    certificate serves.
    """
    if not distribution.aliases:
        seen = (
            f"Viewers use {distribution.domain_name}, for which CloudFront has its own certificate."
        )
        yield PreflightResult("PF-VIEWER-CERTIFICATE", Level.PASS, seen)
        return
    certificate = snapshot.viewer_certificate
    if gap := snapshot.gap("viewer_certificate"):
        yield unknown("PF-VIEWER-CERTIFICATE", gap.reason)
        return
    if certificate is None or not certificate.status:
        yield unknown(
            "PF-VIEWER-CERTIFICATE",
            "ACM does not know the distribution's certificate.",
        )
        return
    # An alias may itself start with a wildcard.
    listed = {name.lower() for name in certificate.names}
    uncovered = [
        alias
        for alias in distribution.aliases
        if alias.lower() not in listed and not certificate.covers(alias)
    ]
    if certificate.status == ISSUED and not uncovered:
        seen = (
            f"It names {', '.join(distribution.aliases)}; valid until "
            f"{certificate.expires or 'ACM renews it'}."
        )
        yield PreflightResult("PF-VIEWER-CERTIFICATE", Level.PASS, seen)
        return
    yield PreflightResult(
        "PF-VIEWER-CERTIFICATE",
        Level.BLOCK,
        f"It does not cover {uncovered[0]}."
        if uncovered
        else f"ACM reports that it is {certificate.status}.",
        "Viewers refuse the connection before they send a handshake.",
        Fix(
            f"CloudFront > Distributions > {distribution.id} > Settings > Custom SSL "
            "certificate (in us-east-1).",
            "aws acm request-certificate --region us-east-1 --validation-method DNS "
            f"--domain-name {uncovered[0] if uncovered else distribution.aliases[0]}",
            "viewer_certificate { acm_certificate_arn = … } in the aws_cloudfront_distribution",
        ),
    )


def other_owners(
    subject: PreflightSubject, distribution: DistributionFacts, snapshot: Snapshot
) -> Iterator[PreflightResult]:
    """CloudFront Developer Guide, alternate domain names: of overlapping names the more specific
    one wins, wherever DNS leads. The same name is never given twice, so only names with a star can
    lose some of theirs.
    """
    wide = [name.lower() for name in distribution.aliases if name.startswith("*.")]
    if not wide:
        return
    if gap := snapshot.gap("domain_conflicts"):
        yield unknown("PF-ALIAS", gap.reason)
        return
    if snapshot.domain_conflicts is None:
        yield unknown("PF-ALIAS", "Not checked.")
        return
    own = {name.lower() for name in distribution.aliases}
    taking = [
        one
        for one in snapshot.domain_conflicts
        if one.domain.lower() not in own
        and any(one.domain.lower().endswith(name[1:]) for name in wide)
    ]
    if not taking:
        yield PreflightResult(
            "PF-ALIAS", Level.PASS, f"No other distribution has a name within {', '.join(wide)}."
        )
        return
    first = taking[0]
    yield PreflightResult(
        "PF-ALIAS",
        Level.WARN,
        f"{', '.join(sorted({one.domain for one in taking}))} belongs to another "
        f"distribution ({first.resource} of "
        f"account {first.account}).",
        "CloudFront uses the more specific name, wherever DNS points: "
        "clients that use it reach the other distribution.",
        Fix(
            "Let clients use another name; or move it, together with the "
            f"other's owner: CloudFront > Distributions > {distribution.id} > "
            "Settings > Alternate domain names.",
            f"aws cloudfront list-domain-conflicts --domain {first.domain} "
            f"--domain-control-validation-resource DistributionId={distribution.id}",
            "aliases of the aws_cloudfront_distribution",
        ),
    )
