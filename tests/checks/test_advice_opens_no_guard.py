"""Advice that opens a guard says so. Every command, Terraform block and console path that a
verdict, a preflight result or a troubleshooting page offers is looked through for the verbs that
let more through; a verb that is not listed here fails, until somebody has decided which kind it is.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from checks.diagnosis.signatures import SIGNATURES
from checks.diagnosis.verdicts import VERDICTS
from checks.preflight import Fix
from portal.pages.troubleshooting import SYMPTOMS
from tests.checks.test_fixes import texts

PREFLIGHT = Path(__file__).parents[2] / "checks/preflight"

READS, CHANGES, OPENS = "reads", "changes", "opens"
"""What a command does to who gets in: it only looks; it changes something else or closes; it lets
more through, or turns a check off."""
COMMANDS = {
    "acm request-certificate": CHANGES,
    "apigatewayv2 get-integrations": READS,
    "cloudfront get-continuous-deployment-policy": READS,
    "cloudfront get-distribution": READS,
    "cloudfront get-distribution-config": READS,
    "cloudfront get-vpc-origin": READS,
    "cloudfront list-conflicting-aliases": READS,
    "cloudfront list-continuous-deployment-policies": READS,
    "cloudfront list-distributions": READS,
    "cloudfront list-distributions-by-vpc-origin-id": READS,
    "cloudfront list-domain-conflicts": READS,
    "cloudfront wait": READS,
    "ec2 attach-internet-gateway": OPENS,
    "ec2 authorize-security-group-ingress": OPENS,
    "ec2 create-internet-gateway": CHANGES,
    "ec2 create-network-acl-entry": OPENS,
    "ec2 create-vpc-block-public-access-exclusion": OPENS,
    "ec2 delete-route": CHANGES,
    "ec2 describe-addresses": READS,
    "ec2 describe-instances": READS,
    "ec2 describe-network-acls": READS,
    "ec2 describe-network-interfaces": READS,
    "ec2 describe-security-group-rules": READS,
    "ec2 describe-security-groups": READS,
    "ec2 describe-vpc-block-public-access-exclusions": READS,
    "ec2 describe-vpc-block-public-access-options": READS,
    "ec2 disassociate-address": CHANGES,
    "ec2 modify-subnet-attribute": CHANGES,
    "ec2 revoke-security-group-ingress": CHANGES,
    "ec2 start-instances": CHANGES,
    "ec2 wait": READS,
    "elbv2 create-listener": OPENS,
    "elbv2 create-load-balancer": CHANGES,
    "elbv2 create-rule": OPENS,
    "elbv2 create-target-group": CHANGES,
    "elbv2 describe-listener-certificates": READS,
    "elbv2 describe-listeners": READS,
    "elbv2 describe-load-balancers": READS,
    "elbv2 describe-rules": READS,
    "elbv2 describe-target-groups": READS,
    "elbv2 describe-target-health": READS,
    "elbv2 modify-listener --certificates": CHANGES,
    "elbv2 modify-listener --protocol": OPENS,
    "elbv2 modify-load-balancer-attributes": CHANGES,
    "elbv2 modify-target-group-attributes": CHANGES,
    "elbv2 register-targets": CHANGES,
    "elbv2 remove-listener-certificates": CHANGES,
    "elbv2 set-ip-address-type": CHANGES,
    "elbv2 set-security-groups": CHANGES,
    "elbv2 set-subnets": CHANGES,
    "elbv2 wait": READS,
    "iam create-service-linked-role": OPENS,
    "iam put-role-policy": OPENS,
    "manage.py assign_path": OPENS,
    "wafv2 get-web-acl": READS,
}
"""`aws` service and operation, or the portal's own; modify-listener also by what it modifies: there
is no entry for its --default-actions, which would open every path that no rule names."""
NEVER = re.compile(r"AllowAll|::/0")

TERRAFORM = {
    "aws_acm_certificate": CHANGES,
    "aws_apigatewayv2_integration": CHANGES,
    "aws_api_gateway_vpc_link": CHANGES,
    "aws_cloudfront_distribution": CHANGES,
    "aws_eip": CHANGES,
    "aws_iam_role_policy": OPENS,
    "aws_iam_service_linked_role": OPENS,
    "aws_instance": CHANGES,
    "aws_internet_gateway": OPENS,
    "aws_lb": CHANGES,
    "aws_lb_listener": CHANGES,
    "aws_lb_listener_certificate": CHANGES,
    "aws_lb_listener_rule": CHANGES,
    "aws_lb_target_group": CHANGES,
    "aws_network_acl_rule": OPENS,
    "aws_organizations_policy": CHANGES,
    "aws_route_table": CHANGES,
    "aws_security_group": CHANGES,
    "aws_subnet": CHANGES,
    "aws_vpc_block_public_access_exclusion": OPENS,
    "aws_vpc_security_group_ingress_rule": OPENS,
}
RESOURCE = re.compile(r"\baws_[a-z0-9_]+(?![a-z0-9_]|\s*=)")
CLOSING = re.compile(r"\b(?:no|fewer) (?:\w+ )*aws_\w+")
FORWARDING = re.compile(r'(?:action|default_action) \{\s+type\s+= "forward"')

OPENING_WORDS = re.compile(
    r"\b(?:allow|admit|exempt|exclude|exclusions?)\b"
    r"|\benable\b(?! WebSocket)|\bdisable\b(?! caching| compression)"
    r"|\badd (?:a |the |an )?(?:rule|listener|country|behaviors?)\b|\ba behavior for\b"
    r"|> Add (?:rule|listener)|Edit inbound rules: TCP|Attach to VPC"
    r"|0\.0\.0\.0/0|prefix list|origin-facing|internet-facing|default action: forward"
    r"|to Count\b|remove it from the behavior|to http-only|all seven|public name"
    r"|PROBE_ALLOWED_NETWORKS|PROBE_CA_FILE|allowed (?:hosts|origins)|TLS to TCP|without a login",
    re.IGNORECASE,
)
LISTED_BY_NAME = re.compile(r"(?:the CloudFront name|https:// plus)[^\n]*")
CLAUSES = re.compile(r"(?:[.;:>→?]|,? (?:or|and)(?: then)?,?)\s+|, or ")
CHANGING_VERBS = """
accept add agree answer ask carry change check choose compare connect copy correct create delete
disassociate do edit find fix forward get give hide import install keep leave let look make makes
move pass point promote raise read reads reason register release remove repeat replace report
request restore restrict run select send set start take terminate try turn use wait write
"""
OPENING_VERBS = "allow attach disable enable exempt exclude"
OTHER_FIRST_WORDS = """
a actions addresses all allviewerexcepthostheader alternate amazon an api apis app application
attributes aws behaviors block both cache certificates clients cloudfront connection containers
cookie cookies custom declarative details distribution distributions each ec2 edge-portal either
elastic every extensions firewall first for get host http https iam idle if in inbound instance
instances integrations internet ip ipv4 it its listeners load log name neither network networking
newer no nothing on one only or origin origin_path origin_protocol_policy origins otherwise
outbound path permissions policies protocol proxy_http_version query renews repeated roles route
routes rules sampled security service settings shorter stickiness subnet subnets subprotocol
target tcp that the then they this until updatedistribution upgrade_configs very viewer vpc web
when whether without ws x-forwarded-proto you
"""
KNOWN_FIRST_WORDS = frozenset(f"{CHANGING_VERBS}{OPENING_VERBS}{OTHER_FIRST_WORDS}".split())
"""First words of the clauses of a console path or a fix. Which uses of them open something,
OPENING_WORDS says."""


@dataclass(frozen=True)
class Advice:
    """A fix as it is offered, values replaced by 0, and whether it says what it opens."""

    where: str
    text: str
    opens: bool
    narrower: bool
    prose: str
    confirms: bool = False


def of_preflight() -> Iterator[Advice]:
    """Every call of Fix, and every text handed to a function that makes one."""
    for path in sorted(PREFLIGHT.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id == "Fix" or node.func.id.endswith("_fix"):
                said = {one.arg for one in node.keywords}
                yield Advice(
                    f"{path.name}:{node.lineno}",
                    "\n".join(text for part in node.args for text in texts(part)),
                    "opens" in said,
                    "narrower" in said,
                    # Of Fix, the way in the console; the other two are no prose.
                    "\n".join(texts(node.args[0])) if node.args else "",
                )


def of_verdicts() -> Iterator[Advice]:
    for verdict in VERDICTS.values():
        yield Advice(
            verdict.code, verdict.fix, bool(verdict.opens), bool(verdict.narrower), verdict.fix
        )
        yield Advice(f"{verdict.code} confirm", verdict.confirm, False, False, "", confirms=True)
    for number, signature in enumerate(SIGNATURES):
        # These name a framework's own setting; an app may accept names, each by itself.
        where = f"signature {number} {signature.code}"
        yield Advice(where, LISTED_BY_NAME.sub("", signature.fix), False, False, "")
    for symptom in SYMPTOMS:
        yield Advice(symptom.slug, symptom.fix, False, False, symptom.fix)


ADVICE = (*of_preflight(), *of_verdicts())
ALL_TEXTS = tuple(one.text for one in ADVICE)


def commands(text: str) -> Iterator[str]:
    """Each `aws` command line as the key of COMMANDS."""
    for found in re.finditer(r"\b(?:aws ([a-z][a-z0-9]+ [a-z][a-z-]+)|(manage.py \w+))", text):
        name = found[1] or found[2]
        if name == "elbv2 modify-listener":
            rest = text[found.end() :].partition("\n")[0]
            options = [one for one in re.findall(r"--[a-z-]+", rest) if one != "--listener-arn"]
            name = f"{name} {' '.join(options)}"
        yield name


def opening(text: str) -> list[str]:
    """The commands and Terraform in a text that let more through."""
    found = [name for name in commands(text) if COMMANDS.get(name) == OPENS]
    closing = {name for part in CLOSING.findall(text) for name in re.findall(r"aws_\w+", part)}
    found += [
        name
        for name in RESOURCE.findall(text)
        if TERRAFORM.get(name) == OPENS and name not in closing
    ]
    return found + FORWARDING.findall(text)


def first_words(text: str) -> set[str]:
    """The words that begin the clauses of a console path or fix, up to its command line."""
    prose = re.split(r"\baws [a-z0-9]+ [a-z-]+ --", text)[0]
    clauses = (clause.split() for clause in CLAUSES.split(prose))
    words = {words[0].lower().strip("(),.\"'/:-*") for words in clauses if words}
    return {word for word in words if not re.fullmatch(r"[0-9:]*|https:.*|ws.*", word)}


def test_every_verb_is_known() -> None:
    modules = [ast.parse(path.read_text()) for path in PREFLIGHT.glob("*.py")]
    written = [text for module in modules for text in texts(module)]
    offered = {name for text in [*written, *ALL_TEXTS] for name in commands(text)}
    assert offered - set(COMMANDS) == set(), "decide what these let through"
    assert set(COMMANDS) - offered == set(), "nobody offers these"
    resources = {name for one in ADVICE for name in RESOURCE.findall(one.text)}
    assert resources - set(TERRAFORM) == set(), "decide what these let through"
    unknown = {
        word: one.where
        for one in ADVICE
        for word in first_words(one.prose)
        if word not in KNOWN_FIRST_WORDS
    }
    assert unknown == {}, "decide what these let through"


@pytest.mark.parametrize("advice", ADVICE, ids=lambda one: one.where)
def test_advice_that_opens_a_guard_says_which_and_how_to_open_less(advice: Advice) -> None:
    assert not NEVER.search(advice.text), advice.text
    found = opening(advice.text) + ([] if advice.confirms else OPENING_WORDS.findall(advice.text))
    if found:
        assert advice.opens, f"{found} lets more through: say what, in `opens`"
        assert advice.narrower, f"{found} lets more through: say how to open less, in `narrower`"
    else:
        assert not advice.opens, "this opens nothing that the test knows; name its verb here"


@pytest.mark.parametrize("path", sorted(PREFLIGHT.glob("*.py")), ids=lambda path: path.name)
def test_no_part_of_a_fix_that_opens_a_guard_is_written_elsewhere(path: Path) -> None:
    """A command may be put together from variables: then its function says what it opens."""
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef):
            fixes = [
                node
                for node in ast.walk(function)
                if isinstance(node, ast.Call) and any(one.arg == "opens" for one in node.keywords)
            ]
            found = [name for text in texts(function) for name in opening(text)]
            assert fixes or not found, f"{function.name} opens {found} and does not say so"


def test_what_it_opens_is_read_before_the_way_there() -> None:
    fix = Fix("Do it.", opens="It opens this.", narrower="Better do that.")
    assert fix.advice == "Better do that. It opens this. Do it."
    assert Fix("Do it.").advice == "Do it."
    security_group = VERDICTS["WSE-504-SG"]
    assert security_group.advice.index("every CloudFront customer") < security_group.advice.index(
        "aws ec2 authorize"
    )


@pytest.mark.parametrize(
    "text",
    [
        "aws ec2 authorize-security-group-ingress --group-id 0 --cidr 0.0.0.0/0",
        'resource "aws_vpc_security_group_ingress_rule" "edge" {}',
        'default_action {\n    type             = "forward"\n}',
        "EC2 > Listeners > Default action: forward to the group.",
        "Exclude the WebSocket path from the rule.",
        "disable Restrict viewer access",
        "VPC > Block public access > Create exclusions",
    ],
)
def test_the_crawl_knows_an_opening_when_it_sees_one(text: str) -> None:
    assert opening(text) or OPENING_WORDS.search(text)


@pytest.mark.parametrize(
    "text",
    [
        "aws ec2 revoke-security-group-ingress --group-id 0 --security-group-rule-ids 0",
        "fewer aws_vpc_security_group_ingress_rule of the group",
        "Choose another target from the list.",
    ],
)
def test_the_crawl_lets_what_closes_pass(text: str) -> None:
    assert not opening(text)
    assert not OPENING_WORDS.search(text)
