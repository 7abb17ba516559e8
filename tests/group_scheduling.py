"""Hands whole groups of tests to xdist's workers, the longest first."""

from __future__ import annotations

from typing import Any

from xdist.scheduler.loadscope import LoadScopeScheduling

from tests.workers import group_of, in_order


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """A scope is a group: see `tests.workers`."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)

    def _assign_work_unit(self, node: Any) -> None:
        for group in reversed(in_order(self.workqueue)):
            self.workqueue.move_to_end(group, last=False)
        super()._assign_work_unit(node)
