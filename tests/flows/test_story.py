"""The whole story, on real processes."""

from pathlib import Path

import pytest

from tests.flows.stack import running_stack
from tests.flows.story import Story

RULES = ("CAT-01", "CAT-02", "CAT-03", "CAT-04", "INV-02", "INV-03", "INV-04", "INV-05", "INV-06")
MORE = ("INV-07", "INV-08", "ORD-01", "ORD-02", "ORD-05", "ORD-06", "ORD-08", "ORD-11", "CUS-01")


@pytest.mark.long
@pytest.mark.rule(*RULES, *MORE, "CUS-02", "CUS-03", "SOR-01")
async def test_a_till_and_a_store_are_kept_in_step(tmp_path: Path) -> None:
    async with running_stack(tmp_path) as stack:
        story = Story(stack)
        await story.play()
    assert [sight for sight in story.sights if not sight.fits] == []
