"""The processes of an installation, each of which can be made to die at a named point."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.chassis.failpoints import VARIABLE
from services.chassis.settings import CONTEXTS
from services.chassis.status import from_rpc_error
from tests.flows.stack import KEY, token
from tests.ports import free_ports

READY_S_MAX = 60.0
PATIENCE_S = 90.0
LOOK_EVERY_S = 0.02
TIMEOUT_S = 10.0
PASSING = {"ITEM_NOT_FOUND", "CHANNEL_NOT_FOUND"}
"""Refusals that pass by themselves: others hear of what is new a moment later."""

MODULES: Mapping[str, str] = {
    **{context: f"services.{context}" for context in CONTEXTS},
    "gateway": "gateway",
    "sandbox": "gateway.sandbox",
    "importer": "gateway.imports",
    "newcomer": "services.customer",
}
"""What each process runs; the newcomer is a customer service with a database that is empty."""
_RECONNECT_SOON = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
]

T = TypeVar("T")


@dataclass(slots=True)
class Fleet:
    """Processes by name; each has one life after another."""

    folder: Path
    environment: Mapping[str, str]
    ports: Mapping[str, int]
    zygote: "subprocess.Popen[str]"
    pids: dict[str, int] = field(default_factory=dict)
    kept_up: set[str] = field(default_factory=set)
    """Those that are started again when they have died."""
    died: set[str] = field(default_factory=set)
    """Those that have died since they were started to die."""
    channels: dict[str, grpc.Channel] = field(default_factory=dict)
    arguments: dict[str, Sequence[str]] = field(default_factory=dict)
    own: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Environment of one process alone."""

    def start(self, name: str, crash_at: str = "") -> None:
        """Starts a process that dies at this point."""
        assert self.zygote.stdin
        assert self.zygote.stdout
        job = {
            "module": MODULES[name],
            "arguments": self.arguments.get(name, ()),
            "environment": {**self.environment, **self.own.get(name, {}), VARIABLE: crash_at},
            "log": str(self.log_of(name)),
        }
        self.zygote.stdin.write(json.dumps(job) + "\n")
        self.zygote.stdin.flush()
        self.pids[name] = int(self.zygote.stdout.readline())

    def log_of(self, name: str) -> Path:
        """Where a process's lives have their log."""
        return self.folder / f"{name}.log"

    def keep_up(self, *names: str) -> None:
        """Starts processes that are started again whenever they die; waits until they serve."""
        for name in names:
            self.start(name)
            self.kept_up.add(name)
        for name in names:
            self.wait_until_ready(name)

    def arm(self, name: str, crash_at: str) -> None:
        """Has a process killed, and started again to die at this point, if it gets there."""
        self.kill(name)
        self.died.discard(name)
        self.start(name, crash_at)
        if name in self.kept_up:
            self.wait_until_ready(name)

    def kill(self, name: str) -> None:
        """Kills a process."""
        if self.is_alive(name):
            os.kill(self.pids[name], signal.SIGKILL)
            wait_for(lambda: not self.is_alive(name), READY_S_MAX)

    def is_alive(self, name: str) -> bool:
        """Whether a process runs."""
        return Path(f"/proc/{self.pids.get(name, 0)}").exists()

    def look(self) -> None:
        """Starts again what has died."""
        for name in self.kept_up:
            if not self.is_alive(name):
                self.died.add(name)
                self.start(name)

    def has_died(self, name: str) -> bool:
        """Whether a process has died since it was armed; starts again what has."""
        self.look()
        return name in self.died

    def wait_until_ready(self, name: str) -> None:
        """Waits until a process serves; one that dies meanwhile is started again."""
        ready = {"gateway": self._gateway_is_ready, "sandbox": self._sandbox_is_ready}
        wait_for(ready.get(name, lambda: self._serves(name)), READY_S_MAX, f"{name} ready")

    def _serves(self, name: str) -> bool:
        self.look()
        stub = health_pb2_grpc.HealthStub(self.channel(name))
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def _gateway_is_ready(self) -> bool:
        self.look()
        return _is_up(f"http://127.0.0.1:{self.ports['http']}/readyz")

    def _sandbox_is_ready(self) -> bool:
        return _is_up(f"http://127.0.0.1:{self.ports['store']}/sandbox/log")

    def channel(self, name: str) -> grpc.Channel:
        """To a service."""
        if name not in self.channels:
            address = f"127.0.0.1:{self.ports[name]}"
            self.channels[name] = grpc.insecure_channel(address, options=_RECONNECT_SOON)
        return self.channels[name]

    def ask(
        self,
        service: str,
        stub: Callable[[grpc.Channel], Any],
        request: Any,
        unanswered: Callable[[], None] = lambda: None,
    ) -> Any:
        """Calls an RPC, named by its request, until it is answered, whoever dies meanwhile; says so
        when a try is not answered, before who died is started again.

        Raises:
            AssertionError: it was refused, or never answered.
        """
        name = type(request).__name__.removesuffix("Request")
        method = getattr(stub(self.channel(service)), name)
        metadata = (("authorization", f"Bearer {token()}"),)

        def attempt() -> Any:
            try:
                return method(request, metadata=metadata, timeout=TIMEOUT_S)
            except grpc.RpcError as failure:
                error = from_rpc_error(cast("Any", failure))
                if error.transient or error.reason in PASSING:
                    return None
                raise AssertionError(f"{name} was refused: {error.message}") from failure

        return self.insist(attempt, f"answer to {name}", unanswered)

    def insist(
        self,
        attempt: Callable[[], T | None],
        what: str,
        unanswered: Callable[[], None] = lambda: None,
    ) -> T:
        """What an attempt gives in the end; whoever dies meanwhile is started again.

        Raises:
            AssertionError: it never gives anything.
        """

        def again() -> T | None:
            self.look()
            found = attempt()
            if not found:
                unanswered()
            return found

        return wait_for(again, PATIENCE_S, what)

    def stop(self) -> None:
        """Kills everything."""
        self.kept_up.clear()
        for name in self.pids:
            self.kill(name)
        for channel in self.channels.values():
            channel.close()


