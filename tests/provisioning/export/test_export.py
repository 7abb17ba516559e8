"""The files of an export say all that AWS says, in words that the tools know, and no secret.

Each file is read back and compared with what was exported, judged by the schemas of the tools
(`terraform_schema.json` and `cdk_classes.json` are taken from the packages that they name), and by
the tools themselves as far as they come from a package index.
"""

from __future__ import annotations

import ast
import io
import json
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from provisioning.export import bundle, cdk, cloudformation, guide, terraform
from provisioning.export.content import (
    Export,
    ExportedDistribution,
    ExportedRule,
    ExportedVpcOrigin,
    Format,
    Fragment,
    Hidden,
    PlacedBehavior,
    Scope,
    Stack,
    unique_names,
    with_references,
    without_secrets,
)
from provisioning.facts.names import SecurityGroupId
from provisioning.facts.network import SecurityGroupRule
from tests.npm import installed
from tests.provisioning.export.configurations import DISTRIBUTIONS, Config, listed
from tests.provisioning.export.readers import (
    distributions_in_template,
    distributions_in_terraform,
    normal,
    parsed,
    resources,
)

HERE = Path(__file__).parent
TERRAFORM = json.loads((HERE / "terraform_schema.json").read_text())["resources"]
CDK = json.loads((HERE / "cdk_classes.json").read_text())["classes"]
CDK_PACKAGES = (
    "aws-cdk-lib@2.276.0",
    "constructs@10.8.1",
    "typescript@5.9.3",
    "@types/node@20.19.43",
)
SECRET = "uB7kQ2vX9pLw4ZrT"
ENDPOINT_CONFIG = {
    "Name": "edge-portal-1",
    "Arn": "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/x/1",
    "HTTPPort": 80,
    "HTTPSPort": 443,
    "OriginProtocolPolicy": "http-only",
    "OriginSslProtocols": listed(["TLSv1.2"]),
}
OWNED = {"edge-portal:owner": "edge-portal"}


def rule(source: str = "sg-22222222", kind: str = "group", port: int = 80) -> SecurityGroupRule:
    return SecurityGroupRule(
        SecurityGroupId("sg-11111111"), "sgr-0ab1", "tcp", port, port, kind, source, "Chat"
    )


def stack_of(config: Config, **more: Any) -> Stack:
    """A distribution with the VPC origin `vo_here`, and a rule."""
    shown = with_references(without_secrets(config, "E1"), ["vo_here"])
    return Stack(
        "111122223333",
        "us-east-1",
        (ExportedDistribution("E1", "d1.cloudfront.net", shown, {"team": "chat"}),),
        (ExportedVpcOrigin("vo_here", ENDPOINT_CONFIG, OWNED),),
        (ExportedRule(rule(), OWNED),),
        **more,
    )


def behavior(**more: Any) -> Config:
    return {
        "TargetOriginId": "lb",
        "ViewerProtocolPolicy": "https-only",
        "CachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
        **more,
    }


def config(**more: Any) -> Config:
    """The least that a distribution has, with an origin on a VPC origin and a secret header."""
    origin = {
        "Id": "lb",
        "DomainName": "lb.internal",
        "CustomHeaders": listed([{"HeaderName": "X-Origin-Verify", "HeaderValue": SECRET}]),
        "VpcOriginConfig": {"VpcOriginId": "vo_here"},
    }
    return {
        "Origins": listed([origin]),
        "DefaultCacheBehavior": behavior(),
        "Enabled": True,
        "Comment": "",
        **more,
    }


def exported(config: Config, form: Format) -> dict[str, str]:
    return bundle.files_of(Export(Scope.DISTRIBUTION, "E1", (stack_of(config),)), form)


def of_an_endpoint(form: Format) -> dict[str, str]:
    origin = config()["Origins"]["Items"][0]
    fragment = Fragment(
        "E1",
        "d1.cloudfront.net",
        with_references(without_secrets(origin, "lb"), ["vo_here"]),
        (PlacedBehavior(behavior(PathPattern="/ws/*"), 2, "/w*"),),
    )
    whole = stack_of(config())
    stack = Stack(whole.account_id, whole.region, (), whole.vpc_origins, whole.rules, fragment)
    return bundle.files_of(Export(Scope.ENDPOINT, "chat", (stack,)), form)


