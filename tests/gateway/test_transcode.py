"""HTTP requests become the RPCs they mean, and RPC answers become HTTP answers."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import json_format

from tests.gateway.served import Served, error_of, served
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running() -> AsyncIterator[Served]:
    async with served() as gateway:
        yield gateway


@pytest.fixture
def gateway(running: Served) -> Served:
    running.reset()
    return running


# What is sent, and what the backend then gets.
REQUESTS: list[tuple[str, str, Any, str, Any]] = [
    # path
    ("GET", "/v1/products/p-1", None, "GetProduct", {"product_id": "p-1"}),
    ("GET", "/v1/products/a%2Fb%20c%25", None, "GetProduct", {"product_id": "a/b c%"}),
    ("GET", "/v1/products/%C3%A9%F0%9F%8D%B5", None, "GetProduct", {"product_id": "é🍵"}),
    ("GET", "/v1/products/%2e%2e", None, "GetProduct", {"product_id": ".."}),
    ("GET", "/v1/products/a+b", None, "GetProduct", {"product_id": "a+b"}),
    ("GET", "/v1/products/gid:77", None, "GetProduct", {"product_id": "gid:77"}),
    ("GET", "/v1/products/x:retry", None, "GetProduct", {"product_id": "x:retry"}),
    (
        "GET",
        "/v1/outlets/main/stock/mug",
        None,
        "GetStockLevel",
        {"outlet_id": "main", "item_id": "mug"},
    ),
    (
        "POST",
        "/v1/channels/c%3A1/orders/A:b:retry",
        {},
        "RetryOrder",
        {"channel_id": "c:1", "order_id": "A:b"},
    ),
    ("POST", "/v1/channels/c1/orders:ingest", {}, "IngestOrder", {"channel_id": "c1"}),
    (
        "DELETE",
        "/v1/products/p?version=7",
        None,
        "DeleteProduct",
        {"product_id": "p", "version": 7},
    ),
    # query
    (
        "GET",
        "/v1/products?pageSize=5&page_token=a%2Bb+c",
        None,
        "ListProducts",
        {"page_size": 5, "page_token": "a+b c"},
    ),
    ("GET", "/v1/products?", None, "ListProducts", {}),
    ("GET", "/v1/products?pageToken=", None, "ListProducts", {}),
    ("GET", "/v1/orders?waiting=true", None, "ListOrders", {"waiting": True}),
    ("GET", "/v1/orders?state=ORDER_STATE_HELD", None, "ListOrders", {"state": 5}),
    ("GET", "/v1/orders?state=5", None, "ListOrders", {"state": 5}),
    (
        "GET",
        "/v1/channels/c/listings?sellOnline=false",
        None,
        "ListListings",
        {"channel_id": "c", "sell_online": False},
    ),
    (
        "GET",
        "/v1/channels/c/onlineStock?itemIds=a&item_ids=b&itemIds=a%2Cb",
        None,
        "ListOnlineStock",
        {"channel_id": "c", "item_ids": ["a", "b", "a,b"]},
    ),
    (
        "GET",
        "/v1/paymentReport?startDate.year=2026&start_date.month=11&endDate.day=3",
        None,
        "GetPaymentReport",
        {"start_date": {"year": 2026, "month": 11}, "end_date": {"day": 3}},
    ),
    (
        "GET",
        "/v1/feeds/order/events?consumer=c&after=0&types=a&types=b&waitMsMax=5",
        None,
        "ReadEvents",
        {
            "feed": "order",
            "consumer": "c",
            "after": 0,
            "types": ["a", "b"],
            "wait_ms_max": 5,
        },
    ),
    # body
    (
        "POST",
        "/v1/stock:recordCounts",
        {
            "requestId": "r",
            "counts": [
                {
                    "itemId": "mug",
                    "outlet_id": "main",
                    "quantity": "5.5",
                    "version": "9007199254740993",
                    "observeTime": "2026-11-21T09:30:00.5Z",
                },
                {"version": 12, "observeTime": None},
            ],
        },
        "RecordCounts",
        {
            "request_id": "r",
            "counts": [
                {
                    "item_id": "mug",
                    "outlet_id": "main",
                    "quantity": "5.5",
                    "version": 9007199254740993,
                    "observe_time": "2026-11-21T09:30:00.500Z",
                },
                {"version": 12},
            ],
        },
    ),
    (
        "POST",
        "/v1/stock:adjust",
        {"kind": "MOVEMENT_KIND_RECEIPT"},
        "AdjustStock",
        {"kind": 3},
    ),
    ("POST", "/v1/stock:adjust", {"kind": 3}, "AdjustStock", {"kind": 3}),
    ("POST", "/v1/stock:adjust", None, "AdjustStock", {}),
    (
        "POST",
        "/v1/channels/c1:setRegister",
        {"registerId": "r1", "channelId": "c1"},
        "SetRegister",
        {"channel_id": "c1", "register_id": "r1"},
    ),
    # field masks: implied by the body's keys, or given
    (
        "PATCH",
        "/v1/channels/c1?requestId=q",
        {"displayName": "Shop", "policies": {"outOfStockLabel": ""}},
        "UpdateChannel",
        {
            "request_id": "q",
            "channel": {
                "channel_id": "c1",
                "display_name": "Shop",
                "policies": {},
            },
            "update_mask": "displayName,policies.outOfStockLabel",
        },
    ),
    (
        "PATCH",
        "/v1/channels/c1",
        {"channelId": "c1", "displayName": None, "connectedOutletIds": [], "policies": {}},
        "UpdateChannel",
        {
            "channel": {"channel_id": "c1", "policies": {}},
            "update_mask": "displayName,connectedOutletIds,policies",
        },
    ),
    (
        "PATCH",
        "/v1/channels/c1?update_mask=display_name,policies.outOfStockLabel",
        {"displayName": "Shop"},
        "UpdateChannel",
        {
            "channel": {"channel_id": "c1", "display_name": "Shop"},
            "update_mask": "displayName,policies.outOfStockLabel",
        },
    ),
    ("PATCH", "/v1/channels/c1", None, "UpdateChannel", {"channel": {"channel_id": "c1"}}),
]


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: f"{case[0]} {case[1]}")
async def test_a_request_becomes_the_rpc_it_means(
    gateway: Served, case: tuple[str, str, Any, str, Any]
) -> None:
    method, path, body, rpc, expected = case
    sent = {} if body is None else {"json": body}
    answer = await gateway.http.request(method, path, **sent)

    assert answer.status_code == 200, answer.text
    assert gateway.call.method == rpc
    wanted = json_format.ParseDict(expected, type(gateway.call.request)())
    assert wanted == gateway.call.request


# What is sent, and the HTTP status, reason and fields of the refusal.
REFUSALS: list[tuple[str, str, int, str, set[str]]] = [
    ("GET", "/nothing", 404, "METHOD_NOT_FOUND", set()),
    ("GET", "/v1/products/", 404, "METHOD_NOT_FOUND", set()),
    ("GET", "//v1/products", 404, "METHOD_NOT_FOUND", set()),
    ("GET", "/v1/products/a/b", 404, "METHOD_NOT_FOUND", set()),
    ("POST", "/v1/products/p", 405, "METHOD_NOT_FOUND", set()),
    ("GET", "/v1/stock:recordCounts", 405, "METHOD_NOT_FOUND", set()),
    ("PROPFIND", "/v1/stock", 405, "METHOD_NOT_FOUND", set()),
    ("GET", "/v1/products/%zz", 400, "INVALID_FIELD", {"path"}),
    ("GET", "/v1/products/%ff", 400, "INVALID_FIELD", {"path"}),
    ("GET", "/v1/products?nope=1", 400, "INVALID_FIELD", {"nope"}),
    ("GET", "/v1/products?a=1&b=2", 400, "INVALID_FIELD", {"a", "b"}),
    ("GET", "/v1/products?pageSize=1&page_size=1", 400, "INVALID_FIELD", {"page_size"}),
    ("GET", "/v1/products?pageSize=ten", 400, "INVALID_FIELD", {"page_size"}),
    ("GET", "/v1/products?pageSize=1e1", 400, "INVALID_FIELD", {"page_size"}),
    ("GET", "/v1/products?pageSize=1_0", 400, "INVALID_FIELD", {"page_size"}),
    ("GET", "/v1/products?pageSize=", 400, "INVALID_FIELD", {"page_size"}),
    ("GET", "/v1/products?pageSize=3000000000", 400, "INVALID_FIELD", {"page_size"}),
    ("GET", "/v1/products?pageToken=%ff", 400, "INVALID_FIELD", {"query"}),
    ("GET", "/v1/products?" + "pageToken=&" * 1200, 400, "INVALID_FIELD", {"query"}),
    ("GET", "/v1/orders?waiting=yes", 400, "INVALID_FIELD", {"waiting"}),
    ("GET", "/v1/orders?state=HELD", 400, "INVALID_FIELD", {"state"}),
    ("GET", "/v1/paymentReport?startDate=2026", 400, "INVALID_FIELD", {"startDate"}),
    ("GET", "/v1/paymentReport?startDate.nope=1", 400, "INVALID_FIELD", {"startDate.nope"}),
    ("GET", "/v1/paymentReport?startDate.year.x=1", 400, "INVALID_FIELD", {"startDate.year.x"}),
    ("GET", "/v1/products/p?productId=q", 400, "INVALID_FIELD", {"product_id"}),
    ("POST", "/v1/stock:adjust?cause=x", 400, "INVALID_FIELD", {"cause"}),
    ("PATCH", "/v1/channels/c?channel.displayName=x", 400, "INVALID_FIELD",
     {"channel.display_name"}),
    ("GET", "/v1/feeds/nope/events?consumer=c", 404, "FEED_NOT_FOUND", set()),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: f"{case[0]} {case[1][:60]}")
async def test_a_request_that_means_nothing_is_refused(
    gateway: Served, case: tuple[str, str, int, str, set[str]]
) -> None:
    method, path, http_status, reason, fields = case
    answer = await gateway.http.request(method, path)

    error = error_of(answer)
    assert (http_status, reason, fields) == (answer.status_code, error["reason"], error["fields"])
    assert answer.headers["content-type"] == "application/json"
    assert not gateway.calls


NESTED = '{"counts":' + "[" * 63 + "]" * 63 + "}"
TOO_NESTED = '{"counts":' + "[" * 64 + "]" * 64 + "}"

# A body of RecordCounts, and the field that the refusal names.
BODIES = [
    ("", None),
    ("{}", None),
    (b"\xff\xfe", "body"),
    ("{", "body"),
    ("[]", "body"),
    ("null", "body"),
    ('"text"', "body"),
    ("7", "body"),
    ("{} {}", "body"),
    ("\ufeff{}", "body"),
    ("{'cause': 1}", "body"),
    ('{"cause":"a","cause":"b"}', "body"),
    ('{"counts":[{"version":1,"version":1}]}', "body"),
    ('{"requestId":"a","request_id":"a"}', "request_id"),
    ('{"cause":NaN}', "body"),
    ('{"counts":[{"version":Infinity}]}', "body"),
    ('{"counts":[{"version":-Infinity}]}', "body"),
    ('{"counts":[{"version":1e400}]}', "body"),
    ('{"counts":[{"version":1' + "0" * 5000 + "}]}", "body"),
    ('{"counts":[{"version":1' + "0" * 4000 + "}]}", "counts[0].version"),
    (r'{"cause":"\ud83c"}', "body"),
    (r'{"\udf75":"x"}', "body"),
    (r'{"cause":"\ud83c\udf75"}', None),
    (NESTED, "counts[0]"),
    (TOO_NESTED, "body"),
    ("[" * 100_000, "body"),
    ('{"a":' * 100_000, "body"),
    ('{"nope":1}', "nope"),
    ('{"counts":[{},{"nope":1}]}', "counts[1].nope"),
    ('{"cause":7}', "cause"),
    ('{"cause":["a"]}', "cause"),
    ('{"counts":{}}', "counts"),
    ('{"counts":"x"}', "counts"),
    ('{"counts":[7]}', "counts[0]"),
    ('{"counts":[null]}', "counts[0]"),
    ('{"counts":[{"version":"x"}]}', "counts[0].version"),
    ('{"counts":[{"version":"1e3"}]}', "counts[0].version"),
    ('{"counts":[{"version":1.5}]}', "counts[0].version"),
    ('{"counts":[{"version":true}]}', "counts[0].version"),
    ('{"counts":[{"version":" 1"}]}', "counts[0].version"),
    ('{"counts":[{"version":"٣"}]}', "counts[0].version"),
    ('{"counts":[{"version":9223372036854775808}]}', "counts[0].version"),
    ('{"counts":[{"version":"9223372036854775807"}]}', None),
    ('{"counts":[{"version":"-9223372036854775808"}]}', None),
    ('{"counts":[{"observeTime":"yesterday"}]}', "counts[0].observe_time"),
    ('{"counts":[{"observeTime":7}]}', "counts[0].observe_time"),
    ('{"counts":[{"observeTime":{}}]}', "counts[0].observe_time"),
    ('{"counts":[{"observeTime":"9999999-01-01T00:00:00Z"}]}', "counts[0].observe_time"),
    ('{"counts":[{"observeTime":"2026-02-30T00:00:00Z"}]}', "counts[0].observe_time"),
    (r'{"cause":"\u0000%s{}<script>\u202e"}', None),
]  # fmt: skip


@pytest.mark.parametrize(("body", "field"), BODIES, ids=lambda value: str(value)[:60])
async def test_only_json_that_means_something_passes(
    gateway: Served, body: str | bytes, field: str | None
) -> None:
    answer = await gateway.http.post(
        "/v1/stock:recordCounts", content=body, headers={"content-type": "application/json"}
    )

    if field is None:
        assert (answer.status_code, gateway.call.method) == (200, "RecordCounts")
    else:
        assert {"reason": "INVALID_FIELD", "fields": {field}, "metadata": {}} == {
            key: value
            for key, value in error_of(answer).items()
            if key in ("reason", "fields", "metadata")
        }, answer.text
        assert answer.status_code == 400
        assert not gateway.calls


@pytest.mark.parametrize(
    ("headers", "http_status"),
    [
        ({"content-type": "application/json"}, 200),
        ({"content-type": "application/json; charset=UTF-8"}, 200),
        ({"content-type": 'Application/JSON;charset="utf-8"'}, 200),
        ({}, 415),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "application/json; charset=latin-1"}, 415),
        ({"content-type": "application/json", "content-encoding": "gzip"}, 415),
    ],
)
async def test_a_body_is_json_in_utf8(
    gateway: Served, headers: dict[str, str], http_status: int
) -> None:
    answer = await gateway.http.post("/v1/stock:adjust", content=b"{}", headers=headers)
    assert http_status == answer.status_code


async def test_a_body_where_none_belongs_is_refused(gateway: Served) -> None:
    answer = await gateway.http.request("DELETE", "/v1/products/p", json={})
    assert (400, {"body"}) == (answer.status_code, error_of(answer)["fields"])


async def test_path_and_body_must_agree(gateway: Served) -> None:
    answer = await gateway.http.post("/v1/channels/c1:setRegister", json={"channel_id": "c2"})
    assert (400, {"channel_id"}) == (answer.status_code, error_of(answer)["fields"])


async def test_answers_show_zeros_and_spell_as_json_does(gateway: Served) -> None:
    level = inventory_pb2.StockLevel(item_id="mug", on_hand="3", version=2**60)
    level.observe_time.FromJsonString("2026-11-21T09:30:00Z")
    gateway.answer("GetStockLevel", inventory_pb2.GetStockLevelResponse(level=level))

    answer = await gateway.http.get("/v1/outlets/main/stock/mug")

    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "level": {
            "itemId": "mug",
            "outletId": "",
            "onHand": "3",
            "reserved": "",
            "available": "",
            "version": str(2**60),
            "observeTime": "2026-11-21T09:30:00Z",
            "inTransit": "",
        }
    }


async def test_enums_are_names_in_answers(gateway: Served) -> None:
    channel = channels_pb2.Channel(profile=channels_pb2.PROFILE_RETAIL_X_ECOM)
    gateway.answer("GetChannel", channels_pb2.GetChannelResponse(channel=channel))
    answer = await gateway.http.get("/v1/channels/c")
    assert answer.json()["channel"]["profile"] == "PROFILE_RETAIL_X_ECOM"
