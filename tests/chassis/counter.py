"""A service that knows no business: it counts. What the chassis promises is proven on it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc
from buf.validate import validate_pb2  # noqa: F401  (registers the options used below)
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from sqlalchemy import BigInteger, Column, MetaData, String, Table, insert, select, tuple_, update

from services.chassis import pages
from services.chassis.auth import Caller, Tokens
from services.chassis.database import Call, Calls, Database, Transaction, utc_now
from services.chassis.engines import open_engine
from services.chassis.errors import DomainError
from services.chassis.feed import EventFeed
from services.chassis.plumbing import NAMING, Plumbing, Serial
from services.chassis.rpc import View, command, command_each, query
from services.chassis.server import Server
from services.chassis.settings import Settings
from tests.harness import KEY, connected, metadata
from tillbridge.events.v1 import events_pb2
from tillbridge.options.v1 import options_pb2  # noqa: F401  (registers the options used below)

_FIELD = "field {{ name: '{0}' number: {1} type: TYPE_{2} label: LABEL_{3} {4} }}"


def _fields(*rows: tuple[str, str, str]) -> str:
    """Fields (name, type or message, limits in protovalidate's words); `name[]` is repeated."""
    found = ""
    for number, (name, kind, limits) in enumerate(rows, 1):
        label = "REPEATED" if name.endswith("[]") else "OPTIONAL"
        more = f"options {{ [buf.validate.field] {{ {limits} }} }}" if limits else ""
        if kind.startswith("."):
            more += f" type_name: '{kind}'"
        scalar = "MESSAGE" if kind.startswith(".") else kind
        found += _FIELD.format(name.removesuffix("[]"), number, scalar, label, more)
    return found


def _method(name: str, asks: str, answers: str, *roles: str) -> str:
    options = " ".join(f"[tillbridge.options.v1.roles]: ROLE_{role}" for role in roles)
    return (
        f"method {{ name: '{name}' input_type: '.tests.chassis.{asks}'"
        f" output_type: '.tests.chassis.{answers}' options {{ {options} }} }}"
    )


_ID = "string { min_len: 1 max_len: 128 }"
_CONTRACT = f"""
    name: "tests/chassis/counter.proto" package: "tests.chassis" syntax: "proto3"
    dependency: "buf/validate/validate.proto" dependency: "tillbridge/options/v1/options.proto"
    message_type {{ name: "Part" {_fields(("label", "STRING", "string { max_len: 10 }"))} }}
    message_type {{ name: "AddRequest" {
    _fields(
        ("request_id", "STRING", _ID),
        ("name", "STRING", _ID),
        ("amount", "INT64", "int64 { gte: -1000000 lte: 1000000 }"),
        ("parts[]", ".tests.chassis.Part", "repeated { max_items: 100 }"),
    )
} }}
    message_type {{ name: "Total" {_fields(("name", "STRING", ""), ("total", "INT64", ""))} }}
    message_type {{ name: "GetRequest" {_fields(("name", "STRING", _ID))} }}
    message_type {{ name: "ListRequest" {
    _fields(("page_size", "INT32", ""), ("page_token", "STRING", ""), ("filter", "STRING", ""))
} }}
    message_type {{ name: "ListResponse" {
    _fields(("names[]", "STRING", ""), ("next_page_token", "STRING", ""))
} }}
    message_type {{ name: "SleepRequest" {_fields(("sleep_ms", "INT32", ""))} }}
    service {{ name: "CounterService"
        {_method("Add", "AddRequest", "Total", "POS", "OPERATOR", "SERVICE")}
        {_method("Replace", "AddRequest", "Total", "OPERATOR")}
        {_method("Get", "GetRequest", "Total", "POS", "OPERATOR", "SERVICE")}
        {_method("List", "ListRequest", "ListResponse", "POS")}
        {_method("Sleep", "SleepRequest", "Total", "POS")}
    }}
"""
FILE = descriptor_pool.Default().AddSerializedFile(
    text_format.Parse(_CONTRACT, FileDescriptorProto()).SerializeToString()
)
SERVICE = FILE.services_by_name["CounterService"]


def message(kind: str, /, **values: Any) -> Any:
    """A message of the counter's contract."""
    return GetMessageClass(FILE.message_types_by_name[kind])(**values)


METADATA = MetaData(naming_convention=NAMING)
COUNTERS = Table(
    "counters",
    METADATA,
    Column("merchant_id", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("total", BigInteger, nullable=False),
)
JOURNAL = Table(
    "journal",
    METADATA,
    Column("number", Serial, primary_key=True, autoincrement=True),
    Column("merchant_id", String, nullable=False),
    Column("request_id", String, nullable=False),
)
PLUMBING = Plumbing(METADATA)
SECRET = "the password is hunter2"


@dataclass(slots=True)
class Counter:
    """Serves the contract above; `groups` are the sizes of the groups that it was given."""

    groups: list[int] = field(default_factory=list)

    @command
    def add(self, transaction: Transaction, calls: Calls[Any, Any]) -> None:
        """Adds; a negative total is refused, and the name `boom` is a bug."""
        self.groups.append(len(calls))
        known = _load(transaction, calls)
        totals, journal = dict(known), []
        for call in calls:
            with call:
                if call.request.name == "boom":
                    raise RuntimeError(SECRET)
                key = (call.merchant, call.request.name)
                total = totals.get(key, 0) + call.request.amount
                if total < 0:
                    raise DomainError("QUANTITY_OUT_OF_RANGE", "must not go below zero")
                totals[key] = total
                journal.append({"merchant_id": call.merchant, "request_id": call.request_id})
                told = message("Total", name=call.request.name, total=total)
                channel_id = f"ch-{call.request.parts[0].label}" if call.request.parts else ""
                transaction.emit(call.merchant, f"counter/{call.request.name}", told, channel_id)
                call.reply(told)
        for (merchant, name), total in totals.items():
            put(transaction, merchant, name, total, known=(merchant, name) in known)
        if journal:
            transaction.connection.execute(insert(JOURNAL), journal)

    @command_each
    def replace(self, transaction: Transaction, call: Call[Any, Any]) -> Message:
        """Sets a total; finds only after writing and telling that a negative one is refused."""
        request = call.request
        key = (call.merchant, request.name)
        put(transaction, *key, request.amount, known=key in _load(transaction, [call]))
        told: Message = message("Total", name=request.name, total=request.amount)
        transaction.emit(call.merchant, f"counter/{request.name}", told)
        if request.amount < 0:
            raise DomainError("QUANTITY_OUT_OF_RANGE", "must not be below zero")
        return told

    @query
    def get(self, view: View, request: Any) -> Message:
        """Returns a total."""
        if request.name == "boom":
            raise RuntimeError(SECRET)
        total = view.connection.execute(
            select(COUNTERS.c.total).where(
                COUNTERS.c.merchant_id == view.merchant, COUNTERS.c.name == request.name
            )
        ).scalar()
        if total is None:
            raise DomainError("ITEM_NOT_FOUND", "no such counter", item_id=request.name)
        found: Message = message("Total", name=request.name, total=total)
        return found

    @query
    def list(self, view: View, request: Any) -> Message:
        """Lists the names, by name."""
        (after,) = pages.key_before(request, str) or ("",)
        size = pages.page_size(request)
        names = view.connection.execute(
            select(COUNTERS.c.name)
            .where(COUNTERS.c.merchant_id == view.merchant, COUNTERS.c.name > after)
            .order_by(COUNTERS.c.name)
            .limit(size + 1)
        ).scalars()
        found = list(names)
        answer: Message = message("ListResponse", names=found[:size])
        if len(found) > size:
            token = pages.token_after(request, found[size - 1])
            answer.MergeFrom(message("ListResponse", next_page_token=token))
        return answer

    async def sleep(self, _caller: Caller, request: Any) -> Message:
        """Takes its time."""
        await asyncio.sleep(request.sleep_ms / 1000)
        slept: Message = message("Total", total=request.sleep_ms)
        return slept


def _load(transaction: Transaction, calls: Sequence[Call[Any, Any]]) -> dict[tuple[str, str], int]:
    keys = sorted({(call.merchant, call.request.name) for call in calls})
    rows = transaction.connection.execute(
        select(COUNTERS)
        .where(tuple_(COUNTERS.c.merchant_id, COUNTERS.c.name).in_(keys))
        .order_by(COUNTERS.c.merchant_id, COUNTERS.c.name)
        .with_for_update()
    )
    return {(row.merchant_id, row.name): row.total for row in rows}


def put(transaction: Transaction, merchant: str, name: str, total: int, *, known: bool) -> None:
    """Sets a total; a row that is new is inserted, so that two processes may race for it."""
    if not known:
        row = {"merchant_id": merchant, "name": name, "total": total}
        transaction.connection.execute(insert(COUNTERS).values(**row))
        return
    transaction.connection.execute(
        update(COUNTERS)
        .where(COUNTERS.c.merchant_id == merchant, COUNTERS.c.name == name)
        .values(total=total)
    )


def create_tables(url: str) -> None:
    """Creates the counter's tables."""
    engine = open_engine(url, writing=True)
    with engine.begin() as connection:
        METADATA.create_all(connection)
    engine.dispose()


@dataclass(slots=True)
class Ticks:
    """A clock that counts how often it is asked: once per transaction."""

    count: int = 0

    def __call__(self) -> datetime:
        self.count += 1
        return datetime(2026, 7, 4, 12, tzinfo=UTC)


@asynccontextmanager
async def opened(url: str, clock: Any = utc_now) -> AsyncIterator[Database]:
    """A database with the counter's tables, as one process opens it."""
    await asyncio.to_thread(create_tables, url)
    database = Database(url, PLUMBING, clock=clock)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def one_group(database: Database) -> AsyncIterator[None]:
    """Holds the writer, so that all calls that come within the block make one group."""
    begun, go_on = threading.Event(), threading.Event()

    def hold(_transaction: Transaction) -> None:
        begun.set()
        go_on.wait(10)

    holding = asyncio.ensure_future(database.apply("hold", hold))
    await asyncio.to_thread(begun.wait, 10)
    try:
        yield
        await asyncio.sleep(0)  # the calls of the block reach the queue
    finally:
        go_on.set()
    await holding


@dataclass(slots=True)
class Served:
    """A counter that is called over the network."""

    server: Server
    database: Database
    channel: grpc.aio.Channel
    counter: Counter

    async def call(self, method: str, request: Any, **options: Any) -> Any:
        """Calls an RPC; `request` may be bytes, sent as they are. Roles pos and operator."""
        contract = SERVICE.methods_by_name[method]
        stub = self.channel.unary_unary(
            f"/{SERVICE.full_name}/{method}",
            request_serializer=lambda given: (
                given if isinstance(given, bytes) else given.SerializeToString()
            ),
            response_deserializer=GetMessageClass(contract.output_type).FromString,
        )
        merged: dict[str, Any] = {"metadata": metadata(), "timeout": 10} | options
        return await stub(request, **merged)


@asynccontextmanager
async def served(url: str, configured: Settings) -> AsyncIterator[Served]:
    """A counter and its feed, served."""
    async with opened(url) as database:
        server, counter = Server(configured, Tokens(KEY)), Counter()
        server.add(SERVICE, counter, database)
        feed = EventFeed("counter", database)
        server.add(events_pb2.DESCRIPTOR.services_by_name["EventFeed"], feed, database)
        await server.start("127.0.0.1:0")
        channel = await connected(f"127.0.0.1:{server.port}")
        try:
            yield Served(server, database, channel, counter)
        finally:
            await channel.close()
            await server.stop(0)
