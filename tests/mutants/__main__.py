"""Runs the quick tests against each mutant of the decision core, and says which none noticed.

pytest collects the tests once. Each mutant is a fork of that process, in which the functions of one
module have other code: nothing is imported again, so a mutant takes a fraction of a second.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

from tests.mutants.mutations import Mutant, mutants

ROOT = Path(__file__).parent.parent.parent
TESTS = "tests/provisioning"
TARGETS: dict[str, tuple[str, ...]] = {
    "provisioning/engine/decide.py": ("test_decide.py",),
    "provisioning/plan/distribution_config.py": ("test_distribution_config.py", "test_plan.py"),
    "provisioning/plan/path_ownership.py": ("test_path_ownership.py", "test_plan.py"),
    "provisioning/plan/removal.py": ("test_removal_plan.py",),
    "provisioning/plan/ingress.py": ("test_plan.py",),
    "provisioning/plan/vpc_origin.py": ("test_plan.py",),
}
LONGEST_SECONDS = 120
NOT_NOTICED, NOTICED, BROKEN = 0, 1, 3


class Search:
    """A pytest plugin that runs the collected tests once per mutant instead of once."""

    def __init__(self, module: str) -> None:
        self.path = ROOT / module
        self.failed = False
        self.survivors: list[Mutant] = []
        self.made = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed = self.failed or report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        assert self._run(session, None) == NOT_NOTICED, "the tests fail without a mutant"
        for mutant in mutants(self.path.read_text()):
            self.made += 1
            if self._run(session, mutant) == NOT_NOTICED:
                self.survivors.append(mutant)
                print(f"\n  {self.path.name}:{mutant.line}: {mutant.what}", flush=True)
        return True

    def _run(self, session: pytest.Session, mutant: Mutant | None) -> int:
        """Whether a test notices; so does one that never ends."""
        child = os.fork()
        if child == 0:
            signal.alarm(LONGEST_SECONDS)
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            status = BROKEN
            with contextlib.suppress(BaseException):
                if mutant is not None:
                    self._infect(mutant)
                for item, following in zip(session.items, [*session.items[1:], None], strict=True):
                    session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                    if self.failed:
                        break
                status = NOTICED if self.failed else NOT_NOTICED
            os._exit(status)
        _, ended = os.waitpid(child, 0)
        status = os.waitstatus_to_exitcode(ended)
        assert status != BROKEN, "the mutant could not be tried"
        return status and NOTICED

    def _infect(self, mutant: Mutant) -> None:
        """Give every function of the module the mutant's code; answers kept so far are dropped."""
        codes = dict(_codes(compile(mutant.tree, str(self.path), "exec")))
        gc.unfreeze()  # tests.environment froze what was imported, which hides it from the search
        infected = 0
        for one in gc.get_objects():
            if isinstance(one, FunctionType) and one.__code__.co_filename == str(self.path):
                changed = codes[one.__code__.co_qualname, one.__code__.co_firstlineno]
                infected += changed != one.__code__
                one.__code__ = changed
            elif isinstance(one, functools._lru_cache_wrapper):
                one.cache_clear()
        assert infected, f"line {mutant.line} is in no function that was imported"


def _codes(code: CodeType) -> Iterator[tuple[tuple[str, int], CodeType]]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield (constant.co_qualname, constant.co_firstlineno), constant
            yield from _codes(constant)


def main() -> int:
    """Report the score; 1 if it is below --least."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", default=[*TARGETS], help="some of the modules only")
    parser.add_argument("--least", type=float, default=90.0, help="percent to be noticed")
    given: Any = parser.parse_args()
    made = survived = 0
    for module in given.modules:
        search = Search(module)
        tests = [f"{TESTS}/{name}" for name in TARGETS[module]]
        pytest.main([*tests], plugins=[search])
        made, survived = made + search.made, survived + len(search.survivors)
        print(f"{module}: {search.made - len(search.survivors)} of {search.made} noticed")
    score = 100 * (made - survived) / made
    print(f"{made - survived} of {made} mutants noticed: {score:.1f} %")
    return int(score < given.least)


if __name__ == "__main__":
    sys.exit(main())
