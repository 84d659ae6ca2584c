"""The machines outside: a point of sale, and online stores that show what they are told."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any, cast

import structlog

from services.chassis.auth import Tokens
from services.chassis.client import Identity
from services.chassis.errors import DomainError
from services.chassis.follow import follow
from services.chassis.settings import Context
from tests.harness import KEY
from tests.simulation.book import GaveUpError, identity
from tests.simulation.cluster import Channel as Wire
from tests.simulation.cluster import Cluster
from tests.simulation.shop import Place, Shop
from tillbridge.catalog.v1 import events_pb2 as catalog_events_pb2
from tillbridge.events.v1 import events_pb2
from tillbridge.inventory.v1 import events_pb2 as inventory_events_pb2
from tillbridge.inventory.v1 import inventory_pb2
from tillbridge.order.v1 import events_pb2 as order_events_pb2
from tillbridge.order.v1 import fulfillment_pb2, order_pb2

_GATEWAY = Identity(Tokens(KEY), "gateway")
WRITE_S_MAX = 0.05
LATE_S_MAX = 4.0

log = structlog.get_logger()


class Follower:
    """A process of the gateway's: follows feeds, and may be broken off and begun again."""

    def __init__(self, cluster: Cluster, shop: Shop, dice: random.Random) -> None:
        self.cluster = cluster
        self.shop = shop
        self.dice = dice
        self._tasks: list[asyncio.Task[None]] = []

    def feeds(self) -> list[Any]:
        """What it follows, as coroutines."""
        raise NotImplementedError

    def start(self) -> None:
        """Begins to follow."""
        self._tasks = [asyncio.ensure_future(one) for one in self.feeds()]

    def stop(self) -> None:
        """Dies, whatever it is at."""
        for task in self._tasks:
            task.cancel()

    def follow(self, feed: Context, consumer: str, kind: Any, channel_id: str, handle: Any) -> Any:
        """Follows one kind of event."""
        request = events_pb2.ReadEventsRequest(
            feed=feed,
            consumer=consumer,
            types=[kind.DESCRIPTOR.full_name],
            channel_id=channel_id,
            max_events=100,
        )
        return follow(cast("Any", Wire(self.cluster, feed)), _GATEWAY, request, handle)


class Storefront(Follower):
    """An online store, and the one writer that keeps it in step."""

    def __init__(self, cluster: Cluster, shop: Shop, channel_id: str, dice: random.Random) -> None:
        super().__init__(cluster, shop, dice)
        self.channel_id = channel_id
        self.shown: dict[str, int] = {}
        """What buyers see, by item."""
        self.versions: dict[str, int] = {}
        """Of the figures that were written last, by item."""
        self.by_hand: set[str] = set()
        """Items whose level somebody has typed while nothing was to be written over it."""
        self._one_writer = asyncio.Lock()

    def feeds(self) -> list[Any]:
        """Figures, and listings that come and go."""
        return [
            self.follow(
                "inventory",
                f"gateway/{self.channel_id}",
                inventory_events_pb2.OnlineStockChanged,
                self.channel_id,
                self._figures_changed,
            ),
            self.follow(
                "catalog",
                f"gateway/{self.channel_id}",
                catalog_events_pb2.ListingChanged,
                self.channel_id,
                self._listings_changed,
            ),
        ]

    async def _figures_changed(self, events: Sequence[events_pb2.Event]) -> None:
        items = dict.fromkeys(event.subject.removeprefix("item/") for event in events)
        await self.write(list(items))

    async def _listings_changed(self, events: Sequence[events_pb2.Event]) -> None:
        items = dict.fromkeys(event.subject.rpartition("/product-")[2] for event in events)
        await self.write(list(items))

    async def write(self, items: list[str]) -> None:
        """Writes the figures of these items as they are now; what is gone is shown no more."""
        async with self._one_writer:
            answer = await self.shop.services.inventory.ListOnlineStock(
                inventory_pb2.ListOnlineStockRequest(channel_id=self.channel_id, item_ids=items),
                metadata=identity(self.shop.merchant),
                timeout=5,
            )
            figures = {one.item_id: one for one in answer.online_stock}
            for item in items:
                await asyncio.sleep(self.cluster.faults.moment(WRITE_S_MAX))
                figure = figures.get(item)
                if figure:
                    self.shown[item], self.versions[item] = figure.quantity, figure.version
                else:
                    self.shown.pop(item, None)
                self.by_hand.discard(item)
                shown = self.shown.get(item)
                self.cluster.faults.note(f"store {self.channel_id[:6]} {item} {shown}")
                if self.cluster.faults.strikes("lost reply"):
                    raise DomainError("SERVICE_UNAVAILABLE", "the store's answer is lost")

    async def type_in(self, item: str, quantity: int, request_id: str) -> None:
        """Somebody types a level in the store, which tells of it."""
        self.shown[item] = quantity
        request = inventory_pb2.ReportStockEditRequest(
            request_id=request_id,
            channel_id=self.channel_id,
            item_id=item,
            store_quantity=quantity,
            version=self.versions.get(item, 0),
        )
        method = self.shop.services.inventory.ReportStockEdit
        try:
            answer = await self.shop.book.send(method, request, self.dice, patience=100)
        except DomainError:  # of an item that is gone, and soon is here
            self.shown.pop(item, None)
            raise
        unchanged = answer.outcome == inventory_pb2.STOCK_EDIT_OUTCOME_UNCHANGED
        if unchanged and answer.online_stock.quantity != quantity:
            self.by_hand.add(item)


