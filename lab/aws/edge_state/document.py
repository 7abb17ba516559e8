"""`/_lab/state`: the document for the edge, and its version.

It costs next to nothing while nothing changes, since the edge polls several times a second.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from lab.aws.cloudfront import edge_view
from lab.aws.cloudfront.entities.lifecycle import Distribution
from lab.aws.cloudfront.service import CloudFront
from lab.aws.database import LabDatabase
from lab.aws.edge_state import certificates_and_names, load_balancers, vpcs, waf_and_api_gateway
from lab.aws.edge_state.viewer_settings import ViewerSettings
from lab.aws.moto_backend import MotoBackend
from lab.aws.moto_patches import report_target_health
from lab.clock import ClockAnchor, LabClock

_HOSTS = "hosts"
_CLOCK = "clock"
# The edge polls several times a second; after this silence it counts as gone.
EDGE_AWAY_SECONDS = 4.0
# How long a change waits for it: a busy machine may need many times its usual 0.2 seconds.
EDGE_PATIENCE_SECONDS = 10.0
_BUILDS_REMEMBERED = 20


class StateOverlay(Protocol):
    """What the lab adds to the accounts' state, such as faults. `changes` grows with every
    change.
    """

    changes: int

    def hosts(self, hosts: Mapping[str, str]) -> dict[str, str]:
        """The host map with replacements."""

    def edge_section(self) -> list[dict[str, Any]]:
        """The faults that the edge must simulate."""


def load_anchor(database: LabDatabase) -> ClockAnchor | None:
    """The clock's anchor that an earlier process stored."""
    saved = database.value(_CLOCK)
    return None if saved is None else ClockAnchor(**saved)


