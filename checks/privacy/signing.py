"""Documents that can be archived: canonical JSON (RFC 8785), its SHA-256, and an Ed25519 signature
(RFC 8032) (PURE).

No document passes that is unsigned, or signed with another key than the one it is verified with.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ALGORITHM = "Ed25519"
MAX_BYTES = 5_000_000
HOW_TO_VERIFY = (
    "python3 -c 'import base64, json, sys; "
    'kept = json.load(open(sys.argv[1], "rb")); '
    'open("audit.signed", "wb").write(json.dumps(kept["document"], sort_keys=True, '
    'separators=(",", ":"), '
    'ensure_ascii=False).encode()); open("audit.sig", '
    '"wb").write(base64.b64decode(kept["signature"]["value"]))\' '
    "audit.json",
    "openssl pkeyutl -verify -pubin -inkey evidence-key.pem -rawin -in audit.signed "
    "-sigfile audit.sig",
)
"""Two shell commands. The first needs Python only: for strings and integers under ASCII keys, which
is all that an audit contains, it writes the canonical form of RFC 8785.
"""


_SIGNED, _NOT_SIGNED = (
    "Signed over the RFC 8785 form of `document`.",
    "NOT SIGNED: this proves nothing by itself.",
)
_FIELDS = {"document", "sha256", "signature", "note"}
_SIGNATURE_FIELDS = {"algorithm", "key_id", "value"}


def canonical(document: Mapping[str, Any]) -> bytes:
    """The bytes that are signed."""
    return rfc8785.dumps(dict(document))


def digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical bytes, 64 hex digits."""
    return hashlib.sha256(canonical(document)).hexdigest()


def key_id(key: Ed25519PublicKey) -> str:
    """The first sixteen hex digits of the SHA-256 of the key's 32 bytes."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def sign(document: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, str]:
    """The signature as it appears in a sealed document; `value` is base64."""
    value = base64.b64encode(key.sign(canonical(document))).decode()
    return {"algorithm": ALGORITHM, "key_id": key_id(key.public_key()), "value": value}


def sealed(
    document: Mapping[str, Any], sha256: str, signature: Mapping[str, str]
) -> dict[str, Any]:
    """What people archive: the document with its digest and signature, or a note that it has
    none.
    """
    plain = _SIGNED if signature else _NOT_SIGNED
    return {
        "document": dict(document),
        "sha256": sha256,
        "signature": dict(signature) or None,
        "note": plain,
    }


def what_is_wrong(kept: bytes, key: Ed25519PublicKey) -> list[str]:
    """Every fault of an archived document; none if it is exactly what the key's holder signed."""
    if len(kept) > MAX_BYTES:
        return [f"It is larger than {MAX_BYTES} bytes; no evidence of this portal is."]
    try:
        read = json.loads(kept, object_pairs_hook=_each_once)
    except _TwiceError as twice:
        return [f"It has {str(twice)[:60]!r} twice, and readers differ in which one they show."]
    except (ValueError, RecursionError):
        return ["It is not JSON. Use the file exactly as downloaded."]
    if not isinstance(read, dict) or not isinstance(read.get("document"), dict):
        return ["It has no `document`, so it is not evidence of this portal."]
    try:
        form = canonical(read["document"])
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        return [f"Its document has no canonical form: {error}"]
    faults = [
        f"It has {name[:60]!r}, which no signature covers."
        for name in sorted(read.keys() - _FIELDS)
    ]
    if read.get("note", _SIGNED) != _SIGNED and read.get("signature") is not None:
        faults.append("`note` is not what the portal writes, and no signature covers it.")
    if read.get("sha256") != hashlib.sha256(form).hexdigest():
        faults.append("`sha256` is not the digest of `document`: one of them was changed.")
    return faults + _wrong_with_signature(read.get("signature"), form, key)


def _wrong_with_signature(signature: Any, form: bytes, key: Ed25519PublicKey) -> list[str]:
    if signature is None:
        return ["It is not signed: anyone could have written it."]
    if not isinstance(signature, dict) or signature.get("algorithm") != ALGORITHM:
        return [f"Its signature is not an {ALGORITHM} signature."]
    if more := sorted(signature.keys() - _SIGNATURE_FIELDS):
        return [f"Its signature has {more[0][:60]!r}, which the portal does not write."]
    if signature.get("key_id") != key_id(key):
        return [
            f"It was signed with key {str(signature.get('key_id'))[:40]!r}; this one is "
            f"{key_id(key)}. Use the key that it names."
        ]
    value = str(signature.get("value"))
    try:
        written = base64.b64decode(value, validate=True)
        key.verify(written, form)
    except (ValueError, InvalidSignature):
        return ["The signature does not match `document`: one of them was changed."]
    # Base64 has spare bits: several strings can encode the same bytes.
    return (
        []
        if base64.b64encode(written).decode() == value
        else ["The signature is not encoded as the portal encodes it."]
    )


class _TwiceError(ValueError):
    """A name that appears twice in an object."""


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(next(name for name in names if names.count(name) > 1))
    return found