class OutsidePos(Follower):
    """A point of sale that is the system of record: its levels have versions and are told late,
    twice, or out of order; online sales are posted to it, which lowers them.
    """

    def __init__(
        self,
        cluster: Cluster,
        shop: Shop,
        dice: random.Random,
        posted_causes: dict[tuple[str, str], int],
    ) -> None:
        super().__init__(cluster, shop, dice)
        self._posted_causes = posted_causes
        self.levels: dict[Place, int] = {
            (item, outlet): dice.randint(0, 8) for item in shop.items for outlet in shop.outlets
        }
        self.versions: dict[Place, int] = dict.fromkeys(self.levels, 1)
        self.posted: dict[str, int] = {}
        """Version of each online sale, by its id."""
        self._taken: dict[str, list[tuple[Place, str]]] = {}
        """What each online sale has taken and not given back, by its id."""

    def feeds(self) -> list[Any]:
        """Sales that are to be posted, of each channel."""
        return [
            self.follow(
                "order",
                f"gateway/{channel_id}/sales",
                order_events_pb2.SaleChanged,
                channel_id,
                self._sales_changed,
            )
            for channel_id in self.shop.channels
        ]

    def move(self, place: Place, change: int) -> None:
        """Something is sold, returned or received."""
        self.levels[place] += change
        self.versions[place] = self.shop.version()

    async def tell(self, places: Sequence[Place], *, patience: int) -> None:
        """A webhook: the levels as they are now, which may arrive after later ones."""
        version = max(self.versions[place] for place in places)
        name, counts = f"{version}-{self.dice.getrandbits(32):08x}", self._counts(places)
        await asyncio.sleep(self.dice.random() ** 3 * LATE_S_MAX)
        await self._send(name, counts, patience)

    async def sweep(self) -> None:
        """Polls: every level, as it is now."""
        name = f"sweep-{self.shop.version()}-{self.dice.getrandbits(32):08x}"
        await self._send(name, self._counts(list(self.levels)), 100)

    def _counts(self, places: Sequence[Place]) -> list[inventory_pb2.Count]:
        gone = self.shop.gone
        return [
            inventory_pb2.Count(
                item_id=item,
                outlet_id=outlet,
                quantity=str(self.levels[item, outlet]),
                version=self.versions[item, outlet],
            )
            for item, outlet in places
            if item not in gone
        ]

    async def _send(self, name: str, counts: list[inventory_pb2.Count], patience: int) -> None:
        if not counts:
            return
        request = inventory_pb2.RecordCountsRequest(
            request_id=f"counts {name}", counts=counts, cause=f"webhook {name}"
        )
        method = self.shop.services.inventory.RecordCounts
        await self.shop.book.send(method, request, self.dice, patience=patience)

    async def _sales_changed(self, events: Sequence[events_pb2.Event]) -> None:
        for event in events:
            await self._post(event.subject.removeprefix("sale/"))

    async def _post(self, sale_id: str) -> None:
        services, me = self.shop.services, identity(self.shop.merchant)
        sale = (
            await services.orders.GetSale(
                order_pb2.GetSaleRequest(sale_id=sale_id), metadata=me, timeout=5
            )
        ).sale
        if sale.origin != order_pb2.SALE_ORIGIN_ONLINE or sale.posted_revision >= sale.revision:
            return
        found = await services.fulfillments.ListFulfillments(
            fulfillment_pb2.ListFulfillmentsRequest(order_id=sale.order_id), metadata=me, timeout=5
        )
        if sale_id not in self.posted:
            sold = [
                ((line.item_id, line.outlet_id or sale.outlet_id), line.quantity)
                for line in sale.lines
                if not (sale.return_for and line.not_restocked)
            ]
            given = [
                ((line.item_id, one.outlet_id), line.quantity)
                for one in found.fulfillments
                for line in one.lines
            ]
            taken = sold if sale.return_for else given or sold
            self.posted[sale_id] = self.shop.version()
            if not sale.return_for:
                cause = (self.shop.merchant, f"order {sale.order_id}")
                self._posted_causes[cause] = self.posted[sale_id]
            void = sale.state == order_pb2.SALE_STATE_VOIDED
            self._taken[sale_id] = [] if void else taken
            self._sell(self._taken[sale_id], -1)
        elif sale.state == order_pb2.SALE_STATE_VOIDED:
            self._sell(self._taken.pop(sale_id, []), 1)
        await asyncio.sleep(self.cluster.faults.moment(WRITE_S_MAX))
        await services.orders.ReportSalePosted(
            order_pb2.ReportSalePostedRequest(
                request_id=f"posted {sale_id} {sale.revision}",
                sale_id=sale_id,
                revision=sale.revision,
                pos_version=self.posted[sale_id],
            ),
            metadata=_GATEWAY.metadata(self.shop.merchant),
            timeout=5,
        )

    def _sell(self, sold: Sequence[tuple[Place, str]], sign: int) -> None:
        for place, quantity in sold:
            self.move(place, sign * int(quantity))
        places = list(dict.fromkeys(place for place, _ in sold))
        if places:
            asyncio.ensure_future(self._tell_later(places))  # noqa: RUF006  (a webhook of theirs)

    async def _tell_later(self, places: Sequence[Place]) -> None:
        for _ in range(self.dice.choice((1, 1, 2))):
            await asyncio.sleep(self.dice.random() ** 3 * 4)
            try:
                await self.tell(places, patience=3)
            except (GaveUpError, DomainError) as error:
                log.debug("webhook lost", error=repr(error))
