"""moto's time and random numbers, fixed per request, so that a repeated request has the same
result.

During a request, moto's time is the real time of the request, and `lab_now` its lab time. Only
tests use them outside a request.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import types
from collections.abc import Iterator
from typing import Any

import moto.core.utils as moto_utils
from moto.core import base_backend
from moto.moto_api._internal import mock_random


class _MotoTime(datetime.datetime):
    """The datetime class that moto's utcnow() uses: shows the time of the current request."""

    moment: float | None = None
    lab: float = 0.0

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
        if cls.moment is None:
            return datetime.datetime.now(tz)
        return datetime.datetime.fromtimestamp(cls.moment, tz)


@contextlib.contextmanager
def fixed_time_and_seed(at: float, seed: int, lab: float) -> Iterator[None]:
    """Inside, moto's time is `at`, lab time is `lab`, and random numbers follow from `seed`."""
    mock_random.seed(seed)
    _MotoTime.moment = at
    _MotoTime.lab = lab
    try:
        yield
    finally:
        _MotoTime.moment = None


def moto_now() -> datetime.datetime:
    """moto's current time, in UTC."""
    return _MotoTime.now(datetime.UTC)


def lab_now() -> float:
    """The lab time of the current request, in seconds since 1970."""
    return _MotoTime.lab


@contextlib.contextmanager
def random_numbers_of(name: str) -> Iterator[None]:
    """Inside, moto's random numbers follow from the name, without using up those of the request."""
    state = mock_random.getstate()
    mock_random.seed(int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big"))
    try:
        yield
    finally:
        mock_random.setstate(state)


def patch_time_and_random() -> None:
    """Use the fixed time, and make the ids of moto's backends independent of when they are created.

    moto creates a Region's backend, with random default VPC and prefix list ids, at its first use,
    even by a read. Its ids must depend on account and Region only.
    """
    vars(moto_utils)["datetime"] = types.SimpleNamespace(
        datetime=_MotoTime,
        timedelta=datetime.timedelta,
        timezone=datetime.timezone,
        UTC=datetime.UTC,
    )
    original = base_backend.AccountSpecificBackend.__getitem__

    def getitem(self: Any, region_name: str) -> Any:
        if region_name in self.keys() or region_name == "global":
            return original(self, region_name)
        with random_numbers_of(f"{self.service_name}/{self.account_id}/{region_name}"):
            return original(self, region_name)

    base_backend.AccountSpecificBackend.__getitem__ = getitem  # type: ignore[method-assign]
