"""An export as a CDK app, in TypeScript or in Python (PURE).

It writes down the tree of `cloudformation` with CDK's first-level constructs, whose properties are
CloudFormation's in the language's own spelling. A construct's ID is its logical ID, so that
`cdk import` takes the same identifiers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from provisioning.export import cloudformation
from provisioning.export.cloudformation import DISTRIBUTION, INGRESS_RULE, VPC_ORIGIN
from provisioning.export.content import Hidden, Stack, VpcOriginRef, unique_names

MAPPING = "resource-mapping.json"
STACK_NAME = "exported-endpoints"
OLDEST_CDK = "2.275.0"
"""The version whose constructs these are."""
# Module and class of each type of resource.
_CONSTRUCTS = {
    DISTRIBUTION: ("cloudfront", "CfnDistribution"),
    VPC_ORIGIN: ("cloudfront", "CfnVpcOrigin"),
    INGRESS_RULE: ("ec2", "CfnSecurityGroupIngress"),
}
# The class of a structure, by the property that holds it or a list of it. Python wants it named.
STRUCTURES = {
    "CacheBehaviors": "CacheBehaviorProperty",
    "CacheTagConfig": "CacheTagConfigProperty",
    "ConnectionFunctionAssociation": "ConnectionFunctionAssociationProperty",
    "Cookies": "CookiesProperty",
    "CustomErrorResponses": "CustomErrorResponseProperty",
    "CustomOriginConfig": "CustomOriginConfigProperty",
    "DefaultCacheBehavior": "DefaultCacheBehaviorProperty",
    "Definition": "DefinitionProperty",
    "DistributionConfig": "DistributionConfigProperty",
    "FailoverCriteria": "OriginGroupFailoverCriteriaProperty",
    "ForwardedValues": "ForwardedValuesProperty",
    "FunctionAssociations": "FunctionAssociationProperty",
    "GeoRestriction": "GeoRestrictionProperty",
    "GrpcConfig": "GrpcConfigProperty",
    "LambdaFunctionAssociations": "LambdaFunctionAssociationProperty",
    "Logging": "LoggingProperty",
    "Members": "OriginGroupMembersProperty",
    "Members.Items": "OriginGroupMemberProperty",
    "OriginCustomHeaders": "OriginCustomHeaderProperty",
    "OriginGroups": "OriginGroupsProperty",
    "OriginGroups.Items": "OriginGroupProperty",
    "OriginMtlsConfig": "OriginMtlsConfigProperty",
    "OriginShield": "OriginShieldProperty",
    "Origins": "OriginProperty",
    "ParameterDefinitions": "ParameterDefinitionProperty",
    "Restrictions": "RestrictionsProperty",
    "S3OriginConfig": "S3OriginConfigProperty",
    "StatusCodes": "StatusCodesProperty",
    "StringSchema": "StringSchemaProperty",
    "TenantConfig": "TenantConfigProperty",
    "TrustStoreConfig": "TrustStoreConfigProperty",
    "ViewerCertificate": "ViewerCertificateProperty",
    "ViewerMtlsConfig": "ViewerMtlsConfigProperty",
    "VpcOriginConfig": "VpcOriginConfigProperty",
    "VpcOriginEndpointConfig": "VpcOriginEndpointConfigProperty",
}
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]+[0-9]+|[A-Z]?[a-z0-9]+|[A-Z]+")


def typescript_files(stack: Stack) -> dict[str, str]:
    """An app to run with `npx cdk`."""
    return {
        "app.ts": _TypeScript(stack).app(),
        "cdk.json": _json({"app": "npx tsx app.ts"}),
        "package.json": _json(
            {
                "name": "exported-endpoints",
                "private": True,
                "dependencies": {"aws-cdk-lib": f"^{OLDEST_CDK}", "constructs": "^10.0.0"},
                "devDependencies": {
                    "@types/node": "^20.0.0",
                    "aws-cdk": "^2.0.0",
                    "tsx": "^4.0.0",
                    "typescript": "^5.0.0",
                },
            }
        ),
        "tsconfig.json": _json(
            {
                "compilerOptions": {
                    "target": "ES2022",
                    "module": "commonjs",
                    "moduleResolution": "node",
                    "strict": True,
                    "noEmit": True,
                    "skipLibCheck": True,
                },
                "include": ["*.ts"],
            }
        ),
        MAPPING: _mapping(stack),
        **_TypeScript(stack).fragment(),
    }


def python_files(stack: Stack) -> dict[str, str]:
    """An app to run with `cdk` from npm, in a virtual environment with requirements.txt."""
    return {
        "app.py": _Python(stack).app(),
        "cdk.json": _json({"app": "python3 app.py"}),
        "requirements.txt": f"aws-cdk-lib>={OLDEST_CDK},<3\nconstructs>=10,<11\n",
        MAPPING: _mapping(stack),
        **_Python(stack).fragment(),
    }


def spelled(name: str, *, snake_case: bool) -> str:
    """A property of CloudFormation as CDK spells it: `HTTPPort` is httpPort or http_port."""
    words: list[str] = [word.lower() for word in _WORDS.findall(name)]
    if snake_case:
        return "_".join(words)
    return words[0] + "".join(word.capitalize() for word in words[1:])


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _mapping(stack: Stack) -> str:
    """What `cdk import --resource-mapping` takes."""
    found = cloudformation.to_import(stack)
    return _json({one["LogicalResourceId"]: one["ResourceIdentifier"] for one in found})


class _Language:
    """What both languages share. `names` are the variables of parameters and VPC origins."""

    snake_case = False

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.resources = cloudformation.resources(stack)
        self.logical = cloudformation.resource_names(stack)
        self.parameters = cloudformation.parameter_names(stack)
        texts = [*self.parameters.values(), *self.logical.values()]
        self.names = unique_names(texts, self.spelled)

    def spelled(self, name: str) -> str:
        """A name in the language."""
        return spelled(name, snake_case=self.snake_case)

    def in_app(self) -> set[str]:
        """What is hidden in the app itself, not only in the part to paste."""
        plain = Stack(
            self.stack.account_id,
            self.stack.region,
            self.stack.distributions,
            self.stack.vpc_origins,
            self.stack.rules,
        )
        return {one.what for one in plain.hidden}

    def modules(self) -> list[str]:
        """The modules that the app imports."""
        return sorted({_CONSTRUCTS[kind][0] for kind, _ in self.resources.values()})


class _TypeScript(_Language):
    def app(self) -> str:
        lines = ['import * as cdk from "aws-cdk-lib";']
        lines += [
            f'import * as {module} from "aws-cdk-lib/aws-{module}";' for module in self.modules()
        ]
        lines += [
            'import type { Construct } from "constructs";',
            "",
            "class ExportedStack extends cdk.Stack {",
            "  constructor(scope: Construct, id: string, props: cdk.StackProps) {",
            "    super(scope, id, props);",
        ]
        here = self.in_app()
        for what, parameter in self.parameters.items():
            if what in here:
                lines += [
                    f"    const {self.names[parameter]} = new cdk.CfnParameter(this, "
                    f'"{parameter}", {{',
                    '      type: "String",',
                    "      noEcho: true,",
                    f"      description: {_text(f'{what}. Not exported.')},",
                    "    });",
                ]
        for name, (kind, properties) in self.resources.items():
            module, construct = _CONSTRUCTS[kind]
            variable, value = self.names[name], self._value(properties, "    ")
            lines += [
                f'    const {variable} = new {module}.{construct}(this, "{name}", {value});',
                f"    {variable}.applyRemovalPolicy(cdk.RemovalPolicy.RETAIN);",
            ]
        lines += [
            "  }",
            "}",
            "",
            "const app = new cdk.App();",
            'new ExportedStack(app, "ExportedEndpoints", {',
            f'  stackName: "{STACK_NAME}",',
            f'  env: {{ account: "{self.stack.account_id}", region: "{self.stack.region}" }},',
            "});",
        ]
        return "\n".join(lines) + "\n"

    def fragment(self) -> dict[str, str]:
        properties = cloudformation.fragment_properties(self.stack)
        if not properties:
            return {}
        arguments = ["vpcOriginId: string"]
        arguments += [f"{self.names[name]}: string" for name in self.parameters.values()]
        lines = [
            'import type * as cloudfront from "aws-cdk-lib/aws-cloudfront";',
            "",
            f"export function origins({', '.join(arguments)}): "
            "cloudfront.CfnDistribution.OriginProperty[] {",
            f"  return {self._value(properties['Origins'], '  ', fragment=True)};",
            "}",
            "",
            "export const cacheBehaviors: cloudfront.CfnDistribution.CacheBehaviorProperty[] = "
            f"{self._value(properties['CacheBehaviors'], '', fragment=True)};",
        ]
        return {"distribution-fragment.ts": "\n".join(lines) + "\n"}

    def _value(self, value: Any, indent: str, *, fragment: bool = False) -> str:
        inner = indent + "  "
        match value:
            case Hidden():
                name = self.names[self.parameters[value.what]]
                return name if fragment else f"{name}.valueAsString"
            case VpcOriginRef():
                return "vpcOriginId" if fragment else f"{self.names[self.logical[value.id]]}.attrId"
            case bool():
                return "true" if value else "false"
            case str():
                return _text(value)
            case list() if value and isinstance(value[0], Mapping):
                lines = [f"{inner}{self._value(one, inner, fragment=fragment)}," for one in value]
                return "\n".join(["[", *lines, f"{indent}]"])
            case list():
                return f"[{', '.join(self._value(one, inner) for one in value)}]"
            case Mapping():
                lines = [
                    f"{inner}{self.spelled(key)}: {self._value(one, inner, fragment=fragment)},"
                    for key, one in value.items()
                ]
                return "\n".join(["{", *lines, f"{indent}}}"])
        return str(value)


class _Python(_Language):
    snake_case = True

    def app(self) -> str:
        lines = ["import aws_cdk as cdk"]
        lines += [f"from aws_cdk import aws_{module} as {module}" for module in self.modules()]
        lines += [
            "from constructs import Construct",
            "",
            "",
            "class ExportedStack(cdk.Stack):",
            "    def __init__(self, scope: Construct, id: str, **props) -> None:",
            "        super().__init__(scope, id, **props)",
        ]
        here = self.in_app()
        for what, parameter in self.parameters.items():
            if what in here:
                lines += [
                    f"        {self.names[parameter]} = cdk.CfnParameter(",
                    "            self,",
                    f'            "{parameter}",',
                    '            type="String",',
                    "            no_echo=True,",
                    f"            description={_text(f'{what}. Not exported.')},",
                    "        )",
                ]
        for name, (kind, properties) in self.resources.items():
            module, construct = _CONSTRUCTS[kind]
            inner = " " * 12
            lines += [
                f"        {self.names[name]} = {module}.{construct}(",
                f"{inner}self,",
                f'{inner}"{name}",',
                *(
                    f"{inner}{self.spelled(key)}={self._value(one, inner, key, construct)},"
                    for key, one in properties.items()
                ),
                "        )",
                f"        {self.names[name]}.apply_removal_policy(cdk.RemovalPolicy.RETAIN)",
            ]
        lines += [
            "",
            "",
            "app = cdk.App()",
            "ExportedStack(",
            "    app,",
            '    "ExportedEndpoints",',
            f'    stack_name="{STACK_NAME}",',
            f'    env=cdk.Environment(account="{self.stack.account_id}", '
            f'region="{self.stack.region}"),',
            ")",
            "app.synth()",
        ]
        return "\n".join(lines) + "\n"

    def fragment(self) -> dict[str, str]:
        properties = cloudformation.fragment_properties(self.stack)
        if not properties:
            return {}
        arguments = ["vpc_origin_id: str"]
        arguments += [f"{self.names[name]}: str" for name in self.parameters.values()]
        lines = ["from aws_cdk import aws_cloudfront as cloudfront", "", ""]
        for key, name, taken in (
            ("Origins", "origins", arguments),
            ("CacheBehaviors", "cache_behaviors", []),
        ):
            value = self._value(properties[key], "    ", key, "CfnDistribution", fragment=True)
            kind = f"cloudfront.CfnDistribution.{STRUCTURES[key]}"
            lines += [
                f"def {name}({', '.join(taken)}) -> list[{kind}]:",
                f"    return {value}",
                "",
                "",
            ]
        return {"distribution_fragment.py": "\n".join(lines[:-2]) + "\n"}

    def _value(
        self, value: Any, indent: str, key: str, construct: str, *, fragment: bool = False
    ) -> str:
        inner = indent + "    "

        def written(one: Any, place: str) -> str:
            return self._value(one, inner, place, construct, fragment=fragment)

        match value:
            case Hidden():
                name = self.names[self.parameters[value.what]]
                return name if fragment else f"{name}.value_as_string"
            case VpcOriginRef():
                owner = "vpc_origin_id" if fragment else self.names[self.logical[value.id]]
                return owner if fragment else f"{owner}.attr_id"
            case str():
                return _text(value)
            case list() if value and isinstance(value[0], Mapping):
                lines = [f"{inner}{written(one, key)}," for one in value]
                return "\n".join(["[", *lines, f"{indent}]"])
            case list():
                return f"[{', '.join(written(one, key) for one in value)}]"
            case Mapping():
                lines = [
                    f"{inner}{self.spelled(name)}={written(one, _place(key, name))},"
                    for name, one in value.items()
                ]
                if key == "Tags":
                    structure = "cdk.CfnTag"
                else:
                    structure = f"cloudfront.{construct}.{STRUCTURES[key]}"
                return "\n".join([f"{structure}(", *lines, f"{indent})"])
        return str(value)


def _place(key: str, name: str) -> str:
    """The key of STRUCTURES for what is inside."""
    return f"{key}.Items" if name == "Items" else name


def _text(text: str) -> str:
    """A text as both languages write it."""
    escaped = json.dumps(text, ensure_ascii=False)
    return "".join(
        char if char.isprintable() or ord(char) > 0xFFFF else f"\\u{ord(char):04x}"
        for char in escaped
    )
