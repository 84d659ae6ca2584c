"""The way in: what a point of sale says, told to the services that own it.

Used by webhooks and by polling alike; both may say the same thing, in any order, many times.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

import structlog
from google.protobuf.message import Message

from gateway.owners import Owners
from gateway.pos import (
    Change,
    CustomersRead,
    Gone,
    LevelsRead,
    MirroredSale,
    Nothing,
    PointOfSale,
    ProductsRead,
    ProductState,
    SalesRead,
)
from gateway.records import printable, quarantine, request_id
from services.chassis.errors import DomainError
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.customer.v1 import customer_pb2
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2
from tillbridge.order.v1 import order_pb2

BATCH_MAX = 200
BATCH_BYTES_MAX = 1024 * 1024
"""Well below what a service takes in one message."""

LEARN_S_MAX = 2.0
"""How long the inventory service may take to learn of an item from the catalog's feed."""

SALES_AT_ONCE = 8
MESSAGE_LENGTH_MAX = 4000
HOUR_S = 3600.0

Item = TypeVar("Item", bound=Message)

log = structlog.get_logger()


class Inward:
    """Tells the services what one merchant's point of sale says.

    Args:
        owners: the services, acting for the merchant.
        pos: the point of sale, asked when something has to be read first.
        source: its name, for request ids, causes and logs.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        owners: Owners,
        pos: PointOfSale,
        source: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._owners = owners
        self._pos = pos
        self._source = source
        self._clock = clock

    async def take(self, change: Change) -> None:
        """Takes a change: it is durable with its owner when this returns.

        Raises:
            DomainError: a service refused it, or cannot be reached.
            PlatformError: what had to be read first cannot be read.
        """
        match change:
            case LevelsRead(counts):
                await self.levels(counts, whole=True)
            case ProductsRead(products):
                await self.products(products, with_levels=True)
            case SalesRead(sales):
                await self.sales(sales)
            case CustomersRead(customers):
                await self.customers(customers)
            case Nothing(why):
                log.debug("nothing to take", why=why)

    async def products(
        self, products: Sequence[ProductState], *, with_levels: bool = False
    ) -> None:
        """Takes products; those that are refused are put aside, by name.

        Args:
            products: as they are now.
            with_levels: whether levels of products that are new here are read as well, because
                those that came before the product could not be recorded.
        """
        known = [product for product in products if isinstance(product, catalog_pb2.Product)]
        for part in batches(known):
            await self._upsert(part, with_levels)
        for product in products:
            if isinstance(product, Gone):
                await self._delete(product)

    async def levels(self, counts: Sequence[inventory_pb2.Count], *, whole: bool = False) -> None:
        """Takes levels.

        Args:
            counts: the levels.
            whole: whether a level that is refused fails the call; else it is put aside, by name.
        """
        for part in batches(counts):
            await self._record(part, whole)

    async def sales(self, sales: Sequence[MirroredSale]) -> None:
        """Takes sales of the point of sale's own history (ORD-05)."""
        room = asyncio.Semaphore(SALES_AT_ONCE)

        async def take(sale: MirroredSale) -> None:
            async with room:
                await self._mirror(sale)

        await asyncio.gather(*map(take, sales))

    async def customers(self, customers: Sequence[customer_pb2.PosCustomer]) -> None:
        """Takes customer profiles."""

        async def upsert(part: Sequence[customer_pb2.PosCustomer]) -> None:
            request = customer_pb2.BatchUpsertCustomersRequest(customers=part)
            request.request_id = request_id(f"{self._source}/customers", body=request)
            await self._owners.call(self._owners.customers.BatchUpsertCustomers, request)

        for part in batches(customers):
            await self._each_if_refused("customer", part, upsert, lambda c: c.pos_customer_id)

    async def places(self) -> None:
        """Takes outlets and registers that are not known here yet. An outlet is told again once an
        hour, so that it can say when it was last synced (SOR-04), and as often as it takes not to
        be held for silent when nothing moves there (BEY-12).
        """
        period = int(self._clock() // await self._told_every_s())
        for outlet in await self._pos.outlets():
            request = channels_pb2.CreateOutletRequest(outlet=outlet, cause=self._source)
            request.request_id = request_id(f"{self._source}/outlet", period, body=request)
            create = self._owners.channels.CreateOutlet
            await self._unless_known(create, request, "outlet", outlet.outlet_id)
        for register in await self._pos.registers():
            creation = channels_pb2.CreateRegisterRequest(register=register)
            creation.request_id = request_id(f"{self._source}/register", body=creation)
            create_register = self._owners.channels.CreateRegister
            await self._unless_known(create_register, creation, "register", register.register_id)

    async def _told_every_s(self) -> float:
        """A quarter of what any of the merchant's channels takes for silence, an hour at most."""
        found = [HOUR_S]
        request = channels_pb2.ListChannelsRequest(page_size=1000)
        while True:
            page = await self._owners.call(self._owners.channels.ListChannels, request)
            limits = (channel.policies.silent_after_s for channel in page.channels)
            found += [limit / 4 for limit in limits if limit]
            request.page_token = page.next_page_token
            if not request.page_token:
                return min(found)

    async def _unless_known(
        self, method: Callable[..., Awaitable[Message]], request: Message, kind: str, name: str
    ) -> None:
        """Creates a place. One that goes by another name now keeps the old one here: people may
        know it by that, and nothing links by it. One that is refused, such as a register whose
        outlet was deleted, is put aside.
        """
        try:
            await self._owners.call(method, request)
        except DomainError as error:
            if error.transient:
                raise
            if error.reason in ("OUTLET_EXISTS", "REGISTER_EXISTS"):
                log.info("a place is known by another name here", why=error.message)
            else:
                quarantine(self._source, kind, name, error.message)

    async def _upsert(self, products: Sequence[catalog_pb2.Product], with_levels: bool) -> None:
        async def upsert(part: Sequence[catalog_pb2.Product]) -> None:
            request = catalog_pb2.BatchUpsertProductsRequest(products=part, cause=self._source)
            request.request_id = request_id(f"{self._source}/products", body=request)
            answer = await self._owners.call(self._owners.catalog.BatchUpsertProducts, request)
            self._tell_kept(part, answer.results)
            for product, result in zip(part, answer.results, strict=False):
                if with_levels and result.outcome == catalog_pb2.UPSERT_OUTCOME_CREATED:
                    for variant in product.variants:
                        await self.levels(await self._pos.levels(variant.item_id))

        await self._each_if_refused("product", products, upsert, lambda p: p.product_id)

    def _tell_kept(
        self,
        products: Sequence[catalog_pb2.Product],
        results: Sequence[catalog_pb2.ProductResult],
    ) -> None:
        """Logs products that were not taken in; the catalog keeps them for an operator (BEY-09,
        BEY-10).
        """
        held = 0
        for product, result in zip(products, results, strict=False):
            held += result.outcome == catalog_pb2.UPSERT_OUTCOME_HELD
            if result.outcome == catalog_pb2.UPSERT_OUTCOME_REFUSED:
                quarantine(self._source, "product", product.product_id, result.message)
        if held:
            log.warning("products held", source=self._source, count=held)

    async def _delete(self, gone: Gone) -> None:
        request = catalog_pb2.DeleteProductRequest(
            product_id=gone.product_id, version=gone.version, cause=self._source
        )
        request.request_id = request_id(f"{self._source}/product-gone", body=request)
        try:
            answer = await self._owners.call(self._owners.catalog.DeleteProduct, request)
            if answer.held:
                log.warning("deletion held", source=self._source, id=gone.product_id)
        except DomainError as error:
            if error.transient:
                raise
            quarantine(self._source, "product", gone.product_id, error.message)

    async def _record(self, counts: Sequence[inventory_pb2.Count], whole: bool) -> None:
        request = inventory_pb2.RecordCountsRequest(counts=counts, cause=self._source)
        first = counts[0]
        about = [first.item_id, first.outlet_id, first.version] if len(counts) == 1 else []
        request.request_id = request_id(f"{self._source}/inventory", *about, body=request)

        async def record() -> None:
            await self._owners.call(self._owners.inventory.RecordCounts, request)

        try:
            await self._after_learning(record, counts)
        except DomainError as error:
            if (
                error.transient
                or error.reason == "REQUEST_ID_REUSED"
                or (whole and len(counts) < 2)
            ):
                raise
            if len(counts) == 1:
                name = f"{first.item_id} at {first.outlet_id}"
                quarantine(self._source, "level", name, error.message)
                return
            middle = len(counts) // 2
            await self._record(counts[:middle], whole)
            await self._record(counts[middle:], whole)

    async def _after_learning(
        self, record: Callable[[], Awaitable[None]], counts: Sequence[inventory_pb2.Count]
    ) -> None:
        """Records levels; what they are about is read from the point of sale first, if need be.

        Raises:
            DomainError: SERVICE_UNAVAILABLE when an item exists but inventory has not learned of
                it in time; else why the levels are refused.
        """
        taught: set[str] = set()
        for pause_s in (0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, LEARN_S_MAX / 4):
            await asyncio.sleep(pause_s)
            try:
                return await record()
            except DomainError as error:
                if error.reason not in ("ITEM_NOT_FOUND", "OUTLET_NOT_FOUND"):
                    raise
                name = _missing(error, counts)
                if name not in taught and not await self._teach(error.reason, name):
                    raise
                taught.add(name)
        message = "the item is known to the catalog but not to inventory yet; retry"
        raise DomainError("SERVICE_UNAVAILABLE", message, retry_after_ms=1000)

    async def _teach(self, reason: str, name: str) -> bool:
        """Makes an item or outlet known; False when that cannot be: the point of sale does not
        know it either (any more), or the catalog does not take it.
        """
        if reason == "OUTLET_NOT_FOUND":
            await self.places()
            return any(outlet.outlet_id == name for outlet in await self._pos.outlets())
        product = await self._pos.product(name)
        if not isinstance(product, catalog_pb2.Product):
            return False
        await self.products([product])
        wanted = catalog_pb2.ItemReference(item_id=name)
        request = catalog_pb2.ResolveItemsRequest(references=[wanted])
        found = await self._owners.call(self._owners.catalog.ResolveItems, request)
        return any(item.item_id == name for item in found.items)

    async def _mirror(self, mirrored: MirroredSale) -> None:
        sale = mirrored.sale
        request = order_pb2.RecordSaleRequest(sale=sale, mirrored=True, version=mirrored.version)
        about = (sale.sale_id, mirrored.version)
        request.request_id = request_id(f"{self._source}/sale", *about, body=request)
        try:
            await self._owners.call(self._owners.orders.RecordSale, request)
        except DomainError as error:
            if error.transient:
                raise
            quarantine(self._source, "sale", sale.sale_id, f"{error.reason}: {error.message}")
            await self.refused(sale.sale_id, mirrored.version, error.reason, error.message)

    async def refused(self, sale_id: str, version: int, reason: str, message: str) -> None:
        """Has it kept, for an operator to see, that a sale could not be copied (BEY-09)."""
        report = order_pb2.ReportSaleRefusedRequest(
            sale_id=sale_id,
            version=version,
            reason=reason,
            message=printable(message)[:MESSAGE_LENGTH_MAX],
        )
        report.request_id = request_id(f"{self._source}/sale-refused", sale_id, body=report)
        try:
            await self._owners.call(self._owners.orders.ReportSaleRefused, report)
        except DomainError as error:
            if error.transient:
                raise
            log.warning("a refusal is not kept", sale_id=sale_id, why=error.message)

    async def _each_if_refused(
        self,
        kind: str,
        records: Sequence[Item],
        send: Callable[[Sequence[Item]], Awaitable[None]],
        name_of: Callable[[Item], str],
    ) -> None:
        """Sends records together; when that is refused, finds the ones to blame by halves."""
        try:
            await send(records)
        except DomainError as error:
            if error.transient:
                raise
            if len(records) == 1:
                quarantine(self._source, kind, name_of(records[0]), error.message)
                return
            middle = len(records) // 2
            await self._each_if_refused(kind, records[:middle], send, name_of)
            await self._each_if_refused(kind, records[middle:], send, name_of)


def _missing(error: DomainError, counts: Sequence[inventory_pb2.Count]) -> str:
    """The item or outlet that a service does not know."""
    field = "item_id" if error.reason == "ITEM_NOT_FOUND" else "outlet_id"
    named: str = error.facts.get(field) or getattr(counts[0], field)
    return named


def batches(records: Sequence[Item], count_max: int = BATCH_MAX) -> Iterator[Sequence[Item]]:
    """Records in parts that a service takes in one call."""
    begin = size = 0
    for index, record in enumerate(records):
        bytes_more = record.ByteSize()
        if index > begin and (size + bytes_more > BATCH_BYTES_MAX or index - begin >= count_max):
            yield records[begin:index]
            begin, size = index, 0
        size += bytes_more
    if begin < len(records):
        yield records[begin:]
