"""What every contract keeps to, so that a caller who knows one knows them all."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from buf.validate import validate_pb2
from google.api import annotations_pb2
from google.protobuf.descriptor import (
    Descriptor,
    EnumValueDescriptor,
    FieldDescriptor,
    MethodDescriptor,
)
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2

from gateway.contracts import load
from services.chassis.errors import CODES
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.errors.v1 import errors_pb2
from tillbridge.events.v1 import events_pb2
from tillbridge.inventory.v1 import inventory_pb2
from tillbridge.options.v1 import options_pb2

LIMITS: Any = vars(validate_pb2)["field"]
"""protovalidate's option of a field; its module is made at run time, unknown to type checkers."""

README = Path(__file__).resolve().parents[2] / "protos/README.md"

DESIGN = {
    "CatalogService": "BatchUpsertProducts GetProduct ListProducts DeleteProduct ResolveItems"
    " GetListing ListListings UpdateListing SetSellOnline ReportListingEdit ListDrift",
    "InventoryService": "RecordCounts AdjustStock TransferStock GetStockLevel ListStockLevels"
    " ListMovements GetOnlineStock ListOnlineStock ExplainOnlineStock ReserveStock"
    " CommitReservation ReleaseReservation ReportStockEdit",
    "ChannelService": "CreateOutlet ListOutlets CreateRegister ListRegisters CreateChannel"
    " GetChannel ListChannels UpdateChannel SetConnectedOutlets SetPrimaryOutlet SetRegister",
    "OrderService": "IngestOrder GetOrder ListOrders RetryOrder CancelOrder RefundOrder RecordSale"
    " GetSale ListSales GetPaymentReport",
    "FulfillmentService": "ListFulfillments PickFulfillment PackFulfillment CompleteFulfillment",
    "ShippingService": "CreateShippingMethod UpdateShippingMethod DeleteShippingMethod"
    " ListShippingMethods QuoteCheckout",
    "CustomerService": "MatchCustomer BatchUpsertCustomers GetCustomer ListCustomers"
    " MergeCustomers UnmergeCustomers",
    "EventFeed": "ReadEvents AckEvents WatchEvents",
    "ImportService": "",
    "TransferService": "",
    "AuditService": "",
}
"""The services and RPCs of design.md, section 3: names that callers rely on; and what is beyond."""

NO_REQUEST_ID = {"AckEvents", "AcquireLease", "SetPollCursor"}
"""Mutations that are the same when done twice; the reasons stand in protos/README.md."""

NOT_PAGED = {"ListConnections"}
"""Lists that are answered whole; the reasons stand in protos/README.md."""


def methods() -> list[MethodDescriptor]:
    return [method for service in load().services for method in service.methods]


def named(method: MethodDescriptor) -> str:
    return str(method.name)


def field_names(message: Descriptor) -> set[str]:
    return {field.name for field in message.fields}


def reads_only(method: MethodDescriptor) -> bool:
    return method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS


def reachable(message: Descriptor, seen: set[str]) -> Iterator[Descriptor]:
    """The message and all of ours that it is made of."""
    if message.full_name in seen or not message.full_name.startswith("tillbridge."):
        return
    seen.add(message.full_name)
    yield message
    for field in message.fields:
        if field.message_type:
            yield from reachable(field.message_type, seen)


def test_the_services_are_those_of_the_design() -> None:
    assert {service.name for service in load().services} <= DESIGN.keys()


def test_an_rpc_beyond_the_design_stands_in_the_readme_with_its_reason() -> None:
    text = README.read_text()
    for service in load().services:
        beyond = {method.name for method in service.methods} - set(DESIGN[service.name].split())
        assert [name for name in sorted(beyond) if f"`{name}`" not in text] == []


def test_exemptions_stand_in_the_readme_with_their_reasons() -> None:
    known = set(map(named, methods()))
    assert known >= NO_REQUEST_ID | NOT_PAGED
    text = README.read_text()
    assert [name for name in NO_REQUEST_ID | NOT_PAGED if f"`{name}`" not in text] == []


@pytest.mark.parametrize("method", methods(), ids=named)
def test_every_method_says_who_may_call_it_and_how_over_http(method: MethodDescriptor) -> None:
    options = method.GetOptions()
    roles = list(options.Extensions[options_pb2.roles])
    assert roles
    assert options_pb2.ROLE_UNSPECIFIED not in roles
    assert len(set(roles)) == len(roles)
    rule = options.Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    assert verb is not None
    path = getattr(rule, verb)
    assert path.startswith("/v1/")
    for variable in re.findall(r"{([^}=]+)", path):
        message: Any = method.input_type
        for part in variable.split("."):
            assert part in field_names(message), f"{path} names no field of {message.full_name}"
            message = message.fields_by_name[part].message_type


def test_every_path_leads_to_one_method() -> None:
    seen: dict[tuple[str, str], str] = {}
    for method in methods():
        rule = method.GetOptions().Extensions[annotations_pb2.http]
        verb = rule.WhichOneof("pattern")
        path = re.sub(r"{[^}]*}", "{}", getattr(rule, verb))
        assert seen.setdefault((verb, path), method.full_name) == method.full_name


@pytest.mark.parametrize("method", methods(), ids=named)
def test_every_method_has_messages_of_its_own(method: MethodDescriptor) -> None:
    expected = f"{method.name}Request", f"{method.name}Response"
    assert expected == (method.input_type.name, method.output_type.name)


