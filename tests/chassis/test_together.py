"""Calls of one moment travel together, and each is what it would have been by itself."""

import asyncio
from collections.abc import MutableMapping
from typing import Any, cast

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass

from services.chassis.auth import Tokens
from services.chassis.client import Identity
from services.chassis.errors import DomainError
from services.chassis.status import from_rpc_error
from services.chassis.together import BYTES_MAX, CALLS_MAX, PATH, together
from tests.chassis.counter import SERVICE, Served, message
from tests.harness import KEY, MERCHANT, refused, service_metadata

IDENTITY = Identity(Tokens(KEY), "order")
ADD, GET = (f"/{SERVICE.full_name}/{name}" for name in ("Add", "Get"))


class Counted:
    """A channel that knows which paths were called on it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self.paths: list[str] = []

    def unary_unary(self, path: str, **options: Any) -> Any:
        made = self._channel.unary_unary(path, **options)

        def call(*arguments: Any, **more: Any) -> Any:
            self.paths.append(path)
            return made(*arguments, **more)

        return call


class Caller:
    """Another process, which calls the counter."""

    def __init__(self, channel: grpc.aio.Channel, *, counted: type[Counted] = Counted) -> None:
        self.counted = cast("Any", counted(channel))
        self._together = together(self.counted, IDENTITY)

    async def call(self, path: str, request: Any, merchant: str = MERCHANT) -> Any:
        """The answer, or the refusal."""
        method = SERVICE.methods_by_name.get(path.rsplit("/", 1)[1])
        stub: Any = self._together.unary_unary(
            path,
            request_serializer=type(request).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString
            if method
            else bytes,
        )
        try:
            return await stub(request, metadata=IDENTITY.metadata(merchant), timeout=10)
        except grpc.aio.AioRpcError as error:
            return from_rpc_error(error)

    async def all(self, *calls: tuple[Any, ...]) -> list[Any]:
        """The answers to calls of one moment."""
        return await asyncio.gather(*(self.call(*one) for one in calls))


@pytest.fixture
def caller(service: Served) -> Caller:
    return Caller(service.channel)


def add(name: str, amount: int, request_id: str = "") -> Any:
    return message(
        "AddRequest", request_id=request_id or f"{name} {amount}", name=name, amount=amount
    )


async def test_calls_of_one_moment_travel_as_one(service: Served, caller: Caller) -> None:
    answers = await caller.all(*((ADD, add(f"counter {n}", n)) for n in range(1, 21)))
    assert [one.total for one in answers] == list(range(1, 21))
    assert caller.counted.paths == [PATH]
    assert sum(service.counter.groups) == 20


async def test_a_call_that_is_alone_goes_by_itself(caller: Caller) -> None:
    await caller.call(ADD, add("mug", 3))
    await caller.call(ADD, add("mug", 4))
    assert caller.counted.paths == [ADD, ADD]


async def test_each_call_is_answered_or_refused_by_itself(caller: Caller) -> None:
    answers = await caller.all(
        (ADD, add("mug", 3)),
        (ADD, add("cup", -1)),
        (GET, message("GetRequest", name="jug")),
        (ADD, add("", 1)),
        (f"/{SERVICE.full_name}/Replace", add("mug", 9)),
        (f"/{SERVICE.full_name}/Nothing", add("mug", 9)),
        (ADD, add("mug", 5), "another-shop"),
        (ADD, add("mug", 5), ""),
        (GET, message("GetRequest", name="boom")),
    )
    told = [one.reason if isinstance(one, DomainError) else one.total for one in answers]
    assert told == [
        3,
        "QUANTITY_OUT_OF_RANGE",
        "ITEM_NOT_FOUND",
        "INVALID_FIELD",
        "ROLE_NOT_ALLOWED",
        "METHOD_NOT_FOUND",
        5,
        "TOKEN_INVALID",
        "INTERNAL",
    ]
    assert answers[2].facts == {"item_id": "jug"}
    assert answers[3].violations[0][0] == "name"


async def test_a_repeat_of_a_request_is_answered_as_it_was(service: Served, caller: Caller) -> None:
    again = (ADD, add("mug", 3, "r-1"))
    answers = await caller.all(again, again, again)
    answers += await caller.all(again, (ADD, add("mug", 4, "r-1")))
    assert [one.total for one in answers[:4]] == [3, 3, 3, 3]
    assert answers[4].reason == "REQUEST_ID_REUSED"


async def test_each_call_has_its_log_line(
    caller: Caller, logged: list[MutableMapping[str, Any]]
) -> None:
    await caller.all((ADD, add("mug", 3)), (ADD, add("cup", -1)))
    lines = [entry for entry in logged if entry["event"] == "call"]
    assert sorted((one["method"], one["merchant"], one["code"]) for one in lines) == [
        (ADD, MERCHANT, "OK"),
        (ADD, MERCHANT, "QUANTITY_OUT_OF_RANGE"),
    ]
    assert len({one["call_id"] for one in lines}) == 2


async def test_no_more_go_together_than_a_server_takes(caller: Caller) -> None:
    await caller.all(*((ADD, add(f"counter {n}", n)) for n in range(CALLS_MAX + 1)))
    assert caller.counted.paths == [PATH, ADD]
    caller.counted.paths.clear()
    large = message("AddRequest", request_id="x" * BYTES_MAX)
    answers = await caller.all((ADD, large), (ADD, large), (ADD, add("mug", 3)))
    assert [isinstance(one, DomainError) for one in answers] == [True, True, False]
    assert caller.counted.paths == [ADD, ADD, ADD]


class Older(Counted):
    """A channel to a server that does not know of calls that travel together."""

    def unary_unary(self, path: str, **options: Any) -> Any:
        return super().unary_unary("/older.Calls/Unknown" if path == PATH else path, **options)


async def test_an_older_server_is_asked_one_by_one(service: Served) -> None:
    caller = Caller(service.channel, counted=Older)
    answers = await caller.all((ADD, add("mug", 3)), (ADD, add("cup", 4)))
    assert [one.total for one in answers] == [3, 4]
    assert caller.counted.paths == ["/older.Calls/Unknown", ADD, ADD]


async def test_a_server_that_is_down_fails_all_calls() -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        answers = await Caller(channel).all((ADD, add("mug", 3)), (ADD, add("cup", 4)))
    assert [one.reason for one in answers] == ["SERVICE_UNAVAILABLE"] * 2
    assert all(one.transient for one in answers)


async def test_what_is_no_message_of_calls_is_refused(service: Served) -> None:
    send: Any = service.channel.unary_unary(PATH)
    async with refused("INVALID_FIELD"):
        await send(b"\xff\xff", metadata=service_metadata(""), timeout=10)


async def test_a_caller_who_goes_away_takes_nobody_along(caller: Caller) -> None:
    leaving = asyncio.ensure_future(caller.call(ADD, add("mug", 3)))
    staying = asyncio.ensure_future(caller.call(ADD, add("cup", 4)))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).total == 4
