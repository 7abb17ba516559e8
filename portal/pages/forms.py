"""The forms of the pages: they turn what a browser sends into wishes and choices.

Whether a wish is well formed is decided by provisioning.spec.parsing alone; its faults are hung on the
fields here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django import forms
from django.conf import settings

from checks.diagnosis.access_log import LogRow, LogRowError
from checks.diagnosis.probe_kinds import ProbeKind
from checks.models import Check
from checks.probe.probe_request import (
    REQUESTABLE,
    ProbeRequest,
    ProbeRequestError,
    parse_probe_request,
)
from checks.probe_actions import LONGEST_LOG_ROWS, read_log_rows
from checks.protocol.handshake_options import (
    HandshakeOptions,
    HandshakeOptionsError,
    parse_handshake_options,
)
from portal.people.actions import LONGEST_TOKEN_DAYS
from portal.people.models import ApiToken, Team
from provisioning.models import AwsAccount
from provisioning.spec.fields import METHODS, ORIGIN_PROTOCOL, VIEWER_PROTOCOL
from provisioning.spec.parsing import SpecError

LISTS = ("path_patterns", "subprotocols")
NUMBERS = ("http_port", "https_port", "read_timeout", "keepalive_timeout", "max_silence_seconds")
FLAGS = ("forward_host", "open_security_group")
ANSWERS = (
    "name",
    "distribution_id",
    "target_arn",
    "path_patterns",
    "max_silence_seconds",
    "subprotocols",
)

ADVANCED: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "origin_protocol": (
        "Protocol between CloudFront and your server",
        tuple((one, one) for one in ORIGIN_PROTOCOL.choices),
    ),
    "http_port": ("HTTP port of the target", ()),
    "https_port": ("HTTPS port of the target", ()),
    "forward_host": ("Pass the viewer's Host header on", (("true", "yes"), ("false", "no"))),
    "origin_domain": ("Domain name CloudFront uses for the target", ()),
    "viewer_protocol_policy": (
        "Viewers that come without TLS",
        tuple((one, one) for one in VIEWER_PROTOCOL.choices),
    ),
    "allowed_methods": (
        "HTTP methods that pass",
        tuple((one, one.replace(",", ", ")) for one in METHODS.choices),
    ),
    "read_timeout": ("Seconds to wait for the server's answer", ()),
    "keepalive_timeout": ("Seconds to keep idle HTTP connections", ()),
    "open_security_group": (
        "Open the security group where it is needed",
        (("true", "yes"), ("false", "no")),
    ),
}

CHOSEN = {
    "target_arn": "Choose the load balancer or instance that your server is behind.",
    "distribution_id": "Choose the distribution whose path it becomes.",
}
"""What is said where nothing was chosen: the page offers a list, and the spec speaks of
identifiers.
"""

LABELS = {
    "team": "Team",
    "account_id": "AWS account",
    "justification": "What it is for",
    "target_arn": "Server",
    "distribution_id": "Distribution",
    "name": "Name",
    "path_patterns": "Path",
    "max_silence_seconds": "Longest silence",
    "subprotocols": "Subprotocols",
    "carries_http_api": "HTTP API on the same path",
} | {field: label for field, (label, _) in ADVANCED.items()}


class SummedUpForm(forms.Form):
    """A form whose faults are listed on top of the page. `labels` names the fields in the order of
    the page.
    """

    labels: ClassVar[dict[str, str]]

    def __init__(
        self, data: Mapping[str, Any] | None = None, *, initial: Mapping[str, Any] | None = None
    ) -> None:
        given = dict(initial or {})
        for name in given.keys() & self.base_fields.keys():
            field = self.base_fields[name]
            if isinstance(field, forms.BooleanField):
                # A link says it in words, and to a template the word false is true.
                given[name] = field.to_python(given[name])
        super().__init__(data, initial=given)

    def faults(self) -> list[tuple[str, str, str]]:
        """(field, label, message) in the order of the page."""
        order = [*self.labels, "__all__"]
        return [
            (field, self.labels.get(field, ""), str(message))
            for field in sorted(self.errors, key=order.index)
            for message in self.errors[field]
        ]


class RequestForm(SummedUpForm):
    """What a team asks for. Team and account are checked here: they decide what may be seen. The
    rest is the spec's.
    """

    labels: ClassVar[dict[str, str]] = LABELS

    team = forms.ChoiceField(error_messages={"required": "Choose the team it is for."})
    account_id = forms.ChoiceField(
        error_messages={"required": "Choose the AWS account your server runs in."}
    )
    justification = forms.CharField(
        max_length=500,
        error_messages={"required": "Say in a sentence what it is for; the approver reads it."},
    )
    name = forms.CharField(required=False, max_length=200)
    distribution_id = forms.CharField(required=False, max_length=100)
    target_arn = forms.CharField(required=False, max_length=400)
    path_patterns = forms.CharField(required=False, max_length=1500)
    max_silence_seconds = forms.CharField(required=False, max_length=20)
    subprotocols = forms.CharField(required=False, max_length=800)
    carries_http_api = forms.BooleanField(required=False)
    origin_protocol = forms.CharField(required=False, max_length=40)
    http_port = forms.CharField(required=False, max_length=20)
    https_port = forms.CharField(required=False, max_length=20)
    forward_host = forms.CharField(required=False, max_length=10)
    origin_domain = forms.CharField(required=False, max_length=300)
    viewer_protocol_policy = forms.CharField(required=False, max_length=40)
    allowed_methods = forms.CharField(required=False, max_length=100)
    read_timeout = forms.CharField(required=False, max_length=20)
    keepalive_timeout = forms.CharField(required=False, max_length=20)
    open_security_group = forms.CharField(required=False, max_length=10)

    def __init__(
        self, data: Mapping[str, Any] | None, *, teams: Sequence[Team], initial: Mapping[str, Any]
    ) -> None:
        super().__init__(data, initial=initial)
        self.teams = list(teams)
        self._choices("team", [(team.slug, team.name) for team in self.teams])
        self.accounts: list[AwsAccount] = _accounts_of(self.chosen_team)
        self._choices("account_id", [(one.account_id, str(one)) for one in self.accounts])

    @property
    def team_slug(self) -> str:
        """What is chosen, or the only team there is."""
        given = self.value("team")
        return given if given or len(self.teams) != 1 else self.teams[0].slug

    @property
    def chosen_team(self) -> Team | None:
        """The chosen team, if it is one of the person's."""
        return next((team for team in self.teams if team.slug == self.team_slug), None)

    @property
    def account(self) -> AwsAccount | None:
        """The chosen account, if it is one of the team's; the only one there is needs no
        choosing.
        """
        given = self.value("account_id")
        if not given and len(self.accounts) == 1:
            return self.accounts[0]
        return next((one for one in self.accounts if one.account_id == given), None)

    def value(self, field: str) -> str:
        """What was typed, whether valid or not."""
        return str(self[field].value() or "").strip()

    def answers(self) -> dict[str, Any]:
        """The answers given so far, and nothing for what was left open. Also of a form that is not
        valid.
        """
        answers: dict[str, Any] = {"account_id": self.account.account_id if self.account else ""}
        for field in (*ANSWERS, *ADVANCED):
            text = self.value(field)
            if not text:
                continue
            if field in LISTS:
                answers[field] = [word for word in re.split(r"[,\s]+", text) if word]
            elif field in NUMBERS and re.fullmatch(r"[0-9]{1,6}", text, re.ASCII):
                answers[field] = int(text)
            elif field in FLAGS and text in ("true", "false"):
                answers[field] = text == "true"
            else:
                answers[field] = text
        if self["carries_http_api"].value():
            answers["carries_http_api"] = True
        return {key: value for key, value in answers.items() if value != ""}

    def refuse(self, error: SpecError) -> None:
        """Hang the spec's faults on the fields they belong to."""
        for fault in error.errors:
            message = (
                CHOSEN.get(fault.field, fault.message)
                if fault.code == "required"
                else fault.message
            )
            self.add_error(fault.field if fault.field in self.fields else None, message)

    def advanced_faults(self) -> bool:
        """Whether one of the advanced settings is at fault, so that the page opens them."""
        return self.is_bound and any(field in self.errors for field in ADVANCED)

    def _choices(self, field: str, choices: list[tuple[str, str]]) -> None:
        choice = self.fields[field]
        assert isinstance(choice, forms.ChoiceField)  # noqa: S101  for the type checker
        choice.choices = choices
        choice.error_messages["invalid_choice"] = "Choose one of the list."


