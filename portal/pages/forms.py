"""The forms of the pages. Which values are valid is decided below: an endpoint's settings by
`provisioning.spec`, everything about checks by `checks`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Self

from django import forms
from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS
from django.http import QueryDict
from django.utils.html import format_html

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
from portal.pages.probe_offers import ProbeOffer
from portal.pages.templatetags.portal_format import plainly
from portal.people.actions import LONGEST_TOKEN_DAYS
from portal.people.models import ApiToken, Team
from portal.requests.actions import FIXED
from portal.requests.answers import holds_credential, parse_settings
from portal.requests.endpoint_names import name_fault
from provisioning.aws.distributions import DistributionSummary
from provisioning.models import AwsAccount, Endpoint
from provisioning.redaction.references import NAME, NAME_ADVICE
from provisioning.secrets.store import MAX_VALUE, VALUE_ADVICE, value_fault
from provisioning.spec.app_kinds import APP_KINDS
from provisioning.spec.client_profiles import CLIENTS
from provisioning.spec.field_kinds import (
    Choice,
    Choices,
    Field,
    Flag,
    InvalidValue,
    Lines,
    Number,
    Section,
)
from provisioning.spec.fields import ACCOUNT_ID, APP_KIND, ASKED, PATHS, USUAL_CHECK
from provisioning.spec.parsing import Derived, SpecError


class PageForm(forms.Form):
    """A form whose errors are also listed above it, in the order of its fields."""

    use_required_attribute = False

    def without_errors(self) -> Self:
        """This form, without complaints about what is missing or wrong so far."""
        self.full_clean()
        self.errors.clear()
        return self

    def error_summary(self) -> list[tuple[forms.BoundField | None, str]]:
        """(field, message) in the order of the page; the field is None for the form as a whole."""
        order = [*self.fields, NON_FIELD_ERRORS]
        return [
            (self[name] if name in self.fields else None, str(message))
            for name in sorted(self.errors, key=order.index)
            for message in self.errors[name]
        ]


TYPED = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
CODE = {"autocomplete": "off", "spellcheck": "false", "class": "mono"}
AUTOMATIC = "Automatic"
WORDS = {"true": "yes", "false": "no"}


class SettingField(forms.Field):
    """An endpoint's setting, as its row of the field table describes and parses it."""

    def __init__(self, row: Field) -> None:
        super().__init__(
            label=row.label, help_text=row.help, required=False, widget=_setting_widget(row)
        )
        self.row = row

    def clean(self, value: Any) -> Any:
        """The parsed value; None where a setting that is not required was left empty."""
        text = str(value or "").strip()
        if not text and not self.row.required:
            return None
        try:
            return self.row.parse(text)
        except InvalidValue as invalid:
            raise forms.ValidationError(invalid.message, invalid.code) from invalid


class WordCheckboxes(forms.CheckboxSelectMultiple):
    """Checkboxes whose value is one string of the chosen words, separated by commas: a suggestion
    of the preflight, a stored request and a link write it like that too.
    """

    template_name = "forms/checkbox_list.html"

    def value_from_datadict(self, data: Any, files: Any, name: str) -> str:
        """The chosen words, also where the data is a plain mapping."""
        given = data.getlist(name) if isinstance(data, QueryDict) else [data.get(name) or ""]
        return ", ".join(word for word in given if word)

    def format_value(self, value: Any) -> list[str]:
        """The words to be ticked."""
        return [word for word in str(value or "").replace(" ", "").split(",") if word]


def _setting_widget(row: Field) -> forms.Widget:
    advanced = row.section is not Section.BASIC
    if isinstance(row, Choices):
        return WordCheckboxes(choices=[(one, one.replace("-", " ")) for one in row.choices])
    if isinstance(row, Choice):
        return forms.Select(choices=[("", AUTOMATIC), *_options(row)])
    if isinstance(row, Lines):
        return forms.Textarea(CODE | {"rows": 3, "cols": False, "placeholder": AUTOMATIC})
    if isinstance(row, Flag) and advanced:
        return forms.Select(choices=[("", AUTOMATIC), *WORDS.items()])
    if isinstance(row, Flag):
        return forms.CheckboxInput()
    if isinstance(row, Number) and not advanced:
        return forms.NumberInput({"inputmode": "numeric", "min": row.low, "max": row.high})
    return forms.TextInput(TYPED | ({"placeholder": AUTOMATIC} if advanced else {}))


