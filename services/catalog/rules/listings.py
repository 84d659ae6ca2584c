"""Listings: a product's place in a channel, what it shows there, and what belongs to the store."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime

from services.catalog.rules import currencies
from services.catalog.rules.mapping import (
    LISTED_OWNERS,
    PLACE_FIELDS,
    Owner,
    Shown,
    paths,
    shown_of,
    to_urls,
)
from services.catalog.rules.products import Change, Known, Money, Product, check_money
from services.catalog.rules.provenance import Provenance, Source, carried, source_of
from services.chassis.errors import DomainError, invalid

SUBTITLE_MAX = 1000
"""Characters of a subtitle."""


@dataclass(frozen=True, slots=True)
class StoreFields:
    """The fields of a listing that belong to its store (CAT-05)."""

    compare_to_price: Money | None = None
    """The price that is shown struck out."""
    subtitle: str = ""
    low_stock_threshold: int | None = None
    """Stock at which the store warns its owner; None: it does not."""


OWN_FIELDS = tuple(one.name for one in fields(StoreFields))
_NOTHING_OWN = StoreFields()


@dataclass(frozen=True, slots=True)
class Placement:
    """A product's place in a channel."""

    merchant_id: str
    channel_id: str
    product_id: str
    sell_online: bool
    version: int
    """Grows with every change of the listing that the store is to be told of, also over a deletion.
    """
    deleted: bool
    update_time: datetime
    push_time: datetime | None = None
    pushed_version: int = 0
    push_error: str = ""
    own: StoreFields = _NOTHING_OWN
    unpushed: tuple[tuple[str, int], ...] = ()
    """Own fields that were set here and are not in the store yet, each with the version that set
    it.
    """
    store_image_urls: tuple[str, ...] = ()
    """Images that were added in the store (CAT-08)."""
    images_version: int = 0
    """The version in which the point of sale's images last changed."""
    provenance: Provenance = field(default_factory=dict)
    """Of the own fields and of the switch (SOR-04)."""
    switch_version: int = 0
    """The product's version in the point of sale when the switch was last set; 0 when it had none.
    """


@dataclass(frozen=True, slots=True)
class Listing:
    """What a channel shows of a product."""

    placement: Placement
    shown: Shown
    available: bool
    """Whether the store offers it now."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which listings of a channel are meant: those that everything here holds for. What is empty or
    None says nothing.
    """

    sell_online: bool | None = None
    category: str = ""
    brand: str = ""
    tag: str = ""
    skus: tuple[str, ...] = ()
    """One of which a variant has, exactly."""
    product_ids: tuple[str, ...] = ()
    push_failed: bool = False


@dataclass(frozen=True, slots=True)
class FieldSource:
    """Whose a value of a listing is, and where it came from."""

    field: str
    owner: Owner
    source: Source | None
    """None: nothing brought it, it is as every new listing has it."""


def listing_of(product: Product, placement: Placement) -> Listing:
    """A listing: available while it is sold online and active in the point of sale (CAT-12)."""
    shown = shown_of(product)
    return Listing(placement, shown, placement.sell_online and shown.active)


def sources(known: Known, listing: Listing) -> Iterator[FieldSource]:
    """Where each value of a listing came from, in the order of its fields (SOR-04)."""
    for listed, path in paths(listing.shown):
        yield FieldSource(listed, Owner.POS, source_of(known.provenance, path))
    for row in PLACE_FIELDS:
        found = source_of(listing.placement.provenance, row.listed)
        yield FieldSource(row.listed, row.owner, found)


def placed(
    before: Placement | None, merchant_id: str, channel_id: str, product_id: str, now: datetime
) -> Placement:
    """A product's new place in a channel, switched off (CAT-01, CAT-02).

    `before` is the place that an earlier product with this id had; versions grow on from there, and
    whatever images the store still has of that one go.
    """
    version = before.version + 1 if before else 1
    return Placement(
        merchant_id=merchant_id,
        channel_id=channel_id,
        product_id=product_id,
        sell_online=False,
        version=version,
        deleted=False,
        update_time=now,
        images_version=version if before else 0,
    )


def shows_anew(change: Change) -> bool:
    """Whether a change of a product is to be seen in its listings (CAT-06)."""
    before = change.before.product if change.before else None
    after = change.after.product
    return before is None or after is None or shown_of(before) != shown_of(after)


def shows_new_images(before: Product | None, after: Product | None) -> bool:
    """Whether the point of sale added, replaced, removed or re-ordered images (CAT-08)."""
    if before is None or after is None:
        return False
    return to_urls(before.images) != to_urls(after.images)


def images_that_go(
    before: Product | None, after: Product | None, placements: Iterable[Placement]
) -> dict[str, tuple[str, ...]]:
    """The images, by channel, that stores lose by a change of a product: those that were added
    there, once the point of sale changes its own (CAT-08).
    """
    if not shows_new_images(before, after):
        return {}
    return {
        place.channel_id: place.store_image_urls
        for place in placements
        if place.store_image_urls and not place.deleted
    }


