"""From a person's answers to a complete, valid spec, or to every error in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioning.facts.path_patterns import example_path, is_normalized, matches, same_paths
from provisioning.spec.app_kinds import APP_KINDS, AppKind
from provisioning.spec.derivation import Known
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.field_kinds import InvalidValue
from provisioning.spec.fields import FIELDS, PATHS, TARGET_ARN
from provisioning.spec.origin_headers import origin_headers_fault

SPEC_FIELDS = tuple(field for field in FIELDS if field.in_spec)
_NAMES = frozenset(field.name for field in SPEC_FIELDS)
_DERIVED = tuple((field.name, field.rule) for field in FIELDS if field.rule is not None)
_DEFAULTS = {field.name: field.default for field in SPEC_FIELDS if field.default is not None}


@dataclass(frozen=True)
class FieldError:
    """One error in one field. `message` says what to do about it."""

    field: str
    code: str
    message: str


class SpecError(ValueError):
    """Answers that make no valid spec. Carries every error, not only the first."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return "; ".join(f"{error.field}: {error.message}" for error in self.errors)


@dataclass(frozen=True)
class Derived:
    """A setting that the portal chose, and the reason in one sentence."""

    field: str
    value: Any
    reason: str


def derive_settings(
    answers: Mapping[str, Any],
    listener_protocols: Mapping[int, str] | None = None,
    certificate_names: Mapping[int, Sequence[str]] | None = None,
) -> tuple[Derived, ...]:
    """The settings that follow from a person's answers and, where known, from the target's
    listeners (port → protocol) and the full names in its certificates (port → names).
    """
    known = Known(answers, listener_protocols or {}, certificate_names or {})
    derivations = ((name, rule(known)) for name, rule in _DERIVED)
    return tuple(Derived(name, chosen.value, chosen.reason) for name, chosen in derivations)


def complete_answers(
    answers: Mapping[str, Any],
    listener_protocols: Mapping[int, str] | None = None,
    certificate_names: Mapping[int, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """The answers with every unset (absent, None or "") setting filled in. An answer always wins
    over a derived setting.
    """
    complete = dict(_DEFAULTS)
    derived = derive_settings(answers, listener_protocols, certificate_names)
    complete |= {one.field: one.value for one in derived}
    complete |= {key: value for key, value in answers.items() if value is not None and value != ""}
    for field in FIELDS:
        if not field.in_spec:
            complete.pop(field.name, None)
    return complete


def parse_spec(data: Mapping[str, Any]) -> EndpointSpec:
    """The spec that complete answers describe. Raises SpecError with every error. Lists may be
    strings separated by commas, and numbers decimal strings, because ticket systems send strings.
    """
    errors = [
        FieldError(key, "unknown", "Unknown field. Remove it.")
        for key in sorted(set(data) - _NAMES)
    ]
    values: dict[str, Any] = {}
    for field in SPEC_FIELDS:
        try:
            values[field.name] = field.parse(data.get(field.name))
        except InvalidValue as invalid:
            errors.append(FieldError(field.name, invalid.code, invalid.message))
    errors += _cross_check(values)
    if errors:
        raise SpecError(errors)
    return EndpointSpec(**values)


def read_spec(stored: Mapping[str, Any]) -> EndpointSpec:
    """The spec that `EndpointSpec.to_dict` gave, as it was stored, empty settings too: nothing is
    validated, since a rule can be stricter by now. A setting that came later follows from the
    others; one that no longer exists is dropped.
    """
    complete = dict(stored)
    if not all(field.name in complete for field in SPEC_FIELDS):
        complete = complete_answers(stored) | complete
    values: dict[str, Any] = {field.name: complete[field.name] for field in SPEC_FIELDS}
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return EndpointSpec(**values | lists)


def _cross_check(values: Mapping[str, Any]) -> list[FieldError]:
    """Rules that need more than one field, or more than one entry of a list."""
    errors = []
    match = TARGET_ARN.fullmatch(str(values.get("target_arn", "")))
    if match and "account_id" in values:
        account = match["lb_account"] or match["ec2_account"]
        if account != values["account_id"]:
            errors.append(
                FieldError(
                    "target_arn",
                    "other_account",
                    "The target belongs to another account. Choose one in this account.",
                )
            )
    paths = values.get("path_patterns", ())
    for index, pattern in enumerate(paths):
        same = next((other for other in paths[:index] if same_paths(other, pattern)), None)
        if same is not None:
            message = f"{pattern} matches the same paths as {same}. Remove one."
            errors.append(FieldError("path_patterns", "duplicate", message))
        elif example_path(pattern) is None:
            message = (
                f"No request matches {pattern}: CloudFront removes empty segments, /./ and /../ "
                "from a path before it compares it. Write the path without them."
            )
            errors.append(FieldError("path_patterns", "unreachable", message))
    asked = str(values.get("check_path", "")).partition("?")[0]
    # A pattern that is wrong would only be reported twice.
    if asked and paths and all(error.field != "path_patterns" for error in errors):
        if not is_normalized(asked):
            message = "CloudFront removes empty segments, /./ and /../ from a path. Leave them out."
            errors.append(FieldError("check_path", "unreachable", message))
        elif not any(matches(pattern, asked) for pattern in paths):
            message = f"{asked} does not match {' or '.join(paths)}. Choose a path that does."
            errors.append(FieldError("check_path", "not_matched", message))
    kind = APP_KINDS.get(str(values.get("app_kind", "")))
    if kind and kind.path and not asked and paths and not errors:
        errors.append(FieldError("path_patterns", "not_matched", _not_of_kind(kind, paths)))
    if fault := origin_headers_fault(str(values.get("origin_headers", ""))):
        errors.append(FieldError("origin_headers", "invalid", fault))
    # Also "/**", "/?*" and the like: nothing in them tells this endpoint from any other.
    if not all(pattern.strip("/*?") for pattern in paths):
        example = (kind and kind.usual_path) or PATHS.example[0]
        message = (
            "This would match every request to the distribution. Choose a specific path, for "
            f"example {example}."
        )
        errors.append(FieldError("path_patterns", "catch_all", message))
    return errors


def _not_of_kind(kind: AppKind, paths: Sequence[str]) -> str:
    """Why no client of this kind reaches the endpoint, and which path pattern would do."""
    first = paths[0]
    path = kind.client_path(first)
    if not path:
        return (
            f"{kind.title} clients request a path of their own below yours. Use a pattern with one "
            "* at its end, or set the path that the check requests."
        )
    base = first.rstrip("*").rstrip("/")
    wide = f"{base}/*"
    if doubt := kind.path_doubt(paths):
        return (
            f"{doubt} Use {kind.usual_path}, or {wide} only if your server's path option is {base}."
        )
    return (
        f"{kind.title} clients request {path}, which {first} does not match. Use {wide}, or set "
        "the path that the check requests if your clients use another."
    )
