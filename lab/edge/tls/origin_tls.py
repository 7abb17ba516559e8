"""TLS with origins: what the edge trusts, what listeners present, and why a handshake failed.

The edge verifies certificates as CloudFront does; a load balancer does not verify its targets'.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.edge.account.load_balancers import Certificate
from lab.edge.http.messages import Refusal
from lab.origin_certificates import Flaw, OriginAuthority

_VERSIONS = {
    "SSLv3": ssl.TLSVersion.SSLv3,
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
}
# Every cipher that OpenSSL supports: TLS 1.0 and 1.1 need its lowest security level.
EVERYTHING = "DEFAULT:@SECLEVEL=0"
# Part of a policy's name -> the versions it allows (ALB guide, "Security policies"). The first
# match counts.
_POLICIES: Sequence[tuple[str, ssl.TLSVersion, ssl.TLSVersion]] = (
    ("TLS13-1-3", ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3),
    ("TLS13-1-2", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
    ("TLS13-1-1", ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_3),
    ("TLS13-1-0", ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_3),
    ("-1-2-", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2),
    ("-1-1-", ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2),
    ("", ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_2),
)
# X.509 verification results (openssl-verify(1)).
_REASONS = {
    9: "is not valid yet",
    10: "has expired",
    18: "is self-signed",
    19: "comes from an authority that is not publicly trusted",
    20: "comes from an authority that is not publicly trusted, or its chain lacks an "
    "intermediate certificate",
    21: "comes from an authority that is not publicly trusted, or its chain lacks an "
    "intermediate certificate",
    62: "does not name {name}",
    64: "does not name {name}",
}


class OriginTrust:
    """The edge's TLS contexts as a client of origins."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._contexts: dict[tuple[str, ...], ssl.SSLContext] = {}

    def context(self, protocols: Sequence[str]) -> ssl.SSLContext:
        """The context for these OriginSslProtocols: from the lowest version listed to the
        highest.
        """
        key = tuple(sorted(protocols))
        if key not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cadata=OriginAuthority.kept_in(self._state_dir).pem)
            versions = sorted(_VERSIONS[name] for name in key if name in _VERSIONS) or [
                ssl.TLSVersion.TLSv1_2
            ]
            _limit(context, versions[0], versions[-1])
            context.set_alpn_protocols(["http/1.1"])
            self._contexts[key] = context
        return self._contexts[key]


def unverified_context() -> ssl.SSLContext:
    """A load balancer's context as a TLS client of its targets: it verifies nothing (ALB guide,
    "Target groups").
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _limit(context, ssl.TLSVersion.TLSv1, ssl.TLSVersion.MAXIMUM_SUPPORTED)
    return context


def refusal_for(error: OSError, name: str) -> Refusal:
    """CloudFront's answer to a failed TLS handshake with an origin: an immediate 502.

    An origin that just hangs up rejected the versions or ciphers it was offered.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = _REASONS.get(error.verify_code, f"was refused ({error.verify_message})").format(
            name=name
        )
        return Refusal(502, "OriginConnectError", f"The origin's certificate {reason}.")
    if isinstance(error, ssl.SSLError) and error.reason in (
        "WRONG_VERSION_NUMBER",
        "HTTP_REQUEST",
        "UNEXPECTED_MESSAGE",
        "RECORD_LAYER_FAILURE",
    ):
        return Refusal(502, "OriginConnectError", "The origin does not speak TLS on this port.")
    return Refusal(
        502,
        "OriginConnectError",
        "The origin and CloudFront have no TLS version or cipher in common.",
    )


class ListenerCertificates:
    """The certificates that listeners present. Those issued by ACM come from the lab's own CA."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._authority: OriginAuthority | None = None
        self._contexts: dict[tuple[Certificate, Flaw | None], ssl.SSLContext] = {}

    def server_context(
        self, policy: str, choose: Callable[[str | None], ssl.SSLContext | None]
    ) -> ssl.SSLContext:
        """A server context that switches to another one's certificate at each handshake, by SNI.

        TLS versions are set here: OpenSSL does not take them over from the other context.
        """

        def by_name(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
            context = choose(name)
            if context is None:
                return ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE
            connection.context = context
            return None

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _limit(context, *policy_versions(policy))
        context.set_alpn_protocols(["http/1.1"])
        context.sni_callback = by_name
        return context

    def for_name(
        self, known: Sequence[Certificate], name: str | None, flaw: Flaw | None
    ) -> ssl.SSLContext | None:
        """The context for an SNI name; None if the listener has no certificate."""
        chosen = choose_certificate(known, name)
        return None if chosen is None else self._context(chosen, flaw)

    def _context(self, certificate: Certificate, flaw: Flaw | None) -> ssl.SSLContext:
        key = (certificate, flaw)
        if key not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            chain, private = certificate.chain, certificate.key
            if not chain or flaw is not None:
                self._authority = self._authority or OriginAuthority.kept_in(self._state_dir)
                issued = self._authority.issue(certificate.names or ("unnamed.invalid",), flaw)
                chain, private = issued.chain, issued.key
            context.set_ciphers(EVERYTHING)
            _load(context, chain, private)
            context.set_alpn_protocols(["http/1.1"])
            self._contexts[key] = context
        return self._contexts[key]


def choose_certificate(known: Sequence[Certificate], name: str | None) -> Certificate | None:
    """Choose by SNI: an exact name wins over a wildcard (of one label), and that over the default,
    which is the first.
    """
    wanted = (name or "").lower()
    wildcard = "*." + wanted.partition(".")[2]
    for asked in (wanted, wildcard):
        for certificate in known:
            if asked in (one.lower() for one in certificate.names):
                return certificate
    return known[0] if known else None


def policy_versions(policy: str) -> tuple[ssl.TLSVersion, ssl.TLSVersion]:
    """The lowest and highest TLS version of a listener's security policy."""
    return next((low, high) for part, low, high in _POLICIES if part in policy)


def _limit(context: ssl.SSLContext, lowest: ssl.TLSVersion, highest: ssl.TLSVersion) -> None:
    if lowest < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers(EVERYTHING)
    context.minimum_version = lowest
    context.maximum_version = highest


def _load(context: ssl.SSLContext, chain: str, key: str) -> None:
    # `ssl` loads certificates from files only.
    with tempfile.TemporaryDirectory() as directory:
        both = Path(directory) / "both.pem"
        both.touch(mode=0o600)
        both.write_text(key + chain)
        context.load_cert_chain(both)
