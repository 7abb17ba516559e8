"""What moto finds out again and again: once.

It decides nothing. moto lists all of botocore's services for each that it reads, and the methods of
a service, seven hundred for EC2, at each request.
"""

from __future__ import annotations

import functools

import moto.core.responses as moto_responses
import moto.core.utils as moto_utils
from moto.core.loaders import create_loader
from moto.core.utils import method_names_from_class


def cache_lookups() -> None:
    """Let moto's services share one loader, and remember what each can do. Methods must not be
    added after this.
    """
    vars(moto_utils)["create_loader"] = functools.cache(create_loader)
    vars(moto_responses)["method_names_from_class"] = functools.cache(method_names_from_class)
