"""`/_lab/faults`: lists, sets and clears faults over HTTP.

The answer to a change waits until the edge has applied it, so the next request sees it.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from lab.aws.edge_state.document import EdgeState
from lab.edge.account.state import parse_state
from lab.faults.catalogue.fault import PARAMETERS, Fault
from lab.faults.catalogue.registry import FAULTS
from lab.faults.manager import FaultManager
from lab.faults.set_fault import SetFault
from lab.faults.targeting import FaultRefused

PATH = "/_lab/faults"


class FaultApi:
    """Answers requests to `/_lab/faults`."""

    def __init__(self, faults: FaultManager, state: EdgeState) -> None:
        self._faults = faults
        self._state = state

    def listing(self) -> list[SetFault]:
        """Every fault that is set, oldest first."""
        return self._faults.listing()

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and JSON for a request to PATH or below it."""
        fault_id = unquote(path.removeprefix(PATH).strip("/"))
        try:
            if method == "GET" and not fault_id:
                return 200, {
                    "faults": [shown(fault) for fault in FAULTS.values()],
                    "parameters": dict(PARAMETERS),
                    "set": [fault.shown() for fault in self._faults.listing()],
                }
            if method == "POST" and not fault_id:
                return 201, self.set(_json_object(body))
            if method == "DELETE":
                return 200, {"cleared": self.clear(fault_id)}
        except FaultRefused as refused:
            return refused.status, {"error": refused.why}
        return 405, {
            "error": f"{PATH} takes GET and POST, {PATH}/ID takes DELETE; DELETE {PATH} clears all"
        }

    def set(self, given: dict[str, Any]) -> dict[str, Any]:
        """Set a fault by its name and parameters.

        :raises FaultRefused: it cannot be set; the message says why.
        """
        name = given.get("name")
        if not isinstance(name, str):
            raise FaultRefused(
                'Give the fault\'s name, as in {"name": "throttled"}. GET /_lab/faults lists all.'
            )
        parameters = {key: value for key, value in given.items() if key != "name"}
        document = self._state.document(None)
        fault = self._faults.set(name, parameters, parse_state(json.loads(document or b"{}")))
        return {**fault.shown(), "edge_knows": self._state.wait_for_edge()}

    def clear(self, fault_id: str = "") -> list[dict[str, Any]]:
        """Clear one fault, or all if no id is given; gives the cleared ones.

        :raises FaultRefused: no fault has that id, or AWS refused a change.
        """
        cleared = [self._faults.clear(fault_id)] if fault_id else self._faults.clear_all()
        self._state.wait_for_edge()
        return [{"id": fault.id, "name": fault.name} for fault in cleared]


def shown(fault: Fault) -> dict[str, Any]:
    """A fault of the catalogue as JSON."""
    return {
        "name": fault.name,
        "description": fault.description,
        "kind": fault.kind.value,
        "takes": list(fault.takes),
        "needs": list(fault.needs),
        "signature": fault.signature.text,
        "action": fault.signature.action.value,
        "verdict": fault.verdict or None,
    }


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise FaultRefused(
            'The body must be a JSON object, such as {"name": "throttled", "operation": "Create*"}.'
        )
    return document
