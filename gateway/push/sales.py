"""Online orders' sales to the outside point of sale (ORD-01, ORD-06, ORD-08)."""

from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

from gateway.owners import Owners
from gateway.platform import PlatformError
from gateway.pos import PointOfSale, SaleToPost
from gateway.push.chores import Failures, Turns, complaint, is_transient, one_by_one
from gateway.records import BadRecordError
from services.chassis import failpoints
from services.chassis.errors import DomainError
from tillbridge.customer.v1 import customer_pb2
from tillbridge.inventory.v1 import channels_pb2
from tillbridge.order.v1 import order_pb2

PAGE_SIZE = 200
SWEPT_MAX = 5_000
"""How many sales that were not posted a sweep looks at, the newest first."""

MERGES_MAX = 100
"""How far a profile that was merged into another one is followed."""


class SalePosting:
    """Writes sales to the point of sale, each as often as it changes.

    A sale that may have been written before, by this process or one that died, is read from the
    point of sale first; see `SaleToPost.posted_before`.
    """

    def __init__(self, channel_id: str, owners: Owners, pos: PointOfSale) -> None:
        self._channel_id = channel_id
        self._owners = owners
        self._pos = pos
        self._turns = Turns()
        self._in_doubt: set[str] = set()
        self._starting = True

    async def do(self, sale_ids: Sequence[str]) -> Failures:
        """Makes the point of sale hold these sales as they are now."""
        request = channels_pb2.GetChannelRequest(channel_id=self._channel_id)
        try:
            answer = await self._owners.call(self._owners.channels.GetChannel, request)
        except DomainError as error:
            return dict.fromkeys(sale_ids, error)
        channel = answer.channel
        if not channel.policies.external_pos:
            return {}

        async def post(sale_id: str) -> None:
            async with self._turns.of(sale_id):
                await self._post(sale_id, channel)

        return await one_by_one(sale_ids, post)

    async def unposted(self) -> AsyncIterator[Sequence[str]]:
        """The channel's sales that the point of sale does not hold as they are, newest first.

        Until all of them were told once, every sale may be one that a predecessor wrote.
        """
        request = order_pb2.ListSalesRequest(
            origin=order_pb2.SALE_ORIGIN_ONLINE,
            channel_id=self._channel_id,
            unposted=True,
            page_size=PAGE_SIZE,
        )
        for _ in range(SWEPT_MAX // PAGE_SIZE):
            answer = await self._owners.call(self._owners.orders.ListSales, request)
            due = [sale.sale_id for sale in answer.sales if self._is_due(sale)]
            if self._starting:
                self._in_doubt.update(due)
            yield due
            if not answer.next_page_token:
                break
            request.page_token = answer.next_page_token
        self._starting = False

    def _is_due(self, sale: order_pb2.Sale) -> bool:
        """Whether the sale has to be written. A sale of a till never is (ORD-05)."""
        ours = sale.origin == order_pb2.SALE_ORIGIN_ONLINE and sale.channel_id == self._channel_id
        return ours and sale.posted_revision < sale.revision

    async def _post(self, sale_id: str, channel: channels_pb2.Channel) -> None:
        request = order_pb2.GetSaleRequest(sale_id=sale_id)
        sale = (await self._owners.call(self._owners.orders.GetSale, request)).sale
        if not self._is_due(sale):
            self._in_doubt.discard(sale_id)
            return
        if sale.return_for:
            await self._post_first(sale, channel)
        posting = await self._posting(sale, channel)
        self._in_doubt.add(sale_id)
        try:
            version = await self._pos.post_sale(posting)
            failpoints.at("push.sale.posted")
        except (BadRecordError, PlatformError) as error:
            if not is_transient(error):
                await self._report(sale, error=complaint(error))
            raise
        await self._report(sale, pos_version=version)
        self._in_doubt.discard(sale_id)

    async def _post_first(self, sale: order_pb2.Sale, channel: channels_pb2.Channel) -> None:
        """Writes the sale that is returned, which the point of sale has to know before.

        Raises:
            DomainError: it could not be written.
        """
        request = order_pb2.GetSaleRequest(sale_id=sale.return_for)
        original = (await self._owners.call(self._owners.orders.GetSale, request)).sale
        if original.posted_revision or not self._is_due(original):
            return
        async with self._turns.of(original.sale_id):  # an original waits for no return
            await self._post(original.sale_id, channel)

    async def _posting(self, sale: order_pb2.Sale, channel: channels_pb2.Channel) -> SaleToPost:
        order_request = order_pb2.GetOrderRequest(
            channel_id=self._channel_id, order_id=sale.order_id
        )
        order = (await self._owners.call(self._owners.orders.GetOrder, order_request)).order
        document = order.document
        customer = await self._customer(sale.customer_id)
        return SaleToPost(
            sale=sale,
            order_id=sale.order_id,
            kind=document.fulfillment_kind,
            register_id=sale.register_id or channel.register_id,
            pos_customer_id=customer.pos_customer_id,
            email=customer.email or document.email,
            buyer_name=customer.name or document.buyer_name,
            phone=customer.phone or document.phone,
            posted_before=self._starting
            or bool(sale.posted_revision or sale.post_error)
            or sale.sale_id in self._in_doubt,
        )

    async def _customer(self, customer_id: str) -> customer_pb2.Customer:
        """Whom a sale belongs to now: the profile, or the one that it was merged into (BEY-14).

        Where that one is not in the point of sale and the profile is, its id there stays: the
        point of sale should not get the same person twice.
        """
        customer = customer_pb2.Customer(merged_into=customer_id)
        for _ in range(MERGES_MAX):
            if not customer.merged_into:
                break
            request = customer_pb2.GetCustomerRequest(customer_id=customer.merged_into)
            found = await self._owners.call(self._owners.customers.GetCustomer, request)
            found.customer.pos_customer_id = (
                found.customer.pos_customer_id or customer.pos_customer_id
            )
            customer = found.customer
        return customer

    async def _report(self, sale: order_pb2.Sale, *, pos_version: int = 0, error: str = "") -> None:
        """Lets the sale tell how writing it went; an error that it tells already is not news."""
        if error and error == sale.post_error:
            return
        await self._owners.call(
            self._owners.orders.ReportSalePosted,
            order_pb2.ReportSalePostedRequest(
                request_id=f"post/{uuid4()}",
                sale_id=sale.sale_id,
                revision=sale.revision,
                pos_version=pos_version,
                error=error,
            ),
        )
