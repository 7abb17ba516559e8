"""Caches for what moto looks up at every request.

moto lists all of botocore's services for each one that it loads, and all methods of a service, 700
for EC2, at each request.
"""

from __future__ import annotations

import functools

import moto.core.responses as moto_responses
import moto.core.utils as moto_utils
from moto.core.loaders import create_loader
from moto.core.utils import method_names_from_class


def cache_lookups() -> None:
    """Share one loader among moto's services, and cache each service's operations. Methods that are
    added later are not found.
    """
    vars(moto_utils)["create_loader"] = functools.cache(create_loader)
    vars(moto_responses)["method_names_from_class"] = functools.cache(method_names_from_class)
