"""Bugs to plant, so that it is known that the simulation finds their like.

Each is a context manager that breaks one thing in the services while it is open.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import count
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, Table

from services.chassis import follow, statements
from services.chassis.plumbing import Plumbing
from services.inventory.rules import incidents, reservations
from services.inventory.rules import stock as stock_rules
from services.inventory.rules.channels import Channel
from services.inventory.rules.stock import Count, Draft, Hold, Level
from services.inventory.service import figures, watch
from services.inventory.store import stock as stock_store
from services.order.rules import accounting, progress, returns
from services.order.rules import stock as order_stock
from services.order.rules.case import Case
from services.order.rules.order import Order
from services.order.rules.sale import Sale
from services.order.service import followers
from services.order.wire import requests
from tillbridge.events.v1 import events_pb2
from tillbridge.inventory.v1.events_pb2 import OnlineStockChanged

SKIP_EVERY = 5
FIGURE = OnlineStockChanged.DESCRIPTOR.full_name


@contextmanager
def dropped_lock() -> Iterator[None]:
    """Decisions are made from levels that somebody else has changed meanwhile, and are saved all
    the same.
    """
    with stale_read(), patch.object(stock_store, "save_decided", _save_whatever):
        yield


@contextmanager
def stale_read() -> Iterator[None]:
    """Every other time, levels are read as they were at the time before, as by a replica that
    lags.
    """
    load, turn = stock_store.load_levels, count()
    before: dict[tuple[Any, ...], list[tuple[str, Level]]] = {}

    def load_levels(connection: Connection, wanted: Sequence[Any]) -> list[tuple[str, Level]]:
        key = tuple(sorted(wanted))
        rows = list(load(connection, wanted))
        old = before.get(key, rows)
        before[key] = rows
        return old if next(turn) % 2 else rows

    with patch.object(stock_store, "load_levels", load_levels):
        yield


def _save_whatever(
    connection: Connection,
    table: Table,
    rows: Sequence[tuple[Any, ...]],
    columns: Sequence[str],
    _decided_on: Sequence[str],
    *,
    keep: Sequence[str] = (),
) -> None:
    kept = [row[: len(columns)] for row in rows]
    statements.upsert(connection, table, kept, columns, keep=keep)


@contextmanager
def skipped_outbox_row() -> Iterator[None]:
    """Now and then a change of stock is not told."""
    append, number = Plumbing.append, count(1)

    def skipping(self: Plumbing, connection: Connection, events: Sequence[Any]) -> None:
        told = [event for event in events if FIGURE not in event or next(number) % SKIP_EVERY]
        append(self, connection, told)

    with patch.object(Plumbing, "append", skipping):
        yield


@contextmanager
def doubled_retry() -> Iterator[None]:
    """A request that comes again is carried out again."""
    with (
        patch.object(Plumbing, "answers", lambda *_: {}),
        patch.object(Plumbing, "remember", lambda *_: None),
    ):
        yield


@contextmanager
def stale_write() -> Iterator[None]:
    """A count that is older than what is known replaces it."""
    with patch.object(stock_rules, "_counted", _as_told):
        yield


def _as_told(_draft: Draft, _level: Level, told: Count) -> tuple[int, None]:
    return told.quantity, None


def _posted(_level: Level, hold: Hold) -> bool:
    return hold.pos_version is not None


@contextmanager
def freed_early() -> Iterator[None]:
    """A posted sale's hold ends with the next count, though that does not include the sale."""
    with patch.object(stock_rules, "_includes", _posted):
        yield


@contextmanager
def promised_twice() -> Iterator[None]:
    """What is held for one order is promised to the next."""
    with patch.object(Level, "available", property(lambda level: max(0, level.on_hand))):
        yield


@contextmanager
def acknowledged_early() -> Iterator[None]:
    """A follower says that it has seen events before it has handled them."""
    step = follow._step  # noqa: SLF001  (what is broken here)

    async def hasty(stub: Any, identity: Any, request: Any, handle: Any, place: Any) -> None:
        async def first(events: Sequence[events_pb2.Event]) -> None:
            await stub.AckEvents(
                events_pb2.AckEventsRequest(
                    feed=request.feed, consumer=request.consumer, cursor=events[-1].cursor
                ),
                metadata=identity.metadata(),
                timeout=10,
            )
            await handle(events)

        await step(stub, identity, request, first, place)

    with patch.object(follow, "_step", hasty):
        yield


@contextmanager
def told_while_off() -> Iterator[None]:
    """A channel goes on being told of stock though that is switched off."""
    with patch.object(Channel, "stands_still", property(lambda _: False)):
        yield


