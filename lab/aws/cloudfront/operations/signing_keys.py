"""Public keys and key groups, for signed URLs and signed cookies.

The edge checks signatures, with the keys in /_lab/state.
"""

from __future__ import annotations

import dataclasses
import re
import string
import uuid
from collections.abc import Mapping

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from lab.aws.cloudfront.context import (
    Context,
    Operation,
    check_if_match,
    new_etag,
    new_id,
    page,
    policy_page,
)
from lab.aws.cloudfront.entities.lifecycle import Config, KeyGroup, PublicKey
from lab.aws.cloudfront.protocol.errors import CloudFrontError, invalid
from lab.aws.cloudfront.protocol.rest_xml import Call, Values
from lab.aws.cloudfront.rules.trusted_key_groups import trusted_key_groups

_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CAPITALS = string.ascii_uppercase + string.digits
_LONGEST_KEY = 16_384
_RSA_BITS = 2048


def create_public_key(context: Context, call: Call) -> Values:
    """CreatePublicKey. Checks in order: configuration, name and caller reference, quota."""
    config = call.parameters["PublicKeyConfig"]
    _check_key_config(config)
    own = _own_keys(context)
    for field in ("Name", "CallerReference"):
        if any(key.config[field] == config[field] for key in own):
            raise CloudFrontError(
                "PublicKeyAlreadyExists", f"A public key with this {field} already exists."
            )
    limit = context.quotas["public_keys"]
    if len(own) >= limit:
        raise CloudFrontError(
            "TooManyPublicKeys", f"You have reached the limit of {limit} public keys."
        )
    key = PublicKey(
        account=context.account,
        id=new_id("K", 13, _CAPITALS),
        etag=new_etag(),
        config=config,
        created=context.real_time,
    )
    context.store.public_keys.put(key)
    location = f"https://cloudfront.amazonaws.com/2020-05-31/public-key/{key.id}"
    return {"PublicKey": _shown_key(key), "ETag": key.etag, "Location": location}


def get_public_key(context: Context, call: Call) -> Values:
    """GetPublicKey."""
    key = _find_key(context, call.parameters["Id"])
    return {"PublicKey": _shown_key(key), "ETag": key.etag}


def get_public_key_config(context: Context, call: Call) -> Values:
    """GetPublicKeyConfig."""
    key = _find_key(context, call.parameters["Id"])
    return {"PublicKeyConfig": key.config, "ETag": key.etag}


def update_public_key(context: Context, call: Call) -> Values:
    """UpdatePublicKey: the comment only; everything else is immutable."""
    key = _find_key(context, call.parameters["Id"])
    check_if_match(call.parameters.get("IfMatch"), key.etag)
    config = call.parameters["PublicKeyConfig"]
    if any(
        config[field] != key.config[field] for field in ("CallerReference", "Name", "EncodedKey")
    ):
        raise CloudFrontError(
            "CannotChangeImmutablePublicKeyFields",
            "You can only update the comment field of a public key.",
        )
    _check_key_config(config)
    changed = dataclasses.replace(key, config=config, etag=new_etag())
    context.store.public_keys.put(changed)
    return {"PublicKey": _shown_key(changed), "ETag": changed.etag}


def delete_public_key(context: Context, call: Call) -> Values:
    """DeletePublicKey: not while a key group has it."""
    key = _find_key(context, call.parameters["Id"])
    check_if_match(call.parameters.get("IfMatch"), key.etag)
    if any(key.id in group.config["Items"] for group in _own_groups(context)):
        raise CloudFrontError(
            "PublicKeyInUse", "The specified public key is in use by one or more key groups."
        )
    context.store.public_keys.drop(key)
    return {}


def list_public_keys(context: Context, call: Call) -> Values:
    """ListPublicKeys."""
    shown = page(context, _own_keys(context), call.parameters, lambda key: key.id, _key_summary)
    return {"PublicKeyList": policy_page(shown)}


def create_key_group(context: Context, call: Call) -> Values:
    """CreateKeyGroup. Checks in order: configuration, name, quota."""
    config = call.parameters["KeyGroupConfig"]
    _check_group_config(context, config, own_id=None)
    limit = context.quotas["key_groups"]
    if len(_own_groups(context)) >= limit:
        raise CloudFrontError(
            "TooManyKeyGroups", f"You have reached the limit of {limit} key groups."
        )
    group = KeyGroup(
        account=context.account,
        id=str(uuid.uuid4()),
        etag=new_etag(),
        config=config,
        modified=context.real_time,
    )
    context.store.key_groups.put(group)
    location = f"https://cloudfront.amazonaws.com/2020-05-31/key-group/{group.id}"
    return {"KeyGroup": _shown_group(group), "ETag": group.etag, "Location": location}


def get_key_group(context: Context, call: Call) -> Values:
    """GetKeyGroup."""
    group = find_key_group(context, call.parameters["Id"])
    return {"KeyGroup": _shown_group(group), "ETag": group.etag}


def get_key_group_config(context: Context, call: Call) -> Values:
    """GetKeyGroupConfig."""
    group = find_key_group(context, call.parameters["Id"])
    return {"KeyGroupConfig": group.config, "ETag": group.etag}


def update_key_group(context: Context, call: Call) -> Values:
    """UpdateKeyGroup: allowed while in use; the edge follows immediately."""
    group = find_key_group(context, call.parameters["Id"])
    check_if_match(call.parameters.get("IfMatch"), group.etag)
    config = call.parameters["KeyGroupConfig"]
    _check_group_config(context, config, own_id=group.id)
    changed = dataclasses.replace(group, config=config, etag=new_etag(), modified=context.real_time)
    context.store.key_groups.put(changed)
    return {"KeyGroup": _shown_group(changed), "ETag": changed.etag}


