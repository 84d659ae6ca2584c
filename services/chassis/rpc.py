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
from typing import Any, TypeVar

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from sqlalchemy import Connection

from services.chassis.auth import Caller
from services.chassis.database import Call, Database, Transaction
from services.chassis.driver import execute
from services.chassis.errors import DomainError
from services.chassis.reads import SharedReads
from tillbridge.options.v1 import options_pb2

Method = TypeVar("Method", bound=Callable[..., Any])
Run = Callable[[Caller, Message, float], Awaitable[bytes]]


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
    """Answers a unary call: (caller, request, deadline by time.monotonic()) -> answer."""
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
    return Rpc(
        path=f"/{contract.containing_service.full_name}/{contract.name}",
        request=GetMessageClass(contract.input_type),
        roles=roles,
        any_merchant=getattr(method, "any_merchant", False),
        run=None if streaming else _bind(contract.full_name, method, database),
        stream=method if streaming else None,
    )


@cache
def _roles(contract: MethodDescriptor) -> frozenset[int]:
    return frozenset(contract.GetOptions().Extensions[options_pb2.roles])


def _bind(name: str, method: Callable[..., Any], database: Database) -> Run:
    """A method as a coroutine from caller and request to the answer's bytes."""
    kind = getattr(method, "kind", "")
    if kind == "query_together":
        shared = SharedReads(
            database, lambda connection, calls: method(View(connection, ""), calls)
        )

        async def run_together(caller: Caller, request: Message, deadline_s: float) -> bytes:
            return await shared.ask(Call(caller, request, deadline_s))

        return run_together

    async def run_command(caller: Caller, request: Message, deadline_s: float) -> bytes:
        return await database.write(name, method, Call(caller, request, deadline_s))

    def one_by_one(transaction: Transaction, calls: Sequence[Call[Any, Any]]) -> None:
        for call in calls:
            with call:
                call.reply(_behind_savepoint(transaction, method, call))

    async def run_each(caller: Caller, request: Message, deadline_s: float) -> bytes:
        return await database.write(name, one_by_one, Call(caller, request, deadline_s))

    async def run_query(caller: Caller, request: Message, _deadline_s: float) -> bytes:
        def ask(connection: Connection) -> bytes:
            answer: Message = method(View(connection, caller.merchant), request)
            return answer.SerializeToString()

        return await database.read(ask)

    async def run_plain(caller: Caller, request: Message, _deadline_s: float) -> bytes:
        answer: Message = await method(caller, request)
        return answer.SerializeToString()

    runs = {"command": run_command, "command_each": run_each, "query": run_query}
    return runs.get(kind, run_plain)


def _behind_savepoint(
    transaction: Transaction, method: Callable[..., Any], call: Call[Any, Any]
) -> Message:
    """Runs one call; a refusal half-way leaves nothing of it behind."""
    told, connection = len(transaction.events), transaction.connection
    execute(connection, "execute", "SAVEPOINT call", ())
    try:
        answer: Message = method(transaction, call)
    except DomainError:
        execute(connection, "execute", "ROLLBACK TO SAVEPOINT call", ())
        del transaction.events[told:]
        raise
    execute(connection, "execute", "RELEASE SAVEPOINT call", ())
    return answer
