"""Django system checks: settings that must not reach production are refused at start, with what to
do.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from checks.privacy.keys import HOW_TO_MAKE, KeyFault, signing_key
from checks.probe.probe_request import RoutesError, parse_routes
from provisioning.secrets.encryption import SHORTEST_KEY


@register()
def secret_key_is_set(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Without DEBUG a secret key is needed (Django itself says so only later)."""
    if settings.SECRET_KEY:
        return []
    return [
        Error(
            "SECRET_KEY is not set.",
            hint="Set SECRET_KEY to 50 random characters.",
            id="portal.E001",
        )
    ]


@register()
def encryption_keys_are_long(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Keys of their own encrypt what is stored, so that SECRET_KEY can be changed."""
    hint = "Set ENCRYPTION_KEYS to 50 random characters; see .env.example."
    if not settings.ENCRYPTION_KEYS:
        return [
            Warning(
                "ENCRYPTION_KEYS is not set: changing SECRET_KEY makes stored secrets unreadable.",
                hint=hint,
                id="portal.W002",
            )
        ]
    if any(len(key) < SHORTEST_KEY for key in settings.ENCRYPTION_KEYS):
        return [
            Error(
                f"A key of ENCRYPTION_KEYS is shorter than {SHORTEST_KEY} characters.",
                hint=hint,
                id="portal.E006",
            )
        ]
    return []


@register()
def private_networks_are_meant(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The address guard may only be opened for private networks in development, or by a second,
    explicit word.
    """
    if not settings.PROBE_ALLOWED_NETWORKS or settings.DEBUG or settings.PROBE_ALLOW_PRIVATE:
        return []
    return [
        Error(
            "PROBE_ALLOWED_NETWORKS lets handshake checks reach private networks.",
            hint="Remove it, or set PROBE_ALLOW_PRIVATE=1 if this portal tests a lab.",
            id="portal.E002",
        )
    ]


@register()
def proxies_are_named(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Only a trusted proxy is believed that its clients came over https, and where they are."""
    if settings.TRUSTED_PROXIES or not settings.BEHIND_TLS_PROXY:
        return []
    return [
        Error(
            "BEHIND_TLS_PROXY is set, but not TRUSTED_PROXIES: nobody's X-Forwarded-Proto is "
            "believed, so that forms sent over https are refused, and all clients share one "
            "address.",
            hint="Set TRUSTED_PROXIES to the proxy's address or network.",
            id="portal.E007",
        )
    ]


@register()
def days_are_possible(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Default and longest periods are ones that a request can ask for."""
    found: list[CheckMessage] = []
    for name, least, most, unit in (
        ("REMOVAL_GRACE_DAYS", 0, 30, "days"),
        ("ENDPOINT_MAX_DAYS", 0, 3650, "days"),
        ("TRANSFER_OFFER_DAYS", 1, 90, "days"),
        ("HEAD_START_HOURS", 0, 720, "hours"),
        ("RETAIN_TRANSCRIPTS_DAYS", 0, 3650, "days"),
        ("RETAIN_CHECKS_DAYS", 0, 3650, "days"),
        ("RETAIN_HOURLY_CHECKS_DAYS", 0, 3650, "days"),
        ("RETAIN_DAILY_CHECKS_DAYS", 0, 3650, "days"),
        ("RETAIN_FAILURES_DAYS", 0, 3650, "days"),
        ("RETAIN_CHANGES_DAYS", 0, 3650, "days"),
        ("RETAIN_PROBES_DAYS", 0, 3650, "days"),
        ("RETAIN_REMOVED_DAYS", 0, 3650, "days"),
    ):
        if not least <= getattr(settings, name) <= most:
            hint = f"Set it to a number of {unit} from {least} to {most}."
            found.append(Error(f"{name} is out of range.", hint=hint, id="portal.E008"))
    return found


@register()
def pace_is_positive(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Every interval is divided by the pace."""
    if settings.PROVISIONING_PACE > 0:
        return []
    return [
        Error("PROVISIONING_PACE must be above 0.", hint="Use 1 for real AWS.", id="portal.E003")
    ]


@register()
def evidence_can_be_signed(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Privacy audits are signed where a key is set; one that is set must be usable."""
    hint = f"Make one: {HOW_TO_MAKE}; set EVIDENCE_KEY_FILE to it."
    try:
        if signing_key() is not None:
            return []
    except KeyFault as fault:
        return [Error(f"EVIDENCE_KEY_FILE: {fault}", hint=hint, id="portal.E004")]
    return [
        Warning(
            "EVIDENCE_KEY_FILE is not set: privacy audits are not signed.",
            hint=hint,
            id="portal.W001",
        )
    ]


@register()
def ways_can_be_read(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Further routes to the apps, compared side by side."""
    try:
        parse_routes(settings.PROBE_ROUTES)
    except RoutesError as error:
        return [
            Error(f"PROBE_ROUTES: {error}", hint="Correct it or leave it empty.", id="portal.E005")
        ]
    return []
