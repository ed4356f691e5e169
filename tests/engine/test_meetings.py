"""Two operations meet at every step and commit of the first: all is as if one had come after the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.engine.meetings import PAIRS
from tests.engine.sweep import Lab, sweep

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with sweep("engine-info") as made:
        yield made


@pytest.mark.parametrize("first", sorted({name.partition(",")[0] for name in PAIRS}))
def test_operations_that_meet_happen_one_after_the_other_or_not_at_all(lab: Lab, first: str) -> None:
    problems = lab.call(*(name for name in PAIRS if name.partition(",")[0] == first), program="meet_lab")
    assert not problems, "\n".join(problems)


def test_an_exec_whose_caller_leaves_during_its_start_does_not_go_on(lab: Lab) -> None:
    problems = lab.call(program="leave_lab")
    assert not problems, "\n".join(problems)
