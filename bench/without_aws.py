"""A check and its investigation as the portal makes them, without a look at AWS.

Imported by confusion.py once the environment of its stack is set, since the portal's settings are
read on import.
"""

from __future__ import annotations

import django
from django.apps import apps

if not apps.ready:
    django.setup()

from checks.actions import probe_network
from checks.aws_view import AwsView
from checks.diagnosis.evidence import Observations
from checks.diagnosis.ranking import Conclusion
from checks.investigate import investigate
from checks.probe.prober import probe_blocking
from checks.protocol.handshake_options import ProbeTarget
from checks.protocol.script import Script
from checks.protocol.transcript import Transcript


def explain(url: str) -> Conclusion:
    """What is concluded from the usual handshake of a browser at this address."""
    network, origin = probe_network(), url.replace("wss://", "https://").partition("/ws")[0]
    target = ProbeTarget(url, origin=origin)

    def probe(asked: ProbeTarget, script: Script) -> Transcript:
        return probe_blocking(asked, network=network, script=script)

    return investigate(
        Observations(probe(target, Script())),
        target=target,
        probe=lambda asked: probe(asked, Script.handshake_only()),
        repeat=lambda asked: probe(asked, Script()),
        look=AwsView,
        routes={},
    ).conclusion