def _accounts_of(team: Team | None) -> list[AwsAccount]:
    return list(team.accounts.order_by("name")) if team else []


def answers_of(answers: Mapping[str, Any], team: Team, justification: str) -> dict[str, Any]:
    """A stored wish as the form shows it, for editing."""
    return {"team": team.slug, "justification": justification} | fields_of(answers)


def fields_of(answers: Mapping[str, Any]) -> dict[str, Any]:
    """Parts of a wish as the form's fields have them."""
    shown: dict[str, Any] = {}
    for key, value in answers.items():
        if isinstance(value, list | tuple):
            shown[key] = ", ".join(map(str, value))
        elif isinstance(value, bool) and key != "carries_http_api":
            shown[key] = "true" if value else "false"
        else:
            shown[key] = value
    return shown


class TokenForm(SummedUpForm):
    """A new API token."""

    labels: ClassVar[dict[str, str]] = {
        "name": "What is it for?",
        "scopes": "What may it do?",
        "days": "For how many days?",
    }

    name = forms.CharField(
        max_length=80,
        error_messages={"required": "Give it a name by which you recognise it later."},
    )
    scopes = forms.MultipleChoiceField(
        choices=ApiToken.Scope.choices,
        error_messages={"required": "Choose at least one thing that it may do."},
    )
    days = forms.IntegerField(
        min_value=1,
        max_value=LONGEST_TOKEN_DAYS,
        initial=90,
        error_messages={
            "required": f"Say how many days it shall live, 1 to {LONGEST_TOKEN_DAYS}.",
            "invalid": f"A whole number from 1 to {LONGEST_TOKEN_DAYS}.",
            "min_value": f"A whole number from 1 to {LONGEST_TOKEN_DAYS}.",
            "max_value": f"A whole number from 1 to {LONGEST_TOKEN_DAYS}.",
        },
    )


