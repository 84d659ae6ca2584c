"""What quotes are made from, looked up once for all that are asked for at the same time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from services.chassis.database import Database
from services.chassis.errors import DomainError
from services.chassis.rpc import View
from services.order.peers import Peers
from services.order.rules.checkout import Cart, Offer, Stock
from services.order.store import shipping as store

ITEMS_MAX = 2000
"""Items that inventory is asked about at a time; its contract takes no more."""
OUTLETS_MAX = 200
"""Likewise outlets."""

CHANNELS_MAX = 1_000
"""Channels whose methods are kept ready."""

Found = tuple[Sequence[Offer], Stock]
Key = tuple[str, str]
"""Merchant and channel."""


@dataclass(frozen=True, slots=True, eq=False)
class _Ask:
    """A cart that waits."""

    item_ids: frozenset[str]
    answer: asyncio.Future[Found]


@dataclass(frozen=True, slots=True, eq=False)
class _Ready:
    """A channel's methods, ready for quotes, and of which editions they are made."""

    editions: store.Editions
    offers: Sequence[Offer]


class Quotes:
    """Looks up methods and stock: while it does so for some carts of a channel, the next ones
    gather. A cart that comes alone waits for nobody.
    """

    def __init__(self, database: Database, peers: Peers) -> None:
        self._database = database
        self._peers = peers
        self._waiting: dict[Key, list[_Ask]] = {}
        self._ready: dict[Key, _Ready] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, merchant: str, channel_id: str, cart: Cart) -> Found:
        """The channel's methods by position, and what outlets could give of the cart's items.

        Raises:
            DomainError: ITEM_NOT_FOUND, or that inventory cannot be reached.
        """
        answer: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        ask = _Ask(frozenset(line.item_id for line in cart.lines), answer)
        key = (merchant, channel_id)
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append(ask)
        else:
            self._waiting[key] = [ask]
            task = asyncio.ensure_future(self._look(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def _look(self, key: Key) -> None:
        """Looks up group after group until nobody waits."""
        while group := self._take(key):
            try:
                await self._answer(key, group)
            except Exception as error:
                for ask in group:
                    if not ask.answer.done():
                        ask.answer.set_exception(error)
        del self._waiting[key]

    def _take(self, key: Key) -> list[_Ask]:
        """Those that wait, as many as inventory may be asked about at once."""
        waiting, taken = self._waiting[key], 0
        items: set[str] = set()
        for ask in waiting:
            items |= ask.item_ids
            if len(items) > ITEMS_MAX:
                break
            taken += 1
        group = waiting[:taken]
        del waiting[:taken]
        return group

    def _read(self, view: View, channel_id: str) -> _Ready:
        """A channel's methods as they are; they are read whole where they are not as before."""
        key = (view.merchant, channel_id)
        known = self._ready.get(key)
        editions = store.editions(view.connection, *key)
        if known and known.editions == editions:
            return known
        methods = store.channel_methods(view.connection, *key)
        return _Ready(editions, [Offer(method) for method in methods])

    async def _offers(self, key: Key) -> Sequence[Offer]:
        merchant, channel_id = key
        ready = await self._database.read(
            lambda connection: self._read(View(connection, merchant), channel_id)
        )
        if self._ready.get(key) is not ready:
            if len(self._ready) >= CHANNELS_MAX:
                self._ready.clear()
            self._ready[key] = ready
        return ready.offers

    async def _answer(self, key: Key, group: Sequence[_Ask]) -> None:
        merchant, channel_id = key
        offers = await self._offers(key)
        tied = {offer.method.outlet_id for offer in offers if offer.method.outlet_id}
        if len(tied) > OUTLETS_MAX:  # those that are connected are told of anyway
            tied -= (await self._peers.channel(merchant, channel_id)).storefront.connected
        outlets = sorted(tied)[:OUTLETS_MAX]
        items = sorted(frozenset[str]().union(*(ask.item_ids for ask in group)))
        try:
            stock = await self._peers.availability(merchant, channel_id, items, outlets)
        except DomainError as error:
            if len(group) == 1 or error.transient:
                raise
            # One cart has something in it that inventory does not know: the others are well.
            for ask in group:
                await self._answer_alone(key, ask)
            return
        for ask in group:
            if not ask.answer.done():
                ask.answer.set_result((offers, stock))

    async def _answer_alone(self, key: Key, ask: _Ask) -> None:
        try:
            await self._answer(key, [ask])
        except DomainError as error:
            if not ask.answer.done():
                ask.answer.set_exception(error)
