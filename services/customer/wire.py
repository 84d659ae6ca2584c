"""Messages of customer, and the values that they stand for."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from services.customer.rules.matches import (
    Buyer,
    Found,
    Match,
    Rule,
    collision_remedy,
    collision_title,
)
from services.customer.rules.merging import Merge
from services.customer.rules.profiles import Customer, Origin, PosCustomer
from tillbridge.attention.v1 import attention_pb2
from tillbridge.customer.v1 import customer_pb2 as pb
from tillbridge.customer.v1 import events_pb2
from tillbridge.errors.v1 import errors_pb2

_ORIGINS = {
    Origin.POS: pb.CUSTOMER_ORIGIN_POS,
    Origin.ORDER: pb.CUSTOMER_ORIGIN_ORDER,
}
_RULES = {
    Rule.EMAIL: pb.MATCH_RULE_EMAIL,
    Rule.CREATED: pb.MATCH_RULE_CREATED,
    Rule.AMBIGUOUS: pb.MATCH_RULE_AMBIGUOUS,
}


def buyer(request: pb.MatchCustomerRequest) -> Buyer:
    """Who bought."""
    return Buyer(request.email, request.name, request.phone, request.channel_id, request.order_id)


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
        merged_into=value.merged_into,
        sync_time=_timestamp(value.sync_time),
    )


def matched(found: Found) -> pb.MatchCustomerResponse:
    """Whom an order belongs to."""
    return pb.MatchCustomerResponse(customer=customer(found.customer), created=found.created)


def upserted(values: Iterable[Customer | None]) -> pb.BatchUpsertCustomersResponse:
    """The profiles of a batch, as they are now."""
    return pb.BatchUpsertCustomersResponse(customers=[customer(value) for value in values if value])


def page(values: Sequence[Customer], next_page_token: str) -> pb.ListCustomersResponse:
    """One page of profiles."""
    return pb.ListCustomersResponse(
        customers=[customer(value) for value in values], next_page_token=next_page_token
    )


def merged(value: Merge, orders: int, unblocked: int) -> pb.MergeCustomersResponse:
    """What a merge comes to."""
    return pb.MergeCustomersResponse(
        customer=customer(value.survivor),
        merged_customers=map(customer, value.named),
        order_count=orders,
        unblocked_order_count=unblocked,
        hidden_values=[
            pb.HiddenValue(
                customer_id=one.customer_id,
                field=one.field,
                value=one.value,
                shown_value=one.shown_value,
            )
            for one in value.hidden
        ],
    )


def unmerged(value: Merge, orders: int) -> pb.UnmergeCustomersResponse:
    """What taking back a merge comes to."""
    (stands,) = value.named
    return pb.UnmergeCustomersResponse(
        customer=customer(stands), former_customer=customer(value.survivor), order_count=orders
    )


def match(value: Match, belongs_to: str) -> pb.Match:
    """An order's match; `belongs_to` is the customer that it belongs to now, if any."""
    return pb.Match(
        channel_id=value.channel_id,
        order_id=value.order_id,
        customer_id=belongs_to,
        matched_customer_id=value.customer_id,
        rule=_RULES[value.rule],
        email=value.email,
        compared_email=value.email_key,
        match_time=_timestamp(value.match_time),
    )


def match_page(
    values: Sequence[Match], belongs_to: str, next_page_token: str
) -> pb.ListMatchesResponse:
    """One page of the orders of a customer."""
    return pb.ListMatchesResponse(
        matches=[match(value, belongs_to) for value in values], next_page_token=next_page_token
    )


def explained(
    value: Match, belongs_to: Customer | None, candidates: Iterable[Customer], explanation: str
) -> pb.ExplainMatchResponse:
    """Why an order belongs to whom."""
    answer = pb.ExplainMatchResponse(
        match=match(value, belongs_to.customer_id if belongs_to else ""),
        customer=customer(belongs_to) if belongs_to else None,
        candidates=map(customer, candidates),
        explanation=explanation,
    )
    if value.rule is Rule.AMBIGUOUS:
        answer.waiting_reason = errors_pb2.ERROR_REASON_CUSTOMER_AMBIGUOUS
    return answer


def collision(
    email_key: str, since: datetime, *, profiles: int, examples: Sequence[str], orders: int
) -> attention_pb2.AttentionGroup:
    """An address that several profiles carry."""
    return attention_pb2.AttentionGroup(
        cause=attention_pb2.ATTENTION_CAUSE_CUSTOMER_COLLISION,
        key=email_key,
        title=collision_title(email_key, profiles, orders),
        remedy=collision_remedy(examples),
        waiting_count=orders,
        examples=examples,
        since=_timestamp(since),
    )


def customer_changed(value: Customer) -> events_pb2.CustomerChanged:
    """That a profile is new or different."""
    return events_pb2.CustomerChanged(customer_id=value.customer_id)


def orders_unblocked(channel_id: str, order_ids: Iterable[str]) -> events_pb2.OrdersUnblocked:
    """That orders may go on."""
    return events_pb2.OrdersUnblocked(channel_id=channel_id, order_ids=order_ids)


def _timestamp(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