def _options(row: Choice) -> list[tuple[str, Any]]:
    """A choice's options, in the groups that its row names."""
    grouped: dict[str, list[tuple[str, str]]] = {}
    for one in row.choices:
        label = row.labels.get(one, one.replace(",", ", "))
        grouped.setdefault(row.groups.get(one, ""), []).append((one, label))
    return grouped.get("", []) + [(name, options) for name, options in grouped.items() if name]


class RequestForm(PageForm):
    """A request for an endpoint: its team and purpose, and the settings of the field table.

    A form may be shown before it is complete. Then `without_errors` hides its errors, and `answers`
    has what was entered so far.
    """

    field_order = ("team", "justification", "account_id", "target_arn", "distribution_id")

    team = forms.ChoiceField(
        label="Team", error_messages={"required": "Required. Choose the team it is for."}
    )
    justification = forms.CharField(
        label="Purpose",
        help_text="One or two sentences for the approver.",
        max_length=500,
        widget=forms.Textarea({"rows": 2, "cols": False}),
        error_messages={"required": "Required. Describe the purpose in a sentence."},
    )
    account_id = forms.ChoiceField(
        label=ACCOUNT_ID.label,
        error_messages={"required": "Required. Choose the AWS account of the target."},
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None,
        *,
        teams: Sequence[Team],
        changing: Endpoint | None = None,
    ) -> None:
        super().__init__(data)
        self.changing = changing
        for row in ASKED:
            if row is not ACCOUNT_ID:
                self.fields[row.name] = SettingField(row)
        kind = APP_KINDS.get(self.text(APP_KIND.name))
        if kind and kind.path_note:
            # Beside an example of another kind, a namespace passes for a path.
            self.fields[PATHS.name].help_text = kind.path_note
        self.order_fields(self.field_order)
        self.teams = list(teams)
        self._offer("team", [(team.slug, team.name) for team in self.teams], "Choose a team")
        self.accounts: list[AwsAccount] = (
            list(self.chosen_team.accounts.order_by("name")) if self.chosen_team else []
        )
        accounts = [
            (one.account_id, f"{one.name} · {one.account_id} · {one.region}")
            for one in self.accounts
        ]
        self._offer("account_id", accounts, "Choose an account")
        for row in ASKED:
            if holds_credential(row.name, self.text(row.name)):
                self.fields[row.name].widget.attrs["data-draft"] = "never"
        if changing:
            # Its name, account and distribution stay: shown as text, not asked for.
            for name in self.fields.keys() & {"team", *FIXED}:
                self.fields[name].widget = forms.HiddenInput()

    def changes(self) -> dict[str, Any]:
        """The settings of a change: every one that the form asks for, "" where it is left to the
        portal.
        """
        asked = {row.name for row in ASKED} - set(FIXED)
        return dict.fromkeys(asked, "") | {
            name: value for name, value in self.answers().items() if name in asked
        }

    @property
    def chosen_team(self) -> Team | None:
        """The chosen team, if it is one of the person's; the only one needs no choosing."""
        slug = self.text("team")
        if not slug and len(self.teams) == 1:
            return self.teams[0]
        return next((team for team in self.teams if team.slug == slug), None)

    @property
    def account(self) -> AwsAccount | None:
        """The chosen account, if it is one of the team's; the only one needs no choosing."""
        account_id = self.text("account_id")
        if not account_id and len(self.accounts) == 1:
            return self.accounts[0]
        return next((one for one in self.accounts if one.account_id == account_id), None)

    @property
    def chosen_target(self) -> str:
        """The ARN that was chosen or typed, valid or not."""
        return self.text("target_arn")

    @property
    def advanced_fields(self) -> list[forms.BoundField]:
        """Those that are shown under the advanced settings."""
        return [self[row.name] for row in ASKED if row.section is Section.ADVANCED]

    @property
    def check_fields(self) -> list[forms.BoundField]:
        """Those that are shown under the settings of the check."""
        return [self[row.name] for row in ASKED if row.section is Section.CHECK]

    @property
    def check_errors(self) -> bool:
        """Whether a setting of the check has an error, so that the page shows them unfolded."""
        return any(field.errors for field in self.check_fields)

    @property
    def advanced_errors(self) -> bool:
        """Whether an advanced setting has an error, so that the page shows them unfolded."""
        return any(field.errors for field in self.advanced_fields)

    def text(self, name: str) -> str:
        """What was entered into a field, valid or not."""
        return str(self[name].value() or "").strip()

    def answers(self) -> dict[str, Any]:
        """The answers so far, by setting: parsed where valid, as typed where not, and absent where
        empty.
        """
        if not hasattr(self, "cleaned_data"):
            self.full_clean()
        answers: dict[str, Any] = {"account_id": self.account.account_id if self.account else ""}
        for row in ASKED:
            if row is not ACCOUNT_ID:
                valid = row.name in self.cleaned_data
                answers[row.name] = self.cleaned_data[row.name] if valid else self.text(row.name)
        return {name: value for name, value in answers.items() if value not in ("", (), None)}

    def clean(self) -> dict[str, Any]:
        """Check what concerns more than one setting."""
        try:
            parse_settings(self.answers())
        except SpecError as error:
            self.add_spec_errors(error)
        name = self.cleaned_data.get("name")
        own = self.changing
        if name and self.account and (fault := name_fault(self.account.pk, name, besides=own)):
            self.add_spec_errors(SpecError([fault]))
        return self.cleaned_data

    def only_errors_of(self, name: str) -> Self:
        """This form, without complaints about other fields."""
        self.full_clean()
        for other in [other for other in self.errors if other != name]:
            del self.errors[other]
        return self

    def add_spec_errors(self, error: SpecError) -> None:
        """Add the spec's errors to their fields, where a field has none yet."""
        for one in error.errors:
            if one.field not in self.errors:
                self.add_error(one.field if one.field in self.fields else None, one.message)

    def offer_distributions(self, distributions: Sequence[DistributionSummary]) -> None:
        """Let people choose from a list, which keeps a choice that is not in it."""
        if self.changing:
            return
        chosen = self.text("distribution_id")
        prompt = (
            "Choose a distribution" if distributions else "This account has no distribution yet"
        )
        choices = [("", prompt), *((one.id, _distribution_label(one)) for one in distributions)]
        if chosen and all(one.id != chosen for one in distributions):
            choices.append((chosen, f"{chosen} (not in this account’s list)"))
        self.fields["distribution_id"].widget = forms.Select(choices=choices)

    def explain(self, derived: Derived) -> None:
        """Show beside a setting what it is if left empty, and why. The kind of app is shown with
        what follows from it; what no form asks for is not shown.
        """
        if derived.field == APP_KIND.name or derived.field not in self.fields:
            return
        self[derived.field].help_text = format_html(
            "Automatic: <b>{}</b>. {}", plainly(derived.value), derived.reason
        )

    def _offer(self, name: str, options: list[tuple[str, str]], prompt: str) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  for the type checker
        field.choices = [("", prompt), *options] if len(options) != 1 else options
        field.error_messages["invalid_choice"] = "Choose one from the list."


