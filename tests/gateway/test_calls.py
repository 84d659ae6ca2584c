"""How a call travels: to which service, for whom, how long, and how its answer comes back."""

import json
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest
import pytest_asyncio
from google.protobuf.any_pb2 import Any as AnyMessage

from services.chassis.errors import CODES, DomainError
from tests.gateway.served import Served, error_of, served
from tests.harness import eventually
from tillbridge.events.v1 import events_pb2
from tillbridge.inventory.v1 import events_pb2 as inventory_events_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running() -> AsyncIterator[Served]:
    async with served() as gateway:
        yield gateway


@pytest.fixture
def gateway(running: Served) -> Served:
    running.reset()
    return running


# Which backend answers.
@pytest.mark.parametrize(
    ("path", "backend"),
    [
        ("/v1/products", "catalog"),
        ("/v1/stock", "inventory"),
        ("/v1/channels", "inventory"),
        ("/v1/orders", "order"),
        ("/v1/fulfillments", "order"),
        ("/v1/customers", "customer"),
        ("/v1/feeds/catalog/events", "catalog"),
        ("/v1/feeds/inventory/events", "inventory"),
        ("/v1/feeds/order/events", "order"),
        ("/v1/feeds/customer/events", "customer"),
    ],
)
async def test_the_owner_of_an_rpc_answers(gateway: Served, path: str, backend: str) -> None:
    await gateway.http.get(path)
    assert backend == gateway.call.backend


class TestIdempotencyKey:
    HEADER: ClassVar = {"Idempotency-Key": "k-1"}

    async def test_becomes_the_request_id(self, gateway: Served) -> None:
        await gateway.http.post("/v1/stock:adjust", json={}, headers=self.HEADER)
        assert gateway.call.request.request_id == "k-1"

    async def test_may_be_said_twice(self, gateway: Served) -> None:
        body = {"requestId": "k-1"}
        await gateway.http.post("/v1/stock:adjust", json=body, headers=self.HEADER)
        assert gateway.call.request.request_id == "k-1"

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("POST", "/v1/stock:adjust", b'{"request_id":"other"}'),
            ("DELETE", "/v1/products/p?requestId=other", b""),
        ],
    )
    async def test_must_agree(self, gateway: Served, method: str, path: str, body: bytes) -> None:
        headers = self.HEADER | ({"content-type": "application/json"} if body else {})
        answer = await gateway.http.request(method, path, content=body, headers=headers)
        assert answer.status_code == 400
        assert error_of(answer)["fields"] == {"request_id", "Idempotency-Key"}

    async def test_is_nothing_to_a_read(self, gateway: Served) -> None:
        answer = await gateway.http.get("/v1/products", headers=self.HEADER)
        assert answer.status_code == 200


class TestMetadata:
    async def test_token_merchant_and_call_id_go_along(self, gateway: Served) -> None:
        answer = await gateway.http.get(
            "/v1/products",
            headers={
                "Authorization": "Bearer t",
                "tillbridge-merchant": "mug-shop",
                "X-Request-Id": "call-7",
            },
        )
        assert gateway.call.values("authorization") == ["Bearer t"]
        assert gateway.call.values("tillbridge-merchant") == ["mug-shop"]
        assert gateway.call.values("tillbridge-call-id") == ["call-7"]
        assert answer.headers["x-request-id"] == "call-7"

    async def test_nothing_is_made_up_but_the_call_id(self, gateway: Served) -> None:
        answer = await gateway.http.get("/v1/products")
        assert gateway.call.values("authorization") == []
        assert gateway.call.values("tillbridge-merchant") == []
        assert gateway.call.values("tillbridge-call-id") == [answer.headers["x-request-id"]]

    async def test_an_unfit_call_id_is_replaced(self, gateway: Served) -> None:
        answer = await gateway.http.get("/v1/products", headers={"X-Request-Id": "a b\t<x>"})
        assert answer.headers["x-request-id"].isalnum()

    async def test_two_tokens_are_refused(self, gateway: Served) -> None:
        headers = [("Authorization", "Bearer a"), ("authorization", "Bearer a")]
        answer = await gateway.http.get("/v1/products", headers=headers)
        assert (answer.status_code, error_of(answer)["reason"]) == (401, "TOKEN_MISSING")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert not gateway.calls

    @pytest.mark.parametrize(
        ("name", "value", "http_status"),
        [("Authorization", b"Bearer \xff", 401), ("tillbridge-merchant", b"\xe9", 400)],
    )
    async def test_what_no_service_could_read_is_refused(
        self, gateway: Served, name: str, value: bytes, http_status: int
    ) -> None:
        answer = await gateway.http.get("/v1/products", headers=[(name.encode(), value)])
        assert http_status == answer.status_code
        assert not gateway.calls

    async def test_two_merchants_are_refused(self, gateway: Served) -> None:
        headers = [("tillbridge-merchant", "a"), ("tillbridge-merchant", "b")]
        answer = await gateway.http.get("/v1/products", headers=headers)
        assert (400, {"tillbridge-merchant"}) == (answer.status_code, error_of(answer)["fields"])


