"""Stock to the store: the current figure, absolute (INV-02 to INV-07)."""

from collections.abc import Callable, Sequence

from gateway.ecom import Figure, Store
from gateway.platform import PlatformError
from gateway.push.chores import Failures, one_by_one
from gateway.push.echoes import Echoes
from gateway.push.shelves import Shelves
from services.chassis import failpoints
from services.chassis.errors import DomainError


class StockPush:
    """Writes the stock of items.

    Args:
        store: where to.
        shelves: what it holds.
        echoes: told what is written.
        missing: told the products that the store turned out not to hold any more.
    """

    def __init__(
        self,
        store: Store,
        shelves: Shelves,
        echoes: Echoes,
        missing: Callable[[Sequence[str]], None],
    ) -> None:
        self._store = store
        self._shelves = shelves
        self._echoes = echoes
        self._missing = missing

    async def do(self, item_ids: Sequence[str]) -> Failures:
        """Writes what the store shall show of these items now. Items that it does not hold are
        left alone: their stock goes with their listing.
        """
        held = [item_id for item_id in item_ids if self._shelves.slot_of(item_id)]
        if not held:
            return {}
        writes = {item_id: self._writes(item_id) for item_id in held}
        try:
            figures = await self._shelves.figures(held)
        except DomainError as error:
            return dict.fromkeys(held, error)

        async def write(item_id: str) -> None:
            await self._write(item_id, figures.get(item_id), writes[item_id])

        return await one_by_one(held, write)

    def _writes(self, item_id: str) -> int:
        return self._shelves.writes(self._shelves.product_of(item_id))

    async def _write(self, item_id: str, figure: Figure | None, writes: int) -> None:
        product_id = self._shelves.product_of(item_id)
        async with self._shelves.lock(product_id):
            slot = self._shelves.slot_of(item_id)
            if writes != self._writes(item_id):  # somebody wrote since the figure was read
                figure = (await self._shelves.figures([item_id])).get(item_id)
            if slot is None or figure is None:
                return
            self._echoes.expect(slot.shelf_id)  # it may come before the answer to our write
            failpoints.at("push.stock.due")
            try:
                await self._store.write_stock(slot, figure)
                failpoints.at("push.stock.written")
            except PlatformError as error:
                if error.status != 404:
                    raise
                self._shelves.drop(product_id)
                self._missing([product_id])
                return
            self._shelves.wrote(item_id, figure)
