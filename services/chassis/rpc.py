"""What a service class is made of: commands, queries and streams, found by their RPC's name.

A service class implements the RPC `RecordCounts` as a method `record_counts`, marked by what it is:

- `@command`: `(self, transaction, calls) -> None`, handles many calls at once, loads and saves in
  bulk, and answers each call by `with call: ... call.reply(message)`;
- `@command_each`: `(self, transaction, call) -> message`, for what is rare enough to run call by
  call;
- `@query`: `(self, view, request) -> message`, reads one snapshot;
- `@query_together`: `(self, view, calls) -> None`, answers many calls, of any merchants, from one
  snapshot, each by `with call: ... call.reply(message)`;
- unmarked: `async (self, caller, request) -> message`, or an async generator for a streaming RPC.

`any_merchant=True` admits a call of a service that names no merchant.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar, cast

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from sqlalchemy import Connection

from services.chassis.auth import Caller
from services.chassis.checks import parse
from services.chassis.database import Call, Database, Transaction, Unread
from services.chassis.driver import execute
from services.chassis.errors import DomainError
from services.chassis.reads import SharedReads
from tillbridge.options.v1 import options_pb2

Method = TypeVar("Method", bound=Callable[..., Any])
Run = Callable[[Caller, bytes, float], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class View:
    """A snapshot to read from, and for whom."""

    connection: Connection
    merchant: str


@dataclass(frozen=True, slots=True)
class Rpc:
    """One RPC of a server: its contract and how to run it."""

    path: str
    """`/package.Service/Method`."""
    request: type[Message]
    roles: frozenset[int]
    any_merchant: bool
    run: Run | None
    """Answers a unary call: (caller, request as it came, deadline by time.monotonic()) -> answer;
    raises DomainError.
    """
    stream: Callable[[Caller, Message], Any] | None
    """Answers a streaming call."""


def command(method: Method) -> Method:
    """Marks a command that handles many calls at once."""
    method.kind = "command"  # type: ignore[attr-defined]
    return method


def command_each(method: Method) -> Method:
    """Marks a command that handles one call at a time; it may still share a transaction."""
    method.kind = "command_each"  # type: ignore[attr-defined]
    return method


def query(method: Method) -> Method:
    """Marks a query."""
    method.kind = "query"  # type: ignore[attr-defined]
    return method


def query_together(method: Method) -> Method:
    """Marks a query that handles many calls at once."""
    method.kind = "query_together"  # type: ignore[attr-defined]
    return method


def any_merchant(method: Method) -> Method:
    """Marks an RPC that a service may call without naming a merchant."""
    method.any_merchant = True  # type: ignore[attr-defined]
    return method


def snake(name: str) -> str:
    """`RecordCounts` as `record_counts`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def rpcs(contract: ServiceDescriptor, service: object, database: Database) -> list[Rpc]:
    """The RPCs of a contract, bound to the service that implements them.

    Raises:
        TypeError: an RPC has no roles in its contract, or no method in the service.
    """
    return [_rpc(method, service, database) for method in contract.methods]


def _rpc(contract: MethodDescriptor, service: object, database: Database) -> Rpc:
    roles = _roles(contract)
    method = getattr(service, snake(contract.name), None)
    if not roles or method is None:
        missing = "roles" if method is not None else "implementation"
        raise TypeError(f"{contract.full_name} has no {missing}")
    streaming = contract.server_streaming
    request = GetMessageClass(contract.input_type)
    return Rpc(
        path=f"/{contract.containing_service.full_name}/{contract.name}",
        request=request,
        roles=roles,
        any_merchant=getattr(method, "any_merchant", False),
        run=None if streaming else _Bound(contract.full_name, method, request, database).run(),
        stream=method if streaming else None,
    )


@cache
def _roles(contract: MethodDescriptor) -> frozenset[int]:
    return frozenset(contract.GetOptions().Extensions[options_pb2.roles])


@dataclass(frozen=True, slots=True)
class _Bound:
    """A method, and how a call of it becomes the bytes of an answer: one way for each mark."""

    name: str
    method: Callable[..., Any]
    request: type[Message]
    database: Database

    def run(self) -> Run:
        """The way of its mark."""
        kind = getattr(self.method, "kind", "")
        if kind == "query_together":
            return self._sharing_reads()
        ways = {
            "command": self._command,
            "command_each": self._command_each,
            "query": self._query,
        }
        return ways.get(kind, self._plain)

    def _unread(self, caller: Caller, body: bytes, deadline_s: float) -> Call[Any, Any]:
        return Call(caller, cast("Any", Unread(self.request, body)), deadline_s)

    async def _command(self, caller: Caller, body: bytes, deadline_s: float) -> bytes:
        call = self._unread(caller, body, deadline_s)
        return await self.database.write(self.name, self.method, call)

    async def _command_each(self, caller: Caller, body: bytes, deadline_s: float) -> bytes:
        call = self._unread(caller, body, deadline_s)
        return await self.database.write(self.name, self._one_by_one, call)

    def _one_by_one(self, transaction: Transaction, calls: Sequence[Call[Any, Any]]) -> None:
        for call in calls:
            with call:
                call.reply(_behind_savepoint(transaction, self.method, call))

    async def _query(self, caller: Caller, body: bytes, _deadline_s: float) -> bytes:
        request = parse(self.request, body)

        def ask(connection: Connection) -> bytes:
            answer: Message = self.method(View(connection, caller.merchant), request)
            return answer.SerializeToString()

        return await self.database.read(ask)

    def _sharing_reads(self) -> Run:
        shared = SharedReads(
            self.database, lambda connection, calls: self.method(View(connection, ""), calls)
        )

        async def run(caller: Caller, body: bytes, deadline_s: float) -> bytes:
            return await shared.ask(self._unread(caller, body, deadline_s))

        return run

    async def _plain(self, caller: Caller, body: bytes, _deadline_s: float) -> bytes:
        answer: Message = await self.method(caller, parse(self.request, body))
        return answer.SerializeToString()


def _behind_savepoint(
    transaction: Transaction, method: Callable[..., Any], call: Call[Any, Any]
) -> Message:
    """Runs one call; a refusal half-way leaves nothing of it behind."""
    execute(transaction.connection, "execute", "SAVEPOINT call", ())
    told = len(transaction.events)
    try:
        answer: Message = method(transaction, call)
    except DomainError:
        transaction.undo(told)
        execute(transaction.connection, "execute", "ROLLBACK TO SAVEPOINT call", ())
        raise
    execute(transaction.connection, "execute", "RELEASE SAVEPOINT call", ())
    return answer
