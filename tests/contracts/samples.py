"""A request of every RPC that changes something, made so that it passes.

Fields whose name ends in `_id` are filled in by themselves with the id of that name that the
merchant was answered last; what else a request takes stands in `SAMPLES`. A new RPC needs a row
there, `{}` at the least: the tests that go through all of them say so.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any, Protocol

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.contracts import load
from tests.harness import eventually

Fields = Mapping[str, Any]
"""Of a message, as in JSON, under their names in the contract."""


class Merchant(Protocol):
    """Who calls."""

    ids: dict[str, str]
    """The ids that the merchant was answered last, by the name of their field."""

    async def call(self, name: str, fields: Fields) -> Message:
        """Calls `Service.Method` once, under a new request id if it takes one."""

    def next_number(self) -> int:
        """One that the merchant has not had yet."""


Sample = Fields | Callable[[Merchant], Awaitable[Fields]]


def methods() -> dict[str, MethodDescriptor]:
    """Every RPC that takes a request id, as `Service.Method`, by what it is found by in a table."""
    return {
        f"{service.name}.{method.name}": method
        for service in load().services
        for method in service.methods
        if "request_id" in method.input_type.fields_by_name
    }


async def request(method: MethodDescriptor, merchant: Merchant) -> Message:
    """The sample of a method.

    Raises:
        AssertionError: it has no row in the table.
    """
    name = f"{method.containing_service.name}.{method.name}"
    assert name in SAMPLES, f"{name} is new: give it a row in tests/contracts/samples.py"
    given = SAMPLES[name]
    fields = given if isinstance(given, Mapping) else await given(merchant)
    return filled(method, fields, merchant.ids)


_numbers = count(1)


def filled(method: MethodDescriptor, fields: Fields, ids: Mapping[str, str]) -> Message:
    """A request with these fields, and with the ids that it has fields for; under a new request id
    if it takes one.
    """
    known = {
        field.name: ids[field.name]
        for field in method.input_type.fields
        if field.name in ids and not field.is_repeated
    }
    if "request_id" in method.input_type.fields_by_name:
        known["request_id"] = f"sample-{next(_numbers)}"
    return ParseDict({**known, **fields}, GetMessageClass(method.input_type)())


def ids_in(message: Message) -> Iterator[tuple[str, str]]:
    """The ids in a message, with the names of their fields."""
    for field, value in message.ListFields():
        values = value if field.is_repeated else [value]
        if field.message_type and not field.message_type.GetOptions().map_entry:
            for one in values:
                yield from ids_in(one)
        elif field.name.endswith("_id") and not field.is_repeated:
            yield field.name, value


async def _once(merchant: Merchant, name: str, fields: Fields) -> Any:
    """The answer to a call, as soon as a service knows what another has told it."""
    answers = []

    async def answered() -> None:
        answers.append(await merchant.call(name, fields))

    await eventually(answered, KNOWN_S)
    return answers[0]


async def _known(merchant: Merchant, item_id: str) -> None:
    """Waits until the inventory knows an item."""
    place = {"item_id": item_id, "outlet_id": "main"}
    await _once(merchant, "InventoryService.GetStockLevel", place)


def product(item_id: str) -> dict[str, Any]:
    """A product with one item of the same id."""
    variant = {"item_id": item_id, "sku": item_id.upper(), "retail_price": NINE}
    return {"product_id": item_id, "name": item_id, "active": True, "variants": [variant]}


def document(order_id: str, item_id: str = "mug") -> dict[str, Any]:
    """An order for two of an item, paid."""
    return {
        "order_id": order_id,
        "version": 1,
        "place_time": "2026-07-04T12:00:00Z",
        "email": "ann@example.com",
        "buyer_name": "Ann",
        "payment_status": "PAYMENT_STATUS_PAID",
        "payment_method": "Card",
        "payment_processor": "Stripe",
        "lines": [{"line_id": "1", "item_id": item_id, "quantity": "2", "unit_price": NINE}],
        "fulfillment_kind": "FULFILLMENT_KIND_SHIPPING",
        "total": {"currency_code": "EUR", "units": 18},
    }


NINE: Fields = {"currency_code": "EUR", "units": 9}
KNOWN_S = 30.0
RESERVED: Fields = {
    "lines": [{"line_id": "1", "item_id": "mug", "quantity": "2"}],
    "cause": "cart",
    "outlet_id": "",
    "time_to_live_s": 30 * 24 * 3600,
}
TAKEN = {name: given for name, given in RESERVED.items() if name != "time_to_live_s"}
SENT: Fields = {
    "from_outlet_id": "main",
    "to_outlet_id": "far",
    "lines": [{"item_id": "mug", "quantity": "2"}],
}
CUSTOMERS: Fields = {
    "customers": [
        {"pos_customer_id": f"p-{name}", "email": f"{name}@example.com", "name": name, "version": 1}
        for name in ("bob", "rob")
    ]
}


async def _outlets(merchant: Merchant) -> Fields:
    for outlet_id in ("far", "other"):
        outlet = {"outlet_id": outlet_id, "display_name": outlet_id}
        await merchant.call("ChannelService.CreateOutlet", {"outlet": outlet})
    return {"outlet": {"outlet_id": "main", "display_name": "Main"}}


async def _channel(merchant: Merchant) -> Fields:
    channel = {"channel_id": merchant.ids["channel_id"], "display_name": "Shop"}
    return {"channel": channel, "update_mask": _mask(["display_name"])}


async def _other_register(merchant: Merchant) -> Fields:
    register = {"register_id": "till-2", "display_name": "Till 2", "outlet_id": "main"}
    await merchant.call("ChannelService.CreateRegister", {"register": register})
    return {"register_id": "till-2"}


async def _channel_with_a_primary_outlet(merchant: Merchant) -> Fields:
    channel = {
        "display_name": "Second",
        "profile": "PROFILE_RETAIL_R_ECOM",
        "register_id": "",
        "primary_outlet_id": "main",
        "connected_outlet_ids": ["far"],
    }
    await merchant.call("ChannelService.CreateChannel", channel)
    return {"outlet_id": "far"}


async def _listing(merchant: Merchant) -> Fields:
    key = {"channel_id": merchant.ids["channel_id"], "product_id": "mug"}
    await _once(merchant, "CatalogService.GetListing", key)
    return {"listing": {**key, "subtitle": "A big one"}, "update_mask": "subtitle"}


async def _refused_product(merchant: Merchant) -> Fields:
    """A product with a price that is none is refused, and waits."""
    refused = {**product("bad"), "name": "n" * 2000}
    await merchant.call("CatalogService.BatchUpsertProducts", {"products": [refused]})
    found: Any = await merchant.call("CatalogService.ListAttention", {})
    return {"cause": 2, "key": found.groups[0].key, "decision": "ATTENTION_DECISION_DISCARD"}


async def _product_that_goes(merchant: Merchant) -> Fields:
    await merchant.call("CatalogService.BatchUpsertProducts", {"products": [product("vase")]})
    await _known(merchant, "vase")
    return {"product_id": "vase"}


async def _imported(merchant: Merchant) -> Fields:
    await _known(merchant, "bowl")
    return {}


async def _held_import(merchant: Merchant) -> Fields:
    run = {"source_name": "plates.csv", "source_digest": "d-2", "row_count": 2}
    await merchant.call("ImportService.CreateImport", run)
    return {"approved": True}


async def _two_customers(merchant: Merchant) -> Fields:
    found: Any = await merchant.call("CustomerService.ListCustomers", {})
    by_email = {one.email: one.customer_id for one in found.customers}
    bob, rob = by_email["bob@example.com"], by_email["rob@example.com"]
    return {"customer_id": bob, "merged_customer_ids": [rob]}


async def _counts(merchant: Merchant) -> Fields:
    await _known(merchant, "plate")
    counts = [("mug", "100"), ("plate", "50")]
    return {
        "counts": [
            {"item_id": item_id, "outlet_id": "main", "quantity": quantity}
            for item_id, quantity in counts
        ]
    }


async def _reserved(merchant: Merchant) -> Fields:
    await merchant.call("InventoryService.ReserveStock", RESERVED)
    return {}


async def _taken(merchant: Merchant) -> Fields:
    await merchant.call("InventoryService.TakeStock", TAKEN)
    return {}


async def _oversold(merchant: Merchant) -> Fields:
    """A till sells what an order holds."""
    lines = [{"line_id": "1", "item_id": "plate", "quantity": "50"}]
    await merchant.call(
        "InventoryService.ReserveStock", {**RESERVED, "lines": lines, "outlet_id": "main"}
    )
    sold = {"item_id": "plate", "outlet_id": "main", "quantity": "-1"}
    sale = {"kind": "MOVEMENT_KIND_POS_SALE", "lines": [sold]}
    await merchant.call("InventoryService.AdjustStock", sale)
    await merchant.call("AuditService.ListIncidents", {})
    return {"to_outlet_id": ""}


async def _counts_held(merchant: Merchant) -> Fields:
    """An outlet that has thirty kinds of cups is said to have none of them."""
    items = [f"cup-{number}" for number in range(30)]
    products = {"products": [product(item_id) for item_id in items]}
    await merchant.call("CatalogService.BatchUpsertProducts", products)
    await _known(merchant, items[-1])
    for quantity in ("1", "0"):
        told = [{"item_id": one, "outlet_id": "other", "quantity": quantity} for one in items]
        await merchant.call("InventoryService.RecordCounts", {"counts": told})
    return {"cause": 14, "key": "other", "decision": "ATTENTION_DECISION_GO_ON"}


async def _order(merchant: Merchant, item_id: str, field: str) -> Any:
    """One more order, when it has this field."""
    order_id = f"order-{merchant.next_number()}"
    ingested = {"document": document(order_id, item_id)}
    await merchant.call("OrderService.IngestOrder", ingested)
    found: Any = None

    async def is_there() -> bool:
        nonlocal found
        answer: Any = await merchant.call("OrderService.GetOrder", {"order_id": order_id})
        found = answer.order
        return bool(getattr(found, field))

    await eventually(is_there, KNOWN_S)
    merchant.ids["order_id"] = order_id
    return found


async def _waiting(merchant: Merchant) -> Fields:
    """An order that waits, since nobody knows its item."""
    await _order(merchant, "unheard-of", "waiting_reason")
    return {}


async def _waiting_group(merchant: Merchant) -> Fields:
    found: Any = await merchant.call("OrderService.ListAttention", {})
    return {"cause": found.groups[0].cause, "key": found.groups[0].key}


async def _posted(merchant: Merchant) -> Fields:
    """An order that has become a sale."""
    await _order(merchant, "mug", "sale_id")
    return {}


async def _refund(merchant: Merchant) -> Fields:
    await _order(merchant, "mug", "sale_id")
    return {
        "refund_id": "refund-1",
        "lines": [{"line_id": "1", "quantity": "1"}],
        "outlet_id": "main",
        "amount": NINE,
    }


async def _fulfillment(merchant: Merchant) -> Fields:
    order = await _order(merchant, "mug", "sale_id")
    answer: Any = await merchant.call("FulfillmentService.ListFulfillments", {})
    mine = [one for one in answer.fulfillments if one.order_id == order.document.order_id]
    return {"fulfillment_id": mine[0].fulfillment_id}


async def _new_method(merchant: Merchant) -> Fields:
    van = {"name": "Our van", "kind": "FULFILLMENT_KIND_DELIVERY", "enabled": True}
    rate = {"flat": {"per_order": NINE}}
    key = {"channel_id": merchant.ids["channel_id"], "method_id": "van"}
    return {"method": {**key, **van, "rate": rate}}


async def _method(merchant: Merchant) -> Fields:
    key = {"channel_id": merchant.ids["channel_id"], "method_id": "van"}
    van = {"name": "A van", "kind": "FULFILLMENT_KIND_DELIVERY"}
    return {"method": {**key, **van}, "update_mask": _mask(["name"])}


def _mask(fields: Iterable[str]) -> str:
    """A mask of fields as JSON has it."""
    mask = FieldMask(paths=list(fields))
    return mask.ToJsonString()


SAMPLES: dict[str, Sample] = {
    # In this order: what is made by one is there for the next.
    "ChannelService.CreateOutlet": _outlets,
    "ChannelService.CreateRegister": {
        "register": {"register_id": "till", "display_name": "Till", "outlet_id": "main"}
    },
    "ChannelService.SetPrimaryOutlet": _channel_with_a_primary_outlet,
    "ChannelService.CreateChannel": {
        "display_name": "Web",
        "profile": "PROFILE_RETAIL_X_ECOM",
        "register_id": "till",
        "primary_outlet_id": "",
        "connected_outlet_ids": ["far"],
    },
    "ChannelService.UpdateChannel": _channel,
    "ChannelService.SetConnectedOutlets": {"outlet_ids": ["main", "far", "other"]},
    "ChannelService.DrainOutlet": {"outlet_id": "other", "draining": True},
    "ChannelService.SetBuffer": {"outlet_id": "far", "item_id": "", "quantity": "1"},
    "ChannelService.SetRegister": _other_register,
    "ChannelService.SetConnection": {
        "connection": {
            "side": "CONNECTION_SIDE_POS",
            "platform": "lightspeed-x",
            "base_url": "http://127.0.0.1:1",
            "account": "shop",
            "access_token": "token",
            "webhook_secret": "secret",
        }
    },
    "CatalogService.BatchUpsertProducts": {"products": [product("mug"), product("plate")]},
    "CatalogService.UpdateListing": _listing,
    "CatalogService.SetSellOnline": {"product_ids": ["mug"], "sell_online": True},
    "CatalogService.ReportListingPush": {"product_id": "mug", "version": 2},
    "CatalogService.ReportListingEdit": {
        "product_id": "mug",
        "version": 2,
        "edits": [
            {
                "kind": "EDIT_KIND_FIELD_CHANGED",
                "field": "name",
                "store_value": "Cup",
                "own_value": "mug",
            }
        ],
        "store_fields": {"subtitle": "A big one"},
    },
    "CatalogService.HealDrift": {"product_ids": ["mug"]},
    "CatalogService.ResolveAttention": _refused_product,
    "CatalogService.DeleteProduct": _product_that_goes,
    "ImportService.CreateImport": {
        "source_name": "mugs.csv",
        "source_digest": "d-1",
        "row_count": 2,
    },
    "ImportService.ImportProducts": {
        "first_row": 1,
        "next_row": 3,
        "products": [{"row": 1, "product": product("bowl")}],
    },
    "ImportService.FinishImport": {},
    "ImportService.UndoImport": _imported,
    "ImportService.ApproveImport": _held_import,
    "CustomerService.MatchCustomer": {
        "email": "ann@example.com",
        "name": "Ann",
        "order_id": "order-0",
    },
    "CustomerService.BatchUpsertCustomers": CUSTOMERS,
    "CustomerService.MergeCustomers": _two_customers,
    "CustomerService.UnmergeCustomers": {},
    "InventoryService.RecordCounts": _counts,
    "InventoryService.AdjustStock": {
        "kind": "MOVEMENT_KIND_POS_SALE",
        "lines": [{"item_id": "mug", "outlet_id": "main", "quantity": "-3"}],
    },
    "InventoryService.TransferStock": SENT,
    "InventoryService.ReserveStock": RESERVED,
    "InventoryService.ExtendReservation": {"time_to_live_s": 7200},
    "InventoryService.CommitReservation": {},
    "InventoryService.ReleaseReservation": _reserved,
    "InventoryService.TakeStock": TAKEN,
    "InventoryService.PutBackStock": _taken,
    "InventoryService.ReportStockEdit": {"item_id": "mug", "store_quantity": 3},
    "TransferService.SendTransfer": SENT,
    "TransferService.ReceiveTransfer": {"lines": [{"item_id": "mug", "quantity": "1"}]},
    "TransferService.CloseTransfer": {},
    "AuditService.ResolveIncident": _oversold,
    "AuditService.ResolveAttention": _counts_held,
    "AuditService.CheckStock": {"repair": True},
    "EventFeed.RequeueDeadLetters": {},
    "OrderService.IngestOrder": {"document": document("order-0")},
    "OrderService.ReportOrderChange": {"order_id": "order-0"},
    "OrderService.HealOrderDrift": {"order_ids": ["order-0"]},
    "OrderService.RetryOrder": _waiting,
    "OrderService.RetryOrders": _waiting_group,
    "OrderService.CancelOrder": _posted,
    "OrderService.RefundOrder": _refund,
    "OrderService.RecordSale": {
        "sale": {
            "sale_id": "sale-1",
            "outlet_id": "main",
            "register_id": "till",
            "lines": [{"line_id": "1", "item_id": "mug", "quantity": "1", "unit_price": NINE}],
            "total": NINE,
            "sale_time": "2026-07-04T12:00:00Z",
        }
    },
    "OrderService.ReportSalePosted": {"sale_id": "sale-1", "revision": 1, "pos_version": 1},
    "OrderService.ReportSaleRefused": {"sale_id": "sale-2", "version": 1, "reason": "SALE_EXISTS"},
    "OrderService.ReportStoreUpdateRefused": {
        "order_id": "order-0",
        "update": {"tracking_number": "1Z"},
        "message": "it cannot be shown",
    },
    "FulfillmentService.PickFulfillment": _fulfillment,
    "FulfillmentService.PackFulfillment": {},
    "FulfillmentService.CompleteFulfillment": {},
    "ShippingService.CreateShippingMethod": _new_method,
    "ShippingService.UpdateShippingMethod": _method,
    "ShippingService.DeleteShippingMethod": {},
}
