"""The lab's certificate authority and the edge's certificate, created once and reused.

Existing files are never overwritten: browsers and clients that trust this authority keep trusting
it after a restart.
"""

from __future__ import annotations

import datetime
import fcntl
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

EDGE_NAMES = ("*.cloudfront.net", "cloudfront.net", "*.edge.localhost", "localhost")
EDGE_ADDRESSES = ("127.0.0.1",)
LIFETIME = datetime.timedelta(days=3650)
# Browsers refuse leaf certificates that are valid for more than 825 days, even from a private
# authority.
EDGE_LIFETIME = datetime.timedelta(days=800)


@dataclass(frozen=True)
class EdgeCertificates:
    """Paths of PEM files: the authority to trust, and the edge's chain and key."""

    ca: Path
    chain: Path
    key: Path


def ensure_certificates(state_dir: Path) -> EdgeCertificates:
    """The lab's certificates, created if any of the three files is missing.

    1. Wait for the lock: the AWS endpoint and the edge start together, and must not mix two
       authorities.
    2. If all three files exist, reuse them.
    3. Otherwise create an authority and an edge certificate; write each file under a temporary
       name, then rename it.
    """
    files = EdgeCertificates(
        ca=state_dir / "ca.pem", chain=state_dir / "edge.pem", key=state_dir / "edge.key"
    )
    state_dir.mkdir(parents=True, exist_ok=True)
    with (state_dir / ".certificates.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (files.ca.exists() and files.chain.exists() and files.key.exists()):
            _make(files)
    return files


def _make(files: EdgeCertificates) -> None:
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority(authority_key)
    edge_key = ec.generate_private_key(ec.SECP256R1())
    edge = _edge(edge_key, authority, authority_key)
    private = edge_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(files.key, private, 0o600)
    _write(files.chain, _pem(edge) + _pem(authority), 0o644)
    _write(files.ca, _pem(authority), 0o644)


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, "Lab edge authority (this machine only)")]
    )
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        # Limits the authority to the lab's own names, since browsers are asked to trust it.
        .add_extension(
            x509.NameConstraints(
                permitted_subtrees=[
                    x509.DNSName("cloudfront.net"),
                    x509.DNSName("localhost"),
                    x509.IPAddress(ipaddress.ip_network("127.0.0.0/8")),
                ],
                excluded_subtrees=None,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )


def _edge(
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in EDGE_NAMES]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in EDGE_ADDRESSES]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, EDGE_NAMES[0])]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + EDGE_LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)