class CustomCheckForm(SummedUpForm):
    """A handshake of one's own. What may be wanted is decided by checks.protocol.handshake_options; its faults are hung
    on the fields.
    """

    labels: ClassVar[dict[str, str]] = {
        "path": "Path",
        "origin": "Origin",
        "subprotocols": "Subprotocols",
        "headers": "More headers",
        "unencrypted": "Unencrypted",
        "compress": "Compression",
        "script": "Conversation",
        "name": "Name",
        "every_minutes": "Make it again",
        "after_changes": "After changes",
    }
    origin_hint = (
        "The page a browser would have open, like https://app.example.com. Write none to send "
        "no Origin line."
    )
    schedules = (
        ("0", "only by hand"),
        ("15", "every 15 minutes"),
        ("60", "every hour"),
        ("1440", "every day"),
    )
    grammar = (
        ("send hello {nonce}", "Sends one text message; {nonce} is new in every test."),
        ("expect text hello within 5", "A message that contains this must come within 5 seconds."),
        ('expect json $.type == "welcome"', "A JSON message with this value at this place."),
        ("expect json $.clients", "A JSON message with any value at this place."),
        ("expect regex ^echo: .+", "A message in which this pattern is found (RE2 syntax)."),
        ("ping within 5", "A ping, and its pong."),
        ("pong", "A pong nobody asked for: the client speaks, nobody answers."),
        ("hold 30", "30 seconds of silence; the socket must stay open."),
        ("close 1000 done", "A close frame, which must be answered."),
    )

    path = forms.CharField(required=False, max_length=2000, strip=False)
    origin = forms.CharField(required=False, max_length=300)
    subprotocols = forms.CharField(required=False, max_length=800)
    headers = forms.CharField(required=False, max_length=16_000, strip=False)
    unencrypted = forms.BooleanField(required=False)
    compress = forms.BooleanField(required=False)
    script = forms.CharField(required=False, max_length=64_000, strip=False)
    name = forms.CharField(required=False, max_length=60)
    every_minutes = forms.ChoiceField(required=False, choices=schedules)
    after_changes = forms.BooleanField(required=False)

    def __init__(
        self,
        data: Mapping[str, Any] | None,
        *,
        url: str,
        saving: bool,
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=initial)
        self._url, self._saving = url, saving
        self.options = HandshakeOptions()

    def clean(self) -> dict[str, Any]:
        """Read what is wanted; a name is needed only to save."""
        given = dict(self.cleaned_data)
        ticked = {name: "true" if given.get(name) else "" for name in ("unencrypted", "compress")}
        try:
            self.options = parse_handshake_options(
                given | ticked, url=self._url, saved=self._saving
            )
        except HandshakeOptionsError as error:
            for field, fault in error.faults.items():
                self.add_error(field, fault)
        if self._saving and not given.get("name"):
            self.add_error("name", "Give it a name to find it by.")
        given["every_minutes"] = given.get("every_minutes") or "0"
        return given