@contextmanager
def never_silent() -> Iterator[None]:
    """An outlet that says nothing any more is trusted all the same."""
    with (
        patch.object(watch, "listen", lambda channel, *_: channel),
        patch.object(figures, "listen", lambda channel, *_: channel),
    ):
        yield


@contextmanager
def unseen_incident() -> Iterator[None]:
    """Nobody is told that a till has sold what was promised."""
    with patch.object(incidents, "opens", lambda *_: False):
        yield


@contextmanager
def moved_in_part() -> Iterator[None]:
    """What an operator moves to another outlet stays reserved where it was."""
    move = reservations.move

    def move_in_part(draft: Draft, *given: Any) -> Any:
        (item_id, outlet_id), before = given[2], draft.level(*given[2])
        found = move(draft, *given)
        draft.put(replace(draft.level(item_id, outlet_id), reserved=before.reserved))
        return found

    with patch.object(reservations, "move", move_in_part):
        yield


@contextmanager
def taken_for_good() -> Iterator[None]:
    """What was taken for an order that is not posted after all does not come back."""
    with patch.object(
        reservations,
        "put_back",
        lambda _draft, taken, _now: replace(taken, state=reservations.State.RELEASED),
    ):
        yield


@contextmanager
def refunded_twice() -> Iterator[None]:
    """A refund that somebody else notes once more is another one."""
    refund = returns.refund

    def refund_anyway(case: Case, wanted: returns.Return, *given: Any) -> Case:
        while wanted.refund_id in {one.refund_id for one in case.order.refunds}:
            wanted = replace(wanted, refund_id=f"{wanted.refund_id}'")
        return refund(case, wanted, *given)

    with patch.object(returns, "refund", refund_anyway):
        yield


@contextmanager
def refunded_beyond() -> Iterator[None]:
    """More is given back than was paid."""
    with patch.object(returns, "_check_asked", lambda *_: None):
        yield


@contextmanager
def canceled_in_name() -> Iterator[None]:
    """An operator's cancellation is noted, and nothing follows from it."""
    by_store = property(lambda order: order.document is not None and order.document.canceled)
    with patch.object(Order, "canceled", by_store):
        yield


@contextmanager
def given_back_twice() -> Iterator[None]:
    """What comes back goes into stock twice."""
    changes = order_stock.stock_changes

    def twice(sale: Sale) -> list[order_stock.StockChange]:
        found = changes(sale)
        return found + [one._replace(name=f"{one.name} again") for one in found]

    with patch.object(order_stock, "stock_changes", twice):
        yield


@contextmanager
def handed_over_unbooked() -> Iterator[None]:
    """What is handed over is not in the order's books."""
    with patch.object(accounting, "hand_over", lambda accounts, _quantities: accounts):
        yield


@contextmanager
def posted_while_off() -> Iterator[None]:
    """Orders are posted though their channel keeps them back."""
    channel = requests.channel
    with patch.object(requests, "channel", lambda told: replace(channel(told), post_sales=True)):
        yield


@contextmanager
def kept_back_for_good() -> Iterator[None]:
    """Nobody looks again at orders when their channel keeps them back no longer."""

    async def forget(*_: object) -> None:
        """Does nothing."""

    with (
        patch.object(followers.InventoryFollower, "_look_at_channel", forget),
        patch.object(progress, "_look_again", lambda *_: None),
    ):
        yield


Bug = Callable[[], AbstractContextManager[None]]

BUGS: Mapping[str, Bug] = {
    "dropped lock": dropped_lock,
    "skipped outbox row": skipped_outbox_row,
    "doubled retry": doubled_retry,
    "stale write": stale_write,
    "freed early": freed_early,
    "promised twice": promised_twice,
    "acknowledged early": acknowledged_early,
    "told while off": told_while_off,
    "never silent": never_silent,
    "unseen incident": unseen_incident,
    "moved in part": moved_in_part,
    "taken for good": taken_for_good,
    "refunded twice": refunded_twice,
    "refunded beyond": refunded_beyond,
    "canceled in name": canceled_in_name,
    "given back twice": given_back_twice,
    "handed over unbooked": handed_over_unbooked,
    "posted while off": posted_while_off,
    "kept back for good": kept_back_for_good,
}

BROUGHT_OUT_BY: Mapping[str, str] = {
    "told while off": "switch",
    "never silent": "silence",
    "unseen incident": "incident",
    "moved in part": "incident",
    "taken for good": "cancel",
    "refunded twice": "refund",
    "refunded beyond": "refund",
    "canceled in name": "cancel",
    "given back twice": "cancel",
    "handed over unbooked": "hand over",
    "posted while off": "keep back",
    "kept back for good": "keep back",
}
"""What somebody has to do for a bug to show; all others show whatever is done."""
