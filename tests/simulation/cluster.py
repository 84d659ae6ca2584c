"""Processes that crash and come back, and the calls between them: all of it in memory."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import grpc

from services.catalog.service import build as build_catalog
from services.chassis import status
from services.chassis.auth import MERCHANT_KEY, Tokens
from services.chassis.client import Identity, Metadata
from services.chassis.errors import DomainError
from services.chassis.feed import EventFeed
from services.chassis.rpc import Rpc, rpcs
from services.chassis.run import Build, Parts
from services.chassis.settings import CONTEXTS, Context, Settings
from services.chassis.together import PATH as TOGETHER
from services.chassis.together import answer_together
from services.customer.service import build as build_customer
from services.inventory.service import build as build_inventory
from services.order.service import build as build_order
from tests.harness import KEY
from tests.simulation.clock import VirtualLoop, WallClock
from tests.simulation.faults import Faults
from tests.simulation.storage import InlineDatabase, storages
from tillbridge.events.v1 import events_pb2

BUILDS: Mapping[Context, Build] = {
    "catalog": build_catalog,
    "inventory": build_inventory,
    "order": build_order,
    "customer": build_customer,
}
FEED = events_pb2.DESCRIPTOR.services_by_name["EventFeed"]
SETTINGS = Settings(data_dir=Path("/nowhere"), token_key=KEY)
TOKENS = Tokens(KEY)
RESTART_S_MAX = 2.0
WAKE_S_MAX = 0.1
"""How long a commit takes at most to become known to those who wait for one."""
FOREVER_S = 60.0
"""A call without a deadline of its own has this one."""

_IDENTITIES = {context: Identity(TOKENS, context) for context in CONTEXTS}


class Process:
    """One process of a service, from its start to its death."""

    def __init__(self, cluster: "Cluster", context: Context, name: str, clock: WallClock) -> None:
        self.name = name
        self.dead = False
        self._waking = False
        self._wakes: Sequence[Callable[[], None]] = ()
        self._cluster = cluster
        # Sets that keep their order: that of sets themselves depends on addresses.
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._unanswered: dict[asyncio.Future[bytes], None] = {}
        self.database = InlineDatabase(
            storages()[context],
            clock,
            cluster.faults,
            lambda appended: cluster.committed(context, name, appended),
            name,
        )
        parts = Parts(SETTINGS, self.database, _IDENTITIES[context], self._connect)
        wiring = BUILDS[context](parts)
        self.feed = EventFeed(context, self.database)
        contracts = [*wiring.contracts.items(), (FEED, self.feed)]
        self._rpcs: dict[str, Rpc] = {
            rpc.path: rpc
            for contract, service in contracts
            for rpc in rpcs(contract, service, self.database)
        }
        for task in wiring.background:
            self._spawn(self._background(task))

    def serve(
        self, path: str, metadata: Metadata, body: bytes, deadline_s: float
    ) -> "asyncio.Future[bytes]":
        """Begins to answer a call."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._unanswered[answer] = None
        answer.add_done_callback(lambda done: self._unanswered.pop(done, None))
        self._spawn(self._answer(self._run(path, metadata, body, deadline_s), path, answer))
        return answer

    def die(self) -> None:
        """Everything that this process knew is gone; nobody gets an answer."""
        self.dead = True
        self.database.die()
        for task in list(self._tasks):
            task.cancel()
        for answer in list(self._unanswered):
            if not answer.done():
                answer.set_exception(unreachable("the process is gone"))

    def wake_soon(self, *, own: bool) -> None:
        """Lets all who read the feed look again, and after an `own` commit whoever else waits for
        one: a moment after the first of some commits, since most looks would find nothing new.
        """
        if own:
            self._wakes = self.database.on_commit
        if not self._waking:
            self._waking = True
            self._wakes = self._wakes or (self.feed.wake,)
            wait_s = self._cluster.faults.moment(WAKE_S_MAX)
            asyncio.get_running_loop().call_later(wait_s, self._wake)

    def _wake(self) -> None:
        wakes, self._wakes, self._waking = self._wakes, (), False
        for wake in wakes:
            wake()

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def _background(self, run: Callable[[], Awaitable[None]]) -> None:
        try:
            await run()
        except Exception as error:
            self._cluster.findings.append(f"{self.name} ended: {error!r}")

    async def _answer(
        self, run: Awaitable[bytes], path: str, answer: "asyncio.Future[bytes]"
    ) -> None:
        try:
            found = await run
        except DomainError as refusal:
            if not answer.done():
                answer.set_exception(refused(refusal))
        except Exception as error:
            self._cluster.findings.append(f"{self.name} {path}: {error!r}")
            if not answer.done():
                answer.set_exception(refused(DomainError("INTERNAL", str(error))))
        else:
            if not answer.done():
                answer.set_result(found)

    async def _run(self, path: str, metadata: Metadata, body: bytes, deadline_s: float) -> bytes:
        if path == TOGETHER:
            token = [pair for pair in metadata if pair[0] == "authorization"]

            async def answer_one(path: str, merchant: str, request: bytes) -> bytes:
                named = [(MERCHANT_KEY, merchant)] if merchant else []
                return await self._run(path, (*token, *named), request, deadline_s)

            return await answer_together(body, answer_one)
        rpc = self._rpcs[path]
        caller = TOKENS.check(metadata)
        if not caller.roles & rpc.roles:
            raise DomainError("ROLE_NOT_ALLOWED", path)
        assert rpc.run
        return await rpc.run(caller, body, deadline_s)

    def _connect(self, context: Context) -> grpc.aio.Channel:
        return cast("grpc.aio.Channel", Channel(self._cluster, context, self))