def _distribution_label(one: DistributionSummary) -> str:
    name = one.comment or one.domain_name
    address = one.aliases[0] if one.aliases else one.domain_name
    return f"{name} · {address} · {one.id}{'' if one.enabled else ' · disabled'}"


def request_form_data(answers: Mapping[str, Any], team: Team, justification: str) -> dict[str, Any]:
    """A stored request as data of RequestForm."""
    return {"team": team.slug, "justification": justification} | settings_form_data(answers)


def settings_form_data(answers: Mapping[str, Any]) -> dict[str, str]:
    """Answers as data of RequestForm's fields."""
    data = {}
    for name, value in answers.items():
        if isinstance(value, list | tuple):
            data[name] = ", ".join(map(str, value))
        else:
            data[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return data


class UsualCheckForm(PageForm):
    """The settings of an endpoint's usual check. One that is left empty follows from the kind of
    app.
    """

    def __init__(self, data: Mapping[str, Any] | None) -> None:
        super().__init__(data)
        for row in USUAL_CHECK:
            self.fields[row.name] = SettingField(row)

    def answers(self) -> dict[str, Any]:
        """The valid answers that are not empty."""
        return {name: value for name, value in self.cleaned_data.items() if value not in ("", None)}

    def add_spec_errors(self, error: SpecError) -> None:
        """Add the spec's errors to their fields."""
        for one in error.errors:
            self.add_error(one.field if one.field in self.fields else None, one.message)


class CheckboxList(forms.CheckboxSelectMultiple):
    """Checkboxes with the value shown beside each label."""

    template_name = "forms/checkbox_list.html"


class TokenForm(PageForm):
    """A new API token."""

    name = forms.CharField(
        label="Purpose",
        max_length=80,
        error_messages={"required": "Required. Enter a name to recognize the token by."},
    )
    scopes = forms.MultipleChoiceField(
        label="Scopes",
        widget=CheckboxList,
        choices=ApiToken.Scope.choices,
        initial=[ApiToken.Scope.READ],
        error_messages={"required": "Required. Select at least one scope."},
    )
    days = forms.IntegerField(
        label="Days until it expires",
        min_value=1,
        max_value=LONGEST_TOKEN_DAYS,
        initial=90,
        error_messages=dict.fromkeys(
            ("required", "invalid", "min_value", "max_value"),
            f"Enter a whole number from 1 to {LONGEST_TOKEN_DAYS}.",
        ),
    )

    def __init__(self, data: Mapping[str, Any] | None, *, may_decide: bool) -> None:
        super().__init__(data)
        if not may_decide:
            # A token of someone who cannot decide could not decide either: it is not offered.
            scopes = [one for one in ApiToken.Scope.choices if one[0] != ApiToken.Scope.APPROVE]
            self.fields["scopes"].widget = CheckboxList(choices=scopes)


class SecretForm(PageForm):
    """A new secret. What is typed as its value is never rendered again."""

    name = forms.CharField(
        label="Name",
        help_text=NAME_ADVICE,
        max_length=40,
        widget=forms.TextInput(TYPED | {"class": "mono"}),
        error_messages={
            "required": f"Required. {NAME_ADVICE}",
            "max_length": NAME_ADVICE,
        },
    )
    value = forms.CharField(
        label="Value",
        help_text="Stored encrypted. It cannot be shown again, only replaced.",
        max_length=MAX_VALUE,
        strip=False,
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
        error_messages=dict.fromkeys(("required", "max_length"), VALUE_ADVICE),
    )

    def clean_name(self) -> str:
        """Names are what a reference can contain."""
        name = str(self.cleaned_data["name"])
        if not NAME.fullmatch(name):
            raise forms.ValidationError(NAME_ADVICE)
        return name

    def clean_value(self) -> str:
        """One line, as it is."""
        value = str(self.cleaned_data["value"])
        if fault := value_fault(value):
            raise forms.ValidationError(fault)
        return value


class SecretValueForm(SecretForm):
    """Another value for a secret."""

    name = None  # type: ignore[assignment]  # Django's way to take a field away
    prefix = "replace"


class CustomCheckForm(PageForm):
    """A handshake with options, and a name to save it under. Which options are valid is decided by
    checks.protocol.handshake_options; its errors are added to the fields.
    """

    schedules = (
        ("0", "manually"),
        ("15", "every 15 minutes"),
        ("60", "every hour"),
        ("1440", "every day"),
    )
    grammar = (
        ("send hello {nonce}", "Sends a text message; {nonce} is new in every check."),
        ('send {"token": "${secret:NAME}"}', "Sends a message with the value of a stored secret."),
        ("send-binary 10 0c 00 04", "Sends a binary message, in hexadecimal."),
        ("expect binary 20 02", "Binary messages, one or several, that begin with these bytes."),
        ("expect text hello within 5", "A message that contains this text, within 5 seconds."),
        ('expect json $.type == "welcome"', "A JSON message with this value at this path."),
        ("expect json $.clients", "A JSON message with any value at this path."),
        ("expect regex ^echo: .+", "A message that matches this pattern (RE2 syntax)."),
        ("ping within 5", "A ping, answered by a pong within 5 seconds."),
        ("pong", "An unsolicited pong; no reply is expected."),
        ("hold 30", "30 seconds of silence; the connection must stay open."),
        ("close 1000 done", "A close frame, which must be answered."),
    )

    path = forms.CharField(
        label="Path",
        help_text="Include a query string if your app needs one. Default: the endpoint's own path.",
        required=False,
        max_length=2000,
        strip=False,
        widget=forms.TextInput(TYPED),
    )
    origin = forms.CharField(
        label="Origin",
        help_text="The origin of the page that connects, for example https://app.example.com. "
        "Enter none to send no Origin header.",
        required=False,
        max_length=300,
        widget=forms.TextInput(TYPED),
    )
    subprotocols = forms.CharField(
        label="Subprotocols",
        help_text="In order of preference, separated by commas.",
        required=False,
        max_length=800,
        widget=forms.TextInput(TYPED),
    )
    headers = forms.CharField(
        label="Additional headers",
        help_text="One per line, for example X-Room: 12. Tokens and cookies are used once and not "
        "kept. To save a check that needs one, add it under Secrets and write "
        "Authorization: Bearer ${secret:NAME}.",
        required=False,
        max_length=16_000,
        strip=False,
        widget=forms.Textarea(CODE | {"rows": 3, "cols": False}),
    )
    client = forms.ChoiceField(
        label="Connect as",
        help_text="The client whose headers the check sends, including User-Agent.",
        required=False,
        choices=[
            ("", "Same as the usual check"),
            *((key, client.title) for key, client in CLIENTS.items()),
        ],
    )
    compress = forms.BooleanField(
        label="Offer compression (permessage-deflate), as browsers do", required=False
    )
    unencrypted = forms.BooleanField(label="Use ws://, without encryption", required=False)
    script = forms.CharField(
        label="Messages to send and expect",
        help_text="One step per line, in order. Default: the messages of the usual check.",
        required=False,
        max_length=64_000,
        strip=False,
        widget=forms.Textarea(CODE | {"rows": 7, "cols": False}),
    )
    name = forms.CharField(
        label="Name",
        help_text="Saving under an existing name overwrites that check.",
        required=False,
        max_length=60,
        widget=forms.TextInput(TYPED),
    )
    every_minutes = forms.ChoiceField(label="Run", required=False, choices=schedules)
    after_changes = forms.BooleanField(
        label="Also run after each change of the endpoint", required=False
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None,
        *,
        url: str,
        saving: bool,
        stored_secrets: Collection[str] = (),
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=dict(initial or {}))
        self._url, self._saving, self._secrets = url, saving, stored_secrets
        self.options = HandshakeOptions()

    def clean(self) -> dict[str, Any]:
        """Parse the options; a name is required only to save."""
        given = dict(self.cleaned_data)
        flags = {name: "true" if given.get(name) else "" for name in ("unencrypted", "compress")}
        try:
            self.options = parse_handshake_options(
                given | flags,
                url=self._url,
                saved=self._saving,
                stored_secrets=self._secrets,
            )
        except HandshakeOptionsError as error:
            for field, fault in error.faults.items():
                self.add_error(field, fault)
        if self._saving and not given.get("name"):
            self.add_error("name", "Required. Enter a name for the saved check.")
        given["every_minutes"] = given.get("every_minutes") or "0"
        return given


class ProbeForm(PageForm):
    """A probe of one kind, with the number or the path that this kind takes. Which values are valid
    is decided by checks.probe.probe_request.
    """

    kind = forms.ChoiceField(
        choices=[
            (kind.value, kind.value) for kind in REQUESTABLE if kind is not ProbeKind.LOG_ROWS
        ],
        widget=forms.HiddenInput,
        error_messages=dict.fromkeys(
            ("required", "invalid_choice"), "Choose a probe on this page."
        ),
    )
    number = forms.IntegerField(required=False, error_messages={"invalid": "Enter a whole number."})
    path = forms.CharField(
        required=False, max_length=2000, widget=forms.TextInput(TYPED | {"class": "mono"})
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None,
        offer: ProbeOffer | None,
        *,
        url: str,
        stored_secrets: Collection[str] = (),
    ) -> None:
        """`offer` is the kind as the page offers it; None for a kind that it does not offer."""
        kind = offer.kind if offer else ""
        auto_id = f"id_{kind.replace(' ', '-')}_%s"
        initial = {"kind": kind, "number": offer.default if offer else None}
        super().__init__(data, initial=initial, auto_id=auto_id)
        self.offer = offer
        self._url, self._secrets = url, stored_secrets
        self.asked = ProbeRequest(ProbeKind.PLAIN_GET)
        number, path = self.fields["number"], self.fields["path"]
        if offer and offer.number:
            number.label = offer.number
            number.widget.attrs |= {"min": offer.low, "max": offer.high}
        else:
            del self.fields["number"]
        if offer and offer.path:
            path.label, path.help_text = offer.path, offer.path_help
        else:
            del self.fields["path"]

    def clean(self) -> dict[str, Any]:
        """Parse number and path as the kind takes them."""
        given = dict(self.cleaned_data)
        if self.errors:
            return given
        kind, pace = ProbeKind(given["kind"]), settings.PROBE_IDLE_PACE
        try:
            self.asked = parse_probe_request(
                kind,
                given.get("number"),
                given.get("path", ""),
                url=self._url,
                idle_pace=pace,
                stored_secrets=self._secrets,
            )
        except ProbeRequestError as error:
            for field, fault in error.faults.items():
                self.add_error(field if field in self.fields else None, fault)
        return given


class LogRowsForm(PageForm):
    """Lines of CloudFront's log, to analyze a check again with. How they are parsed is decided by
    checks.
    """

    rows_text = forms.CharField(
        label="Lines of CloudFront's standard log",
        max_length=LONGEST_LOG_ROWS,
        strip=False,
        widget=forms.Textarea(CODE | {"rows": 4, "cols": False}),
        error_messages={
            "required": "Required. Paste at least one line of CloudFront's log.",
            "max_length": "Paste only the lines of the failed handshake, at most 60,000 "
            "characters.",
        },
    )

    def __init__(
        self, data: Mapping[str, Any] | None, *, check: Check, edge_request_id: str = ""
    ) -> None:
        super().__init__(data)
        self._check = check
        self.rows: tuple[LogRow, ...] = ()
        if check.ok:
            which = "The line of a request with a method other than GET, for example Socket.IO's "
            which += "polling POST."
        elif edge_request_id:
            which = format_html(
                "The line of this handshake: x-edge-request-id <code>{}</code>.", edge_request_id
            )
        else:
            which = "The line of this handshake."
        self.fields["rows_text"].help_text = format_html(
            "{} Paste whole lines, as JSON, tab-separated or CSV, also as grep or Logs Insights "
            "give them. They contain the detailed result, "
            "which CloudFront does not send to clients.",
            which,
        )

    def clean_rows_text(self) -> str:
        """Parse the lines."""
        text = str(self.cleaned_data["rows_text"])
        try:
            self.rows = read_log_rows(self._check, text)
        except LogRowError as error:
            raise forms.ValidationError(str(error)) from error
        return text
