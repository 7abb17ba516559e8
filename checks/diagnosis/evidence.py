"""What is known of one endpoint, as frozen values (PURE).

Only shape, and what can be read off at a glance: the status, who wrote the answer, whether
repetitions agree. What follows from it is decided in the *_rules.py and in `ranking`.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from checks.diagnosis.access_log import LogRow
from checks.diagnosis.authors import Author, author_of
from checks.diagnosis.idle_timeout import IdleTimeout
from checks.diagnosis.signatures import closed_by_app, recognize
from checks.diagnosis.verdicts import MEDIUM, Certainty, VerdictCode
from checks.preflight.behavior_match import BehaviorMatch
from checks.preflight.results import Fix, PreflightResult
from checks.preflight.serving import Serving
from checks.protocol.transcript import Phase, Reason, Transcript
from provisioning.spec.app_kinds import APP_KINDS
from provisioning.spec.endpoint_spec import EndpointSpec


@dataclass(frozen=True, slots=True)
class Claim:
    """What one rule concludes: a verdict, how certain, the evidence, and the fix in this account if
    AWS's answers tell one.
    """

    code: VerdictCode
    certainty: Certainty
    evidence: tuple[str, ...]
    here: Fix | None = None


def path_of(seen: Transcript) -> str:
    """The path that a handshake asked for, as CloudFront's log has it when it is decoded."""
    return unquote(urlsplit(seen.url).path) or "/"