class ProbeForm(SummedUpForm):
    """A further probe: its kind, and what that kind takes. What may be asked for is decided by
    checks.probe.probe_request.
    """

    labels: ClassVar[dict[str, str]] = {"kind": "Probe", "number": "How many", "path": "Path"}

    kind = forms.ChoiceField(
        choices=[
            (kind.value, kind.value) for kind in REQUESTABLE if kind is not ProbeKind.LOG_ROWS
        ],
        error_messages={
            "required": "Choose a probe.",
            "invalid_choice": "Choose one of the probes on this page.",
        },
    )
    number = forms.IntegerField(required=False, error_messages={"invalid": "Write a whole number."})
    path = forms.CharField(required=False, max_length=2000)

    def __init__(self, data: Mapping[str, Any], *, url: str) -> None:
        super().__init__(data)
        self._url = url
        self.asked = ProbeRequest(ProbeKind.PLAIN_GET)

    def clean(self) -> dict[str, Any]:
        """Read number and path as the kind takes them."""
        given = dict(self.cleaned_data)
        if self.errors:
            return given
        kind, pace = ProbeKind(given["kind"]), settings.PROBE_IDLE_PACE
        try:
            self.asked = parse_probe_request(
                kind, given["number"], given["path"], url=self._url, idle_pace=pace
            )
        except ProbeRequestError as error:
            for field, fault in error.faults.items():
                self.add_error(field, fault)
        return given


class LogRowsForm(SummedUpForm):
    """Rows of CloudFront's log, to weigh a check again with. How they are read is decided by
    checks.
    """

    labels: ClassVar[dict[str, str]] = {"rows_text": "Log rows"}

    rows_text = forms.CharField(
        max_length=LONGEST_LOG_ROWS,
        strip=False,
        error_messages={
            "required": "Paste at least one row of CloudFront's log.",
            "max_length": "Paste only the rows of the failed handshake, at most 60,000 characters.",
        },
    )

    def __init__(self, data: Mapping[str, Any] | None, *, check: Check) -> None:
        super().__init__(data)
        self._check = check
        self.rows: tuple[LogRow, ...] = ()

    def clean_rows_text(self) -> str:
        """Read the rows."""
        text = str(self.cleaned_data["rows_text"])
        try:
            self.rows = read_log_rows(self._check, text)
        except LogRowError as error:
            raise forms.ValidationError(str(error)) from error
        return text
