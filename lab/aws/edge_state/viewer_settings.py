"""`/_lab/viewers`: the country of viewers and the delay of log rows. What follows from them is up
to the edge.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

from lab.aws.database import LabDatabase

_SAVED = "viewers"
_COUNTRY = re.compile(r"[A-Z]{2}")
_LONGEST_DELAY = 86_400
_DEFAULTS: Mapping[str, Any] = {
    "viewer_country": "US",
    "viewer_countries": {},
    "log_delay_seconds": 0,
}


class ViewerSettings:
    """The country of viewers by their address, and the delay of log rows. The caller holds a
    transaction.
    """

    def __init__(self, database: LabDatabase) -> None:
        self._database = database
        self._known: dict[str, Any] = {**_DEFAULTS, **(database.value(_SAVED) or {})}

    def document(self) -> dict[str, Any]:
        """All settings."""
        return dict(self._known)

    def change(self, given: Mapping[str, Any]) -> None:
        """Replace the given settings; the country "" removes an entry of `viewer_countries`.

        :raises ValueError: an invalid setting; the message says which, and what to do. Then nothing
        changes.
        """
        unknown = set(given) - set(_DEFAULTS)
        if unknown:
            raise ValueError(f"{min(unknown)!r} is not one of {', '.join(_DEFAULTS)}.")
        changed = dict(self._known)
        if "viewer_country" in given:
            changed["viewer_country"] = _country("viewer_country", given["viewer_country"])
        if "viewer_countries" in given:
            changed["viewer_countries"] = self._merged(given["viewer_countries"])
        if "log_delay_seconds" in given:
            changed["log_delay_seconds"] = _delay(given["log_delay_seconds"])
        self._database.put_value(_SAVED, changed)
        self._known = changed

    def _merged(self, given: Any) -> dict[str, str]:
        if not isinstance(given, Mapping):
            raise ValueError("viewer_countries must be an object: address or network → country.")
        merged = dict(self._known["viewer_countries"])
        for where, country in given.items():
            try:
                network = str(ip_network(where, strict=False))
            except ValueError:
                raise ValueError(
                    f"{where!r} is neither an address nor a network such as 127.0.0.0/28."
                ) from None
            merged.pop(network, None)
            if country != "":
                merged[network] = _country(where, country)
        return merged


def _country(name: str, given: Any) -> str:
    if not isinstance(given, str) or not _COUNTRY.fullmatch(given.upper()):
        raise ValueError(f"{name}: a country has two letters, such as DE.")
    return given.upper()


def _delay(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise ValueError("log_delay_seconds must be a number of seconds.")
    if not 0 <= given <= _LONGEST_DELAY:
        raise ValueError(f"log_delay_seconds must be between 0 and {_LONGEST_DELAY}.")
    return float(given)
