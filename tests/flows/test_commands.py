"""The `tillbridge` command as an operator types it, and each process on its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import jwt
import pytest

from services.chassis.settings import CONTEXTS, Settings
from tests.flows.stack import KEY
from tests.ports import free_ports

COMMANDS = Path(sys.executable).parent
TILLBRIDGE = str(COMMANDS / "tillbridge")
WITHIN_S = 90.0
RESTARTED_S = 30.0


@dataclass(frozen=True, slots=True)
class Place:
    """A folder for data and ports that are free: where one installation lives."""

    folder: Path
    ports: Mapping[str, int]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its commands, with nothing of Tillbridge's from outside."""
        ports = {
            "HTTP_PORT": self.ports["http"],
            "SANDBOX_POS_PORT": self.ports["pos"],
            "SANDBOX_STORE_PORT": self.ports["store"],
            **{f"{context.upper()}_PORT": self.ports[context] for context in CONTEXTS},
        }
        outside = {k: v for k, v in os.environ.items() if not k.startswith("TILLBRIDGE_")}
        return outside | {
            "PATH": f"{COMMANDS}:{os.environ['PATH']}",
            "TILLBRIDGE_DATA_DIR": str(self.folder),
            **{f"TILLBRIDGE_{name}": str(port) for name, port in ports.items()},
        }

    def run(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end."""
        return subprocess.run(
            command,
            env=self.environment | more,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )

    def health(self, name: str) -> int:
        """The exit code of `tillbridge health`."""
        return self.run(TILLBRIDGE, "health", name).returncode


@dataclass(slots=True)
class Up:
    """`tillbridge up` as it runs."""

    process: subprocess.Popen[str]
    output: Path
    took_s: float = 0.0

    @property
    def said(self) -> str:
        """All that it printed so far."""
        return self.output.read_text()

    def children(self) -> dict[str, int]:
        """The process id of each module that it runs."""
        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
        )
        found: dict[str, int] = {}
        for line in listed.stdout.splitlines():
            pid, parent, *args = line.split()
            if int(parent) == self.process.pid and "-m" in args:
                found[args[-1]] = int(pid)
        return found

    def stop(self, number: int = signal.SIGINT) -> int:
        """Asks it to stop; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(WITHIN_S)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "data", free_ports([*CONTEXTS, "http", "pos", "store"]))


@contextmanager
def up(place: Place, *options: str, until_said: str = "Ctrl-C stops everything.") -> Iterator[Up]:
    """Starts everything and waits until it says that it is up; leaves nothing behind."""
    output = place.folder.with_suffix(".out")
    with output.open("w") as file:
        process = subprocess.Popen(
            [TILLBRIDGE, "up", *options],
            env=place.environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
        )
    running = Up(process, output)
    began = time.monotonic()
    try:
        wait_for(lambda: until_said in running.said or process.poll() is not None)
        assert until_said in running.said, running.said
        running.took_s = time.monotonic() - began
        yield running
    finally:
        if process.poll() is None:
            running.stop(signal.SIGTERM)


def wait_for(condition: object, within_s: float = WITHIN_S) -> None:
    """Waits until a callable says something true."""
    assert callable(condition)
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not so within {within_s} s"
        time.sleep(0.05)


def line_of(said: str, start: str) -> str:
    """The one line that starts so."""
    (found,) = [line for line in said.splitlines() if line.startswith(start)]
    return found


