"""The whole story, on real processes."""

from pathlib import Path

import pytest

from tests.flows.stack import running_stack
from tests.flows.story import PATIENCE_S, Story


@pytest.mark.long
@pytest.mark.rule("CAT-01", "CAT-02", "CAT-03", "CAT-04")
@pytest.mark.rule("INV-02", "INV-03", "INV-04", "INV-05", "INV-06", "INV-07", "INV-08")
@pytest.mark.rule("ORD-01", "ORD-02", "ORD-05", "ORD-06", "ORD-08", "ORD-11")
@pytest.mark.rule("CUS-01", "CUS-02", "CUS-03", "SOR-01")
async def test_a_till_and_a_store_are_kept_in_step(tmp_path: Path) -> None:
    async with running_stack(tmp_path) as stack:
        story = Story(stack, within_s=PATIENCE_S)
        await story.play()
    assert [sight for sight in story.sights if not sight.fits] == []