Sending = tuple[str, Metadata, bytes, float]
"""A call: path, metadata, request, and until when it waits for an answer."""


def _give_up(answering: "asyncio.Future[bytes]") -> None:
    if not answering.done():
        answering.set_exception(TimeoutError())


class Cluster:
    """All processes of one simulated installation."""

    def __init__(self, loop: VirtualLoop, faults: Faults) -> None:
        self.faults = faults
        self.findings: list[str] = []
        """What no service may ever do, such as failing for no documented reason."""
        self.commits = 0
        self.in_flight = 0
        """Calls on their way, but for those that wait for events."""
        self.on_commit: Callable[[Context], None] = lambda _context: None
        self._loop = loop
        self._processes: dict[str, Process | None] = {}
        self._clocks: dict[str, WallClock] = {}
        """By service: where it has several processes, they go by their database server's clock."""
        self._right = self._latest = timedelta()
        """How far a clock that is right is from where time began, and the most any ever was."""
        faults.on_crash = self.crash
        for storage in storages().values():
            storage.empty()

    def start(self) -> None:
        """Starts all services."""
        numbers = (1, 2) if "replicas" in self.faults.rates else (1,)
        for context in CONTEXTS:
            for number in numbers:
                self._start(context, f"{context}-{number}")

    def stop(self) -> None:
        """Ends everything."""
        for process in self._processes.values():
            if process:
                process.die()

    def crash(self, name: str) -> None:
        """Kills a process; it comes back by itself."""
        process = self._processes[name]
        if process is None:
            return
        self._processes[name] = None
        process.die()
        context = cast("Context", name.partition("-")[0])
        wait_s = 0.05 + self.faults.moment(RESTART_S_MAX)
        self._loop.call_later(wait_s, self._start, context, name)

    def jump(self, name: str, seconds: int) -> None:
        """Sets the clock that a process goes by off by so much."""
        self.faults.note(f"CLOCK {name} off by {seconds} s")
        clock = self._clocks[name.partition("-")[0]]
        clock.off = self._right + timedelta(seconds=seconds)
        self._latest = max(self._latest, clock.off)

    def later(self, seconds: float) -> None:
        """Moves all clocks on together, and rights those that were off."""
        self._right = self._latest = self._latest + timedelta(seconds=seconds)
        for clock in self._clocks.values():
            clock.off = self._right
        for process in self._processes.values():
            if process:
                process.wake_soon(own=False)

    @property
    def names(self) -> list[str]:
        """Of the processes."""
        return list(self._processes)

    @property
    def whole(self) -> bool:
        """Whether all processes are up."""
        return all(self._processes.values())

    def committed(self, context: Context, owner: str, appended: bool) -> None:
        """Lets all readers of a service's feed look, as PostgreSQL's NOTIFY does."""
        self.commits += 1
        self.on_commit(context)
        if not appended:
            return
        for name, process in self._processes.items():
            if process and name.startswith(context):
                process.wake_soon(own=name == owner)

    def _start(self, context: Context, name: str) -> None:
        self.faults.note(f"start {name}")
        clock = self._clocks.setdefault(context, WallClock(self._loop))
        self._processes[name] = Process(self, context, name, clock)

    async def call(
        self, context: Context, path: str, metadata: Metadata, body: bytes, timeout_s: float
    ) -> bytes:
        """A call over the network, such as it is."""
        waits = path.endswith("ReadEvents")
        self.in_flight += not waits
        try:
            call = (path, metadata, body, self._loop.time() + timeout_s)
            return await self._call(context, call)
        except TimeoutError:
            raise _error(grpc.StatusCode.DEADLINE_EXCEEDED, "too late") from None
        finally:
            self.in_flight -= not waits

    async def _call(self, context: Context, call: Sending) -> bytes:
        faults, name, deadline_s = self.faults, call[0].rsplit("/", 1)[1], call[3]
        await self._travel(deadline_s)
        if faults.strikes("drop"):
            faults.note(f"DROP {context} {name}")
            raise unreachable("dropped")
        if faults.strikes("duplicate"):
            faults.note(f"TWICE {context} {name}")
            self._loop.call_later(faults.delay(), self._again, context, call)
        answering = self._process(context).serve(*call)
        late = self._loop.call_at(deadline_s, _give_up, answering)
        try:
            answer = await answering
        finally:
            late.cancel()
        if faults.strikes("lost reply"):
            faults.note(f"LOST REPLY {context} {name}")
            raise unreachable("the answer is lost")
        await self._travel(deadline_s)
        return answer

    async def _travel(self, deadline_s: float) -> None:
        """A message is on its way.

        Raises:
            TimeoutError: it would be too late.
        """
        takes_s, left_s = self.faults.delay(), deadline_s - self._loop.time()
        await asyncio.sleep(min(takes_s, left_s))
        if takes_s >= left_s:
            raise TimeoutError

    def _again(self, context: Context, call: Sending) -> None:
        try:
            answer = self._process(context).serve(*call)
        except grpc.aio.AioRpcError:
            return
        answer.add_done_callback(lambda done: done.exception())

    def _process(self, context: Context) -> Process:
        up = [one for name, one in self._processes.items() if one and name.startswith(context)]
        if not up:
            raise unreachable(f"{context} is down")
        return cast("Process", self.faults.choose(up))


