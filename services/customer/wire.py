"""Messages of customer, and the values that they stand for."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from services.customer.rules import Buyer, Customer, Origin, PosCustomer
from tillbridge.customer.v1 import customer_pb2 as pb
from tillbridge.customer.v1 import events_pb2

_ORIGINS = {
    Origin.POS: pb.CUSTOMER_ORIGIN_POS,
    Origin.ORDER: pb.CUSTOMER_ORIGIN_ORDER,
}


def buyer(request: pb.MatchCustomerRequest) -> Buyer:
    """Who bought."""
    return Buyer(request.email, request.name, request.phone)


def pos_customers(request: pb.BatchUpsertCustomersRequest) -> list[PosCustomer]:
    """Profiles as the point of sale reports them; space around their texts is no part of them."""
    return [
        PosCustomer(
            pos_customer_id=message.pos_customer_id,
            email=message.email.strip(),
            name=message.name.strip(),
            phone=message.phone.strip(),
            version=message.version,
        )
        for message in request.customers
    ]


def customer(value: Customer) -> pb.Customer:
    """A profile."""
    return pb.Customer(
        customer_id=value.customer_id,
        pos_customer_id=value.pos_customer_id,
        email=value.email,
        name=value.name,
        phone=value.phone,
        origin=_ORIGINS[value.origin],
        create_time=_timestamp(value.create_time),
        update_time=_timestamp(value.update_time),
    )


def matched(value: Customer, *, created: bool) -> pb.MatchCustomerResponse:
    """Whom an order belongs to."""
    return pb.MatchCustomerResponse(customer=customer(value), created=created)


def upserted(values: Iterable[Customer | None]) -> pb.BatchUpsertCustomersResponse:
    """The profiles of a batch, as they are now."""
    return pb.BatchUpsertCustomersResponse(customers=[customer(value) for value in values if value])


def page(values: Sequence[Customer], next_page_token: str) -> pb.ListCustomersResponse:
    """One page of profiles."""
    return pb.ListCustomersResponse(
        customers=[customer(value) for value in values], next_page_token=next_page_token
    )


def customer_changed(value: Customer) -> events_pb2.CustomerChanged:
    """That a profile is new or different."""
    return events_pb2.CustomerChanged(customer_id=value.customer_id)


def _timestamp(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