def is_alive(pid: int) -> bool:
    """Whether there still is a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.long
def test_up_says_how_to_reach_what_it_runs_and_keeps_it_running(place: Place) -> None:
    with up(place, "--sandbox") as first:
        print(f"up --sandbox is ready after {first.took_s:.1f} s")
        names = [*(f"services.{context}" for context in CONTEXTS), "gateway", "gateway.sandbox"]
        assert sorted(first.children()) == sorted(names)
        for port in place.ports.values():
            assert f"127.0.0.1:{port}" in first.said
        channels, levels = try_lines(place, first.said)
        (channel,) = json.loads(channels)["channels"]
        assert len(json.loads(levels)["levels"]) == 3

        killed = first.children()["services.inventory"]
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: "inventory ended with -9; starting it again" in first.said)
        wait_for(lambda: place.health("inventory") == 0, RESTARTED_S)
        assert first.children()["services.inventory"] != killed
        wait_for(lambda: place.health("gateway") == 0, RESTARTED_S)

        pids = first.children().values()
        assert first.stop() == 0
        assert first.said.endswith("stopped\n")
        assert [pid for pid in pids if is_alive(pid)] == []

    with up(place, "--sandbox") as second:
        print(f"the second time after {second.took_s:.1f} s")
        again, _ = try_lines(place, second.said)
        (kept,) = json.loads(again)["channels"]
        assert kept["channelId"] == channel["channelId"]
        assert kept["createTime"] == channel["createTime"]
        assert second.stop() == 0


def try_lines(place: Place, said: str) -> tuple[str, str]:
    """What the two lines to try print, typed into a shell as they stand there."""
    export = line_of(said, "export TOKEN=")
    answers = []
    for start in ("curl ", "grpcurl "):
        done = place.run("sh", "-c", f"{export}\n{line_of(said, start)}")
        assert done.returncode == 0, done.stderr
        answers.append(done.stdout)
    return answers[0], answers[1]


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name)
def test_up_stops_all_it_started_even_before_it_is_ready(
    place: Place, number: signal.Signals
) -> None:
    with up(place, until_said="") as starting:
        wait_for(lambda: "gateway" in starting.children())
        pids = starting.children().values()
        assert starting.stop(number) == 0
        assert [pid for pid in pids if is_alive(pid)] == []


@dataclass(frozen=True, slots=True)
class Alone:
    """A process that runs without the others, and the file of what it says."""

    process: subprocess.Popen[bytes]
    output: Path

    def stop(self, number: int) -> None:
        """Asks it to stop, which it does in good order."""
        self.process.send_signal(number)
        assert self.process.wait(WITHIN_S) == 0, self.output.read_text()


@contextmanager
def alone(place: Place, module: str) -> Iterator[Alone]:
    """Runs `python -m module` by itself."""
    output = place.folder.with_suffix(".out")
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            env=place.environment | {"TILLBRIDGE_TOKEN_KEY": KEY},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Alone(process, output)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(WITHIN_S)


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_service_runs_alone_and_stops_when_it_is_told(place: Place, context: str) -> None:
    assert place.health(context) == 1
    with alone(place, f"services.{context}") as service:
        wait_for(lambda: place.health(context) == 0, RESTARTED_S)
        service.stop(signal.SIGTERM)
    assert (place.folder / f"{context}.sqlite3").exists()


def test_the_gateway_runs_alone_and_says_who_is_missing(place: Place) -> None:
    with alone(place, "gateway") as gateway:
        wait_for(lambda: "UNREACHABLE" in place.run(TILLBRIDGE, "health", "gateway").stdout)
        assert place.health("gateway") == 1
        gateway.stop(signal.SIGINT)


@pytest.mark.parametrize("module", ["services.catalog", "gateway"])
def test_a_process_does_not_listen_where_others_read_along(place: Place, module: str) -> None:
    done = place.run(sys.executable, "-m", module, TILLBRIDGE_HOST="0.0.0.0")
    assert done.returncode == 1
    assert "TILLBRIDGE_HOST=0.0.0.0 can be reached from other machines" in done.stderr
    assert "TILLBRIDGE_INSECURE=true" in done.stderr


def test_up_does_not_listen_where_others_read_along(place: Place) -> None:
    done = place.run(TILLBRIDGE, "up", TILLBRIDGE_HOST="::")
    assert done.returncode == 1
    assert "TILLBRIDGE_INSECURE=true" in done.stderr
    assert not place.folder.exists()


@pytest.mark.parametrize(
    ("host", "insecure", "is_refused"),
    [
        ("127.0.0.1", False, False),
        ("127.8.9.10", False, False),
        ("::1", False, False),
        ("[::1]", False, False),
        ("localhost", False, False),
        ("0.0.0.0", False, True),
        ("::", False, True),
        ("[::]", False, True),
        ("", False, True),
        ("10.0.0.7", False, True),
        ("localhost.example.com", False, True),
        ("0.0.0.0", True, False),
        ("10.0.0.7", True, False),
    ],
)
def test_listening_beyond_this_machine_takes_consent(
    host: str, insecure: bool, is_refused: bool
) -> None:
    assert bool(Settings(host=host, insecure=insecure).exposure) is is_refused


def test_a_key_is_made_once_and_read_by_its_owner_alone(place: Place) -> None:
    key = place.folder / "token.key"
    assert place.run(TILLBRIDGE, "key").returncode == 0
    made = key.read_text()
    assert key.stat().st_mode & 0o777 == 0o600
    assert place.run(TILLBRIDGE, "key").returncode == 0
    assert key.read_text() == made


def test_a_token_says_who_may_do_what_and_for_how_long(place: Place) -> None:
    carried = ["--merchant", "mug-shop", "--role", "pos", "--role", "operator", "--days", "7"]
    command = [TILLBRIDGE, "token", *carried, "--subject", "till-3"]
    done = place.run(*command, TILLBRIDGE_TOKEN_KEY=KEY)
    assert done.returncode == 0
    claims = jwt.decode(done.stdout.strip(), KEY, algorithms=["HS256"], audience="tillbridge")
    assert (claims["merchant"], claims["sub"]) == ("mug-shop", "till-3")
    assert claims["roles"] == ["operator", "pos"]
    days = (datetime.fromtimestamp(claims["exp"], UTC) - datetime.now(UTC)).total_seconds() / 86400
    assert 6.9 < days <= 7


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (["token", "--merchant", "mug-shop", "--role", "king"], "king"),
        (["token", "--merchant", "mug-shop"], "--role"),
        (["health", "nobody"], "known are catalog"),
    ],
)
def test_a_wrong_command_says_what_would_be_right(
    place: Place, command: list[str], word: str
) -> None:
    done = place.run(TILLBRIDGE, *command, TILLBRIDGE_TOKEN_KEY=KEY)
    assert done.returncode == 2
    assert word in done.stderr


def test_a_token_needs_a_key_first(place: Place) -> None:
    done = place.run(TILLBRIDGE, "token", "--merchant", "mug-shop", "--role", "pos")
    assert done.returncode == 2
    assert "tillbridge key" in re.sub(r"[\s│]+", " ", done.stderr)


def test_migrate_makes_every_database_and_may_be_repeated(place: Place) -> None:
    for _ in range(2):
        done = place.run(TILLBRIDGE, "migrate")
        assert done.returncode == 0, done.stderr
        assert done.stdout.split("\n")[:4] == [f"{context}: up to date" for context in CONTEXTS]
    assert all((place.folder / f"{context}.sqlite3").exists() for context in CONTEXTS)
