"""The values of the headers that CloudFront adds for an endpoint's origin, and their fingerprints.

A plan holds names and fingerprints; the values exist only while the distribution is written.
"""

from __future__ import annotations

import contextlib

from provisioning.redaction.references import UnknownSecretError, references, resolve
from provisioning.secrets.store import read_secrets, readable_secrets
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.origin_headers import origin_headers


def header_values(spec: EndpointSpec, owner: str) -> dict[str, str]:
    """The values by header name, with the secrets of the team `owner`. Raises
    UnknownSecretError.
    """
    values = read_secrets(owner, references(spec.origin_headers))
    return {name: resolve(value, values) for name, value in origin_headers(spec.origin_headers)}


def readable_values(spec: EndpointSpec, owner: str) -> dict[str, str]:
    """The same, without the headers whose secret is gone or cannot be decrypted."""
    values = readable_secrets(owner, references(spec.origin_headers))
    found = {}
    for name, value in origin_headers(spec.origin_headers):
        with contextlib.suppress(UnknownSecretError):
            found[name] = resolve(value, values)
    return found
