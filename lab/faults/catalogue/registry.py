"""Every fault that the lab knows, by its name, in the order in which people read them (PURE)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lab.faults.catalogue import apps, calls, endpoints
from lab.faults.catalogue.fault import Fault

FAULTS: Mapping[str, Fault] = MappingProxyType(
    {fault.name: fault for fault in (*endpoints.FAULTS, *apps.FAULTS, *calls.FAULTS)}
)