class TestDeadline:
    @pytest.mark.parametrize(
        ("path", "header", "seconds"),
        [
            ("/v1/products", None, 30),
            ("/v1/products", "1500", 1.5),
            ("/v1/feeds/order/events?waitMsMax=20000", None, 50),
        ],
    )
    async def test_reaches_the_service(
        self, gateway: Served, path: str, header: str | None, seconds: float
    ) -> None:
        await gateway.http.get(path, headers={"X-Timeout-Ms": header} if header else {})
        assert gateway.call.time_remaining_s == pytest.approx(seconds, abs=0.5)

    @pytest.mark.parametrize("text", ["0", "-1", "1e3", "x", "", "120001"])
    async def test_out_of_range_is_refused(self, gateway: Served, text: str) -> None:
        answer = await gateway.http.get("/v1/products", headers={"X-Timeout-Ms": text})
        assert (400, {"X-Timeout-Ms"}) == (answer.status_code, error_of(answer)["fields"])

    async def test_passed_is_504(self, gateway: Served) -> None:
        gateway.answer("ListProducts", [5.0, events_pb2.AckEventsResponse()])
        answer = await gateway.http.get("/v1/products", headers={"X-Timeout-Ms": "50"})
        assert (answer.status_code, error_of(answer)["reason"]) == (504, "DEADLINE_PASSED")


class TestErrors:
    @pytest.mark.parametrize("reason", sorted(CODES))
    async def test_every_reason_keeps_its_details(self, gateway: Served, reason: str) -> None:
        gateway.answer("ListProducts", DomainError(reason, "why", field="a[0].b", fact=7))
        answer = await gateway.http.get("/v1/products")
        error = error_of(answer)
        assert 400 <= answer.status_code < 600
        assert error["message"] == "why"
        assert (reason, {"fact": "7"}, {"a[0].b"}) == (
            error["reason"], error["metadata"], error["fields"],
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("reason", "http_status", "status"),
        [
            ("INVALID_FIELD", 400, "INVALID_ARGUMENT"),
            ("INSUFFICIENT_STOCK", 400, "FAILED_PRECONDITION"),
            ("QUANTITY_OUT_OF_RANGE", 400, "OUT_OF_RANGE"),
            ("TOKEN_INVALID", 401, "UNAUTHENTICATED"),
            ("ROLE_NOT_ALLOWED", 403, "PERMISSION_DENIED"),
            ("ITEM_NOT_FOUND", 404, "NOT_FOUND"),
            ("REQUEST_ID_REUSED", 409, "ALREADY_EXISTS"),
            ("LEASE_HELD", 409, "ABORTED"),
            ("BODY_TOO_LARGE", 413, "RESOURCE_EXHAUSTED"),
            ("OVERLOADED", 429, "RESOURCE_EXHAUSTED"),
            ("INTERNAL", 500, "INTERNAL"),
            ("SERVICE_UNAVAILABLE", 503, "UNAVAILABLE"),
            ("DEADLINE_PASSED", 504, "DEADLINE_EXCEEDED"),
        ],
    )
    async def test_a_reason_has_its_http_status(
        self, gateway: Served, reason: str, http_status: int, status: str
    ) -> None:
        gateway.answer("ListProducts", DomainError(reason, "why"))
        answer = await gateway.http.get("/v1/products")
        assert (http_status, status) == (answer.status_code, error_of(answer)["status"])

    async def test_retry_info_becomes_retry_after(self, gateway: Served) -> None:
        gateway.answer("ListProducts", DomainError("OVERLOADED", "later", retry_after_ms=1200))
        answer = await gateway.http.get("/v1/products")
        assert answer.headers["retry-after"] == "2"

    async def test_a_crash_of_a_service_is_bland(self, gateway: Served) -> None:
        gateway.answer("ListProducts", ZeroDivisionError("secret"))
        answer = await gateway.http.get("/v1/products", headers={"X-Request-Id": "c-9"})
        error = error_of(answer)
        assert (
            answer.status_code, error["reason"], error["metadata"],
        ) == (500, "INTERNAL", {"call_id": "c-9"})  # fmt: skip
        assert "secret" not in answer.text
        assert "ZeroDivision" not in answer.text

    async def test_methods_are_listed(self, gateway: Served) -> None:
        answer = await gateway.http.post("/v1/products/p")
        assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS"

    async def test_options_lists_methods(self, gateway: Served) -> None:
        answer = await gateway.http.options("/v1/stock:adjust")
        assert (answer.status_code, answer.headers["allow"]) == (204, "POST, OPTIONS")
        assert (await gateway.http.options("/v1/nope")).status_code == 404

    async def test_head_is_get_without_a_body(self, gateway: Served) -> None:
        answer = await gateway.http.head("/v1/products")
        assert (answer.status_code, answer.content) == (200, b"")
        assert gateway.call.method == "ListProducts"