@dataclass(frozen=True, slots=True)
class Channel:
    """What stubs need of a gRPC channel. Its owner may die before and after each call."""

    cluster: Cluster
    context: Context
    owner: Process | None = None

    def unary_unary(
        self,
        path: str,
        request_serializer: Callable[[Any], bytes] | None,
        response_deserializer: Callable[[bytes], Any] | None,
        **_options: object,
    ) -> Callable[..., Awaitable[Any]]:
        """A method to call."""
        name = path.rsplit("/", 1)[1]

        async def call(
            request: Any,
            *,
            metadata: Metadata = (),
            timeout: float = FOREVER_S,  # noqa: ASYNC109  (as gRPC's stubs have it)
        ) -> Any:
            if self.owner and self.owner.dead:
                raise unreachable("the caller is gone")
            if self._dies(f"before {name}"):
                await asyncio.sleep(0)  # it is cancelled here
            body = request_serializer(request) if request_serializer else request
            answer = await self.cluster.call(self.context, path, metadata, body, timeout)
            if self._dies(f"after {name}"):
                await asyncio.sleep(0)
            return response_deserializer(answer) if response_deserializer else answer

        return call

    def _dies(self, point: str) -> bool:
        owner = self.owner
        if owner is None or owner.dead:
            return False
        return self.cluster.faults.crash(owner.name, point)

    def unary_stream(self, *_args: object, **_options: object) -> None:
        """Nobody streams here."""


def refused(error: DomainError) -> grpc.aio.AioRpcError:
    """A refusal as a client sees it."""
    details = status.to_status(error).SerializeToString()
    trailing = grpc.aio.Metadata((status.DETAILS_KEY, details))
    code = status.grpc_code(error)
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details=error.message)


def unreachable(why: str) -> grpc.aio.AioRpcError:
    """No answer."""
    return _error(grpc.StatusCode.UNAVAILABLE, why)


def _error(code: grpc.StatusCode, why: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details=why)