def kept_in_step(
    before: Placement | None, change: Change, channel_id: str, now: datetime
) -> Placement | None:
    """The product's place in a channel after a change that is to be seen there; None when there was
    none and need be none.
    """
    after = change.after
    listed = before is not None and not before.deleted
    if after.product is None:
        return removed(before, now) if before and listed else before
    if before and listed and not change.reborn:
        followed = _followed(before, change, now) if change.is_news else before
        return outlived(followed, change.outlived_version, now)
    gone = removed(before, now) if before and listed else before
    return placed(gone, after.merchant_id, channel_id, after.product_id, now)


def _followed(before: Placement, change: Change, now: datetime) -> Placement:
    """The place after its product has changed: what is the store's own stays (CAT-05), but for its
    images, which go when the point of sale changes its own (CAT-08).
    """
    after = changed(before, now)
    known = change.before.product if change.before else None
    if not shows_new_images(known, change.after.product):
        return after
    return replace(after, store_image_urls=(), images_version=after.version)


def changed(before: Placement, now: datetime) -> Placement:
    """The place after what is shown there has changed (CAT-06), or is to be written again."""
    return replace(before, version=before.version + 1, update_time=now)


def removed(before: Placement, now: datetime) -> Placement:
    """The place after its product was deleted (CAT-11). What was the store's own goes with it."""
    return Placement(
        merchant_id=before.merchant_id,
        channel_id=before.channel_id,
        product_id=before.product_id,
        sell_online=False,
        version=before.version + 1,
        deleted=True,
        update_time=now,
        push_time=before.push_time,
        pushed_version=before.pushed_version,
        push_error=before.push_error,
        images_version=before.images_version,
    )


def outlived(before: Placement, deleted_version: int, now: datetime) -> Placement:
    """The place after a deletion of its product came that is older than the product: a switch that
    was set before that deletion goes with what was deleted, as it would have if the deletion had
    come in order (BEY-08, CAT-02).

    The store's own fields stay, since the store never lost them. A deletion that never comes cannot
    be known of: then the switch stays, too.
    """
    if not before.sell_online or before.switch_version >= deleted_version:
        return before
    kept = {path: found for path, found in before.provenance.items() if path != "sell_online"}
    return replace(changed(before, now), sell_online=False, switch_version=0, provenance=kept)


def switched(
    before: Placement, sell_online: bool, product_version: int, source: Source, now: datetime
) -> Placement:
    """The place after its switch was set (CAT-02, CAT-12), while its product had this version in
    the point of sale; itself when it stood that way.
    """
    if before.sell_online == sell_online:
        return before
    return replace(
        before,
        sell_online=sell_online,
        version=before.version + 1,
        update_time=now,
        provenance=carried(before.provenance, ["sell_online"], source),
        switch_version=product_version,
    )


def edited_fields(mask: Iterable[str]) -> tuple[list[str], list[str]]:
    """What a caller wants to change of a listing: fields of the store's own, and fields that the
    point of sale owns, by the contract's names.

    Raises:
        DomainError: INVALID_FIELD; a path is neither.
    """
    own, foreign = [], []
    for path in dict.fromkeys(mask):
        name = path.split(".")[0]
        if name == "sell_online":
            raise invalid("update_mask", "sell_online is set by SetSellOnline")
        if path in OWN_FIELDS:
            own.append(path)
        elif LISTED_OWNERS.get(name) is Owner.POS:
            foreign.append(name)
        else:
            raise invalid("update_mask", f"{path!r} cannot be changed; {_CHANGEABLE} can")
    if not own and not foreign:
        raise invalid("update_mask", f"is empty; name what to change of {_CHANGEABLE}")
    return own, list(dict.fromkeys(foreign))


_CHANGEABLE = ", ".join(OWN_FIELDS)


def edited(
    before: Placement, values: StoreFields, names: Collection[str], source: Source, now: datetime
) -> Placement:
    """The place after these of its own fields were set here (CAT-05); itself when they had these
    values. They are to be written to the store.

    Raises:
        DomainError: INVALID_FIELD.
    """
    check_own(values, names, "listing")
    money = values.compare_to_price
    if "compare_to_price" in names and money and currencies.rounded(money) != money:
        most = currencies.decimals(money.currency_code)
        raise invalid(
            "listing.compare_to_price", f"{money.currency_code} has at most {most} decimals"
        )
    moved = [name for name in names if getattr(values, name) != getattr(before.own, name)]
    if not moved:
        return before
    after = changed(before, now)
    kept = [(name, version) for name, version in before.unpushed if name not in moved]
    return replace(
        after,
        own=_with(before.own, values, moved),
        unpushed=(*kept, *((name, after.version) for name in moved)),
        provenance=carried(before.provenance, moved, source),
    )


