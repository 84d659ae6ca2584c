"""The one way a product comes in, whoever brings it: read, load, decide."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from hashlib import sha256

from services.catalog.rules import barcodes, listings
from services.catalog.rules.breaker import Breakers
from services.catalog.rules.held import CIRCUIT_OPEN, Held, HeldReports, group, text
from services.catalog.rules.products import Outcome, Product, Stamp
from services.catalog.rules.provenance import Source
from services.catalog.rules.shelf import Shelf, Step, deleted, is_old, upserted
from services.catalog.service.upkeep import lock, save
from services.catalog.store import Key
from services.catalog.store import held as held_rows
from services.catalog.store import listings as listing_rows
from services.catalog.store import products as product_rows
from services.catalog.wire import products as product_wire
from services.chassis.checks import check_constraints
from services.chassis.database import Transaction
from services.chassis.errors import DomainError
from tillbridge.catalog.v1 import catalog_pb2 as pb

ID_MAX = 128
IMAGES_SHOWN = 3
TOO_MANY = (
    "would be one product too many that is deleted or deactivated within the hour; it waits for an"
    " operator's yes, see ListAttention"
)


@dataclass(frozen=True, slots=True)
class Report:
    """A product as it was reported, or its deletion, and how new that is."""

    product_id: str
    product: Product | None
    """None: that it was deleted."""
    stamp: Stamp


def read(message: pb.Product, now: datetime) -> Report | DomainError:
    """A product that arrives `now`, or why it is none: each of a batch is checked for itself.

    Control characters are no concern here: the request that it came in was checked for them.
    """
    try:
        check_constraints(message)
        product = product_wire.product(message)
        return Report(message.product_id, product, product_wire.stamp(message, now))
    except DomainError as error:
        return error


@dataclass(frozen=True, slots=True)
class Arrival:
    """A report, and the call that brought it."""

    merchant_id: str
    product_id: str
    report: Report | DomainError
    message: pb.Product | None
    """As it came; None for a deletion."""
    cause: str
    request_id: str

    @property
    def key(self) -> Key:
        """Of its product; of a report without a usable id, something that no product is called."""
        if 1 <= len(self.product_id) <= ID_MAX:
            return self.merchant_id, self.product_id
        body = self.message.SerializeToString(deterministic=True) if self.message else b""
        return self.merchant_id, f"without an id: {sha256(body).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a report."""

    outcome: Outcome
    step: Step | None = None
    """What it did, or, when it is held, would do; None when it was refused."""
    error: DomainError | None = None
    """Why it was refused."""


@dataclass(slots=True)
class Desk:
    """Where reports that come unasked are taken in, refused or held, and what waits is kept."""

    transaction: Transaction
    shelf: Shelf
    held: HeldReports
    breakers: Breakers

    @classmethod
    def open(cls, transaction: Transaction, arrivals: Sequence[Arrival]) -> "Desk":
        """What these are decided on; no other process may change it until commit."""
        connection = transaction.connection
        return cls(
            transaction,
            load(transaction, arrivals),
            HeldReports(held_rows.held_of(connection, {one.key for one in arrivals})),
            cls.open_breakers(transaction, {(one.merchant_id, one.cause) for one in arrivals}),
        )

    @staticmethod
    def open_breakers(transaction: Transaction, keys: Collection[Key]) -> Breakers:
        """What these merchants and causes have deactivated lately."""
        connection = transaction.connection
        return Breakers(
            held_rows.breakers(connection, keys),
            cache(partial(held_rows.active_count, connection)),
            transaction.now,
            cache(partial(held_rows.is_holding, connection)),
        )

    def trial(self) -> "Desk":
        """One to try things on, which is not to be closed."""
        return Desk(self.transaction, self.shelf.copy(), self.held.copy(), self.breakers.copy())

    def take(self, arrival: Arrival, *, unasked: bool = True) -> Verdict:
        """Takes in a report, unless it is refused, or held since it is a deactivation too many by
        its cause (BEY-10). What an operator has asked for is not held.
        """
        try:
            step = decide(self.shelf, arrival, self.transaction.now)
        except DomainError as error:
            self._refuse(arrival, error)
            return Verdict(Outcome.REFUSED, error=error)
        stamp = arrival.report.stamp if isinstance(arrival.report, Report) else step.after.stamp
        if (
            unasked
            and step.deactivates
            and not self.breakers.allows(arrival.merchant_id, arrival.cause)
        ):
            self._hold(arrival, CIRCUIT_OPEN, arrival.cause, TOO_MANY, stamp)
            return Verdict(Outcome.HELD, step)
        self.shelf.put(step.after)
        if step.outlived_version:
            self.shelf.outlive(step.after, step.outlived_version)
        self.held.take_in(arrival.key, stamp)
        return Verdict(step.outcome, step)

    def close(self) -> None:
        """Saves and tells what was decided."""
        save(self.transaction, self.shelf, self.held)
        held_rows.save_breakers(self.transaction.connection, self.breakers.changed.values())

    def _refuse(self, arrival: Arrival, error: DomainError) -> None:
        """Keeps what was refused, unless something newer is known."""
        stamp = _stamp(arrival, self.transaction.now)
        known = self.shelf.get(*arrival.key)
        if known and is_old(stamp, known):
            self.held.take_in(arrival.key, known.stamp)
        else:
            self._hold(arrival, error.reason, group(error), text(error), stamp)

    def _hold(self, arrival: Arrival, reason: str, key: str, message: str, stamp: Stamp) -> None:
        body = arrival.message
        self.held.hold(
            Held(
                *arrival.key,
                reason=reason,
                key=key,
                message=message,
                report=None if body is None else body.SerializeToString(deterministic=True),
                stamp=stamp,
                cause=arrival.cause,
                request_id=arrival.request_id,
                record_time=self.transaction.now,
            )
        )


