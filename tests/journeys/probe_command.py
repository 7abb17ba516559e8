"""`manage.py probe` as an operator types it, towards the running product's edge; it asks neither
portal nor AWS.
"""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from django.core.management import call_command

from stack.ports import LOOPBACK
from tests.journeys.conftest import Product


@dataclass(frozen=True)
class Told:
    """What it says: the exit code, the status of the answer, and the first verdict's code and
    fix.
    """

    exit_code: int
    status: int
    code: str
    fix: str


def typed(product: Product, url: str, *words: str) -> Told:
    """Type the command with this address and these options."""
    lead = ["--connect-to", f"*.cloudfront.net:443:{LOOPBACK}:{product.stack.ports.edge_tls}"]
    lead += ["--allow", f"{LOOPBACK}/32", "--ca", str(product.ca_file)]

    def run() -> tuple[int, str]:
        printed = io.StringIO()
        with pytest.raises(SystemExit) as ended:
            call_command("probe", url, *lead, *words, "--json", stdout=printed)
        assert isinstance(ended.value.code, int)
        return ended.value.code, printed.getvalue()

    # It has an event loop of its own, and so may this thread.
    with ThreadPoolExecutor(1) as thread:
        exit_code, printed = thread.submit(run).result()
    (way,) = json.loads(printed)["routes"]
    head, first = way["transcript"]["response"], way["verdicts"][0]
    return Told(exit_code, head["status"] if head else 0, first["code"], first["fix"])
