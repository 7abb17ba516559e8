"""Are those who asked for an endpoint, and who approved it, still entitled to?

Asked at the approval and again when the run starts, since hours may lie between.
"""

from __future__ import annotations

from portal.people.models import Membership
from portal.requests.lifecycle import Denied
from portal.requests.models import Approval, EndpointRequest
from provisioning.models import Run


def check_requester(request: EndpointRequest) -> Denied | None:
    """Why the request must not be built now: its requester is inactive or has left the team, or the
    team has lost the account. None if nothing is wrong.
    """
    requester, team = request.requester, request.team
    again = "A member of the team can request the endpoint again."
    if not requester.is_active:
        return Denied("requester_left", f"{requester} is no longer active. {again}")
    if not Membership.objects.filter(person=requester, team=team).exists():
        return Denied("requester_left", f"{requester} is no longer in team {team}. {again}")
    if not team.accounts.filter(pk=request.spec_data["account_id"]).exists():
        return Denied(
            "account_lost",
            f"{team} can no longer use account {request.spec_data['account_id']}. Ask a platform "
            "admin.",
        )
    return None


def unmet_by_people(run: Run) -> str:
    """Why a run must not start although it was approved, or ""."""
    request = EndpointRequest.objects.filter(run=run).select_related("requester", "team").first()
    if request is None:
        return ""
    refused = check_requester(request)
    if refused is not None:
        return refused.reason
    approval = (
        request.approvals.filter(decision=Approval.Decision.APPROVED)
        .select_related("decider")
        .order_by("-revision")
        .first()
    )
    if approval is None or not approval.decider.decides:
        who = approval.decider if approval else "Nobody"
        return f"{who}, whose approval this needs, may no longer approve. Request it again."
    return ""
