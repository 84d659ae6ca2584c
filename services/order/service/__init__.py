"""The RPCs of orders, sales, fulfillments and shipping methods: read, decide, write, tell.

`orders` takes what a store tells, `runs` is how an order then goes on by itself, `sales` is the
sales history, `returns` takes orders back, `fulfillments` and `shipping` are what their names say,
`attention` is what waits for an operator, `followers` what lets it go on, `drift` and `healing` are
where stores have something else.
"""

from collections.abc import Sequence
from functools import partial

from services.chassis.database import Database
from services.chassis.follow import follow
from services.chassis.run import Parts, Wiring
from services.order.peers import Peers
from services.order.service.attention import Attention
from services.order.service.followers import (
    CatalogFollower,
    CustomerFollower,
    InventoryFollower,
)
from services.order.service.fulfillments import FulfillmentService
from services.order.service.healing import Healing
from services.order.service.orders import Orders
from services.order.service.returns import Returns
from services.order.service.runs import OrderRuns
from services.order.service.sales import Sales
from services.order.service.shipping import ShippingService
from services.order.service.shipping_follower import ShippingFollower
from services.order.service.takes import StockTakes
from tillbridge.events.v1 import events_pb2
from tillbridge.order.v1 import fulfillment_pb2, order_pb2, shipping_pb2


class OrderService(Orders, Sales, Returns, Attention, Healing):
    """Implements `tillbridge.order.v1.OrderService`."""

    def __init__(self, database: Database, peers: Peers) -> None:
        Orders.__init__(self, database, peers)


def build(parts: Parts) -> Wiring:
    """The order service, its runs, and what it follows."""
    peers = Peers(parts.connect, parts.identity)
    runs = OrderRuns(parts.database, peers)
    takes = StockTakes(parts.database, peers)
    parts.database.on_commit += [runs.pool.wake, takes.pool.wake]
    items, customers = CatalogFollower(parts.database), CustomerFollower(parts.database)
    stock = InventoryFollower(parts.database, peers)
    contracts = {
        order_pb2.DESCRIPTOR.services_by_name["OrderService"]: OrderService(parts.database, peers),
        fulfillment_pb2.DESCRIPTOR.services_by_name["FulfillmentService"]: FulfillmentService(),
        shipping_pb2.DESCRIPTOR.services_by_name["ShippingService"]: ShippingService(
            parts.database, peers
        ),
    }
    methods = ShippingFollower(parts.database, peers)

    async def inventory_told(events: Sequence[events_pb2.Event]) -> None:
        """One reader for both: the inventory tells a lot."""
        await stock.handle(events)
        await methods.handle(events)

    following = [
        partial(follow, parts.connect("catalog"), parts.identity, items.request, items.handle),
        partial(
            follow, parts.connect("customer"), parts.identity, customers.request, customers.handle
        ),
        partial(follow, parts.connect("inventory"), parts.identity, stock.request, inventory_told),
    ]
    return Wiring(contracts, [runs.pool.run, takes.pool.run, *following])
