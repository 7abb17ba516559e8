"""Tools that keep a security group as they want it, told by the group's tags (PURE).

A rule that another tool adds to such a group may be removed when that tool next compares.
Sources: AWS Load Balancer Controller (tags of its resources; annotations of Ingress and Service),
the Kubernetes AWS cloud provider, CloudFormation (reserved tags). Terraform sets no tag of its own;
only what teams usually write is recognized.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Tool(StrEnum):
    """Who manages a group."""

    INGRESS = "the AWS Load Balancer Controller, for an Ingress"
    SERVICE = "the AWS Load Balancer Controller, for a Service"
    LOAD_BALANCER_CONTROLLER = "the AWS Load Balancer Controller"
    CLOUD_PROVIDER = "Kubernetes' AWS cloud provider"
    CLOUDFORMATION = "CloudFormation"
    TERRAFORM = "Terraform"


RECONCILES = frozenset(
    {Tool.INGRESS, Tool.SERVICE, Tool.LOAD_BALANCER_CONTROLLER, Tool.CLOUD_PROVIDER}
)
"""These compare all the time, and remove what they did not ask for; the others only when someone
deploys, and only if the rules stand in the group's own resource.
"""


@dataclass(frozen=True)
class GroupManager:
    """A tool, the cluster or stack that it works for ("" if the tags do not say), and the tag that
    shows it.
    """

    tool: Tool
    name: str
    tag: str


_IN_ORDER = (
    ("ingress.k8s.aws/", Tool.INGRESS),
    ("service.k8s.aws/", Tool.SERVICE),
    ("elbv2.k8s.aws/", Tool.LOAD_BALANCER_CONTROLLER),
    ("kubernetes.io/cluster/", Tool.CLOUD_PROVIDER),
    ("aws:cloudformation:stack-name", Tool.CLOUDFORMATION),
)
_TERRAFORM_KEYS = frozenset({"managedby", "managed-by", "managed_by", "iac", "provisioner"})


def manager_of(tags: Mapping[str, str]) -> GroupManager | None:
    """The tool that manages a group with these tags; the one that compares most often, if several
    do. `kubernetes.io/cluster/…` counts only with the value `owned`: a shared group is somebody
    else's.
    """
    for prefix, tool in _IN_ORDER:
        for key in sorted(tags):
            if not key.startswith(prefix):
                continue
            if tool is Tool.CLOUD_PROVIDER:
                if tags[key] != "owned":
                    continue
                return GroupManager(tool, key.removeprefix(prefix), key)
            cluster = tags.get("elbv2.k8s.aws/cluster", "")
            stack = tags.get(f"{prefix}stack", "")
            name = f"{stack} in {cluster}" if stack and cluster else stack or cluster or tags[key]
            return GroupManager(tool, name, key)
    for key, value in sorted(tags.items()):
        word = key.lower()
        if word == "terraform" or (word in _TERRAFORM_KEYS and value.lower() == "terraform"):
            return GroupManager(Tool.TERRAFORM, "", key)
    return None
