"""What the README says to type, typed word for word."""

import re
from pathlib import Path

import pytest

from tests.flows.test_commands import Place, line_of, up
from tests.ports import is_free

README = Path(__file__).parents[2] / "README.md"
PORTS = {
    "catalog": 50051,
    "inventory": 50052,
    "order": 50053,
    "customer": 50054,
    "http": 8080,
    "pos": 8091,
    "store": 8092,
}
"""The README speaks of the ports that everything has unless told otherwise."""


def commands() -> list[str]:
    """Every block of the README that a reader would paste into a shell."""
    return re.findall(r"^```sh\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)


def taken() -> list[int]:
    """The ports that something else listens on."""
    return [port for port in PORTS.values() if not is_free(port)]


@pytest.mark.long
def test_every_command_of_the_readme_works_as_it_stands_there(tmp_path: Path) -> None:
    if taken():
        pytest.skip(f"another Tillbridge runs here, on {taken()}: its data is not ours to read")
    place = Place(tmp_path / "data", PORTS)
    assert len(commands()) >= 5
    with up(place, "--sandbox") as running:
        token = line_of(running.said, "export TOKEN=").removeprefix("export TOKEN=")
        for command in commands():
            done = place.run("bash", "-c", command, TOKEN=token)
            assert done.returncode == 0, f"{command}\n{done.stderr}"
            assert len(done.stdout) > 20, f"{command} said only {done.stdout!r}"