@dataclass(frozen=True, slots=True)
class Observations:
    """What is known of one endpoint; only `handshake` is always there.

    `vpc_origin_status` is "" when AWS knows none, None when AWS was not asked or did not answer;
    `origin_tls` says whether the edge uses TLS to its origin.
    """

    handshake: Transcript
    again: tuple[Transcript, ...] = ()
    plain_get: Transcript | None = None
    without_origin: Transcript | None = None
    origin_as_host: Transcript | None = None
    """With the Host that the app sees as Origin, where CloudFront does not forward Host."""
    other_hosts: tuple[tuple[str, Transcript], ...] = ()
    """For other names of the distribution."""
    as_browser: Transcript | None = None
    """With the header lines of a browser, where the handshake had no User-Agent."""
    routes: tuple[tuple[str, Transcript], ...] = ()
    behavior: BehaviorMatch | None = None
    preflight: tuple[PreflightResult, ...] = ()
    vpc_origin_status: str | None = None
    log_rows: tuple[LogRow, ...] = ()
    idle_timeouts: tuple[IdleTimeout, ...] = ()
    """The idle timeouts on the path, in seconds as they run here."""
    origin_tls: bool | None = None
    served: Serving | None = None
    """What gets the endpoint's paths by the distribution's present configuration, if it was read
    after a handshake that opened.
    """
    unverified: bool = False
    """That configuration could not be read."""
    looked: bool = False
    """AWS was asked, whether or not it answered."""
    path_doubt: str = ""
    usual_path: str = ""
    """What to know of the endpoint's path and what servers of its kind of app serve instead, if
    they serve another unless told otherwise.
    """

    @classmethod
    def of(cls, handshake: Transcript, spec: EndpointSpec) -> Observations:
        """A handshake, and what the endpoint's settings say of it."""
        kind = APP_KINDS[spec.app_kind]
        return cls(
            handshake,
            origin_tls=spec.origin_protocol == "https-only",
            path_doubt=kind.path_doubt(spec.path_patterns),
            usual_path=kind.usual_path,
        )

    @property
    def status(self) -> int:
        """The status of the handshake's response, 0 without one."""
        return self.handshake.response.status if self.handshake.response else 0

    @property
    def answered_elsewhere(self) -> bool:
        """The handshake opened, but the path leads to another origin than the endpoint's."""
        return self.handshake.live and self.served is not None and not self.served.own

    @property
    def refused(self) -> bool:
        """The handshake did not reach a 101."""
        return not self.handshake.upgraded

    @property
    def wavers(self) -> bool:
        """A repetition opened where the handshake did not, or the other way round. What comes after
        the 101 is not repeated.
        """
        return any(other.upgraded != self.handshake.upgraded for other in self.again)

    @property
    def steady(self) -> bool:
        """The handshake was repeated, and every repetition ended the same way."""
        return bool(self.again) and not self.wavers and not any(one.live for one in self.again)

    def result(self, code: str) -> PreflightResult | None:
        """The preflight's answer to one question, if it was asked."""
        return next((found for found in self.preflight if found.code == code), None)

    @property
    def author(self) -> Author | None:
        """Who wrote the handshake's response; None without one. Words that only an app says are an
        app's, even where CloudFront signs for it.
        """
        head = self.handshake.response
        if head is None:
            return None
        known = recognize(self.handshake)
        return known.author if known is not None else author_of(head, self.handshake.body)[0]

    @property
    def by_app(self) -> bool:
        """The app wrote it, or a proxy in front of the app."""
        return self.author == "app"

    @property
    def by_edge(self) -> bool:
        """CloudFront signed it; perhaps for an origin that sends no Server header."""
        return self.author == "edge"

    @property
    def may_be_of_app(self) -> bool:
        """The app wrote it, as far as can be told: CloudFront signs for an app that sends no Server
        header.
        """
        head = self.handshake.response
        return (
            self.by_app
            or self.unsigned_by_app
            or (head is not None and author_of(head, self.handshake.body) == ("edge", MEDIUM))
        )

    @property
    def unsigned_by_app(self) -> bool:
        """CloudFront signed an answer that is none of its pages, and AWS shows nothing at the edge
        that could have written it: no error page, web ACL or function. So the app did, without a
        Server header.
        """
        head, at = self.handshake.response, self.behavior
        return (
            head is not None
            and at is not None
            and at.own
            and author_of(head, self.handshake.body) == ("edge", MEDIUM)
            and not any(replaced == self.status for _, replaced, _ in at.error_pages)
            and not at.web_acl
            and not at.functions
        )

    @property
    def refused_by_app(self) -> bool:
        """The app may have refused the handshake: with a 4xx, or by closing what it opened."""
        return 400 <= self.status < 500 or closed_by_app(self.handshake)

    @property
    def names_no_client(self) -> bool:
        """The handshake had no User-Agent, as firewalls and bot rules want one."""
        asked = self.handshake.request
        return asked is not None and all(
            line.name.lower() != "user-agent" for line in asked.headers
        )

    @property
    def edge_may_refuse(self) -> bool:
        """Refused, and nothing behind the edge is known to have answered."""
        return self.refused and (self.author in ("edge", None) or 403 in self.hidden)

    @property
    def lacks_subprotocol(self) -> bool:
        """Subprotocols were offered, and the response names none."""
        asked, head = self.handshake.request, self.handshake.response
        offered = asked is not None and bool(asked.subprotocols)
        return (
            offered
            and head is not None
            and head.status in (101, 400)
            and not head.get("sec-websocket-protocol")
        )

    @property
    def reached_target(self) -> bool:
        """The endpoint's own behavior matches the path, and what is behind the edge signed the
        response.
        """
        own = self.behavior is not None and self.behavior.own
        return own and self.author in ("balancer", "app") and not self.hidden

    @property
    def hidden(self) -> frozenset[int]:
        """The statuses that the distribution replaces with a page of the status that came: its
        author wrote only the page.
        """
        pages = self.behavior.error_pages if self.behavior is not None else ()
        return frozenset(status for status, replaced, _ in pages if replaced == self.status)

    @property
    def takes_plain(self) -> bool:
        """Something behind the edge answered a plain GET of the same path, with another status than
        the handshake. Where the handshakes differ, the GET may have met another edge.
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
        """The request went out without an answer, or CloudFront waited for its origin in vain."""
        waited = (Reason.UPGRADE_TIMEOUT, Reason.TOTAL_TIMEOUT)
        return self.status == 504 or (
            self.status == 0 and any(one.reason in waited for one in self.handshake.failures)
        )

    def failed_in(self, phase: Phase) -> bool:
        """The handshake ended in this phase, before any answer."""
        return self.status == 0 and any(
            failure.phase is phase for failure in self.handshake.failures
        )
