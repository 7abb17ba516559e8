"""What can be changed of the lab's AWS while it runs: quotas, call rates, read-after-write lag.

It decides names, ranges and defaults of these settings and keeps those that were changed over a
restart. It must never say what a quota or a rate means: whoever enforces it does.
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
    """Tokens a second of real time, and how many a full bucket holds; for each account. A rate of 0
    is no limit.
    """

    read_rate: float = 200.0
    read_burst: float = 1000.0
    write_rate: float = 100.0
    write_burst: float = 500.0


class SettingsError(ValueError):
    """A change that cannot be made; its text says what to do."""


class LabSettings:
    """The settings of one lab. Reading is free; a change is written down before it holds."""

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
        # A quota that an earlier version knew may be gone.
        self._changed: dict[str, dict[str, float]] = {
            section: {
                name: value for name, value in saved.get(section, {}).items() if name in known
            }
            for section, known in self._defaults.items()
        }
        self._apply()

    @property
    def quotas(self) -> Mapping[str, int]:
        """Every quota by name, as it holds at the moment."""
        return self._quotas

    @property
    def rates(self) -> CallRates:
        """How many CloudFront calls an account may make."""
        return self._rates

    @property
    def read_lag(self) -> float:
        """For how many seconds of lab time reads of CloudFront may show what was before a write."""
        return self._read_lag

    def document(self) -> dict[str, dict[str, float]]:
        """All settings: {"quotas": {name: n}, "throttling": {…}, "reads": {"lag_seconds": s}}."""
        return {
            section: {**known, **self._changed[section]}
            for section, known in self._defaults.items()
        }

    def change(self, given: Mapping[str, Any]) -> dict[str, dict[str, float]]:
        """Merge `given`, in the form of `document`; null brings a default back. Gives the document
        after it.

        :raises SettingsError: an unknown name, or a value out of range; nothing is changed then.
        """
        changed = {section: dict(values) for section, values in self._changed.items()}
        for section, values in given.items():
            if section not in self._defaults:
                raise SettingsError(f"{section!r} is none of {', '.join(self._defaults)}")
            if not isinstance(values, dict):
                raise SettingsError(f"{section} must be an object of settings by name")
            for name, value in values.items():
                if name not in self._defaults[section]:
                    raise SettingsError(f"{name!r} is none of {', '.join(self._defaults[section])}")
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
            raise SettingsError(f"{name} must be a whole number from 1 to {_LARGEST}")
        return int(value)
    if not number or not 0 <= value <= _LARGEST:
        raise SettingsError(f"{name} must be a number from 0 to {_LARGEST}")
    if name.endswith("_burst") and value < 1:
        raise SettingsError(f"{name} must be at least 1")
    return float(value)