def expected(config: Config, reference: str) -> Any:
    """What the file has to say again: with its own reference for the VPC origin that it has."""
    return json.loads(json.dumps(normal(config)).replace('"vo_here"', json.dumps(reference)))


@given(DISTRIBUTIONS)
def test_cloudformation_says_what_aws_says(config: Config) -> None:
    text = exported(config, Format.CLOUDFORMATION)["template.json"]
    read = normal(distributions_in_template(text)["DistributionE1"])
    assert read == expected(config, "VpcOriginHere.Id")
    for header in headers_of(config):
        assert header["HeaderValue"] not in text


@settings(max_examples=15)  # its parser is slow
@given(DISTRIBUTIONS)
def test_terraform_says_what_aws_says_in_the_providers_words(config: Config) -> None:
    text = exported(config, Format.TERRAFORM)["main.tf"]
    read = normal(distributions_in_terraform(text)["E1"])
    assert read == expected(config, "${aws_cloudfront_vpc_origin.vo_here.id}")
    for address, body in resources(parsed(text)).items():
        kind = address.partition(".")[0]
        assert_fits(body, TERRAFORM[kind], kind)
    for header in headers_of(config):
        assert header["HeaderValue"] not in text


def headers_of(config: Config) -> list[Config]:
    return [
        header
        for origin in config["Origins"]["Items"]
        for header in origin["CustomHeaders"].get("Items", ())
    ]


def assert_fits(body: Config, schema: Config, path: str) -> None:
    """The block has only arguments and blocks of the schema, with values of their types, and all
    that are required.
    """
    missing = {name for name, one in schema.items() if one.get("required")} - body.keys()
    assert not missing, f"{path} lacks {missing}"
    for name, value in body.items():
        if name == "lifecycle":
            continue
        assert name in schema, f"{path} has no {name}"
        one = schema[name]
        if "block" in one:
            assert one["many"] or len(value) == 1, f"{path}.{name}"
            for inner in value:
                assert_fits(inner, one["block"], f"{path}.{name}")
        elif one["type"].startswith("list"):
            assert isinstance(value, list), f"{path}.{name}"
            assert all(fits(inner, one["type"].split()[-1]) for inner in value), f"{path}.{name}"
        else:
            assert fits(value, one["type"]), f"{path}.{name} = {value!r}"


def fits(value: Any, kind: str) -> bool:
    if isinstance(value, str) and value.startswith("${"):
        return True
    match kind:
        case "bool":
            return isinstance(value, bool)
        case "number":
            return isinstance(value, int) and not isinstance(value, bool)
        case "map":
            return isinstance(value, dict)
    return isinstance(value, str)


@given(DISTRIBUTIONS)
def test_python_names_classes_and_arguments_of_cdk_and_says_what_the_template_says(
    config: Config,
) -> None:
    files = exported(config, Format.CDK_PYTHON)
    template = json.loads(exported(config, Format.CLOUDFORMATION)["template.json"])
    made = constructs(files["app.py"])
    assert made.keys() == {*template["Resources"], *template.get("Parameters", {})}
    for name, one in template["Resources"].items():
        assert made[name] == spelled_as_in_python(one["Properties"])


def constructs(source: str) -> Config:
    """The properties of every construct in an app, by its ID: calls of known classes become dicts
    of their arguments.
    """
    made = {
        ast.unparse(node.targets[0]): node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and len(node.value.args) == 2
    }
    logical = {variable: ast.literal_eval(call.args[1]) for variable, call in made.items()}

    def value(node: ast.expr) -> Any:
        match node:
            case ast.Call():
                name = ast.unparse(node.func).partition(".")[2]
                given = {str(one.arg): value(one.value) for one in node.keywords}
                assert given.keys() <= set(CDK[name]), name
                return given
            case ast.List():
                return [value(one) for one in node.elts]
            case ast.Attribute(value=ast.Name(id=variable), attr="value_as_string"):
                return {"Ref": logical[variable]}
            case ast.Attribute(value=ast.Name(id=variable), attr="attr_id"):
                return {"Fn::GetAtt": [logical[variable], "Id"]}
        return ast.literal_eval(node)

    return {logical[variable]: value(call) for variable, call in made.items()}