class TestStream:
    PATH = "/v1/feeds/inventory/events:watch?consumer=c"

    async def test_each_message_is_one_event(self, gateway: Served) -> None:
        data = AnyMessage()
        data.Pack(
            inventory_events_pb2.OnlineStockChanged(item_id="mug", quantity=7),
            type_url_prefix="type.googleapis.com/",
        )
        event = events_pb2.Event(id="e1", cursor=4, data=data)
        gateway.answer(
            "WatchEvents",
            [
                events_pb2.WatchEventsResponse(events=[event], next_cursor=4),
                events_pb2.WatchEventsResponse(next_cursor=5),
            ],
        )
        answer = await gateway.http.get(self.PATH)
        assert answer.headers["content-type"].startswith("text/event-stream")
        first, second = _events(answer.text)
        assert first["events"][0]["data"] == {
            "@type": "type.googleapis.com/tillbridge.inventory.v1.OnlineStockChanged",
            "channelId": "", "itemId": "mug", "quantity": "7", "unlimited": False, "version": "0",
        }  # fmt: skip
        assert second == {"events": [], "nextCursor": "5"}
        assert gateway.call.backend == "inventory"

    async def test_a_refusal_at_once_has_its_status(self, gateway: Served) -> None:
        gateway.answer("WatchEvents", [DomainError("CURSOR_AHEAD", "no", cursor=9)])
        answer = await gateway.http.get(self.PATH)
        assert (answer.status_code, error_of(answer)["reason"]) == (400, "CURSOR_AHEAD")

    async def test_a_later_failure_is_an_error_event(self, gateway: Served) -> None:
        gateway.answer(
            "WatchEvents",
            [
                events_pb2.WatchEventsResponse(next_cursor=1),
                DomainError("SERVICE_UNAVAILABLE", "stopping"),
            ],
        )
        answer = await gateway.http.get(self.PATH)
        assert answer.status_code == 200
        assert "event: error\n" in answer.text
        assert _events(answer.text)[-1]["error"]["code"] == 503

    async def test_a_slow_refusal_is_an_error_event(self, gateway: Served) -> None:
        gateway.answer("WatchEvents", [0.8, DomainError("CURSOR_AHEAD", "no")])
        answer = await gateway.http.get(self.PATH)
        assert _events(answer.text)[-1]["error"]["code"] == 400

    async def test_at_its_deadline_it_just_ends(self, gateway: Served) -> None:
        gateway.answer("WatchEvents", [events_pb2.WatchEventsResponse(next_cursor=1), 5.0])
        answer = await gateway.http.get(self.PATH, headers={"X-Timeout-Ms": "300"})
        assert _events(answer.text) == [{"events": [], "nextCursor": "1"}]

    async def test_the_call_ends_when_the_reader_leaves(self, gateway: Served) -> None:
        tick: Any = [events_pb2.WatchEventsResponse(), 0.05]
        gateway.answer("WatchEvents", tick * 1000)
        async with gateway.http.stream("GET", self.PATH) as answer:
            await anext(answer.aiter_lines())
            assert gateway.backends["inventory"].streams_open == 1

        async def ended() -> bool:
            return gateway.backends["inventory"].streams_open == 0

        await eventually(ended)

    async def test_takes_no_head(self, gateway: Served) -> None:
        assert (await gateway.http.head(self.PATH)).status_code == 405


def _events(text: str) -> list[Any]:
    return [
        json.loads(line.removeprefix("data: "))
        for line in text.splitlines()
        if line.startswith("data: ")
    ]
