"""What stores, tills and offices ask for in a run: the same for the same seed.

What they ask for never runs out and never collides, so that the state it ends in is the same
whatever happens on the way: that is what runs are compared by.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from tests.chaos.plan import Plan
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2
from tillbridge.order.v1 import order_pb2

HOME, BRANCH = "harbor", "market"
ITEMS = tuple(f"cup-{number:02}" for number in range(40))
COUNTED = tuple(f"seed-{number}" for number in range(5))
"""Items that are only ever counted: by the version of the count."""
TIMED = tuple(f"clay-{number}" for number in range(5))
"""Items that are only ever counted: by the time of the count."""
BUYERS = 200
STOCK = "1000000"
COUNTING_BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
SHORT_S, LONG_S = 2, 3600
"""How long carts hold their stock: some end within a run, and some do not."""

AWAITING, PAID = order_pb2.PAYMENT_STATUS_AWAITING, order_pb2.PAYMENT_STATUS_PAID
CANCELED = order_pb2.PAYMENT_STATUS_CANCELED


@dataclass(frozen=True, slots=True)
class Errand:
    """One request, and how it is brought."""

    method: str
    request: Any
    by_http: bool = False
    """Through the gateway, instead of straight to the service."""
    twice: bool = False
    """Brought again when it is done already."""

    def __str__(self) -> str:
        return f"{self.method} {self.request.request_id!r}"


Story = Sequence[Errand]
"""Errands that one client runs, one after the other."""


def opening() -> list[Errand]:
    """What has to be there first; the channel is made last."""
    made: list[Errand] = []
    for outlet in (HOME, BRANCH):
        place = channels_pb2.Outlet(outlet_id=outlet, display_name=outlet)
        made.append(
            Errand(
                "CreateOutlet",
                channels_pb2.CreateOutletRequest(request_id=f"open {outlet}", outlet=place),
            )
        )
    made.append(_products(1, [*ITEMS, *COUNTED, *TIMED]))
    lines = [
        inventory_pb2.Adjustment(item_id=item, outlet_id=outlet, quantity=STOCK)
        for item in ITEMS
        for outlet in (HOME, BRANCH)
    ]
    made.append(_adjustment("first delivery", lines, inventory_pb2.MOVEMENT_KIND_RECEIPT))
    channel = channels_pb2.CreateChannelRequest(
        request_id="channel",
        display_name="Store",
        profile=channels_pb2.PROFILE_RETAIL_R_ECOM,
        primary_outlet_id=HOME,
        connected_outlet_ids=[BRANCH],
    )
    return [*made, Errand("CreateChannel", channel)]


def stories(plan: Plan, channel_id: str) -> list[Story]:
    """Everything that is asked for in a run, in the order in which it begins."""
    dice = random.Random(f"errands {plan.seed}")
    few = max(1, plan.orders // 50)
    told: list[Story] = [
        *(_order(number, channel_id, dice) for number in range(plan.orders)),
        *([_sale(number, dice)] for number in range(5 * few)),
        *([_found(number, dice)] for number in range(5 * few)),
        *([_transfer(number, dice)] for number in range(few)),
        *([_cart(number, channel_id, dice)] for number in range(2 * few)),
        *([errand] for errand in _counts(few, dice)),
        *([_products(version, ITEMS[:3])] for version in range(2, few // 2 + 2)),
    ]
    dice.shuffle(told)
    return told


def errands_in(told: Sequence[Story]) -> int:
    """How many errands there are."""
    return sum(len(story) for story in told)


def _euros(units: int) -> Money:
    return Money(currency_code="EUR", units=units)


def _products(version: int, items: Sequence[str]) -> Errand:
    products = [
        catalog_pb2.Product(
            product_id=f"product-{item}",
            name=f"{item} as of {version}",
            active=True,
            variants=[
                catalog_pb2.Variant(item_id=item, sku=f"SKU-{item}", retail_price=_euros(10))
            ],
            version=version,
        )
        for item in items
    ]
    request = catalog_pb2.BatchUpsertProductsRequest(
        request_id=f"products as of {version}", products=products
    )
    return Errand("BatchUpsertProducts", request)


def _order(number: int, channel_id: str, dice: random.Random) -> Story:
    """An order: paid at once, paid later, or canceled instead."""
    lines = [
        order_pb2.OrderLine(
            line_id=str(position),
            item_id=item,
            sku=f"SKU-{item}",
            name=item,
            quantity=str(dice.randint(1, 3)),
            unit_price=_euros(10),
        )
        for position, item in enumerate(dice.sample(ITEMS, dice.choice((1, 1, 2, 3))))
    ]
    ways = ((PAID,), (PAID,), (PAID,), (AWAITING, PAID), (AWAITING, CANCELED))
    by_http, twice = dice.random() < 0.1, dice.random() < 0.05
    buyer = dice.randrange(BUYERS)
    return [
        Errand(
            "IngestOrder",
            order_pb2.IngestOrderRequest(
                request_id=f"order {number} v{version}",
                channel_id=channel_id,
                document=order_pb2.OrderDocument(
                    order_id=f"order-{number}",
                    version=version,
                    email=f"buyer-{buyer}@example.com",
                    buyer_name=f"Buyer {buyer}",
                    payment_status=status,
                    payment_method="Card",
                    payment_processor="Stripe",
                    lines=lines,
                    total=_euros(10 * sum(int(line.quantity) for line in lines)),
                ),
            ),
            by_http=by_http,
            twice=twice,
        )
        for version, status in enumerate(dice.choice(ways), 1)
    ]


def _sale(number: int, dice: random.Random) -> Errand:
    lines = [
        order_pb2.SaleLine(item_id=item, quantity=str(dice.randint(1, 3)), unit_price=_euros(10))
        for item in dice.sample(ITEMS, dice.choice((1, 2)))
    ]
    total = _euros(10 * sum(int(line.quantity) for line in lines))
    sale = order_pb2.Sale(
        sale_id=f"sale-{number}",
        outlet_id=dice.choice((HOME, BRANCH)),
        lines=lines,
        payments=[order_pb2.SalePayment(method="Cash", amount=total)],
        total=total,
    )
    request = order_pb2.RecordSaleRequest(request_id=f"sale {number}", sale=sale)
    return Errand("RecordSale", request, twice=dice.random() < 0.1)


def _adjustment(
    request_id: str,
    lines: Sequence[inventory_pb2.Adjustment],
    kind: inventory_pb2.MovementKind.ValueType,
    *,
    twice: bool = False,
) -> Errand:
    request = inventory_pb2.AdjustStockRequest(
        request_id=request_id, kind=kind, lines=lines, cause="by hand"
    )
    return Errand("AdjustStock", request, twice=twice)


def _found(number: int, dice: random.Random) -> Errand:
    """Something is found, or broken."""
    lines = [
        inventory_pb2.Adjustment(
            item_id=item,
            outlet_id=dice.choice((HOME, BRANCH)),
            quantity=dice.choice(("-2", "-0.5", "1", "2.125", "7")),
        )
        for item in dice.sample(ITEMS, dice.choice((1, 1, 4)))
    ]
    kind = inventory_pb2.MOVEMENT_KIND_ADJUSTMENT
    return _adjustment(f"found {number}", lines, kind, twice=dice.random() < 0.1)


def _transfer(number: int, dice: random.Random) -> Errand:
    source, target = dice.sample((HOME, BRANCH), 2)
    request = inventory_pb2.TransferStockRequest(
        request_id=f"transfer {number}",
        from_outlet_id=source,
        to_outlet_id=target,
        lines=[inventory_pb2.TransferLine(item_id=dice.choice(ITEMS), quantity="2.5")],
        cause="van",
    )
    return Errand("TransferStock", request, twice=dice.random() < 0.1)


def _cart(number: int, channel_id: str, dice: random.Random) -> Errand:
    line = inventory_pb2.ReservationLine(line_id="1", item_id=dice.choice(ITEMS), quantity="1")
    kind, time_to_live_s = (("short", SHORT_S), ("long", LONG_S))[number % 2]
    request = inventory_pb2.ReserveStockRequest(
        request_id=f"cart {number}",
        channel_id=channel_id,
        lines=[line],
        cause=f"{kind} cart {number}",
        time_to_live_s=time_to_live_s,
    )
    return Errand("ReserveStock", request, twice=dice.random() < 0.1)


def _counts(rounds: int, dice: random.Random) -> Iterator[Errand]:
    """Counts that come in any order, of which the newest holds."""
    for number in range(1, rounds + 1):
        when = Timestamp()
        when.FromDatetime(COUNTING_BEGAN + timedelta(hours=number))
        counts = [
            *(
                inventory_pb2.Count(
                    item_id=item, outlet_id=HOME, quantity=str(dice.randint(0, 99)), version=number
                )
                for item in COUNTED
            ),
            *(
                inventory_pb2.Count(
                    item_id=item,
                    outlet_id=BRANCH,
                    quantity=str(dice.randint(0, 99)),
                    observe_time=when,
                )
                for item in TIMED
            ),
        ]
        request = inventory_pb2.RecordCountsRequest(
            request_id=f"counts {number}", counts=counts, cause="stocktake"
        )
        yield Errand("RecordCounts", request, twice=dice.random() < 0.3)