class EdgeState:
    """The document and its version. Also stores the clock and the host map."""

    def __init__(
        self,
        moto: MotoBackend,
        cloudfront: CloudFront,
        clock: LabClock,
        database: LabDatabase,
        overlay: StateOverlay,
        read_monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read_monotonic = read_monotonic
        self._moto = moto
        self._cloudfront = cloudfront
        self._clock = clock
        self._database = database
        self._overlay = overlay
        self._seen: tuple[int, float] = (0, 0.0)
        # When the edge last polled (monotonic), and the lab time up to which it knows everything.
        self._edge_heard, self._edge_knows = float("-inf"), 0.0
        self._built_at: dict[int, float] = {}
        cloudfront.edges_at = self.edge_knows
        # A restarted process must not reuse an old version number for another state.
        self._base = int(time.time()) * 1000
        self._own_changes = 0
        self._hosts: dict[str, str] = dict(database.value(_HOSTS) or {})
        self._viewers = ViewerSettings(database)
        self._kept: tuple[int, bytes] | None = None
        self._fragments: dict[str, tuple[tuple[str, str, str], str]] = {}
        self.save_clock()

    def version(self) -> int:
        """The current version of the document."""
        self._cloudfront.settle()
        return (
            self._base
            + self._moto.changes
            + self._cloudfront.version
            + self._overlay.changes
            + self._own_changes
        )

    def document(self, known: int | None, *, follows: bool = False) -> bytes | None:
        """The document as JSON; None if the caller has the current version. `follows`: the caller
        is the edge, and serves by the version it names.
        """
        now, version = self._clock.now(), self.version()
        if known is not None:
            self._seen = (known, time.monotonic())
        if follows:
            self._hear(now if known == version else self._built_at.get(known or 0, 0.0))
        if version == known:
            return None
        with self._moto.lock:
            now, version = self._clock.now(), self.version()
            if self._kept is None or self._kept[0] != version:
                self._kept = (version, self._build(version))
                self._built_at = {
                    version: now,
                    **dict(list(self._built_at.items())[:_BUILDS_REMEMBERED]),
                }
            return self._kept[1]

    def edge_knows(self) -> float:
        """The lab time up to which the edge knows everything; now, if no edge polls."""
        gone = self._read_monotonic() - self._edge_heard > EDGE_AWAY_SECONDS
        return self._clock.now() if gone else self._edge_knows

    def _hear(self, until: float) -> None:
        # An edge that restarts or returns must not take back what was shown as Deployed.
        before = self.edge_knows()
        self._edge_heard = self._read_monotonic()
        self._edge_knows = max(before, until)

    def wait_for_edge(self) -> bool:
        """Wait until the edge has applied the current version; False if there is no edge, or it
        takes longer than EDGE_PATIENCE_SECONDS.
        """
        version, deadline = self.version(), time.monotonic() + EDGE_PATIENCE_SECONDS
        while time.monotonic() < deadline and time.monotonic() - self._seen[1] < EDGE_AWAY_SECONDS:
            if self._seen[0] >= version:
                return True
            time.sleep(0.02)
        return False

    def save_clock(self) -> None:
        """Store the clock's anchor, so that lab time never runs backwards after a restart."""
        anchor = self._clock.anchor
        with self._moto.lock, self._database.transaction():
            self._database.put_value(
                _CLOCK,
                {
                    "lab": anchor.lab,
                    "real": anchor.real,
                    "scale": anchor.scale,
                    "offset": anchor.offset,
                },
            )

    def advance_clock(self, seconds: float) -> None:
        """Advance lab time.

        :raises ValueError: negative.
        """
        self._clock.advance(seconds)
        self._own_changes += 1
        self.save_clock()

    def run_clock_at(self, scale: float) -> None:
        """Change the speed of lab time until the process restarts.

        :raises ValueError: out of range.
        """
        self._clock.run_at(scale)
        self._own_changes += 1
        self.save_clock()

    def set_hosts(self, hosts: dict[str, str]) -> None:
        """Add or replace entries of the map from simulated to real addresses; an empty value
        removes one.
        """
        with self._moto.lock, self._database.transaction():
            self._hosts = {name: where for name, where in {**self._hosts, **hosts}.items() if where}
            self._database.put_value(_HOSTS, self._hosts)
            self._own_changes += 1

    def hosts(self) -> dict[str, str]:
        """The map from simulated to real addresses."""
        return dict(self._hosts)

    def take_target_health(self, targets: list[dict[str, Any]]) -> bool:
        """Store the results of the edge's health checks; whether they have changed.

        :raises KeyError, TypeError, ValueError, AttributeError: an entry is malformed.
        """
        with self._moto.lock:
            news = report_target_health(targets)
            self._own_changes += news
        return news

    def viewers(self) -> dict[str, Any]:
        """Settings for viewers and log rows."""
        return self._viewers.document()

    def set_viewers(self, given: dict[str, Any]) -> None:
        """Change settings for viewers and log rows.

        :raises ValueError: an invalid setting.
        """
        with self._moto.lock, self._database.transaction():
            self._viewers.change(given)
            self._own_changes += 1

    def _build(self, version: int) -> bytes:
        """Distributions are most of it, and few change at a time: their JSON is cached per served
        revision.
        """
        now = self._clock.now()
        store = self._cloudfront.store
        rest = {
            **edge_view.sections(store, now),
            **load_balancers.sections(),
            **vpcs.sections(),
            **certificates_and_names.sections(),
            **waf_and_api_gateway.sections(),
            "hosts": self._overlay.hosts(self._hosts),
            "faults": self._overlay.edge_section(),
            "settings": self._viewers.document(),
        }
        distributions = ",".join(
            self._distribution(entity, now) for _, entity in sorted(store.distributions.items())
        )
        self._fragments = {
            key: kept for key, kept in self._fragments.items() if key in store.distributions
        }
        clock = json.dumps(self._clock.reading())
        return (
            f'{{"version":{version},"clock":{clock},"distributions":[{distributions}],'
            f"{json.dumps(rest)[1:]}"
        ).encode()

    def _distribution(self, distribution: Distribution, now: float) -> str:
        serving = distribution.serving(now)
        status = distribution.status(now)
        key = (distribution.latest.etag, serving.etag if serving else "", status)
        kept = self._fragments.get(distribution.id)
        if kept is None or kept[0] != key:
            shown = (serving or distribution.latest).config
            served: dict[str, Any] = {
                "account": distribution.account,
                "id": distribution.id,
                "domain": distribution.domain,
                "enabled": bool(shown["Enabled"]),
                "staging": bool(shown.get("Staging")),
                "continuous_deployment_policy_id": shown.get("ContinuousDeploymentPolicyId")
                or None,
                "status": status,
                "config": serving.config if serving else None,
            }
            kept = (key, json.dumps(served))
            self._fragments[distribution.id] = kept
        return kept[1]
