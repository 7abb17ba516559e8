"""Everything that is known, weighed: what confirms a cause, what rules it out, what lies behind,
what to probe next.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from checks.diagnosis.access_log import parse_log_rows
from checks.diagnosis.evidence import Observations
from checks.diagnosis.idle_timeout import usual_timeouts
from checks.diagnosis.probe_kinds import ProbeKind
from checks.diagnosis.ranking import rank_verdicts
from checks.diagnosis.verdicts import VERDICTS, VerdictCode
from checks.preflight import Fix, Level, PreflightResult
from checks.preflight.behavior_match import BehaviorMatch, match_behavior
from checks.protocol.transcript import Failure, Phase, Reason, StepSeen, Timing, Transcript
from provisioning.facts.forwarding import MANAGED_REQUEST_POLICIES, Forwarding, Selection
from tests.checks.seen import GOOD, answered, failed, live, request_to
from tests.provisioning.examples import spec

EDGE = "Server: CloudFront\r\nX-Cache: Error from cloudfront\r\nX-Amz-Cf-Id: abc\r\n"
APP = "Server: uvicorn\r\nX-Cache: Error from cloudfront\r\nX-Amz-Cf-Id: abc\r\n"
ALB = "Server: awselb/2.0\r\nX-Cache: Error from cloudfront\r\nX-Amz-Cf-Id: abc\r\n"
ORIGIN = request_to(origin="https://d111.cloudfront.net")
ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"
DISABLED_CACHE = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"

GOOD_CONFIG = {
    "Enabled": True,
    "Aliases": {"Quantity": 1, "Items": ["chat.example.com"]},
    "Origins": {
        "Quantity": 1,
        "Items": [
            {
                "Id": "ours",
                "DomainName": "internal-a.elb",
                "VpcOriginConfig": {"VpcOriginId": "vo_1"},
            }
        ],
    },
    "CacheBehaviors": {
        "Quantity": 1,
        "Items": [
            {
                "PathPattern": "/ws",
                "TargetOriginId": "ours",
                "ViewerProtocolPolicy": "https-only",
                "CachePolicyId": DISABLED_CACHE,
                "OriginRequestPolicyId": ALL_VIEWER,
            }
        ],
    },
    "DefaultCacheBehavior": {"TargetOriginId": "ours", "ViewerProtocolPolicy": "allow-all"},
}


def refused(status: int, headers: str = EDGE, body: str = "") -> Transcript:
    return answered(f"HTTP/1.1 {status} Refused\r\n{headers}", request=ORIGIN, body=body)


def served(*, path: str = "/ws", **changes: object) -> BehaviorMatch:
    """How the good distribution serves a path, with some of it changed."""
    found = match_behavior(
        GOOD_CONFIG,
        domain_name="d111.cloudfront.net",
        status="Deployed",
        host="d111.cloudfront.net",
        path=path,
        own_patterns=("/ws", "/ws/*"),
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def asked(code: str, level: Level, seen: str = "so says AWS") -> PreflightResult:
    return PreflightResult(code, level, seen)


ALL_PASS = tuple(
    asked(code, Level.PASS)
    for code in ("PF-INGRESS", "PF-BPA", "PF-NACL", "PF-LISTENER", "PF-CERTIFICATE")
)
WITHOUT_KEY = match_behavior(
    {
        **GOOD_CONFIG,
        "CacheBehaviors": {
            "Items": [{**GOOD_CONFIG["CacheBehaviors"]["Items"][0], "OriginRequestPolicyId": ""}],  # type: ignore[index]
        },
    },
    domain_name="d111.cloudfront.net",
    status="Deployed",
    host="d111.cloudfront.net",
    path="/ws",
)

SHOWN = [
    # what came, what else is known, and the verdict that is then certain
    (refused(504), {"preflight": (asked("PF-INGRESS", Level.FIXABLE),)}, "WSE-504-SG"),
    (refused(504), {"preflight": (asked("PF-BPA", Level.BLOCK),)}, "WSE-504-BPA"),
    (refused(502), {"preflight": (asked("PF-LISTENER", Level.BLOCK),)}, "WSE-502-PORT"),
    (refused(502), {"preflight": (asked("PF-CERTIFICATE", Level.BLOCK),)}, "WSE-502-TLS"),
    (refused(502), {"vpc_origin_status": "Deploying"}, "WSE-502-VPCORIGIN"),
    (refused(502), {"vpc_origin_status": ""}, "WSE-502-VPCORIGIN"),
    (refused(503, ALB), {"preflight": (asked("PF-HEALTH", Level.WARN),)}, "WSE-503-NOTARGET"),
    (
        refused(301, ALB + "Location: https://internal-a.elb:443/ws\r\n"),
        {"preflight": (asked("PF-ACTION", Level.BLOCK),), "behavior": WITHOUT_KEY},
        "WSE-301-LOOP",
    ),
    (refused(400, APP), {"behavior": WITHOUT_KEY}, "WSE-400-NOKEY"),
    (refused(426, APP), {"behavior": WITHOUT_KEY}, "WSE-400-NOKEY"),
    (refused(404, APP), {"behavior": served(path="/elsewhere")}, "WSE-PATH"),
    (refused(200, "Content-Type: text/html\r\n"), {"behavior": served(path="/wsx")}, "WSE-PATH"),
    (
        refused(200, "Content-Type: text/html\r\n"),
        {"behavior": served(error_pages=((404, 200, "/index.html"),))},
        "WSE-200-SPA",
    ),
    (
        answered(f"HTTP/1.1 403 No\r\n{EDGE}", url="ws://d111.cloudfront.net/ws"),
        {"behavior": served()},
        "WSE-403-VIEWER",
    ),
    (refused(403), {"behavior": served(enabled=False)}, "WSE-403-DISABLED"),
    (refused(403), {"behavior": served(knows_host=False)}, "WSE-403-ALIAS"),
    (
        refused(403, body="<Code>MissingKey</Code>"),
        {"behavior": served(signed=True)},
        "WSE-403-SIGNED",
    ),
    (
        refused(403, body="block access from your country"),
        {"behavior": served(geo_restricted=True)},
        "WSE-403-GEO",
    ),
    (refused(403, body="Request blocked."), {"behavior": served(web_acl="arn:waf")}, "WSE-403-WAF"),
    (
        refused(403, APP),
        {"without_origin": live(), "again": (refused(403, APP),) * 2},
        "WSE-403-ORIGIN",
    ),
    (refused(404, APP), {"routes": (("direct", refused(404, APP)),)}, "WSE-404-PATH"),
    (refused(504), {"again": (live(), refused(504))}, "WSE-MIXED"),
    (live(), {"again": (refused(504), live())}, "WSE-MIXED"),
    (
        refused(403, APP),
        {"without_origin": live(), "again": (refused(403, APP), live())},
        "WSE-MIXED",
    ),
    (refused(403), {"without_origin": live(), "again": (live(), live())}, "WSE-MIXED"),
    (refused(502), {"plain_get": refused(404, APP), "again": (live(), refused(502))}, "WSE-MIXED"),
    (
        refused(404, APP),
        {"routes": (("direct", refused(404, APP)),), "again": (live(), live())},
        "WSE-MIXED",
    ),
]


@pytest.mark.parametrize(
    ("handshake", "known", "code"), SHOWN, ids=[f"{n}-{row[2]}" for n, row in enumerate(SHOWN)]
)
def test_what_is_shown_is_certain_and_comes_first(
    handshake: Transcript, known: dict[str, object], code: str
) -> None:
    conclusion = rank_verdicts(Observations(handshake, looked=True, **known))  # type: ignore[arg-type]
    assert (conclusion.first.code, conclusion.first.certainty) == (code, "high"), (
        conclusion.diagnoses
    )
    assert conclusion.first.evidence


SLOW = replace(live(), timing=Timing(upgrade=35_000.0))
PATIENT = replace(refused(504), timing=Timing(upgrade=30_000.0))


@pytest.mark.parametrize(
    ("handshake", "way", "code"),
    [
        (PATIENT, live(), "WSE-504-SG"),
        (PATIENT, SLOW, "WSE-504-SLOW"),
        (refused(502), live(), "WSE-502-ORIGIN"),
    ],
)
def test_a_way_past_the_edge_that_opens_is_evidence_of_where_it_fails(
    handshake: Transcript, way: Transcript, code: VerdictCode
) -> None:
    found = rank_verdicts(Observations(handshake, looked=True, routes=(("direct", way),))).diagnoses
    told = {
        one.code: one for one in found if any("the route direct" in line for line in one.evidence)
    }
    assert list(told) == [code]
    assert told[code].certainty == "medium"


WAVERING = [
    (refused(403), {"without_origin": live()}),
    (refused(403, APP, "this Origin is not allowed"), {"without_origin": live()}),
    (refused(404, APP), {}),
    (refused(502, ALB), {}),
    (refused(502), {"plain_get": refused(404, APP)}),
    (refused(404, APP), {"routes": (("direct", refused(404, APP)),)}),
    (refused(403, body="Request blocked. Generated by cloudfront"), {}),
]


@pytest.mark.parametrize(("handshake", "known"), WAVERING)
@pytest.mark.parametrize("settled", [True, False])
def test_where_answers_differ_no_single_one_is_believed(
    handshake: Transcript, known: dict[str, object], settled: bool
) -> None:
    again = (handshake, live(), handshake)
    seen = Observations(
        handshake,
        looked=True,
        again=again,
        behavior=served(status="Deployed" if settled else "InProgress"),
    )
    conclusion = rank_verdicts(replace(seen, **known))  # type: ignore[arg-type]
    assert (conclusion.first.code, conclusion.first.certainty) == (
        "WSE-MIXED",
        "medium" if settled else "high",
    )
    assert "high" not in [found.certainty for found in conclusion.diagnoses[1:]], (
        conclusion.diagnoses
    )


def test_a_handshake_that_opens_without_origin_is_repeated_before_the_app_is_blamed() -> None:
    once = rank_verdicts(Observations(refused(403), looked=True, without_origin=live()))
    assert (once.first.code, once.first.certainty) == ("WSE-403-ORIGIN", "medium")
    assert once.next_probe is ProbeKind.AGAIN


SPA = ((403, 200, "/index.html"), (404, 200, "/index.html"))


@pytest.mark.parametrize(
    ("handshake", "known", "codes"),
    [
        (
            refused(502),
            {"preflight": (asked("PF-LISTENER", Level.BLOCK),)},
            ["WSE-502-PORT", "WSE-200-SPA"],
        ),
        (
            refused(504),
            {"preflight": (asked("PF-BPA", Level.BLOCK),)},
            ["WSE-504-BPA", "WSE-200-SPA"],
        ),
        (refused(404, APP), {}, ["WSE-404-PATH", "WSE-200-SPA"]),
        (live(), {}, ["WSE-LIVE"]),
    ],
)
def test_pages_in_place_of_errors_wait_behind_another_failure(
    handshake: Transcript, known: dict[str, object], codes: list[str]
) -> None:
    seen = Observations(handshake, looked=True, behavior=served(error_pages=SPA), **known)  # type: ignore[arg-type]
    assert [found.code for found in rank_verdicts(seen).diagnoses][: len(codes)] == codes
    kept = rank_verdicts(replace(seen, behavior=served(error_pages=((404, 404, "/lost.html"),))))
    assert "WSE-200-SPA" not in [found.code for found in kept.diagnoses], (
        "an error that stays an error hides nothing"
    )


CLOSED = (asked("PF-INGRESS", Level.FIXABLE), asked("PF-LISTENER", Level.BLOCK))
HELD = replace(live(), failures=(Failure(Phase.ECHO, Reason.NO_ECHO, "x"),))
GEO = "configured to block access from your country"
LOGIN = refused(302, ALB + "Location: https://pool.auth.amazoncognito.com/login?x=1\r\n")
NO_CAUSE = [
    # What somebody behind the edge answered, the edge let pass and the network did not drop.
    (refused(403, APP), {"behavior": served(signed=True)}, "WSE-403-SIGNED"),
    (refused(403, ALB), {"behavior": served(signed=True)}, "WSE-403-SIGNED"),
    (refused(403, APP), {"behavior": served(enabled=False)}, "WSE-403-DISABLED"),
    (refused(404, APP), {"behavior": served(enabled=False, knows_host=False)}, "WSE-403-ALIAS"),
    (refused(403, APP, GEO), {"behavior": served(geo_restricted=True)}, "WSE-403-GEO"),
    (refused(403, APP, "Request blocked"), {"behavior": served(web_acl="arn:waf")}, "WSE-403-WAF"),
    (refused(404, APP), {"behavior": served(), "preflight": CLOSED}, "WSE-504-SG"),
    (refused(503, ALB), {"behavior": served(), "preflight": CLOSED}, "WSE-502-PORT"),
    (refused(404, ALB), {"behavior": WITHOUT_KEY}, "WSE-400-NOKEY"),
    (HELD, {"preflight": CLOSED, "behavior": WITHOUT_KEY}, "WSE-504-SG"),
    (HELD, {"behavior": served(enabled=False)}, "WSE-403-DISABLED"),
    # Nobody was asked: what would have happened then is no cause.
    (failed(Phase.DNS, Reason.DNS_FAILURE), {"preflight": CLOSED}, "WSE-504-SG"),
    (
        failed(Phase.TLS, Reason.TLS_EXPIRED),
        {"preflight": CLOSED, "behavior": served(enabled=False)},
        "WSE-504-SG",
    ),
    (
        failed(Phase.TCP, Reason.CONNECT_REFUSED),
        {"behavior": served(knows_host=False)},
        "WSE-403-ALIAS",
    ),
    # What only has the same status.
    (refused(403), {"behavior": served()}, "WSE-403-VIEWER"),
    (
        refused(502, ALB),
        {"plain_get": answered("HTTP/1.1 200 OK\r\nServer: uvicorn\r\n")},
        "WSE-502-2025",
    ),
    (LOGIN, {"preflight": (asked("PF-ACTION", Level.WARN),)}, "WSE-301-LOOP"),
    (
        refused(503, ALB, "maintenance"),
        {"preflight": (asked("PF-HEALTH", Level.WARN),)},
        "WSE-503-NOTARGET",
    ),
]


@pytest.mark.parametrize(
    ("handshake", "known", "code"), NO_CAUSE, ids=[f"{n}-{r[2]}" for n, r in enumerate(NO_CAUSE)]
)
def test_nothing_is_certain_that_the_answer_itself_rules_out(
    handshake: Transcript, known: dict[str, object], code: str
) -> None:
    found = rank_verdicts(Observations(handshake, looked=True, **known)).diagnoses  # type: ignore[arg-type]
    assert found[0].code != code
    assert (code, "high") not in [(one.code, one.certainty) for one in found]


NGINX = APP.replace("uvicorn", "nginx")
ON_THE_WAY = [
    # what AWS says against the way, and who signed the answer that came all the same
    (504, ALB, "PF-NACL", Level.WARN, "WSE-504-NACL"),
    (504, ALB, "PF-BPA", Level.BLOCK, "WSE-504-BPA"),
    (504, NGINX, "PF-INGRESS", Level.BLOCK, "WSE-504-SG"),
    (503, ALB, "PF-STATE", Level.WARN, "WSE-502-VPCORIGIN"),
    (502, ALB, "PF-LISTENER", Level.BLOCK, "WSE-502-PORT"),
    (502, ALB, "PF-CERTIFICATE", Level.BLOCK, "WSE-502-TLS"),
]


@pytest.mark.parametrize(
    ("status", "signed", "question", "level", "code"), ON_THE_WAY, ids=[r[4] for r in ON_THE_WAY]
)
def test_who_signed_the_answer_was_reached_whatever_aws_says_against_the_way(
    status: int, signed: str, question: str, level: Level, code: str
) -> None:
    def certainty_of(headers: str, behavior: BehaviorMatch | None) -> str | None:
        shown = (asked(question, level),)
        known = Observations(
            refused(status, headers), looked=True, behavior=behavior, preflight=shown
        )
        return next(
            (found.certainty for found in rank_verdicts(known).diagnoses if found.code == code),
            None,
        )

    assert certainty_of(signed, served()) is None
    # Whose origin signed it is not known here, or it was another one: the target may be out of
    # reach all the same.
    for elsewhere in (None, served(path="/elsewhere")):
        assert certainty_of(signed, elsewhere) == ("low" if level is Level.WARN else "medium")
    if code == "WSE-502-VPCORIGIN":
        through = Observations(
            refused(status, signed), looked=True, behavior=served(), vpc_origin_status="Deploying"
        )
        assert code not in [found.code for found in rank_verdicts(through).diagnoses]
    # A page in place of an error is signed by who wrote the page.
    page = served(error_pages=((status, status, "/sorry.html"),))
    assert certainty_of(signed, page) == certainty_of(EDGE, served()) is not None


@pytest.mark.parametrize(
    ("status", "question", "code", "warned"),
    [
        (504, "PF-BPA", "WSE-504-BPA", "medium"),
        (504, "PF-NACL", "WSE-504-NACL", "medium"),
        (502, "PF-STATE", "WSE-502-VPCORIGIN", "low"),
    ],
)
def test_what_aws_only_warns_of_may_be_the_cause_and_what_it_blocks_is(
    status: int, question: str, code: str, warned: str
) -> None:
    for level, certainty in ((Level.WARN, warned), (Level.BLOCK, "high")):
        conclusion = rank_verdicts(
            Observations(refused(status), looked=True, preflight=(asked(question, level),))
        )
        assert (code, certainty) in [
            (found.code, found.certainty) for found in conclusion.diagnoses
        ]
        assert (conclusion.next_probe is None) is (level is Level.BLOCK)


@pytest.mark.parametrize(
    ("question", "code"), [("PF-BPA", "WSE-504-BPA"), ("PF-NACL", "WSE-504-NACL")]
)
def test_a_security_group_that_is_open_steps_back_behind_what_aws_warns_of(
    question: str, code: str
) -> None:
    warned = tuple(asked(one.code, Level.WARN) if one.code == question else one for one in ALL_PASS)
    found = rank_verdicts(Observations(refused(504), looked=True, preflight=warned)).diagnoses
    assert (found[0].code, found[0].certainty) == (code, "medium")
    assert "WSE-504-SG" not in [one.code for one in found]
    unseen = tuple(
        asked(one.code, Level.UNKNOWN) if one.code == question else one for one in ALL_PASS
    )
    assert (
        rank_verdicts(Observations(refused(504), looked=True, preflight=unseen)).first.code
        == "WSE-504-SG"
    )


BEHIND_AN_ANSWER = [
    (
        refused(404, ALB, "no such place"),
        {"preflight": (asked("PF-RULES", Level.WARN),)},
        "WSE-ALB-RULE",
    ),
    (refused(200, ALB), {"preflight": (asked("PF-ACTION", Level.WARN),)}, "WSE-ALB-RULE"),
    (failed(Phase.UPGRADE, Reason.UPGRADE_TIMEOUT), {"preflight": CLOSED}, "WSE-504-SG"),
    (
        failed(Phase.DNS, Reason.DNS_FAILURE),
        {"behavior": served(enabled=False)},
        "WSE-403-DISABLED",
    ),
    (
        failed(Phase.TLS, Reason.TLS_NAME_MISMATCH),
        {"behavior": served(knows_host=False)},
        "WSE-403-ALIAS",
    ),
    (
        refused(400, "Server: CloudFront\r\n", "Bad Request"),
        {"behavior": WITHOUT_KEY},
        "WSE-400-NOKEY",
    ),
]


@pytest.mark.parametrize(
    ("handshake", "known", "code"),
    BEHIND_AN_ANSWER,
    ids=[f"{n}-{r[2]}" for n, r in enumerate(BEHIND_AN_ANSWER)],
)
def test_aws_makes_certain_what_the_answer_leaves_open(
    handshake: Transcript, known: dict[str, object], code: str
) -> None:
    assert rank_verdicts(Observations(handshake)).next_probe is not None, "AWS is asked"
    first = rank_verdicts(Observations(handshake, looked=True, **known)).first  # type: ignore[arg-type]
    assert (first.code, first.certainty) == (code, "high")


def test_what_aws_does_not_show_stays_a_suggestion() -> None:
    alike = rank_verdicts(
        Observations(refused(403, APP), looked=True, without_origin=refused(403, APP))
    )
    assert (alike.first.code, alike.first.certainty) == ("WSE-403-APP", "medium")
    assert "WSE-403-ORIGIN" not in [found.code for found in alike.diagnoses]
    alone = rank_verdicts(Observations(refused(504), looked=True))
    assert (alone.first.code, alone.first.certainty) == ("WSE-504-SG", "medium")
    ruled_out = rank_verdicts(Observations(refused(504), looked=True, preflight=ALL_PASS))
    assert ruled_out.first.code == "WSE-504-SLOW"
    assert "WSE-504-SG" not in [found.code for found in ruled_out.diagnoses]


@pytest.mark.parametrize(
    "question", ["PF-INGRESS", "PF-NACL", "PF-BPA", "PF-LISTENER", "PF-HEALTH"]
)
def test_what_aws_shows_brings_the_fix_with_this_accounts_own_names(question: str) -> None:
    fix = Fix("EC2 > sg-1", "aws ec2 … --group-id sg-1", 'security_group_id = "sg-1"')
    shown = (PreflightResult(question, Level.BLOCK, "so says AWS", fix=fix),)
    answer = refused(503, ALB) if question == "PF-HEALTH" else refused(504)
    first = rank_verdicts(Observations(answer, looked=True, preflight=shown)).first
    assert (first.certainty, first.here) == ("high", fix)
    assert Fix.from_dict(first.to_dict()["here"]) == fix
    guessed = rank_verdicts(Observations(answer, looked=True)).first
    assert (guessed.here, guessed.to_dict()["here"]) == (None, None)


def test_what_is_put_right_in_the_request_is_not_told_of_an_endpoint_that_is_built() -> None:
    shown = PreflightResult(
        "PF-CERTIFICATE", Level.BLOCK, "so says AWS", fix=Fix("In this request: …")
    )
    first = rank_verdicts(
        Observations(refused(502), looked=True, origin_tls=True, preflight=(shown,))
    ).first
    assert (first.code, first.certainty, first.here) == ("WSE-502-TLS", "high", None)


def test_a_certificate_that_acm_calls_right_may_not_be_the_one_that_is_shown() -> None:
    unhealthy = (*ALL_PASS, asked("PF-HEALTH", Level.WARN))
    first = rank_verdicts(
        Observations(refused(502), looked=True, origin_tls=True, preflight=unhealthy)
    ).first
    assert (first.code, first.certainty) == ("WSE-502-TLS", "medium")


def test_a_503_of_the_app_is_not_a_missing_target() -> None:
    unhealthy = (asked("PF-HEALTH", Level.WARN),)
    conclusion = rank_verdicts(Observations(refused(503, APP), looked=True, preflight=unhealthy))
    assert conclusion.first.code == "WSE-503-APP"
    refuses = rank_verdicts(Observations(refused(401, APP), looked=True, preflight=unhealthy))
    assert [found.code for found in refuses.diagnoses] == ["WSE-401-AUTH"], (
        "an app that answers is a target"
    )


def test_a_socket_cut_while_it_is_held_names_the_clock_that_fits() -> None:
    cut = replace(
        live(),
        steps=(StepSeen("hold 20", False, 5.0, 10_050.0, "the connection ended"),),
        failures=(Failure(Phase.SCRIPT, Reason.ABNORMAL_CLOSE, "no close frame"),),
    )
    known = rank_verdicts(
        Observations(
            cut, looked=True, idle_timeouts=usual_timeouts(alb=60, pace=6), again=(live(), live())
        )
    )
    assert (known.first.code, known.first.certainty) == ("WSE-IDLE-ALB", "high")
    unknown = rank_verdicts(
        Observations(
            cut, looked=True, idle_timeouts=usual_timeouts(alb=4000), again=(live(), live())
        )
    )
    assert unknown.first.code == "WSE-1006"
    # The time for the whole script was over, and nobody answered the close: the socket was not cut.
    over = (
        Failure(Phase.SCRIPT, Reason.UNEXPECTED, "hold 20"),
        Failure(Phase.CLOSE, Reason.ABNORMAL_CLOSE, "no close"),
    )
    ours = rank_verdicts(
        Observations(
            replace(cut, failures=over), looked=True, idle_timeouts=usual_timeouts(alb=60, pace=6)
        )
    )
    assert "WSE-IDLE-ALB" not in [found.code for found in ours.diagnoses]


def test_an_unknown_answer_rules_nothing_out_and_shows_nothing() -> None:
    unknown = tuple(asked(code, Level.UNKNOWN) for code in ("PF-INGRESS", "PF-BPA", "PF-NACL"))
    conclusion = rank_verdicts(Observations(refused(504), looked=True, preflight=unknown))
    assert (conclusion.first.code, conclusion.first.certainty) == ("WSE-504-SG", "medium")


def test_a_page_may_hide_that_a_web_acl_refused() -> None:
    page = refused(200, "Content-Type: text/html\r\n")
    hidden = rank_verdicts(
        Observations(page, looked=True, behavior=served(error_pages=SPA, web_acl="arn:waf"))
    ).diagnoses
    assert [(found.code, found.certainty) for found in hidden[:2]] == [
        ("WSE-200-SPA", "high"),
        ("WSE-403-WAF", "low"),
    ]
    other = served(error_pages=((404, 200, "/index.html"),), web_acl="arn:waf")
    assert "WSE-403-WAF" not in [
        found.code for found in rank_verdicts(Observations(page, behavior=other)).diagnoses
    ]


def test_an_apps_own_redirect_is_not_the_listeners() -> None:
    elsewhere = refused(302, APP + "Location: https://login.example.com/\r\n")
    first = rank_verdicts(
        Observations(elsewhere, looked=True, preflight=(asked("PF-ACTION", Level.WARN),))
    ).first
    assert first.code == "WSE-3XX-APP"


def test_a_second_cause_that_lies_behind_the_first_is_named_after_it() -> None:
    both = rank_verdicts(
        Observations(
            refused(504),
            looked=True,
            behavior=WITHOUT_KEY,
            preflight=(asked("PF-INGRESS", Level.FIXABLE), *ALL_PASS[1:]),
        )
    )
    assert [found.code for found in both.diagnoses[:2]] == ["WSE-504-SG", "WSE-400-NOKEY"]
    assert [found.certainty for found in both.diagnoses[:2]] == ["high", "medium"]


def test_what_a_request_meets_first_comes_first() -> None:
    both = rank_verdicts(
        Observations(
            refused(504),
            looked=True,
            preflight=(asked("PF-INGRESS", Level.FIXABLE), asked("PF-BPA", Level.BLOCK)),
        )
    )
    assert [found.code for found in both.diagnoses[:2]] == ["WSE-504-BPA", "WSE-504-SG"]


def test_a_live_endpoint_has_no_finding_whatever_aws_says() -> None:
    conclusion = rank_verdicts(
        Observations(
            live(),
            behavior=served(web_acl="arn:waf", geo_restricted=True),
            preflight=(asked("PF-NACL", Level.WARN),),
        )
    )
    assert [found.code for found in conclusion.diagnoses] == ["WSE-LIVE"]
    assert conclusion.next_probe is None


def test_a_subprotocol_that_a_policy_drops_is_told_from_one_the_app_does_not_speak() -> None:
    wanted = answered(GOOD, request=request_to(subprotocols=("chat.v1",)))
    assert (
        rank_verdicts(Observations(wanted, behavior=WITHOUT_KEY)).diagnoses[1].code
        == "WSE-101-POLICY"
    )
    assert (
        rank_verdicts(Observations(wanted, behavior=served())).diagnoses[1].code
        == "WSE-101-NOSUBPROTOCOL"
    )


def test_the_upgrade_alone_failing_is_the_failure_of_2025() -> None:
    seen = Observations(
        refused(502),
        looked=True,
        plain_get=answered("HTTP/1.1 200 OK\r\nServer: uvicorn\r\n"),
        behavior=served(),
    )
    assert (rank_verdicts(seen).first.code, rank_verdicts(seen).first.certainty) == (
        "WSE-502-2025",
        "medium",
    )
    rows = parse_log_rows(
        '{"x-edge-request-id": "abc", "sc-status": "502", "x-edge-detailed-result-type": '
        '"OriginDnsError"}'
    )
    certain = rank_verdicts(replace(seen, log_rows=rows))
    assert (certain.first.code, certain.first.certainty) == ("WSE-502-2025", "high")
    everything = replace(seen, plain_get=refused(502))
    assert "WSE-502-2025" not in [found.code for found in rank_verdicts(everything).diagnoses]


@pytest.mark.parametrize(
    ("detail", "status", "code"),
    [
        ("OriginDnsError", 502, "WSE-502-DNS"),
        ("ClientGeoBlocked", 403, "WSE-403-GEO"),
        ("InvalidRequestMethod", 403, "WSE-403-METHOD"),
        ("CapacityExceeded", 503, "WSE-503-EDGE"),
        ("NonS3OriginDnsError", 502, "WSE-502-DNS"),
        ("InvalidRequestCertificate", 421, "WSE-421-DOMAIN"),
        ("LambdaExecutionError", 502, "WSE-EDGE-FUNCTION"),
    ],
)
def test_the_row_of_this_very_request_is_certain_and_that_of_another_is_not(
    detail: str, status: int, code: str
) -> None:
    def row(request_id: str) -> str:
        return (
            f'{{"x-edge-request-id":"{request_id}","sc-status":"{status}",'
            f'"x-edge-detailed-result-type":"{detail}"}}'
        )

    ours = rank_verdicts(
        Observations(refused(status), looked=True, log_rows=parse_log_rows(row("abc")))
    )
    assert (ours.first.code, ours.first.certainty) == (code, "high")
    other = rank_verdicts(
        Observations(refused(status), looked=True, log_rows=parse_log_rows(row("xyz")))
    )
    assert other.first.certainty != "high"


HINTS = [
    # a row, the answer that came, what is known besides, and the first verdict: never certain of
    # one of several causes
    ('"sc-status":"504","x-edge-detailed-result-type":"OriginCommError"', 504, {}, "WSE-504-SG"),
    (
        '"sc-status":"504","x-edge-detailed-result-type":"OriginCommError"',
        504,
        {"preflight": ALL_PASS},
        "WSE-504-SLOW",
    ),
    (
        '"sc-status":"502","x-edge-detailed-result-type":"OriginCommError"',
        502,
        {"origin_tls": False},
        "WSE-502-ORIGIN",
    ),
    (
        '"sc-status":"502","x-edge-detailed-result-type":"OriginConnectError"',
        502,
        {},
        "WSE-502-PORT",
    ),
    (
        '"sc-status":"502","x-edge-detailed-result-type":"OriginReadError"',
        502,
        {"origin_tls": False},
        "WSE-502-ORIGIN",
    ),
    (
        '"sc-status":"403","x-edge-detailed-result-type":"InvalidRequestBlocked"',
        403,
        {},
        "WSE-403-WAF",
    ),
    ('"sc-status":"403","x-edge-detailed-result-type":"InvalidRequest"', 403, {}, "WSE-403-EDGE"),
    ('"sc-status":"503","x-edge-result-type":"LimitExceeded"', 503, {}, "WSE-503-EDGE"),
    # of another path, of another end, of the viewer's own leaving
    (
        '"sc-status":"502","cs-uri-stem":"/b","x-edge-detailed-result-type":"OriginDnsError"',
        502,
        {},
        "WSE-502-TLS",
    ),
    ('"sc-status":"502","x-edge-detailed-result-type":"OriginDnsError"', 504, {}, "WSE-504-SG"),
    ('"sc-status":"000","x-edge-detailed-result-type":"ClientCommError"', 504, {}, "WSE-504-SG"),
]


def test_a_row_of_a_timeout_speaks_for_a_slow_app_only_where_nothing_else_may_drop_packets() -> (
    None
):
    """The security group is open. While a network ACL may be in the way, the row tells the two not
    apart.
    """
    row = parse_log_rows(
        '{"x-edge-request-id":"-","sc-status":"504","x-edge-detailed-result-type":"OriginCommError"}'
    )
    dropping = tuple(
        asked(one.code, Level.WARN) if one.code == "PF-NACL" else one for one in ALL_PASS
    )
    found = rank_verdicts(
        Observations(refused(504), looked=True, preflight=dropping, log_rows=row)
    ).diagnoses
    assert found[0].code == "WSE-504-NACL"
    assert ("WSE-504-SLOW", "low") in [(one.code, one.certainty) for one in found]
    shut_out = rank_verdicts(
        Observations(refused(504), looked=True, preflight=ALL_PASS, log_rows=row)
    ).first
    assert (shut_out.code, shut_out.certainty) == ("WSE-504-SLOW", "medium")


@pytest.mark.parametrize(
    ("row", "status", "known", "code"), HINTS, ids=[str(n) for n in range(len(HINTS))]
)
def test_a_row_hints_at_what_it_can_tell(
    row: str, status: int, known: dict[str, object], code: str
) -> None:
    rows = parse_log_rows(f'{{"x-edge-request-id":"-",{row}}}')
    first = rank_verdicts(Observations(refused(status), looked=True, log_rows=rows, **known)).first  # type: ignore[arg-type]
    assert (first.code, first.certainty != "high") == (code, True)


ENGINE_IO = request_to("wss://d1.example/socket.io/?EIO=4&transport=websocket")
NEXT = [
    (Observations(refused(403, APP)), ProbeKind.AWS),
    (Observations(refused(403, APP), looked=True), ProbeKind.WITHOUT_ORIGIN),
    (Observations(refused(502), looked=True), ProbeKind.PLAIN_GET),
    (
        Observations(refused(400), looked=True, without_origin=refused(400)),
        ProbeKind.PLAIN_GET,
    ),
    (Observations(replace(refused(400), request=ENGINE_IO), looked=True), ProbeKind.AGAIN),
    (Observations(refused(502), looked=True, plain_get=refused(502)), ProbeKind.AGAIN),
    (
        Observations(refused(502), looked=True, plain_get=refused(502), again=(refused(502),)),
        ProbeKind.LOG_ROWS,
    ),
    (Observations(live()), None),
    (Observations(refused(404, APP), looked=True), ProbeKind.WITHOUT_ORIGIN),
    (
        Observations(refused(404, APP), looked=True, without_origin=refused(404, APP)),
        ProbeKind.AGAIN,
    ),
    (Observations(refused(429, APP), looked=True), ProbeKind.AGAIN),
    (Observations(refused(429, APP), looked=True, again=(refused(429, APP),) * 2), None),
    (Observations(failed(Phase.DNS, Reason.DNS_FAILURE)), ProbeKind.AWS),
    (Observations(failed(Phase.DNS, Reason.DNS_FAILURE), looked=True), None),
    (Observations(failed(Phase.URL, Reason.BAD_URL)), None),
    (Observations(answered(GOOD, request=request_to(subprotocols=("chat.v1",)))), ProbeKind.AWS),
    (Observations(refused(504), looked=True, preflight=(asked("PF-INGRESS", Level.BLOCK),)), None),
]


@pytest.mark.parametrize(("seen", "kind"), NEXT, ids=[str(kind) for _, kind in NEXT])
def test_the_next_probe_is_the_cheapest_that_could_tell(
    seen: Observations, kind: ProbeKind | None
) -> None:
    assert rank_verdicts(seen).next_probe is kind


def test_a_header_is_forwarded_dropped_or_unknown_as_the_policies_say() -> None:
    good = served()
    assert [
        good.forwards(name) for name in ("Sec-WebSocket-Key", "Host", "sec-websocket-protocol")
    ] == [True] * 3
    assert (good.path_pattern, good.own, good.vpc_origin_id) == ("/ws", True, "vo_1")
    assert WITHOUT_KEY.forwards("Sec-WebSocket-Key") is False
    shared = {
        "Id": "ours",
        "VpcOriginConfig": {"VpcOriginId": "vo_9", "OwnerAccountId": "222222222222"},
    }
    theirs = match_behavior(
        {**GOOD_CONFIG, "Origins": {"Items": [shared]}},
        domain_name="d111.cloudfront.net",
        status="Deployed",
        host="d111.cloudfront.net",
        path="/ws",
    )
    assert (good.vpc_origin_owner, theirs.vpc_origin_owner) == ("", "222222222222")
    custom = dict(GOOD_CONFIG["CacheBehaviors"]["Items"][0], OriginRequestPolicyId="custom")  # type: ignore[index]
    unknown = match_behavior(
        {**GOOD_CONFIG, "CacheBehaviors": {"Items": [custom]}},
        domain_name="d111.cloudfront.net",
        status="Deployed",
        host="x.example.com",
        path="/ws",
    )
    assert unknown.forwards("Sec-WebSocket-Key") is None
    assert unknown.knows_host is False
    except_host = MANAGED_REQUEST_POLICIES["b689b0a8-53d0-40ab-baf2-68738e2966ac"]
    assert (except_host.forwards("Host"), except_host.forwards("Sec-WebSocket-Key")) == (
        False,
        True,
    )


SOCKET_HEADERS = Selection(
    "whitelist", frozenset(f"sec-websocket-{part}" for part in ("key", "version", "protocol"))
)
SESSION = Selection("whitelist", frozenset({"session"}))


def passing(
    forwarding: Forwarding, *, query: str = "", headers: tuple[tuple[str, str], ...] = ()
) -> BehaviorMatch:
    """How the good distribution serves a request that carries these, with a custom policy."""
    custom = dict(GOOD_CONFIG["CacheBehaviors"]["Items"][0], OriginRequestPolicyId="custom")  # type: ignore[index]
    return match_behavior(
        {**GOOD_CONFIG, "CacheBehaviors": {"Items": [custom]}},
        domain_name="d111.cloudfront.net",
        status="Deployed",
        host="d111.cloudfront.net",
        path="/ws",
        query=query,
        headers=headers,
        request_policies={"custom": forwarding},
    )


CARRIED: list[tuple[int, str, str, tuple[tuple[str, str], ...], str]] = [
    (401, "", "", (("Authorization", "Bearer x"),), "the header Authorization"),
    (302, "", "", (("Cookie", "theme=dark; session=a=b"),), "the cookie session"),
    (404, "", "room=blue&empty=", (), "the query string empty"),
    (403, "Origin (none) is not allowed", "", (), "the header Origin"),
]


@pytest.mark.parametrize(
    ("status", "body", "query", "headers", "evidence"), CARRIED, ids=[row[4] for row in CARRIED]
)
def test_what_the_policies_keep_from_the_app_is_named_and_what_they_pass_on_is_not(
    status: int, body: str, query: str, headers: tuple[tuple[str, str], ...], evidence: str
) -> None:
    refusal = refused(status, APP + "Location: /login\r\n", body)
    kept = passing(Forwarding(SOCKET_HEADERS), query=query, headers=headers)
    conclusion = rank_verdicts(Observations(refusal, looked=True, behavior=kept))
    # A 404 or a redirect can have other reasons, so neither is certain then.
    sure = "high" if status in (401, 403) else "medium"
    assert (conclusion.first.code, conclusion.first.certainty) == ("WSE-NOT-FORWARDED", sure), (
        conclusion.diagnoses
    )
    assert "high" not in [found.certainty for found in conclusion.diagnoses[1:]]
    assert any(line.startswith(evidence) for line in conclusion.first.evidence), (
        conclusion.first.evidence
    )
    everything = MANAGED_REQUEST_POLICIES[ALL_VIEWER]
    sent_on = rank_verdicts(
        Observations(
            refusal, looked=True, behavior=passing(everything, query=query, headers=headers)
        )
    )
    assert "WSE-NOT-FORWARDED" not in [found.code for found in sent_on.diagnoses]


def test_a_rule_that_looks_at_what_was_kept_back_is_not_the_cause() -> None:
    kept = passing(Forwarding(SOCKET_HEADERS), query="room=blue")
    rules = (asked("PF-RULES", Level.WARN),)
    first = rank_verdicts(
        Observations(refused(404, ALB, "no room"), looked=True, behavior=kept, preflight=rules)
    ).first
    assert first.code == "WSE-NOT-FORWARDED"
    whole = passing(MANAGED_REQUEST_POLICIES[ALL_VIEWER], query="room=blue")
    first = rank_verdicts(
        Observations(refused(404, ALB, "no room"), looked=True, behavior=whole, preflight=rules)
    ).first
    assert (first.code, first.certainty) == ("WSE-ALB-RULE", "high")


def test_a_policy_passes_cookies_and_query_strings_on_by_name() -> None:
    some = passing(
        Forwarding(Selection("allViewer"), SESSION, Selection("allExcept", frozenset({"debug"}))),
        query="room=1&debug=1",
        headers=(("Cookie", "theme=dark; session=1"),),
    )
    assert {one.name: one.forwarded for one in some.parts if one.part != "header"} == {
        "theme": False,
        "session": True,
        "room": True,
        "debug": False,
    }
    legacy = dict(GOOD_CONFIG["CacheBehaviors"]["Items"][0])  # type: ignore[index]
    legacy["ForwardedValues"] = {
        "QueryString": True,
        "Cookies": {"Forward": "whitelist", "WhitelistedNames": {"Items": ["session"]}},
        "Headers": {"Items": ["Sec-WebSocket-Key"]},
    }
    old = match_behavior(
        {**GOOD_CONFIG, "CacheBehaviors": {"Items": [legacy]}},
        domain_name="d111.cloudfront.net",
        status="Deployed",
        host="d111.cloudfront.net",
        path="/ws",
        query="room=1",
        headers=(("Cookie", "theme=dark; session=1"), ("X-Team", "blue")),
    )
    assert [one.name for one in old.parts if one.forwarded] == [
        "Sec-WebSocket-Key",
        "session",
        "room",
    ]


def test_what_the_edge_refuses_is_not_for_lack_of_something_at_the_app() -> None:
    kept = passing(Forwarding(SOCKET_HEADERS), headers=(("Cookie", "session=1"),))
    found = rank_verdicts(Observations(refused(403), looked=True, behavior=kept)).diagnoses
    assert "WSE-NOT-FORWARDED" not in [one.code for one in found]


def test_a_method_that_is_refused_is_told_beside_a_handshake_that_opens() -> None:
    post = '{"cs-method":"POST","cs-uri-stem":"/ws","x-edge-request-id":"other","sc-status":"403",'
    rows = parse_log_rows(post + '"x-edge-detailed-result-type":"InvalidRequestMethod"}')
    found = rank_verdicts(Observations(live(), behavior=served(), log_rows=rows)).diagnoses
    assert [one.code for one in found] == ["WSE-LIVE", "WSE-403-METHOD"]
    assert "403 POST /ws" in found[1].evidence[0]
    closed = (asked("PF-INGRESS", Level.FIXABLE),)
    failing = rank_verdicts(
        Observations(refused(504), looked=True, preflight=closed, log_rows=rows)
    )
    assert [one.code for one in failing.diagnoses[:2]] == ["WSE-504-SG", "WSE-403-METHOD"]


def test_every_verdict_of_the_order_exists() -> None:
    from checks.diagnosis import ranking as module

    assert [code for code in module._BY_PLACE if code not in VERDICTS] == []


HEALTHY = asked("PF-HEALTH", Level.PASS, "2 of 2 targets are healthy.")


def test_a_502_of_healthy_targets_is_an_app_that_closed_the_connection() -> None:
    handshake = replace(refused(502, ALB), timing=Timing(first_byte=1013.0))
    seen = Observations(handshake, looked=True, preflight=(HEALTHY,))
    found = rank_verdicts(seen).diagnoses
    assert [(one.code, one.certainty) for one in found] == [
        ("WSE-502-CLOSED", "medium"),
        ("WSE-502-ALB", "low"),
    ]
    assert "AWS: 2 of 2 targets are healthy." in found[0].evidence
    assert "the 502 came 1.0 s after the request" in found[0].evidence
    assert "option path" in found[0].fix
    # A target group of another version closes every handshake, healthy or not; a proxy's own 502 is
    # none of the load balancer's.
    version = asked("PF-TARGET-GROUP", Level.WARN, "chat uses GRPC to the app.")
    others = (
        replace(seen, preflight=(HEALTHY, version)),
        replace(seen, preflight=()),
        replace(seen, handshake=refused(502, "Server: nginx\r\n")),
        replace(seen, handshake=refused(503, ALB)),
        replace(seen, handshake=replace(handshake, timing=Timing(first_byte=12.0))),
    )
    for other in others:
        assert "WSE-502-CLOSED" not in [one.code for one in rank_verdicts(other).diagnoses]


@pytest.mark.parametrize(
    ("handshake", "code"),
    [
        (replace(refused(502, ALB), timing=Timing(first_byte=1013.0)), "WSE-502-CLOSED"),
        (refused(502, ALB), "WSE-502-ALB"),
        (refused(404, APP, "Cannot GET /chat/"), "WSE-404-PATH"),
        (failed(Phase.UPGRADE, Reason.CLOSED_EARLY), "WSE-RESET"),
    ],
)
def test_a_failure_on_a_path_that_may_be_a_namespace_says_so(
    handshake: Transcript, code: VerdictCode
) -> None:
    endpoint = spec(app_kind="socketio", path_patterns=["/chat/*"])
    seen = replace(Observations.of(handshake, endpoint), looked=True, preflight=(HEALTHY,))
    first = rank_verdicts(seen).first
    assert first.code == code
    assert any("A namespace such as /chat is not a path." in line for line in first.evidence)
    assert "path to /socket.io/*" in first.fix
    assert "`path`" in first.fix
    # On the usual path there is no such doubt, nor once it opens.
    usual = Observations.of(handshake, spec(app_kind="socketio", path_patterns=["/socket.io/*"]))
    opened = Observations.of(live(), endpoint)
    for other in (usual, opened):
        assert not any("namespace" in one for one in rank_verdicts(other).first.evidence)


@pytest.mark.parametrize(("status", "codes"), [(502, ["WSE-502-ALB"]), (503, ["WSE-503-NOTARGET"])])
def test_a_failing_health_check_is_no_second_cause_of_an_app_that_is_down(
    status: int, codes: list[str]
) -> None:
    unhealthy = (asked("PF-HEALTH", Level.WARN, "0 of 1 are healthy"),)
    seen = Observations(refused(status, ALB), looked=True, preflight=unhealthy)
    found = rank_verdicts(seen).diagnoses
    assert [one.code for one in found] == codes
    assert any("0 of 1 are healthy" in line for line in found[0].evidence)
