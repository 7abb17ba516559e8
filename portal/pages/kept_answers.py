"""Answers of a form that arrived without a valid session: kept in the person's session once they
have signed in, and shown in the form again. They are never submitted on anyone's behalf.

What may be a credential is left out, since sessions are rows of the database.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.http import HttpRequest, QueryDict

from portal.requests.answers import holds_credential
from provisioning.spec.fields import ASKED

KEPT = "kept_answers"
WHOSE = "answers_of"
"""The form's field with the ID of the person it was made for."""
KEPT_FOR_SECONDS = 3600
LABELS: Mapping[str, str] = {
    "team": "Team",
    "justification": "Purpose",
    **{row.name: row.label for row in ASKED},
}


@dataclass(frozen=True)
class KeptAnswers:
    """What a form shows again, and the labels of the answers that were left out."""

    answers: QueryDict
    left_out: tuple[str, ...]


def known_answers(posted: QueryDict) -> QueryDict:
    """Of what was posted, the answers to the form's questions, and whose they are."""
    answers = QueryDict(mutable=True)
    for name in (*LABELS, WHOSE):
        if name in posted:
            answers.setlist(name, posted.getlist(name))
    return answers


def keep_answers(request: HttpRequest, url: str, answers: QueryDict) -> None:
    """Keep the answers for the form at this URL, in place of any kept before; none that somebody
    else gave in this browser.
    """
    known = dict(known_answers(answers).lists())
    if known.pop(WHOSE, [""])[0] not in ("", str(request.user.pk)):
        return
    left_out = [name for name, said in known.items() if holds_credential(name, "\n".join(said))]
    request.session[KEPT] = {
        "path": urlsplit(url).path,
        "answers": {name: said for name, said in known.items() if name not in left_out},
        "left_out": [LABELS[name] for name in left_out],
        "at": time.time(),
    }


def kept_answers(request: HttpRequest) -> KeptAnswers | None:
    """The answers that were kept for this page within the last hour."""
    kept = request.session.get(KEPT)
    if not kept or kept["path"] != request.path or kept["at"] < time.time() - KEPT_FOR_SECONDS:
        return None
    answers = QueryDict(mutable=True)
    for name, said in kept["answers"].items():
        answers.setlist(name, said)
    return KeptAnswers(answers, tuple(kept["left_out"]))


def forget_answers(request: HttpRequest) -> None:
    """The form has been sent, or its answers discarded."""
    request.session.pop(KEPT, None)