def spelled_as_in_python(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() & {"Ref", "Fn::GetAtt"}:
            return value
        return {cdk.spelled(k, snake_case=True): spelled_as_in_python(v) for k, v in value.items()}
    return [spelled_as_in_python(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("name", "typescript", "python"),
    [
        ("HTTPPort", "httpPort", "http_port"),
        ("OriginSSLProtocols", "originSslProtocols", "origin_ssl_protocols"),
        ("IPV6Enabled", "ipv6Enabled", "ipv6_enabled"),
        ("S3OriginConfig", "s3OriginConfig", "s3_origin_config"),
        ("WebACLId", "webAclId", "web_acl_id"),
        ("LambdaFunctionARN", "lambdaFunctionArn", "lambda_function_arn"),
        ("DefaultTTL", "defaultTtl", "default_ttl"),
    ],
)
def test_properties_are_spelled_as_in_cdk(name: str, typescript: str, python: str) -> None:
    assert cdk.spelled(name, snake_case=False) == typescript
    assert cdk.spelled(name, snake_case=True) == python


def test_each_structure_has_a_class_in_cdk() -> None:
    for name in cdk.STRUCTURES.values():
        owner = "CfnVpcOrigin" if name.startswith("VpcOriginEndpoint") else "CfnDistribution"
        assert f"{owner}.{name}" in CDK


def test_every_resource_is_kept_and_has_the_identifier_to_import_it_by() -> None:
    files = exported(config(), Format.CLOUDFORMATION)
    template = json.loads(files["template.json"])
    assert json.loads(files["resources-to-import.json"]) == [
        {
            "ResourceType": one["Type"],
            "LogicalResourceId": name,
            "ResourceIdentifier": {"Id": aws_id},
        }
        for (name, one), aws_id in zip(
            template["Resources"].items(), ("vo_here", "sgr-0ab1", "E1"), strict=True
        )
    ]
    for one in template["Resources"].values():
        assert (one["DeletionPolicy"], one["UpdateReplacePolicy"]) == ("Retain", "Retain")
    module = parsed(exported(config(), Format.TERRAFORM)["main.tf"])
    assert {one["to"].strip("${}"): one["id"] for one in module["import"]} == {
        "aws_cloudfront_vpc_origin.vo_here": "vo_here",
        "aws_vpc_security_group_ingress_rule.sgr_0ab1": "sgr-0ab1",
        "aws_cloudfront_distribution.E1": "E1",
    }
    assert all(
        body["lifecycle"] == [{"prevent_destroy": True}] for body in resources(module).values()
    )
    for form in (Format.CDK_PYTHON, Format.CDK_TYPESCRIPT):
        mapping = json.loads(exported(config(), form)["resource-mapping.json"])
        assert mapping.keys() == template["Resources"].keys()


def test_the_value_of_a_header_is_asked_for_and_nowhere() -> None:
    module = parsed(exported(config(), Format.TERRAFORM)["main.tf"])
    assert module["variable"] == [
        {
            "e1_lb_header_x_origin_verify": {
                "description": "E1 lb header X-Origin-Verify. Not exported.",
                "type": "string",
                "sensitive": True,
            }
        }
    ]
    template = json.loads(exported(config(), Format.CLOUDFORMATION)["template.json"])
    assert template["Parameters"]["E1LbHeaderXOriginVerify"]["NoEcho"] is True
    for form in Format:
        for files in (exported(config(), form), of_an_endpoint(form)):
            assert not any(SECRET in text for text in files.values())
            assert "X-Origin-Verify" in files["README.md"]


def test_other_text_that_shows_a_credential_is_asked_for_too() -> None:
    shown = without_secrets({"Comment": "password=hunter2hunter2", "Id": "E1"}, "E1")
    assert shown == {"Comment": Hidden("E1 Comment"), "Id": "E1"}
    assert without_secrets({"Comment": "Chat front door"}, "E1") == {"Comment": "Chat front door"}


def test_names_that_would_be_the_same_are_told_apart() -> None:
    spelled = unique_names(["X-A", "X_A", "x-a"], lambda text: text.replace("-", "_"))
    assert list(spelled.values()) == ["X_A", "X_A2", "x_a3"]


@pytest.mark.parametrize(
    ("source", "kind", "terraforms", "cloudformations"),
    [
        ("sg-2", "group", "referenced_security_group_id", "SourceSecurityGroupId"),
        ("pl-1", "prefix-list", "prefix_list_id", "SourcePrefixListId"),
        ("10.0.0.0/8", "cidr", "cidr_ipv4", "CidrIp"),
        ("fd00::/8", "cidr", "cidr_ipv6", "CidrIpv6"),
    ],
)
def test_a_rule_names_its_source(
    source: str, kind: str, terraforms: str, cloudformations: str
) -> None:
    stack = Stack("1", "us-east-1", rules=(ExportedRule(rule(source, kind), OWNED),))
    body = resources(parsed(terraform.files(stack)["main.tf"]))
    assert body["aws_vpc_security_group_ingress_rule.sgr_0ab1"][terraforms] == source
    template = json.loads(cloudformation.files(stack)["template.json"])
    assert template["Resources"]["IngressRule0ab1"]["Properties"][cloudformations] == source


def test_an_endpoint_brings_the_part_to_paste_and_says_where_it_belongs() -> None:
    files = of_an_endpoint(Format.TERRAFORM)
    pasted = parsed(files["distribution-fragment.hcl"])
    block = TERRAFORM["aws_cloudfront_distribution"]
    for name in ("origin", "ordered_cache_behavior"):
        assert_fits(pasted[name][0], block[name]["block"], name)
    assert "aws_cloudfront_distribution" not in files["main.tf"]
    assert "CloudFront has no resource for a single origin or behavior" in files["README.md"]
    assert "`/ws/*`: Behavior number 3 of the distribution, before /w*." in files["README.md"]
    fragment = json.loads(of_an_endpoint(Format.CLOUDFORMATION)["distribution-fragment.json"])
    assert fragment["Origins"][0]["VpcOriginConfig"] == {
        "VpcOriginId": {"Fn::GetAtt": ["VpcOriginHere", "Id"]}
    }
    assert fragment["CacheBehaviors"][0]["PathPattern"] == "/ws/*"
    assert fragment["Parameters"].keys() == {"LbHeaderXOriginVerify"}
    code = of_an_endpoint(Format.CDK_PYTHON)["distribution_fragment.py"]
    assert "def origins(vpc_origin_id: str, lb_header_x_origin_verify: str)" in code


@pytest.mark.parametrize(
    ("form", "more", "path"),
    [
        (Format.TERRAFORM, {"ConnectionMode": "tenant-only"}, "ConnectionMode (tenant-only)"),
        (
            Format.TERRAFORM,
            {"OriginGroups": listed([{"Id": "g", "SelectionCriteria": "media-quality-based"}])},
            "OriginGroups/Items/g/SelectionCriteria (media-quality-based)",
        ),
        (
            Format.CLOUDFORMATION,
            {"Origins": listed([{"Id": "a", "VpcOriginConfig": {"OriginHttpVersion": "http2"}}])},
            "Origins/Items/a/VpcOriginConfig/OriginHttpVersion (http2)",
        ),
    ],
)
def test_what_a_format_has_no_word_for_is_told(form: Format, more: Config, path: str) -> None:
    told = guide.remarks(stack_of(config(**more)), form)
    assert any(path in one for one in told)
    defaults = {"ConnectionMode": "direct", "TenantConfig": {}}
    assert not any("no setting" in one for one in guide.remarks(stack_of(config(**defaults)), form))


def test_each_account_and_region_has_its_own_folder() -> None:
    elsewhere = Stack("111122223333", "eu-west-1", rules=(ExportedRule(rule(), OWNED, 2),))
    export = Export(Scope.FLEET, "fleet", (stack_of(config()), elsewhere))
    files = bundle.files_of(export, Format.TERRAFORM)
    assert files.keys() == {
        "README.md",
        "111122223333-us-east-1/main.tf",
        "111122223333-eu-west-1/main.tf",
    }
    assert "also serves 2 other endpoints" in files["README.md"]
    with zipfile.ZipFile(io.BytesIO(bundle.as_zip(files))) as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == files
    assert bundle.as_zip(files) == bundle.as_zip(files)


FULL = config(
    Aliases=listed(["chat.example.com"]),
    Comment='Say "hi" to ${all} of %{us}\n',
    OriginGroups=listed(
        [
            {
                "Id": "both",
                "FailoverCriteria": {"StatusCodes": listed([500])},
                "Members": listed([{"OriginId": "lb"}, {"OriginId": "lb"}]),
            }
        ]
    ),
    CacheBehaviors=listed(
        [
            behavior(
                PathPattern="/ws/*",
                TrustedKeyGroups={"Enabled": True, **listed(["k-1"])},
                AllowedMethods=listed(["GET", "HEAD"]) | {"CachedMethods": listed(["GET", "HEAD"])},
                FunctionAssociations=listed(
                    [
                        {
                            "EventType": "viewer-request",
                            "FunctionARN": "arn:aws:cloudfront::111122223333:function/sign-in",
                        }
                    ]
                ),
            )
        ]
    ),
    CustomErrorResponses=listed([{"ErrorCode": 404, "ErrorCachingMinTTL": 5}]),
    ViewerCertificate={"CloudFrontDefaultCertificate": True},
    HttpVersion="http2",
)


def test_cfn_lint_finds_nothing() -> None:
    # Imports for two seconds, which every worker would take when it collects.
    from cfnlint.api import ManualArgs, lint

    whole = exported(FULL, Format.CLOUDFORMATION)["template.json"]
    for text in (whole, of_an_endpoint(Format.CLOUDFORMATION)["template.json"]):
        assert [str(one) for one in lint(text, config=ManualArgs())] == []
    misspelt = whole.replace('"PathPattern"', '"Pattern"')
    assert {one.rule.id for one in lint(misspelt, config=ManualArgs())} == {"E3002", "E3003"}


def test_terraform_itself_reads_the_files_and_finds_nothing_to_format(tmp_path: Path) -> None:
    program = shutil.which("terraform") or shutil.which("tofu")
    if program is None:
        pytest.skip("there is neither terraform nor tofu on PATH")
    (tmp_path / "whole.tf").write_text(exported(FULL, Format.TERRAFORM)["main.tf"])
    endpoint = of_an_endpoint(Format.TERRAFORM)
    (tmp_path / "endpoint.tf").write_text(endpoint["main.tf"])
    (tmp_path / "fragment.tf").write_text(endpoint["distribution-fragment.hcl"])
    command = [program, "fmt", "-check", "-diff", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr


@pytest.mark.slow
def test_cdk_itself_compiles_the_app_and_synthesizes_the_template(tmp_path: Path) -> None:
    modules = installed(CDK_PACKAGES) / "node_modules"
    (tmp_path / "node_modules").symlink_to(modules)
    whole = exported(FULL, Format.CDK_TYPESCRIPT)
    fragment = of_an_endpoint(Format.CDK_TYPESCRIPT)["distribution-fragment.ts"]
    for name, text in (whole | {"distribution-fragment.ts": fragment}).items():
        (tmp_path / name).write_text(text)
    compiler = ["node", str(modules / "typescript" / "bin" / "tsc"), "--noEmit", "false"]
    subprocess.run(compiler, cwd=tmp_path, check=True, timeout=300)
    subprocess.run(
        ["node", "app.js"], cwd=tmp_path, check=True, timeout=300, env={"CDK_OUTDIR": "out"}
    )
    made = json.loads((tmp_path / "out" / "ExportedEndpoints.template.json").read_text())
    template = json.loads(exported(FULL, Format.CLOUDFORMATION)["template.json"])
    for name, one in template["Resources"].items():
        assert {key: made["Resources"][name][key] for key in one} == one
    for name, one in template["Parameters"].items():
        assert made["Parameters"][name] == one
