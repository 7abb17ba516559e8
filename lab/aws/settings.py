"""Settings of the lab's AWS that can be changed while it runs: quotas, call rates, read lag.

Holds names, ranges and defaults, and stores changes. What a setting means is up to the code that
uses it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lab.aws.database import LabDatabase

_SAVED = "settings"
_LARGEST = 10**6


@dataclass(frozen=True)
class CallRates:
    """Tokens per second (real time) and bucket size, per account. A rate of 0 means no limit."""

    read_rate: float = 200.0
    read_burst: float = 1000.0
    write_rate: float = 100.0
    write_burst: float = 500.0


class SettingsError(ValueError):
    """A change that is refused; the message says what to do."""


class LabSettings:
    """The settings of one lab. A change is stored before it applies."""

    def __init__(
        self, database: LabDatabase, lock: threading.RLock, quotas: Mapping[str, int]
    ) -> None:
        self._database = database
        self._lock = lock
        rates = CallRates()
        self._defaults: dict[str, Mapping[str, float]] = {
            "quotas": dict(quotas),
            "throttling": vars(rates).copy(),
            "reads": {"lag_seconds": 0.0},
        }
        saved = database.value(_SAVED) or {}
        # An earlier version may have had other quotas.
        self._changed: dict[str, dict[str, float]] = {
            section: {
                name: value for name, value in saved.get(section, {}).items() if name in known
            }
            for section, known in self._defaults.items()
        }
        self._apply()

    @property
    def quotas(self) -> Mapping[str, int]:
        """Every quota by name."""
        return self._quotas

    @property
    def rates(self) -> CallRates:
        """How many CloudFront calls an account may make."""
        return self._rates

    @property
    def read_lag(self) -> float:
        """Lab seconds for which reads of CloudFront may show the state before a write."""
        return self._read_lag

    def document(self) -> dict[str, dict[str, float]]:
        """All settings: {"quotas": {name: n}, "throttling": {…}, "reads": {"lag_seconds": s}}."""
        return {
            section: {**known, **self._changed[section]}
            for section, known in self._defaults.items()
        }

    def change(self, given: Mapping[str, Any]) -> dict[str, dict[str, float]]:
        """Merge `given`, in the form of `document`; null restores a default. Gives the new
        document.

        :raises SettingsError: an unknown name, or a value out of range; then nothing changes.
        """
        changed = {section: dict(values) for section, values in self._changed.items()}
        for section, values in given.items():
            if section not in self._defaults:
                raise SettingsError(f"{section!r} is not one of {', '.join(self._defaults)}.")
            if not isinstance(values, dict):
                raise SettingsError(f"{section} must be an object of settings by name.")
            for name, value in values.items():
                if name not in self._defaults[section]:
                    raise SettingsError(
                        f"{name!r} is not one of {', '.join(self._defaults[section])}."
                    )
                if value is None:
                    changed[section].pop(name, None)
                else:
                    changed[section][name] = _checked(section, name, value)
        with self._lock:
            with self._database.transaction():
                self._database.put_value(_SAVED, changed)
            self._changed = changed
            self._apply()
        return self.document()

    def _apply(self) -> None:
        document = self.document()
        self._quotas = MappingProxyType(
            {name: int(value) for name, value in document["quotas"].items()}
        )
        self._rates = CallRates(**document["throttling"])
        self._read_lag = float(document["reads"]["lag_seconds"])


def _checked(section: str, name: str, value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if section == "quotas":
        if not number or not 1 <= value <= _LARGEST or value != int(value):
            raise SettingsError(f"{name} must be a whole number from 1 to {_LARGEST}.")
        return int(value)
    if not number or not 0 <= value <= _LARGEST:
        raise SettingsError(f"{name} must be a number from 0 to {_LARGEST}.")
    if name.endswith("_burst") and value < 1:
        raise SettingsError(f"{name} must be at least 1.")
    return float(value)