def load(transaction: Transaction, arrivals: Sequence[Arrival]) -> Shelf:
    """What these reports are decided on; no other process may change it until commit."""
    lock(transaction, {one.merchant_id for one in arrivals})
    return product_rows.shelf(
        transaction.connection,
        [one.key for one in arrivals],
        [
            (one.merchant_id, variant.item_id)
            for one in arrivals
            if isinstance(one.report, Report) and one.report.product
            for variant in one.report.product.variants
        ],
    )


def decide(shelf: Shelf, arrival: Arrival, now: datetime) -> Step:
    """What a report would make of its product: `shelf.put(step.after)` takes it in, and
    `upkeep.save` writes and tells what was put.

    Raises:
        DomainError: INVALID_FIELD; the product cannot be taken in.
    """
    merchant_id, report = arrival.merchant_id, arrival.report
    if isinstance(report, DomainError):
        raise report
    source = Source(arrival.cause, arrival.request_id, report.stamp.observe_time)
    if report.product is None:
        return deleted(shelf, merchant_id, report.product_id, report.stamp, source, now=now)
    return upserted(shelf, merchant_id, report.product, report.stamp, source, now=now)


def _stamp(arrival: Arrival, now: datetime) -> Stamp:
    """How new a refused report is, as far as it can be told."""
    if isinstance(arrival.report, Report):
        return arrival.report.stamp
    if arrival.message is None:
        return Stamp(0, now)
    try:
        return product_wire.stamp(arrival.message, now)
    except DomainError:
        return Stamp(0, now)


def warnings(transaction: Transaction, steps: Sequence[Step]) -> dict[str, list[str]]:
    """What is worth a look in what these steps make of one merchant's products, by product."""
    found: dict[str, list[str]] = {}
    steps = [step for step in steps if step.outcome is not Outcome.UNCHANGED]
    for step in steps:
        product = step.after.product
        if product and (said := [*_bar_codes(product)]):
            found[product.product_id] = said
    for product_id, said in _images_that_go(transaction, steps):
        found[product_id] = [*found.get(product_id, ()), *said]
    return found


def _images_that_go(
    transaction: Transaction, steps: Sequence[Step]
) -> Iterable[tuple[str, list[str]]]:
    """What images of stores go by these steps (CAT-08), by product."""
    pairs = [(step.before.product if step.before else None, step.after.product) for step in steps]
    changed = {
        (step.after.merchant_id, step.after.product_id): pair
        for step, pair in zip(steps, pairs, strict=True)
        if listings.shows_new_images(*pair)
    }
    if not changed:
        return
    places = listing_rows.placements_of_products(transaction.connection, changed)
    for key, pair in changed.items():
        gone = listings.images_that_go(*pair, places.get(key, ()))
        if gone:
            yield (
                key[1],
                [
                    f"images: channel {channel_id} loses {len(urls)} that were added in its store:"
                    f" {', '.join(urls[:IMAGES_SHOWN])}"
                    for channel_id, urls in sorted(gone.items())
                ],
            )


def _bar_codes(product: Product) -> Iterable[str]:
    for index, variant in enumerate(product.variants):
        if variant.upc and (what := barcodes.warning(variant.upc)):
            yield f"variants[{index}].upc: {what}"
