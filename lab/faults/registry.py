"""Every fault that the lab knows, by its name, in the order in which people read them (PURE)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lab.faults import faults_of_apps, faults_of_calls, faults_of_endpoints
from lab.faults.fault import Fault

FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        fault.name: fault
        for fault in (*faults_of_endpoints.FAULTS, *faults_of_apps.FAULTS, *faults_of_calls.FAULTS)
    }
)
