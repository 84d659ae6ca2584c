"""A shop's calls of the customer service, in few words."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from tests.harness import Running, metadata, service_metadata
from tillbridge.attention.v1 import attention_pb2
from tillbridge.customer.v1 import customer_pb2 as pb
from tillbridge.customer.v1 import events_pb2
from tillbridge.customer.v1.customer_pb2_grpc import CustomerServiceStub
from tillbridge.events.v1 import events_pb2 as feed_pb
from tillbridge.events.v1.events_pb2_grpc import EventFeedStub

if TYPE_CHECKING:
    from tillbridge.customer.v1.customer_pb2_grpc import CustomerServiceAsyncStub

CHANNEL = "web"
_ids = (f"call-{number}" for number in count(1))


@dataclass(frozen=True, slots=True)
class People:
    """A running customer service."""

    service: Running

    @property
    def stub(self) -> "CustomerServiceAsyncStub":
        return CustomerServiceStub(self.service.channel)

    async def match(
        self, email: str, order_id: str = "", name: str = "", channel_id: str = CHANNEL
    ) -> pb.MatchCustomerResponse:
        request = pb.MatchCustomerRequest(
            request_id=next(_ids), email=email, name=name, channel_id=channel_id, order_id=order_id
        )
        return await self.stub.MatchCustomer(request, metadata=metadata())

    async def report(self, *profiles: tuple[str, str, str]) -> list[str]:
        """Reports profiles of the point of sale: id there, address, name. Their ids here."""
        request = pb.BatchUpsertCustomersRequest(
            request_id=next(_ids),
            customers=[pb.PosCustomer(pos_customer_id=p, email=e, name=n) for p, e, n in profiles],
        )
        answer = await self.stub.BatchUpsertCustomers(request, metadata=metadata())
        return [one.customer_id for one in answer.customers]

    async def get(self, customer_id: str) -> pb.Customer:
        request = pb.GetCustomerRequest(customer_id=customer_id)
        return (await self.stub.GetCustomer(request, metadata=metadata())).customer

    async def merge(
        self, customer_id: str, *merged: str, validate_only: bool = False
    ) -> pb.MergeCustomersResponse:
        request = pb.MergeCustomersRequest(
            request_id=next(_ids),
            customer_id=customer_id,
            merged_customer_ids=merged,
            validate_only=validate_only,
        )
        return await self.stub.MergeCustomers(request, metadata=metadata())

    async def unmerge(
        self, customer_id: str, *, validate_only: bool = False
    ) -> pb.UnmergeCustomersResponse:
        request = pb.UnmergeCustomersRequest(
            request_id=next(_ids), customer_id=customer_id, validate_only=validate_only
        )
        return await self.stub.UnmergeCustomers(request, metadata=metadata())

    async def explain(self, order_id: str, channel_id: str = CHANNEL) -> pb.ExplainMatchResponse:
        request = pb.ExplainMatchRequest(channel_id=channel_id, order_id=order_id)
        return await self.stub.ExplainMatch(request, metadata=metadata())

    async def orders(self, customer_id: str, page_size: int = 0) -> list[str]:
        """Ids of the orders of a customer, page by page."""
        request = pb.ListMatchesRequest(customer_id=customer_id, page_size=page_size)
        found: list[str] = []
        while True:
            answer = await self.stub.ListMatches(request, metadata=metadata())
            found += [one.order_id for one in answer.matches]
            assert not page_size or len(answer.matches) <= page_size
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    async def attention(self) -> list[attention_pb2.AttentionGroup]:
        answer = await self.stub.ListAttention(pb.ListAttentionRequest(), metadata=metadata())
        return list(answer.groups)

    async def _events(self, kind: str) -> Iterable[feed_pb.Event]:
        found = await EventFeedStub(self.service.channel).ReadEvents(
            feed_pb.ReadEventsRequest(consumer="test", max_events=1000, types=[kind]),
            metadata=service_metadata(),
        )
        return found.events

    async def changes(self) -> list[str]:
        """The profiles that the feed told of."""
        kind = events_pb2.CustomerChanged.DESCRIPTOR.full_name
        return [one.subject.removeprefix("customer/") for one in await self._events(kind)]

    async def unblocked(self) -> list[tuple[str, list[str]]]:
        """The orders that the feed told to go on, by channel."""
        found = []
        for event in await self._events(events_pb2.OrdersUnblocked.DESCRIPTOR.full_name):
            message = events_pb2.OrdersUnblocked()
            assert event.data.Unpack(message)
            assert (f"matches/{message.channel_id}", message.channel_id) == (
                event.subject,
                event.channel_id,
            )
            found.append((message.channel_id, list(message.order_ids)))
        return found