@pytest.mark.parametrize("method", methods(), ids=named)
def test_every_mutation_carries_a_request_id(method: MethodDescriptor) -> None:
    has = "request_id" in field_names(method.input_type)
    assert has == (not reads_only(method) and method.name not in NO_REQUEST_ID)
    if has:
        field = method.input_type.fields_by_name["request_id"]
        assert field.number == 1
        limits = field.GetOptions().Extensions[LIMITS].string
        assert (limits.min_len, limits.max_len) == (1, 128)
        assert "REQUEST_ID_REUSED" in load().comments[method.full_name]


@pytest.mark.parametrize("method", methods(), ids=named)
def test_every_list_comes_in_pages(method: MethodDescriptor) -> None:
    if not method.name.startswith("List") or method.name in NOT_PAGED:
        return
    assert {"page_size", "page_token"} <= field_names(method.input_type)
    assert "next_page_token" in field_names(method.output_type)
    sizes = method.input_type.fields_by_name["page_size"].GetOptions()
    limits = sizes.Extensions[LIMITS].int32
    assert (limits.gte, limits.lte) == (0, 1000)


@pytest.mark.parametrize("method", methods(), ids=named)
def test_the_errors_that_a_method_names_are_documented(method: MethodDescriptor) -> None:
    _, _, listed = load().comments[method.full_name].partition("Errors: ")
    reasons = re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", listed)
    assert [reason for reason in reasons if reason not in CODES] == []


def unlimited(field: FieldDescriptor) -> bool:
    """Whether a caller may put text of any length, or any number of parts, into a field."""
    rules: Any = field.GetOptions().Extensions[LIMITS]
    if field.is_repeated and not rules.repeated.HasField("max_items"):
        return True
    if field.type not in {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES}:
        return False
    limits = rules.repeated.items if field.is_repeated else rules
    text = limits.string if field.type == FieldDescriptor.TYPE_STRING else limits.bytes
    limited = any(text.HasField(name) for name in ("max_len", "max_bytes", "pattern", "const"))
    return not limited and not getattr(text, "in")


@pytest.mark.parametrize("method", methods(), ids=named)
def test_every_text_and_list_of_a_request_has_a_limit(method: MethodDescriptor) -> None:
    """Fields that are output only are not read, and a message as a whole has a limit too."""
    comments = load().comments
    assert [
        field.full_name
        for message in reachable(method.input_type, set())
        for field in message.fields
        if unlimited(field) and "Output only" not in " ".join(comments[field.full_name].split())
    ] == []


@pytest.mark.parametrize("value", [*errors_pb2.ErrorReason.DESCRIPTOR.values], ids=lambda v: v.name)
def test_every_reason_has_a_status_and_says_what_it_means(value: EnumValueDescriptor) -> None:
    status = value.GetOptions().Extensions[options_pb2.status]
    if value.number == 0:
        assert not status
        return
    assert status in code_pb2.Code.values()
    assert status not in {code_pb2.OK, code_pb2.UNKNOWN}
    enum = value.type.full_name
    comments = load().comments
    comment = comments.get(f"{enum}.{value.name}") or comments[f"tillbridge.errors.v1.{value.name}"]
    assert len(comment) > 20


# The fields that never leave the point of sale, in words that a field would be called by.
@pytest.mark.rule("CAT-04")
def test_no_listing_has_a_field_that_stays_in_the_point_of_sale() -> None:
    kept_back = ("handle", "supplier", "supply", "cost", "reorder", "tax", "tag")
    messages = [catalog_pb2.Listing.DESCRIPTOR, *leaving_the_catalog()]
    for root in messages:
        for message in reachable(root, set()):
            for field in message.fields:
                assert not any(word in field.name for word in kept_back), field.full_name


def leaving_the_catalog() -> Iterator[Descriptor]:
    """What a caller with role ecom alone is answered by the catalog, and what the catalog tells."""
    for service in load().services:
        if service.full_name.startswith("tillbridge.catalog."):
            for method in service.methods:
                if options_pb2.ROLE_ECOM in method.GetOptions().Extensions[options_pb2.roles]:
                    yield method.output_type
    for file in load().files:
        if file.name == "tillbridge/catalog/v1/events.proto":
            yield from file.message_types_by_name.values()


NOON = Timestamp(seconds=1783166400)

# Messages as they have always been on the wire: a change here breaks who is not updated yet.
GOLDEN: list[tuple[Message, str]] = [
    (
        inventory_pb2.RecordCountsRequest(
            request_id="r-1",
            counts=[
                inventory_pb2.Count(
                    item_id="mug", outlet_id="main", quantity="7.5", version=9, observe_time=NOON
                )
            ],
            cause="count",
        ),
        "0a03722d31121a0a036d756712046d61696e1a03372e3520092a0608c0eba3d2061a05636f756e74",
    ),
    (
        inventory_pb2.OnlineStock(
            channel_id="ch-1", item_id="mug", quantity=3, label="", unlimited=False, version=2
        ),
        "0a0463682d3112036d756718033002",
    ),
    (
        events_pb2.Event(
            id="e-1",
            source="tillbridge/inventory",
            type="tillbridge.inventory.v1.OnlineStockChanged",
            subject="item/mug",
            time=NOON,
            merchant_id="m",
            channel_id="ch-1",
            cursor=7,
        ),
        (
            "0a03652d31121474696c6c6272696467652f696e76656e746f72791a2a74696c6c6272696467652e696e"
            "76656e746f72792e76312e4f6e6c696e6553746f636b4368616e67656422086974656d2f6d75672a0608"
            "c0eba3d20632016d3a0463682d314007"
        ),
    ),
]


@pytest.mark.parametrize(("message", "expected"), GOLDEN, ids=lambda v: type(v).__name__)
def test_the_bytes_on_the_wire_stay_as_they_are(message: Message, expected: str) -> None:
    assert expected == message.SerializeToString(deterministic=True).hex()
    assert message == type(message).FromString(bytes.fromhex(expected))
