"""P3: a process may die at every named point, and nothing is lost or done twice."""

import ast
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from services.chassis.failpoints import POINTS, VARIABLE, Failpoint
from tests.chaos.crash_stories import GATEWAY_CASES, SERVICE_CASES
from tests.chaos.crashes import Case, World
from tests.chaos.databases import service_databases
from tests.chaos.fleet import fleet
from tests.conftest import new_database

ROOT = Path(__file__).resolve().parents[2]
NAMES = [crash_at for crash_at, _ in (*SERVICE_CASES, *GATEWAY_CASES)]


def called() -> list[str]:
    """The points that the code passes."""
    found = []
    for folder in ("services", "gateway"):
        for path in (ROOT / folder).rglob("*.py"):
            calls = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call))
            found += [
                ast.literal_eval(call.args[0])
                for call in calls
                if ast.unparse(call.func) == "failpoints.at"
            ]
    return found


def test_the_points_are_those_of_the_code_the_docs_and_the_stories() -> None:
    docs = (ROOT / "docs/failpoints.md").read_text()
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", docs, re.MULTILINE))
    assert rows == POINTS
    assert set(called()) == set(POINTS)
    assert {name.partition(":")[0] for name in NAMES} == set(POINTS)
    assert len(POINTS) >= 20


def test_a_process_dies_the_nth_time_that_it_passes() -> None:
    program = (
        "from services.chassis import failpoints\n"
        "for number in range(5):\n"
        "    print(number, flush=True)\n"
        "    failpoints.at('commit.done')\n"
        "    failpoints.at('commit.begin')\n"
    )
    for setting, printed in (("", 5), ("commit.done", 1), ("commit.begin:3", 3)):
        ended = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, VARIABLE: setting},
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        assert ended.returncode == (-signal.SIGKILL if setting else 0)
        assert len(ended.stdout.splitlines()) == printed


def test_a_point_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no point 'commit"):
        Failpoint("commit.don")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def crashed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Case]]:
    """All cases, one after the other in one installation; what they lead to is looked at later."""
    folder = tmp_path_factory.mktemp("crashes")
    names = count(1)
    with ExitStack() as stack:
        database_url = ""
        server = ""
        if request.param == "postgresql":
            server = request.getfixturevalue("postgres")
            database_url = stack.enter_context(service_databases(server))

        def empty() -> str:
            if server:
                return stack.enter_context(new_database(server))
            return f"sqlite:///{folder}/empty-{next(names)}.sqlite3"

        world = World(stack.enter_context(fleet(folder, database_url)), database_url, empty)
        stack.callback(world.close)
        world.open()
        cases = {}
        began_s = time.monotonic()
        for number, (crash_at, story) in enumerate((*SERVICE_CASES, *GATEWAY_CASES)):
            if number == len(SERVICE_CASES):
                world.open_store()
            case = cases[crash_at] = Case(crash_at, story)
            case_began_s = time.monotonic()
            try:
                case.run(world)
            except Exception as error:
                case.failure = error
            took_s = time.monotonic() - case_began_s
            print(
                f"{request.param} {crash_at}: {took_s:.1f} s, {case.told and case.told.acts} acts"
            )
        print(f"{request.param}: {len(cases)} crashes in {time.monotonic() - began_s:.1f} s")
        yield cases


@pytest.mark.long
@pytest.mark.parametrize("crash_at", NAMES)
def test_a_process_may_die_at_any_point(crashed: dict[str, Case], crash_at: str) -> None:
    crashed[crash_at].check()