def taken_over(
    before: Placement,
    values: StoreFields,
    image_urls: tuple[str, ...],
    source: Source,
    now: datetime,
) -> tuple[Placement, list[str]]:
    """The place after the store said what it has in its own fields (CAT-05) and which images were
    added there (CAT-08), and which of them are news. What was set here and is not written yet stays
    as it was set. Its version stays: the store knows all of it.

    Raises:
        DomainError: INVALID_FIELD.
    """
    check_own(values, OWN_FIELDS, "store_fields")
    waiting = {name for name, _ in before.unpushed}
    moved = [
        name
        for name in OWN_FIELDS
        if name not in waiting and getattr(values, name) != getattr(before.own, name)
    ]
    news = moved if image_urls == before.store_image_urls else [*moved, "store_image_urls"]
    if not news:
        return before, []
    after = replace(
        before,
        update_time=now,
        own=_with(before.own, values, moved),
        store_image_urls=image_urls,
        provenance=carried(before.provenance, news, source),
    )
    return after, news


def lost(before: Placement, now: datetime) -> Placement:
    """The place after the store has lost the whole listing, so that it is to be made anew (CAT-11):
    with its own fields as they were last known (CAT-05); the images that were added there are gone.
    """
    after = changed(before, now)
    known = [
        name for name in OWN_FIELDS if getattr(before.own, name) != getattr(_NOTHING_OWN, name)
    ]
    return replace(
        after,
        unpushed=tuple((name, after.version) for name in known),
        store_image_urls=(),
        images_version=after.version,
    )


def pushed(before: Placement, version: int, error: str, now: datetime) -> Placement:
    """The place after `version` was written to the store, or could not be (SOR-04).

    Reports may come late: one about an older version than the store holds changes nothing.

    Raises:
        DomainError: INVALID_FIELD; there is no such version yet.
    """
    check_version(before, version)
    if version < before.pushed_version:
        return before
    if error:
        return replace(before, push_error=error)
    return replace(
        before,
        push_time=now,
        pushed_version=version,
        push_error="",
        unpushed=tuple(one for one in before.unpushed if one[1] > version),
    )


def check_version(before: Placement, version: int) -> None:
    """Checks that there is such a version of the listing.

    Raises:
        DomainError: INVALID_FIELD.
    """
    if version > before.version:
        raise invalid("version", f"the listing is at version {before.version}; report what it was")


def check_own(values: StoreFields, names: Collection[str], path: str) -> None:
    """Checks these of the store's own fields.

    Raises:
        DomainError: INVALID_FIELD.
    """
    money = values.compare_to_price
    if "compare_to_price" in names and money:
        check_money(money, f"{path}.compare_to_price")
    if "subtitle" in names and len(values.subtitle) > SUBTITLE_MAX:
        raise invalid(f"{path}.subtitle", f"must have at most {SUBTITLE_MAX} characters")
    threshold = values.low_stock_threshold
    if "low_stock_threshold" in names and threshold is not None and threshold < 0:
        raise invalid(f"{path}.low_stock_threshold", "must not be negative; leave it out for none")


def _with(before: StoreFields, values: StoreFields, names: Iterable[str]) -> StoreFields:
    taken: Mapping[str, object] = {name: getattr(values, name) for name in names}
    return replace(before, **taken)  # type: ignore[arg-type]  # fields of StoreFields


def owned_by_pos(name: str) -> DomainError:
    """FIELD_OWNED_BY_POS for this field of a listing, with what to do instead."""
    refusal = DomainError("FIELD_OWNED_BY_POS", instead(name), field="update_mask")
    refusal.facts["field"] = name
    return refusal


def instead(name: str) -> str:
    """What to do, other than to change this field in a store (CAT-07, CAT-09, CAT-10)."""
    if name == "available":
        return (
            "available cannot be changed from the store: deactivate the product in the point of"
            " sale, or switch its listing off with SetSellOnline"
        )
    if name == "variants":
        return "variants are added, changed and removed in the point of sale alone: do it there"
    return f"{name} is made from the product in the point of sale: change it there"


def no_listing(channel_id: str, product_id: str, field: str) -> DomainError:
    """LISTING_NOT_FOUND for this listing."""
    return DomainError(
        "LISTING_NOT_FOUND",
        f"no listing of product {product_id!r} in channel {channel_id!r}; ListListings shows those"
        " that there are",
        field=field,
        channel_id=channel_id,
        product_id=product_id,
    )


def no_channel(channel_id: str) -> DomainError:
    """CHANNEL_NOT_FOUND for this channel."""
    return DomainError(
        "CHANNEL_NOT_FOUND",
        f"no channel {channel_id!r} is known here; a new one is within a second of its creation",
        field="channel_id",
        channel_id=channel_id,
    )
