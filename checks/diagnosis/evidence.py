"""What is known of one endpoint, as frozen values (PURE).

Decides only shape, and what can be read off at a glance: the status, who wrote the answer, whether
repetitions agree. It must never judge what follows from it; `claims`, `configured` and `ranking` do.
"""

from __future__ import annotations

from dataclasses import dataclass

from checks.diagnosis.access_log import LogRow
from checks.diagnosis.idle_timeout import IdleTimeout
from checks.diagnosis.status_rules import Author, author_of
from checks.diagnosis.verdicts import MEDIUM, Certainty, VerdictCode
from checks.preflight.behavior_match import BehaviorMatch
from checks.preflight.results import Fix, PreflightResult
from checks.protocol.transcript import Phase, Reason, Transcript


@dataclass(frozen=True, slots=True)
class Claim:
    """One rule's word: a code, how certain it is, what it was read from, and how it is put right in
    this account.
    """

    code: VerdictCode
    certainty: Certainty
    evidence: tuple[str, ...]
    here: Fix | None = None


@dataclass(frozen=True, slots=True)
class Observations:
    """What is known of one endpoint; only `handshake` is always there. `vpc_origin_status` is ""
    when AWS knows none, None when nobody looked; `origin_tls` tells whether the edge speaks TLS to
    its origin.
    """

    handshake: Transcript
    again: tuple[Transcript, ...] = ()
    plain_get: Transcript | None = None
    without_origin: Transcript | None = None
    other_ways: tuple[tuple[str, Transcript], ...] = ()
    behavior: BehaviorMatch | None = None
    preflight: tuple[PreflightResult, ...] = ()
    vpc_origin_status: str | None = None
    log_rows: tuple[LogRow, ...] = ()
    clocks: tuple[IdleTimeout, ...] = ()
    """The idle clocks on the way, in seconds as they run here."""
    origin_tls: bool | None = None
    looked: bool = False
    """AWS was asked, whether or not it answered."""

    @property
    def status(self) -> int:
        """The status of the handshake's answer, 0 without one."""
        return self.handshake.response.status if self.handshake.response else 0

    @property
    def wavers(self) -> bool:
        """A repetition ended otherwise than the handshake. Opened or not: what comes after the 101
        is not repeated.
        """
        return any(other.upgraded != self.handshake.upgraded for other in self.again)

    @property
    def steady(self) -> bool:
        """The handshake was repeated, and every repetition ended like it."""
        return bool(self.again) and not self.wavers

    def result(self, code: str) -> PreflightResult | None:
        """The preflight's answer to one question, if it was asked."""
        return next((found for found in self.preflight if found.code == code), None)

    @property
    def author(self) -> Author | None:
        """Who wrote the handshake's answer; None without one."""
        head = self.handshake.response
        return author_of(head, self.handshake.body)[0] if head is not None else None

    @property
    def by_app(self) -> bool:
        """The app's own word, or that of a proxy before it."""
        return self.author == "app"

    @property
    def by_edge(self) -> bool:
        """CloudFront signed it; perhaps for an origin without a Server line."""
        return self.author == "edge"

    @property
    def may_be_of_app(self) -> bool:
        """The app wrote it, as far as can be told: CloudFront signs for an app without a Server
        line.
        """
        head = self.handshake.response
        return self.by_app or (
            head is not None and author_of(head, self.handshake.body) == ("edge", MEDIUM)
        )

    @property
    def reached_target(self) -> bool:
        """The endpoint's own behavior has the path, and what is behind the edge signed the
        answer.
        """
        meant = self.behavior is not None and self.behavior.own
        return meant and self.author in ("balancer", "app") and not self.hidden

    @property
    def hidden(self) -> frozenset[int]:
        """The statuses in whose place the distribution shows a page with the one that came: who
        signed it wrote only the page.
        """
        pages = self.behavior.error_pages if self.behavior is not None else ()
        return frozenset(status for status, replaced, _ in pages if replaced == self.status)

    @property
    def takes_plain(self) -> bool:
        """Whoever is behind the edge answered a plain GET of the same path, and not with the
        handshake's own status. Where the handshakes differ, it may have met another edge.
        """
        plain = self.plain_get
        if plain is None or plain.response is None or self.wavers:
            return False
        if plain.response.get("x-cache").lower().startswith(("hit", "refreshhit")):
            return False
        behind = author_of(plain.response, plain.body)[0] in ("balancer", "app")
        return behind and plain.response.status not in (self.status, 502, 503, 504)

    @property
    def timed_out(self) -> bool:
        """The request went out and nobody answered, or CloudFront waited in vain for its origin."""
        waited = (Reason.UPGRADE_TIMEOUT, Reason.TOTAL_TIMEOUT)
        return self.status == 504 or (
            self.status == 0 and any(one.reason in waited for one in self.handshake.failures)
        )

    def failed_in(self, phase: Phase) -> bool:
        """The handshake ended in this phase, before any answer."""
        return self.status == 0 and any(
            failure.phase is phase for failure in self.handshake.failures
        )
