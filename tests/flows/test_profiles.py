"""The scenario of docs/profiles.md gives what the page says, on both databases."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from services.chassis.settings import CONTEXTS
from tests.conftest import new_database
from tests.flows.profiles import PAGE, configured, played, table


@pytest.mark.rule("ORD-01")
@pytest.mark.rule("ORD-02")
@pytest.mark.rule("ORD-03")
@pytest.mark.rule("ORD-04")
@pytest.mark.rule("ORD-08")
@pytest.mark.rule("ORD-10")
@pytest.mark.rule("ORD-13")
@pytest.mark.rule("INV-06")
@pytest.mark.rule("INV-12")
@pytest.mark.rule("SHP-02")
@pytest.mark.rule("SHP-05")
@pytest.mark.rule("BEY-03")
@pytest.mark.rule("BEY-13")
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_one_scenario_under_each_profile(postgres: str, tmp_path: Path, kind: str) -> None:
    with ExitStack() as stack:
        databases = {
            name: stack.enter_context(new_database(postgres))
            for name in CONTEXTS
            if kind == "postgresql"
        }
        found = table(await played(configured(tmp_path), databases))
    assert found in PAGE.read_text(), "python -m tests.flows.profiles writes the page"