def delete_key_group(context: Context, call: Call) -> Values:
    """DeleteKeyGroup: not while a behavior of any live configuration trusts it."""
    group = find_key_group(context, call.parameters["Id"])
    check_if_match(call.parameters.get("IfMatch"), group.etag)
    for distribution in context.store.distributions.values():
        if any(
            group.id in trusted_key_groups(revision.config)
            for revision in distribution.live(context.now)
        ):
            raise CloudFrontError(
                "ResourceInUse",
                f"The key group is in use by the distribution {distribution.id}; detach it first.",
            )
    context.store.key_groups.drop(group)
    return {}


def list_key_groups(context: Context, call: Call) -> Values:
    """ListKeyGroups."""
    shown = page(
        context,
        _own_groups(context),
        call.parameters,
        lambda group: group.id,
        lambda group: {"KeyGroup": _shown_group(group)},
    )
    return {"KeyGroupList": policy_page(shown)}


def find_key_group(context: Context, group_id: str) -> KeyGroup:
    """The account's key group with that id.

    :raises CloudFrontError: NoSuchResource.
    """
    group = context.store.key_groups.get(group_id)
    if group is None or group.account != context.account:
        raise CloudFrontError("NoSuchResource", "The specified key group does not exist.")
    return group


def active_key_groups(context: Context, config: Config) -> Values:
    """ActiveTrustedKeyGroups: the key groups that a configuration trusts, with their keys."""
    known = (
        context.store.key_groups.get(group_id)
        for group_id in dict.fromkeys(trusted_key_groups(config))
    )
    items = [
        {
            "KeyGroupId": group.id,
            "KeyPairIds": {"Quantity": len(group.config["Items"]), "Items": group.config["Items"]},
        }
        for group in known
        if group is not None
    ]
    return {"Enabled": bool(items), "Quantity": len(items), **({"Items": items} if items else {})}


def _own_keys(context: Context) -> list[PublicKey]:
    return [key for key in context.store.public_keys.values() if key.account == context.account]


def _own_groups(context: Context) -> list[KeyGroup]:
    return [
        group for group in context.store.key_groups.values() if group.account == context.account
    ]


def _find_key(context: Context, key_id: str) -> PublicKey:
    key = context.store.public_keys.get(key_id)
    if key is None or key.account != context.account:
        raise CloudFrontError("NoSuchPublicKey", "The specified public key does not exist.")
    return key


def _check_key_config(config: Config) -> None:
    if not _NAME.fullmatch(config["Name"]):
        raise invalid(
            "The name of a public key may have letters, digits, hyphens and underscores, at "
            "most 128."
        )
    if not 1 <= len(config["CallerReference"]) <= 128 or len(config.get("Comment", "")) > 128:
        raise invalid("CallerReference must have 1 to 128 characters, Comment at most 128.")
    if not _is_signing_key(config["EncodedKey"]):
        raise invalid("Your request contains empty/invalid/out of limits RSA Encoded Key")


def _is_signing_key(pem: str) -> bool:
    """True for a PEM public key, RSA with 2048 bits or ECDSA on P-256 (Developer Guide, signed
    URLs).
    """
    if len(pem) > _LONGEST_KEY:
        return False
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        return False
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size == _RSA_BITS
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)


def _check_group_config(context: Context, config: Config, own_id: str | None) -> None:
    if not _NAME.fullmatch(config["Name"]):
        raise invalid(
            "The name of a key group may have letters, digits, hyphens and underscores, at "
            "most 128."
        )
    if len(config.get("Comment", "")) > 128:
        raise invalid("The parameter Comment is too long.")
    keys = config["Items"]
    if not keys or len(set(keys)) != len(keys):
        raise invalid("A key group must have at least one public key, and each only once.")
    limit = context.quotas["public_keys_per_key_group"]
    if len(keys) > limit:
        raise CloudFrontError(
            "TooManyPublicKeysInKeyGroup", f"A key group can have at most {limit} public keys."
        )
    known = {key.id for key in _own_keys(context)}
    for key_id in keys:
        if key_id not in known:
            raise invalid(f"The public key {key_id} does not exist.")
    if any(
        group.config["Name"] == config["Name"] and group.id != own_id
        for group in _own_groups(context)
    ):
        raise CloudFrontError("KeyGroupAlreadyExists", "A key group with this name already exists.")


def _shown_key(key: PublicKey) -> Values:
    return {"Id": key.id, "CreatedTime": key.created, "PublicKeyConfig": key.config}


def _key_summary(key: PublicKey) -> Values:
    shown: Values = {
        name: key.config[name] for name in ("Name", "EncodedKey", "Comment") if name in key.config
    }
    return {"Id": key.id, "CreatedTime": key.created, **shown}


def _shown_group(group: KeyGroup) -> Values:
    return {"Id": group.id, "LastModifiedTime": group.modified, "KeyGroupConfig": group.config}


OPERATIONS: Mapping[str, Operation] = {
    "CreatePublicKey": create_public_key,
    "GetPublicKey": get_public_key,
    "GetPublicKeyConfig": get_public_key_config,
    "UpdatePublicKey": update_public_key,
    "DeletePublicKey": delete_public_key,
    "ListPublicKeys": list_public_keys,
    "CreateKeyGroup": create_key_group,
    "GetKeyGroup": get_key_group,
    "GetKeyGroupConfig": get_key_group_config,
    "UpdateKeyGroup": update_key_group,
    "DeleteKeyGroup": delete_key_group,
    "ListKeyGroups": list_key_groups,
}
