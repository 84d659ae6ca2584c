"""What people do: at tills, in the back office, and in front of a store's page."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from google.protobuf.message import Message

from tests.simulation.book import Answer
from tests.simulation.cluster import Cluster
from tests.simulation.outside import OutsidePos, Storefront
from tests.simulation.shop import Place, Placed, Shop, euros, product, sku
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2
from tillbridge.order.v1 import order_pb2

AWAITING, PAID = order_pb2.PAYMENT_STATUS_AWAITING, order_pb2.PAYMENT_STATUS_PAID
CANCELED = order_pb2.PAYMENT_STATUS_CANCELED
BUYERS = ("ann@example.com", " Ann@Example.com", "bo@example.com", "cy@example.com", "")


@dataclass(slots=True)
class Scene:
    """A shop with everything around it."""

    cluster: Cluster
    shop: Shop
    stores: dict[str, Storefront]
    pos: OutsidePos | None


@dataclass(frozen=True, slots=True)
class Action:
    """Something that somebody does at some time; its dice are its own."""

    number: int
    at_s: float
    name: str
    shop: int

    def dice(self, seed: int) -> random.Random:
        """Dice that fall the same whatever else happens."""
        return random.Random(f"{seed} {self.number} {self.name}")


async def till_sale(scene: Scene, dice: random.Random) -> None:
    """A till sells, or takes back."""
    shop = scene.shop
    outlet = dice.choice(shop.outlets)
    back = dice.random() < 0.15
    quantities = {item: some(dice) for item in dice.sample(shop.items, dice.choice((1, 1, 2)))}
    if scene.pos:
        for item, quantity in quantities.items():
            scene.pos.move((item, outlet), max(1, int(float(quantity))) * (1 if back else -1))
        await _hear(scene.pos, [(item, outlet) for item in quantities], dice)
        return
    sale = order_pb2.Sale(
        sale_id=f"{shop.merchant}-sale-{dice.getrandbits(40):010x}",
        outlet_id=outlet,
        lines=[
            order_pb2.SaleLine(item_id=item, quantity=f"-{quantity}" if back else quantity)
            for item, quantity in quantities.items()
        ],
        total=euros(10),
    )
    shop.sales[sale.sale_id] = sale
    request = order_pb2.RecordSaleRequest(request_id=f"sell {sale.sale_id}", sale=sale)
    await perhaps_twice(scene, shop.services.orders.RecordSale, request, dice)


async def adjust(scene: Scene, dice: random.Random) -> None:
    """Something is received, found or broken."""
    shop = scene.shop
    place = (dice.choice(shop.items), dice.choice(shop.outlets))
    await lose(scene, place, -dice.choice((-2, -1, 1, 2, 3, 5)), dice)


async def lose(scene: Scene, place: Place, quantity: int, dice: random.Random) -> None:
    """So much is no longer there, or more than there was."""
    if scene.pos:
        scene.pos.move(place, -quantity)
        await _hear(scene.pos, [place], dice)
        return
    kind = inventory_pb2.MOVEMENT_KIND_RECEIPT
    request = inventory_pb2.AdjustStockRequest(
        request_id=f"adjust {dice.getrandbits(40):010x}",
        kind=kind if quantity < 0 else inventory_pb2.MOVEMENT_KIND_ADJUSTMENT,
        lines=[
            inventory_pb2.Adjustment(item_id=place[0], outlet_id=place[1], quantity=str(-quantity))
        ],
        cause="by hand",
    )
    await perhaps_twice(scene, scene.shop.services.inventory.AdjustStock, request, dice)


async def stocktake(scene: Scene, dice: random.Random) -> None:
    """Somebody counts. What was counted may arrive after a later count, and a count that comes
    without a version is as good as the moment it arrives. An outside point of sale is polled while
    everything goes on (P16).
    """
    shop = scene.shop
    if scene.pos:
        await scene.pos.sweep()
        return
    outlet = dice.choice(shop.outlets)
    version = 0 if dice.random() < 0.3 else shop.version()
    name = version or f"{dice.getrandbits(40):010x}"
    counts = [
        inventory_pb2.Count(
            item_id=item, outlet_id=outlet, quantity=str(dice.randint(-1, 9)), version=version
        )
        for item in dice.sample(shop.items, dice.choice((1, 2)))
    ]
    request = inventory_pb2.RecordCountsRequest(
        request_id=f"counts {name}", counts=counts, cause="stocktake"
    )
    await asyncio.sleep(dice.random() ** 3 * 3)
    await perhaps_twice(scene, shop.services.inventory.RecordCounts, request, dice)


async def transfer(scene: Scene, dice: random.Random) -> None:
    """Stock goes from one outlet to another."""
    shop = scene.shop
    item, outlets = dice.choice(shop.items), dice.sample(shop.outlets, 2)
    if scene.pos:
        scene.pos.move((item, outlets[0]), -1)
        scene.pos.move((item, outlets[1]), 1)
        await _hear(scene.pos, [(item, outlet) for outlet in outlets], dice)
        return
    request = inventory_pb2.TransferStockRequest(
        request_id=f"transfer {dice.getrandbits(40):010x}",
        from_outlet_id=outlets[0],
        to_outlet_id=outlets[1],
        lines=[inventory_pb2.TransferLine(item_id=item, quantity=some(dice))],
        cause="van",
    )
    await perhaps_twice(scene, shop.services.inventory.TransferStock, request, dice)


async def order(scene: Scene, dice: random.Random) -> None:
    """Somebody orders in a store; later pays, cancels or changes it, and the store tells all of
    that as stores do: late, twice, in any order.
    """
    shop, channel_id = scene.shop, dice.choice(list(scene.shop.channels))
    number = f"{shop.merchant}-order-{dice.getrandbits(40):010x}"
    placed = shop.orders[number] = Placed(channel_id)
    placed.documents.append(_document(scene, channel_id, number, dice))
    tells = [asyncio.ensure_future(_tell(scene, placed, 0, dice))]
    for step in _life(dice):
        await asyncio.sleep(dice.random() * 1.5)
        following = order_pb2.OrderDocument()
        following.CopyFrom(placed.latest)
        following.version += 1
        if step == "more":
            following.lines[0].quantity = str(int(following.lines[0].quantity) + 1)
        else:
            following.payment_status = PAID if step == "paid" else CANCELED
        placed.documents.append(following)
        tells.append(asyncio.ensure_future(_tell(scene, placed, len(placed.documents) - 1, dice)))
    if dice.random() < 0.2:
        old = dice.randrange(len(placed.documents))
        tells.append(asyncio.ensure_future(_tell(scene, placed, old, dice)))
    await asyncio.gather(*tells)


async def buy(scene: Scene, channel_id: str, dice: random.Random) -> str:
    """Somebody orders what is there, as far as the store shows it, and pays at once; returns which
    order it is.
    """
    number = f"{scene.shop.merchant}-order-{dice.getrandbits(40):010x}"
    placed = scene.shop.orders[number] = Placed(channel_id)
    document = _document(scene, channel_id, number, dice)
    document.payment_status, document.outlet_id = PAID, ""
    shown = {sku(item): there for item, there in scene.stores[channel_id].shown.items()}
    for line in document.lines:
        there = shown.get(line.sku, 0) // len(document.lines)
        line.quantity = str(max(1, min(int(line.quantity), there)))
    placed.documents.append(document)
    await _tell(scene, placed, 0, dice)
    return number


def _life(dice: random.Random) -> list[str]:
    return dice.choice(
        (
            [],
            ["paid"],
            ["paid"],
            ["paid"],
            ["canceled"],
            ["paid", "canceled"],
            ["more"],
            ["more", "paid"],
        )
    )


def _document(
    scene: Scene, channel_id: str, number: str, dice: random.Random
) -> order_pb2.OrderDocument:
    shop = scene.shop
    shown = scene.stores[channel_id].shown
    wanted = [item for item in shop.items if shown.get(item, 0) > 0 or dice.random() < 0.2]
    items = [dice.choice(wanted or shop.items) for _ in range(dice.choice((1, 1, 2)))]
    paid_at_once = dice.random() < 0.4
    tied = dice.random() < 0.2
    return order_pb2.OrderDocument(
        order_id=number,
        version=1,
        payment_status=PAID if paid_at_once else AWAITING,
        email=dice.choice(BUYERS),
        payment_method="Card",
        lines=[
            order_pb2.OrderLine(
                line_id=str(index), sku=sku(item), quantity=str(dice.choice((1, 1, 1, 2, 3)))
            )
            for index, item in enumerate(items)
        ],
        fulfillment_kind=order_pb2.FULFILLMENT_KIND_PICKUP,
        outlet_id=dice.choice(shop.outlets) if tied else "",
        total=euros(10 * len(items)),
    )


async def _tell(scene: Scene, placed: Placed, index: int, dice: random.Random) -> None:
    """Ingests one document of an order, perhaps several times."""
    document = placed.documents[index]
    orders = scene.shop.services.orders
    times = dice.choice((1, 1, 2))
    for _ in range(times):
        await asyncio.sleep(dice.random() ** 3 * 2)
        request = order_pb2.IngestOrderRequest(
            request_id=f"ingest {document.order_id} {index} {dice.getrandbits(32):08x}",
            channel_id=placed.channel_id,
            document=document,
        )
        await scene.shop.book.send(orders.IngestOrder, request, dice, patience=100)


async def cart(scene: Scene, dice: random.Random) -> None:
    """A cart holds stock, and is given up or sold."""
    shop, inventory = scene.shop, scene.shop.services.inventory
    name = f"{shop.merchant}-cart-{dice.getrandbits(40):010x}"
    held = await perhaps_twice(
        scene,
        inventory.ReserveStock,
        inventory_pb2.ReserveStockRequest(
            request_id=f"hold {name}",
            channel_id=dice.choice(list(shop.channels)),
            lines=[
                inventory_pb2.ReservationLine(
                    line_id=str(index), item_id=dice.choice(shop.items), quantity=some(dice)
                )
                for index in range(dice.choice((1, 2)))
            ],
            cause=name,
            time_to_live_s=dice.choice((0, 0, 1)),
        ),
        dice,
    )
    await asyncio.sleep(dice.random() * 2)
    reservation_id = held.reservation.reservation_id
    if scene.pos or dice.random() < 0.5:
        await perhaps_twice(
            scene,
            inventory.ReleaseReservation,
            inventory_pb2.ReleaseReservationRequest(
                request_id=f"release {name}", reservation_id=reservation_id
            ),
            dice,
        )
    else:
        await perhaps_twice(
            scene,
            inventory.CommitReservation,
            inventory_pb2.CommitReservationRequest(
                request_id=f"commit {name}", reservation_id=reservation_id
            ),
            dice,
        )


async def connect(scene: Scene, dice: random.Random) -> None:
    """An operator connects and disconnects outlets, or moves a channel to another register or
    primary outlet.
    """
    shop, channels = scene.shop, scene.shop.services.channels
    channel_id = dice.choice(list(shop.channels))
    which = dice.random()
    if which < 0.2:
        await perhaps_twice(
            scene,
            channels.SetPrimaryOutlet,
            channels_pb2.SetPrimaryOutletRequest(
                request_id=f"primary {dice.getrandbits(40):010x}",
                channel_id=channel_id,
                outlet_id=dice.choice(shop.outlets),
            ),
            dice,
        )
        return
    if which < 0.45:
        await perhaps_twice(
            scene,
            channels.SetRegister,
            channels_pb2.SetRegisterRequest(
                request_id=f"register {dice.getrandbits(40):010x}",
                channel_id=channel_id,
                register_id=f"till-{dice.choice(shop.outlets)}",
            ),
            dice,
        )
        return
    wanted = dice.sample(shop.outlets, dice.randint(1, len(shop.outlets)))
    await perhaps_twice(
        scene,
        channels.SetConnectedOutlets,
        channels_pb2.SetConnectedOutletsRequest(
            request_id=f"connect {dice.getrandbits(40):010x}",
            channel_id=channel_id,
            outlet_ids=wanted,
        ),
        dice,
    )


async def catalog(scene: Scene, dice: random.Random) -> None:
    """A product changes, or is deleted and comes back."""
    shop, services = scene.shop, scene.shop.services
    item = dice.choice(shop.items)
    if dice.random() < 0.5:
        shop.gone.add(item)
        shop.deleted.add(item)
        request = catalog_pb2.DeleteProductRequest(
            request_id=f"delete {dice.getrandbits(40):010x}",
            product_id=f"product-{item}",
            version=shop.version(),
        )
        await shop.book.send(services.catalog.DeleteProduct, request, dice, patience=100)
        await asyncio.sleep(dice.random() ** 3 * 3)  # often before everybody knows
    told = catalog_pb2.BatchUpsertProductsRequest(
        request_id=f"change {dice.getrandbits(40):010x}",
        products=[product(item, shop.version())],
    )
    await shop.book.send(services.catalog.BatchUpsertProducts, told, dice, patience=100)
    shop.gone.discard(item)


async def _hear(pos: OutsidePos, places: list[tuple[str, str]], dice: random.Random) -> None:
    """What an outside point of sale tells of places: perhaps twice, perhaps late, perhaps never."""
    for _ in range(dice.choice((0, 1, 1, 2))):
        await pos.tell(places, patience=3)
        await asyncio.sleep(dice.random())


async def perhaps_twice(
    scene: Scene, method: Callable[..., Awaitable[Answer]], request: Message, dice: random.Random
) -> Answer:
    """Sends a change; somebody impatient does not wait for an answer, somebody nervous presses the
    button twice.
    """
    book, patience = scene.shop.book, 1 if dice.random() < 0.1 else 12
    if dice.random() < 0.15:
        first = asyncio.ensure_future(book.send(method, request, dice, patience=patience))
        await asyncio.sleep(dice.random() * 0.01)
        second = book.send(method, request, dice, patience=patience)
        found = await asyncio.gather(first, second, return_exceptions=True)
        for one in found:
            if not isinstance(one, BaseException):
                return one
        assert isinstance(found[0], BaseException)
        raise found[0]
    return await book.send(method, request, dice, patience=patience)


def some(dice: random.Random) -> str:
    return dice.choice(("1", "1", "1", "2", "2", "0.5", "3"))


Doing = Callable[[Scene, random.Random], Awaitable[None]]

ACTIONS: Mapping[str, tuple[int, Doing]] = {
    "till sale": (6, till_sale),
    "adjust": (3, adjust),
    "stocktake": (2, stocktake),
    "transfer": (2, transfer),
    "order": (8, order),
    "cart": (3, cart),
    "connect": (2, connect),
    "catalog": (1, catalog),
}
"""Weight and deed, by name."""
