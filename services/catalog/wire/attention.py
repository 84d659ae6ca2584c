"""What waits for an operator, as messages."""

from collections.abc import Iterable

from services.catalog.rules.attention import Cause, Waiting, remedy, title
from services.catalog.wire.scalars import timestamp
from tillbridge.attention.v1 import attention_pb2
from tillbridge.catalog.v1 import attention_pb2 as pb

_PREFIX = "ATTENTION_CAUSE_"


def cause(number: attention_pb2.AttentionCause.ValueType) -> Cause | None:
    """A cause of the catalog's; None for another service's."""
    name = attention_pb2.AttentionCause.Name(number).removeprefix(_PREFIX)
    return Cause(name) if name in Cause.__members__ else None


def page(groups: Iterable[Waiting], next_page_token: str) -> pb.ListAttentionResponse:
    """One page of what waits."""
    return pb.ListAttentionResponse(
        groups=[_group(one) for one in groups], next_page_token=next_page_token
    )


def _group(one: Waiting) -> attention_pb2.AttentionGroup:
    return attention_pb2.AttentionGroup(
        cause=attention_pb2.AttentionCause.Value(f"{_PREFIX}{one.cause}"),
        key=one.key,
        title=title(one),
        remedy=remedy(one),
        waiting_count=one.waiting_count,
        examples=one.examples,
        since=timestamp(one.since),
    )
