"""TLS of a probe: which CAs it trusts, what was negotiated, what a certificate says.

It trusts the system's roots and the operator's CA file, nothing else.
"""

from __future__ import annotations

import functools
import os
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from checks.protocol.transcript import Certificate, Reason, TlsFacts


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """The context that all probes share: system roots plus `ca_file`, ALPN http/1.1 only. Raises
    OSError for a bad file.

    Building one costs more than a handshake, so it is cached until the file changes.
    """
    return _context(ca_file, os.stat(ca_file).st_mtime_ns if ca_file else 0)


@functools.lru_cache(maxsize=4)
def _context(ca_file: str | None, _changed: int) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python 3.13 and later refuse CAs without key identifiers. Browsers and curl accept them, and
    # the verdict must match theirs.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    # Offered h2, an edge chooses it, and then refuses the HTTP/1.1 upgrade.
    context.set_alpn_protocols(["http/1.1"])
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    return context


@functools.lru_cache(maxsize=1)
def distrusting_context() -> ssl.SSLContext:
    """A context that accepts any certificate, to read one that was not trusted. Nothing is sent
    through it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


_VERIFY_REASONS = {
    9: Reason.TLS_NOT_YET_VALID,
    10: Reason.TLS_EXPIRED,
    18: Reason.TLS_SELF_SIGNED,
    2: Reason.TLS_UNKNOWN_CA,
    19: Reason.TLS_UNKNOWN_CA,
    20: Reason.TLS_UNKNOWN_CA,
    21: Reason.TLS_UNKNOWN_CA,
    62: Reason.TLS_NAME_MISMATCH,
    64: Reason.TLS_NAME_MISMATCH,
}
"""OpenSSL's X509_V_ERR_* numbers (x509_vfy.h)."""


def verify_reason(error: ssl.SSLCertVerificationError) -> Reason:
    """Why OpenSSL rejected a certificate."""
    return _VERIFY_REASONS.get(error.verify_code, Reason.TLS_UNTRUSTED)


def tls_facts(connection: ssl.SSLSocket, host: str, *, trusted: bool) -> TlsFacts:
    """What a finished TLS handshake negotiated."""
    der = connection.getpeercert(binary_form=True)
    cipher = connection.cipher()
    return TlsFacts(
        server_name=host,
        version=connection.version() or "",
        cipher=cipher[0] if cipher else "",
        alpn=connection.selected_alpn_protocol() or "",
        trusted=trusted,
        certificate=_certificate(der) if der else None,
    )


@functools.lru_cache(maxsize=256)
def _certificate(der: bytes) -> Certificate | None:
    """Facts of a certificate, None if it cannot be parsed. Cached: parsing is slow, and
    certificates rarely change.
    """
    try:
        parsed = x509.load_der_x509_certificate(der)
        try:
            names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            listed = (
                *names.get_values_for_type(x509.DNSName),
                *map(str, names.get_values_for_type(x509.IPAddress)),
            )
        except x509.ExtensionNotFound:
            listed = ()
        return Certificate(
            subject=parsed.subject.rfc4514_string(),
            issuer=parsed.issuer.rfc4514_string(),
            names=listed,
            not_before=parsed.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
            not_after=parsed.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
            self_signed=parsed.subject == parsed.issuer,
            fingerprint_sha256=parsed.fingerprint(hashes.SHA256()).hex(),
        )
    except Exception:
        # The peer controls it, and cryptography raises many kinds of errors for odd contents,
        # KeyError among them.
        return None
