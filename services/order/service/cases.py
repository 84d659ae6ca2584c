"""Orders with all that has become of them, loaded and saved together."""

from collections.abc import Collection, Sequence

from services.chassis.database import Transaction
from services.order.rules.case import Case
from services.order.rules.order import Order, OrderKey
from services.order.rules.return_sales import following_keys
from services.order.rules.sale import Sale, SaleKey
from services.order.service.drift import note_shown
from services.order.service.told import tell_fulfillment, tell_order, tell_sale
from services.order.store import fulfillments, orders, sales


class Cases:
    """The cases of a group of calls: as they are known, and as they become.

    Loading takes three statements however many there are, and locks the orders, then their sales;
    who has an order locked has its fulfillments.

    Args:
        transaction: to load and save in.
        keys: the orders; those that do not exist are left out.
        returned: return sales to load beside those that follow their order's document.
    """

    def __init__(
        self,
        transaction: Transaction,
        keys: Collection[OrderKey],
        returned: Collection[SaleKey] = (),
    ) -> None:
        self._transaction = transaction
        connection = transaction.connection
        found = orders.orders(connection, keys, lock=True)
        wanted = [key for order in found.values() for key in _sale_keys(order)]
        self._sales = sales.sales(connection, [*wanted, *returned], lock=True)
        handed = [key for key, order in found.items() if _has_fulfillments(order)]
        of_orders = fulfillments.of_orders(connection, handed)
        by_order: dict[OrderKey, list[Sale]] = {}
        for sale in self._sales.values():
            if sale.return_for:
                key = OrderKey(sale.key.merchant_id, sale.channel_id, sale.order_id)
                by_order.setdefault(key, []).append(sale)
        self.known = {
            key: Case(
                order,
                self._sales.get(_sale_key(order)),
                of_orders.get(key, ()),
                tuple(by_order.get(key, ())),
            )
            for key, order in found.items()
        }
        self.going = dict(self.known)

    @property
    def orders(self) -> dict[OrderKey, Order]:
        """The orders as they were loaded."""
        return {key: case.order for key, case in self.known.items()}

    def save(self) -> None:
        """Saves all that has changed, and tells it; who has taken a run keeps it."""
        changed = [
            case.order for key, case in self.going.items() if case.order != self.known[key].order
        ]
        orders.save_orders(self._transaction.connection, changed, self.orders, keep_leases=True)
        awaited = [one for one in changed if one.awaited != self.known[one.key].order.awaited]
        orders.set_awaited(self._transaction.connection, awaited)
        self.save_rest()
        self.tell_orders()

    def save_rest(self) -> None:
        """Saves what has changed beside the orders, and tells it."""
        transaction = self._transaction
        changed = [
            sale
            for case in self.going.values()
            for sale in ((case.sale, *case.returns) if case.sale else case.returns)
            if self._sales.get(sale.key) != sale
        ]
        sales.save_sales(transaction.connection, changed, self._sales)
        for sale in changed:
            known = self._sales.get(sale.key)
            if known is None or known.revision != sale.revision:
                tell_sale(transaction, sale)
        before = {
            fulfillments.key_of(one): one
            for case in self.known.values()
            for one in case.fulfillments
        }
        handled = [
            one
            for case in self.going.values()
            for one in case.fulfillments
            if before.get(fulfillments.key_of(one)) != one
        ]
        fulfillments.save_fulfillments(transaction.connection, handled, before)
        for one in handled:
            tell_fulfillment(transaction, one)
        note_shown(transaction, self.known, self.going)

    def tell_orders(self) -> None:
        """Tells which orders got further, or wait."""
        for key, case in self.going.items():
            if _news(case.order) != _news(self.known[key].order):
                tell_order(self._transaction, case.order)


def _sale_key(order: Order) -> SaleKey:
    return SaleKey(order.key.merchant_id, order.sale_id)


def _sale_keys(order: Order) -> Sequence[SaleKey]:
    return [_sale_key(order), *following_keys(order)] if order.sale_id else ()


def _has_fulfillments(order: Order) -> bool:
    """Whether an order may have some: where the store manages that, it has none."""
    return bool(order.sale_id) and not (order.accounts and order.accounts.by_store)


def _news(order: Order) -> tuple[object, ...]:
    """What is told when it is different."""
    reason = order.waiting.reason if order.waiting else ""
    taken_back = (order.cancel_time, order.refunds, order.accounts)
    return order.state, reason, order.store_update, order.paid, *taken_back
