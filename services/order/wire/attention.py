"""What waits for an operator, as messages."""

from collections.abc import Iterable

from services.order.rules.attention import Cause, Group, remedy, title
from services.order.wire.scalars import time_message
from tillbridge.attention.v1 import attention_pb2
from tillbridge.order.v1 import order_pb2 as pb


def cause(number: attention_pb2.AttentionCause.ValueType) -> Cause | None:
    """A cause of the order service's; None for another service's."""
    return Cause(number) if number in {int(one) for one in Cause} else None


def page(groups: Iterable[Group], next_page_token: str) -> pb.ListAttentionResponse:
    """One page of what waits."""
    return pb.ListAttentionResponse(
        groups=[_group(one) for one in groups], next_page_token=next_page_token
    )


def _group(one: Group) -> attention_pb2.AttentionGroup:
    return attention_pb2.AttentionGroup(
        cause=attention_pb2.AttentionCause.ValueType(one.cause),
        key=one.key,
        title=title(one),
        remedy=remedy(one),
        waiting_count=one.waiting_count,
        examples=one.examples,
        since=time_message(one.since),
    )
