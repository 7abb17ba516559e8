"""Certificates of origins: valid ones, and ones with a flaw for which CloudFront refuses an origin.

Their authority can sign any name, so only the edge trusts it. People are asked to trust the one in
`certificates.py`.
"""

from __future__ import annotations

import datetime
import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = datetime.timedelta(days=395)
AUTHORITY_LIFETIME = datetime.timedelta(days=3650)
WRONG_NAME = "another-name.example.com"


class Flaw(Enum):
    """Why CloudFront would refuse a certificate."""

    EXPIRED = "expired"
    SELF_SIGNED = "self-signed"
    WRONG_NAME = "wrong-name"
    INCOMPLETE_CHAIN = "incomplete"
    UNKNOWN_AUTHORITY = "unknown-authority"


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, in PEM. `chain` is what a server sends, the leaf first; `rest` is
    the chain without the leaf, as ACM takes it.
    """

    leaf: str
    rest: str
    key: str

    @property
    def chain(self) -> str:
        return self.leaf + self.rest


class OriginAuthority:
    """A certificate authority that signs for any name."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def new(cls, name: str = "Lab origin authority (this machine only)") -> OriginAuthority:
        """A new authority, which nothing trusts yet."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        return cls(_authority(subject, subject, key, key), key)

    @classmethod
    def kept_in(cls, state_dir: Path) -> OriginAuthority:
        """The lab's own, created at first use: `origin-ca.pem`, which the edge trusts, and
        `origin-ca.key`.
        """
        state_dir.mkdir(parents=True, exist_ok=True)
        certificate_file, key_file = state_dir / "origin-ca.pem", state_dir / "origin-ca.key"
        with (state_dir / ".origin-ca.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (certificate_file.exists() and key_file.exists()):
                made = cls.new()
                _write(key_file, _key_pem(made._key), 0o600)
                _write(certificate_file, made.pem, 0o644)
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(
                f"{key_file} was not created by the lab. Delete it and {certificate_file}; both "
                "will be created again."
            )
        return cls(x509.load_pem_x509_certificate(certificate_file.read_bytes()), key)

    @property
    def pem(self) -> str:
        """The authority's own certificate."""
        return _pem(self._certificate)

    def issue(self, names: Sequence[str], flaw: Flaw | None = None) -> Issued:
        """A server certificate for DNS names or addresses, with or without a flaw.

        It comes from an intermediate authority, like most public ones; without it the chain is
        incomplete.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        if flaw is Flaw.SELF_SIGNED:
            return Issued(_pem(_leaf(names, key, _name(names[0]), key)), "", _key_pem(key))
        root = (
            OriginAuthority.new("An untrusted authority")
            if flaw is Flaw.UNKNOWN_AUTHORITY
            else self
        )
        middle_key = ec.generate_private_key(ec.SECP256R1())
        middle = _authority(
            _name("Lab intermediate authority"), root._certificate.subject, middle_key, root._key
        )
        leaf = _leaf(
            (WRONG_NAME,) if flaw is Flaw.WRONG_NAME else names,
            key,
            middle.subject,
            middle_key,
            expired=flaw is Flaw.EXPIRED,
        )
        return Issued(
            _pem(leaf), "" if flaw is Flaw.INCOMPLETE_CHAIN else _pem(middle), _key_pem(key)
        )


def _authority(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signed_by: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    usage = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return (
        _builder(subject, issuer, key, signed_by, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .sign(signed_by, hashes.SHA256())
    )


def _leaf(
    names: Sequence[str],
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    signed_by: ec.EllipticCurvePrivateKey,
    *,
    expired: bool = False,
) -> x509.Certificate:
    subject_names = x509.SubjectAlternativeName([_general_name(name) for name in names])
    lifetime = -datetime.timedelta(hours=1) if expired else LIFETIME
    return (
        _builder(_name(names[0]), issuer, key, signed_by, lifetime)
        .add_extension(subject_names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(signed_by, hashes.SHA256())
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signed_by: ec.EllipticCurvePrivateKey,
    lifetime: datetime.timedelta,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signed_by.public_key()),
            critical=False,
        )
    )


def _name(text: str) -> x509.Name:
    # X.520 allows 64 characters; clients check the subject alternative names.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _write(path: Path, content: str, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(content)
    temporary.replace(path)