def wait_for(look: Callable[[], T | None], within_s: float, what: str = "it") -> T:
    """What it finds, as soon as that is something.

    Raises:
        AssertionError: there is nothing in time.
    """
    deadline_s = time.monotonic() + within_s
    while not (found := look()):
        if time.monotonic() > deadline_s:
            raise AssertionError(f"no {what} within {within_s} s")
        time.sleep(LOOK_EVERY_S)
    return found


def _is_up(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


@contextmanager
def fleet(folder: Path, database_url: str) -> Iterator[Fleet]:
    """An installation of which nothing runs yet.

    Args:
        folder: for logs and SQLite files.
        database_url: with `{service}` in it; empty means SQLite.
    """
    ports = free_ports([*CONTEXTS, "http", "pos", "store", "newcomer"])
    environment = {
        "TILLBRIDGE_DATA_DIR": str(folder),
        "TILLBRIDGE_DATABASE_URL": database_url,
        "TILLBRIDGE_TOKEN_KEY": KEY,
        "TILLBRIDGE_LOG_LEVEL": "warning",
        "TILLBRIDGE_HTTP_PORT": str(ports["http"]),
        "TILLBRIDGE_SANDBOX_POS_PORT": str(ports["pos"]),
        "TILLBRIDGE_SANDBOX_STORE_PORT": str(ports["store"]),
        **{f"TILLBRIDGE_{context.upper()}_PORT": str(ports[context]) for context in CONTEXTS},
    }
    zygote = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.zygote"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    found = Fleet(folder, environment, ports, zygote)
    try:
        yield found
    finally:
        found.stop()
        assert zygote.stdin
        zygote.stdin.close()
        zygote.wait(10)
