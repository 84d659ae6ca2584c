"""What waits for an operator, as messages."""

from collections.abc import Iterable

from services.inventory.rules.attention import Cause, Waiting, remedy, title
from services.inventory.wire.stock import time
from tillbridge.attention.v1 import attention_pb2
from tillbridge.inventory.v1 import audit_pb2 as pb


def page(groups: Iterable[Waiting], next_page_token: str) -> pb.ListAttentionResponse:
    """One page of what waits."""
    return pb.ListAttentionResponse(
        groups=[_group(one) for one in groups], next_page_token=next_page_token
    )


def cause(number: attention_pb2.AttentionCause.ValueType) -> Cause | None:
    """A cause of the inventory's; None for another service's."""
    known = {int(one): one for one in Cause}
    return known.get(number)


def _group(one: Waiting) -> attention_pb2.AttentionGroup:
    return attention_pb2.AttentionGroup(
        cause=attention_pb2.AttentionCause.ValueType(one.cause),
        key=one.key,
        title=title(one),
        remedy=remedy(one),
        waiting_count=one.waiting_count,
        examples=one.examples,
        since=time(one.since),
    )
