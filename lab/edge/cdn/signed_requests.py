"""Signed URLs and signed cookies (PURE).

Developer Guide, "Serve private content". The signature is verified before the policy is read.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address, ip_network
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from lab.edge.account.distributions import PublicKey
from lab.edge.http.hosts import CLOUDFRONT_SUFFIX, LOCAL_SUFFIX, split_host
from lab.edge.http.messages import Refusal, ViewerRequest

URL_PARTS = ("Expires", "Policy", "Signature", "Key-Pair-Id")
# CloudFront's base64 alphabet avoids characters that URLs and cookies cannot hold.
_TO_BASE64 = str.maketrans("-_~", "+=/")
_MISSING_KEY = ("MissingKey", "Missing Key-Pair-Id query parameter or cookie value")
_UNKNOWN_KEY = ("InvalidKey", "Unknown Key")
_BAD_SIGNATURE = ("MalformedSignature", "Could not unencode Signature")
_BAD_POLICY = ("MalformedPolicy", "Malformed Policy")
_DENIED = ("AccessDenied", "Access denied")


class _Refused(Exception):
    """Refused with this code and message."""


def refuse_unsigned(
    request: ViewerRequest, keys: Iterable[PublicKey], now: float
) -> Refusal | None:
    """403 unless one of `keys` signed a policy that allows this request at Unix time `now`.

    1. The parameters come from the query string if it has any of them, else from cookies.
    2. The key must belong to the behavior's key groups.
    3. The signed text is the given policy, or the canned policy for the URL and Expires.
    4. Check the signature first, then resource, times and source address.
    """
    try:
        pairs = (pair.partition("=") for pair in request.query.split("&"))
        in_url = {name: value for name, _, value in pairs if name in URL_PARTS}
        parts = in_url or _cookie_parts(request.header("cookie"))
        _check(request, parts, {key.id: key for key in keys}, now)
    except _Refused as refused:
        code, why = refused.args
        return Refusal(403, "Error", why, code=code)
    return None


def without_signature(target: str) -> str:
    """A request target without the parameters of a signed URL: the origin never gets them."""
    path, mark, query = target.partition("?")
    kept = [pair for pair in query.split("&") if pair.partition("=")[0] not in URL_PARTS]
    return path + mark * bool(kept) + "&".join(kept) if mark else target


def _cookie_parts(header: str) -> Mapping[str, str]:
    found = {}
    # One by one, so that another application's malformed cookie does not hide these.
    for pair in header.split(";"):
        jar = SimpleCookie()
        try:
            jar.load(pair.strip())
        except CookieError:
            continue
        found.update({name: morsel.value for name, morsel in jar.items()})
    return {
        part: found[f"CloudFront-{part}"] for part in URL_PARTS if f"CloudFront-{part}" in found
    }


def _check(
    request: ViewerRequest, parts: Mapping[str, str], keys: Mapping[str, PublicKey], now: float
) -> None:
    if not parts.get("Key-Pair-Id"):
        raise _Refused(*_MISSING_KEY)
    key = keys.get(parts["Key-Pair-Id"])
    if key is None:
        raise _Refused(*_UNKNOWN_KEY)
    signature = _decoded(parts.get("Signature", ""), _BAD_SIGNATURE)
    if "Policy" in parts:
        texts = [_decoded(parts["Policy"], _BAD_POLICY)]
    elif parts.get("Expires", "").isdecimal():
        limit = '{"DateLessThan":{"AWS:EpochTime":' + parts["Expires"] + "}}"
        texts = [
            ('{"Statement":[{"Resource":"' + url + '","Condition":' + limit + "}]}").encode()
            for url in _urls(request)
        ]
    else:
        raise _Refused(*_DENIED)
    signed = next((text for text in texts if _verifies(key.pem, signature, text)), None)
    if signed is None or not _allows(signed, request, now):
        raise _Refused(*_DENIED)


def _urls(request: ViewerRequest) -> tuple[str, ...]:
    """The signed URL in every spelling under which the lab serves it. A ws URL is signed as
    http.
    """
    host = request.header("host").lower()
    name, _ = split_host(host)
    names = [host, name]
    if name.endswith(LOCAL_SUFFIX):
        names.append(name.removesuffix(LOCAL_SUFFIX) + CLOUDFRONT_SUFFIX)
    target = without_signature(request.target)
    return tuple(f"{request.scheme}://{spelling}{target}" for spelling in dict.fromkeys(names))


def _decoded(text: str, otherwise: tuple[str, str]) -> bytes:
    try:
        found = base64.b64decode(text.translate(_TO_BASE64), validate=True)
    except (binascii.Error, ValueError):
        raise _Refused(*otherwise) from None
    if not found:
        raise _Refused(*otherwise)
    return found


@lru_cache(maxsize=256)
def _load(pem: str) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey | None:
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) else None


def _verifies(pem: str, signature: bytes, text: bytes) -> bool:
    key = _load(pem)
    digest = hashes.SHA1()  # noqa: S303 - CloudFront's signatures use SHA-1
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, text, padding.PKCS1v15(), digest)
        elif key is not None:
            key.verify(signature, text, ec.ECDSA(digest))
    except InvalidSignature:
        return False
    return key is not None


def _allows(signed: bytes, request: ViewerRequest, now: float) -> bool:
    """Whether a policy allows the request. It has only one statement.

    :raises _Refused: it is malformed.
    """
    try:
        statement: Any = json.loads(signed)["Statement"][0]
        condition: Any = statement["Condition"]
        until = float(condition["DateLessThan"]["AWS:EpochTime"])
        since = float((condition.get("DateGreaterThan") or {}).get("AWS:EpochTime", 0))
        network = ip_network(
            (condition.get("IpAddress") or {}).get("AWS:SourceIp", "0.0.0.0/0"), strict=False
        )
        resource = str(statement.get("Resource", "*"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise _Refused(*_BAD_POLICY) from None
    everywhere = network.prefixlen == 0
    return (
        since <= now < until
        and (everywhere or ip_address(request.address) in network)
        and any(_pattern(resource).fullmatch(url) for url in _urls(request))
    )


@lru_cache(maxsize=256)
def _pattern(resource: str) -> re.Pattern[str]:
    """A resource pattern: `*` is any characters, `?` exactly one."""
    collapsed = re.sub(r"\*+", "*", resource)
    return re.compile(
        "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in collapsed), re.DOTALL
    )
