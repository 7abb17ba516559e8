"""The README of an export: what is in it, how to take it over, and what it leaves out (PURE)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provisioning.export import cdk, cloudformation, terraform
from provisioning.export.content import (
    TITLES,
    Config,
    Export,
    Format,
    Scope,
    Stack,
)

NOT_EXPRESSED: Mapping[Format, Mapping[str, Any]] = {
    Format.TERRAFORM: terraform.NOT_EXPRESSED,
    Format.CLOUDFORMATION: cloudformation.NOT_EXPRESSED,
    Format.CDK_TYPESCRIPT: cloudformation.NOT_EXPRESSED,
    Format.CDK_PYTHON: cloudformation.NOT_EXPRESSED,
}
_FRAGMENTS = {
    Format.TERRAFORM: terraform.FRAGMENT,
    Format.CLOUDFORMATION: cloudformation.FRAGMENT,
    Format.CDK_TYPESCRIPT: "distribution-fragment.ts",
    Format.CDK_PYTHON: "distribution_fragment.py",
}
_STEPS = {
    Format.TERRAFORM: (
        "Terraform 1.5 or later, with the provider `hashicorp/aws` "
        f"{terraform.OLDEST_PROVIDER} or later. The import blocks are in `main.tf`.",
        (
            "terraform init",
            "terraform plan    # must say: 0 to add, 0 to change, 0 to destroy",
            "terraform apply   # writes the state; changes nothing in AWS",
        ),
        "`prevent_destroy` keeps Terraform from deleting what it took over. Remove it when you "
        "want to.",
    ),
    Format.CLOUDFORMATION: (
        "`template.json` with a resource import. Every resource has `DeletionPolicy: Retain`, so "
        "that deleting the stack leaves it in AWS.",
        (
            "aws cloudformation create-change-set --change-set-type IMPORT \\",
            f"  --stack-name {cdk.STACK_NAME} --change-set-name import \\",
            "  --template-body file://template.json \\",
            "  --resources-to-import file://resources-to-import.json",
            "aws cloudformation execute-change-set \\",
            f"  --stack-name {cdk.STACK_NAME} --change-set-name import",
            f"aws cloudformation detect-stack-drift --stack-name {cdk.STACK_NAME}",
        ),
        "Put a template of more than 51,200 bytes into S3, and use `--template-url`.",
    ),
    Format.CDK_TYPESCRIPT: (
        f"AWS CDK {cdk.OLDEST_CDK} or later. Every resource has the removal policy RETAIN.",
        (
            "npm install",
            "npx tsc           # checks the types",
            "npx cdk synth",
            f"npx cdk import --resource-mapping {cdk.MAPPING}",
            "npx cdk drift",
        ),
        "",
    ),
    Format.CDK_PYTHON: (
        f"AWS CDK {cdk.OLDEST_CDK} or later. Every resource has the removal policy RETAIN.",
        (
            "python3 -m venv .venv && . .venv/bin/activate",
            "pip install -r requirements.txt",
            "npx aws-cdk synth",
            f"npx aws-cdk import --resource-mapping {cdk.MAPPING}",
            "npx aws-cdk drift",
        ),
        "",
    ),
}
_BY_PARAMETER = (
    "with a parameter of the stack. `cdk import` passes none: import with the CloudFormation "
    "export, whose resources have the same names, and go on with CDK"
)
_SUPPLY = {
    Format.TERRAFORM: "with a variable: `TF_VAR_name=value`, or a file that is not in Git",
    Format.CLOUDFORMATION: "with `--parameters ParameterKey=name,ParameterValue=value`",
    Format.CDK_TYPESCRIPT: _BY_PARAMETER,
    Format.CDK_PYTHON: _BY_PARAMETER,
}


def readme(export: Export, form: Format) -> str:
    """The text, in Markdown."""
    return "\n".join(_lines(export, form)) + "\n"


def remarks(stack: Stack, form: Format) -> list[str]:
    """What is not, or not as it is in AWS, in the files of a stack; a sentence each."""
    found = list(stack.remarks)
    for what, config in _configs(stack):
        found += (
            f"{what}: {TITLES[form]} has no setting for {path} ({value}). Leave it to AWS, or set "
            "it again by hand after each change."
            for path, value in not_expressed(config, NOT_EXPRESSED[form])
        )
    if form is not Format.TERRAFORM and any(one.tags for one in stack.rules):
        found.append("CloudFormation has no tags for ingress rules. Those in AWS stay as they are.")
    for one in stack.vpc_origins:
        if one.shared_with:
            found.append(
                f"VPC origin {one.id} also serves {_endpoints(one.shared_with)} of the portal. "
                "Keep it in one place of your code only."
            )
    for rule in stack.rules:
        if rule.shared_with:
            found.append(
                f"Ingress rule {rule.rule.rule_id} also serves {_endpoints(rule.shared_with)} of "
                "the portal. Keep it in one place of your code only."
            )
    return found


def not_expressed(
    config: Any, defaults: Mapping[str, Any], path: str = ""
) -> Iterator[tuple[str, Any]]:
    """The settings of `defaults` that differ from the default: path and value."""
    if isinstance(config, Mapping):
        for key, value in config.items():
            inner = f"{path}/{key}" if path else key
            # An address type stands at custom origins, too, and there it has an argument.
            known = key in defaults and not (key == "IpAddressType" and "Custom" in path)
            if known and value not in (defaults[key], "", None, {}):
                yield inner, value
            elif not known:
                yield from not_expressed(value, defaults, inner)
    elif isinstance(config, list):
        for one in config:
            named = one.get("Id", "") if isinstance(one, Mapping) else ""
            yield from not_expressed(one, defaults, f"{path}/{named}" if named else path)


def _configs(stack: Stack) -> Iterator[tuple[str, Config]]:
    for one in stack.distributions:
        yield f"Distribution {one.id}", one.config
    for origin in stack.vpc_origins:
        yield f"VPC origin {origin.id}", origin.config
    if stack.fragment:
        yield f"Origin {stack.fragment.origin['Id']}", stack.fragment.origin


def _endpoints(count: int) -> str:
    return "1 other endpoint" if count == 1 else f"{count} other endpoints"


def _lines(export: Export, form: Format) -> Iterator[str]:
    yield f"# {export.name} as {TITLES[form]}"
    yield ""
    if export.scope is Scope.ENDPOINT:
        yield from _of_endpoint(export, form)
    elif export.scope is Scope.DISTRIBUTION:
        yield (
            "The whole distribution as it is in AWS, with the VPC origins of this account that it "
            "uses, and the ingress rules that the portal added for its endpoints."
        )
    else:
        yield (
            "Every distribution that has endpoints of the portal, whole, with their VPC origins "
            "and the ingress rules that the portal added."
        )
    yield ""
    if len(export.stacks) > 1:
        yield "A folder for each account and Region:"
        yield ""
        yield from (f"- `{folder(one)}/`" for one in export.stacks)
        yield ""
    yield "## Take it over"
    yield ""
    needs, commands, after = _STEPS[form]
    yield needs
    yield ""
    yield "```sh"
    yield from commands
    yield "```"
    yield ""
    if after:
        yield after
        yield ""
    yield (
        "Two tools that write one distribution undo each other's changes. Once your code has taken "
        "over, request no more changes of it from the portal."
    )
    yield ""
    yield from _hidden(export, form)
    yield "## What to know"
    yield ""
    yield (
        "- Policies, functions, certificates, web ACLs, key groups and log buckets are named by "
        "their ID or ARN. They stay where they are."
    )
    yield (
        "- An ingress rule that lets CloudFront in and that the portal did not add is not exported."
    )
    for stack in export.stacks:
        yield from (f"- {one}" for one in remarks(stack, form))


def _of_endpoint(export: Export, form: Format) -> Iterator[str]:
    stack = export.stacks[0]
    yield (
        "The endpoint's VPC origin and ingress rules, ready to be taken over, and its part of the "
        "distribution."
    )
    if stack.fragment is None:
        return
    yield ""
    yield (
        "CloudFront has no resource for a single origin or behavior: whoever owns distribution "
        f"{stack.fragment.distribution_id} ({stack.fragment.domain_name}) owns all of them. So "
        f"`{_FRAGMENTS[form]}` is no file to apply, but the part to paste into the code of that "
        "distribution, wherever it is. The export of the whole distribution, which the platform "
        "team can make, has it in place."
    )
    yield ""
    yield "CloudFront uses the first behavior that matches, so the order counts:"
    yield ""
    for one in stack.fragment.behaviors:
        yield f"- `{one.config['PathPattern']}`: {terraform.place_of(one)}"


def _hidden(export: Export, form: Format) -> Iterator[str]:
    hidden = [(stack, one) for stack in export.stacks for one in stack.hidden]
    if not hidden:
        return
    yield "## Values to supply"
    yield ""
    yield (
        "Values of custom headers are not exported, nor is text that looks like a credential. "
        "Supply each as it is in AWS, or the import changes it, "
        f"{_SUPPLY[form]}."
    )
    yield ""
    for stack, one in hidden:
        names = (
            terraform.variable_names(stack)
            if form is Format.TERRAFORM
            else cloudformation.parameter_names(stack)
        )
        yield f"- `{names[one.what]}`: {one.what}"
    yield ""


def folder(stack: Stack) -> str:
    """Where a stack's files are, if there are several stacks."""
    return f"{stack.account_id}-{stack.region}"
