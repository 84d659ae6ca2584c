"""Drift: where a store shows something else than its listing, why, and what becomes of it."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from services.catalog.rules import listings
from services.catalog.rules.listings import Listing, Placement, StoreFields
from services.catalog.rules.mapping import (
    EDITED_FIELDS,
    EDITED_VARIANT_FIELDS,
    PRODUCT_FIELDS,
    VARIANT_FIELDS,
    Shown,
    ShownVariant,
    text,
)
from services.catalog.rules.provenance import Source
from services.chassis.errors import invalid

VALUE_MAX = 10_000
"""Characters of a value that are kept."""

RESTORES_AT_ONCE = 3
"""So often a value is restored as soon as it is found wrong. From then on the wait since the last
write doubles each time: a store that never keeps what it is given is not written without end.
"""

WAIT_FIRST = timedelta(minutes=1)
WAIT_MAX = timedelta(days=1)


class EditKind(StrEnum):
    """What was done to a listing in the store; the names are the contract's."""

    FIELD_CHANGED = "FIELD_CHANGED"
    VARIANT_ADDED = "VARIANT_ADDED"
    VARIANT_REMOVED = "VARIANT_REMOVED"
    LISTING_DELETED = "LISTING_DELETED"


class Cause(StrEnum):
    """Why a store differs; the names are the contract's."""

    MANUAL_EDIT = "MANUAL_EDIT"
    LOST_WRITE = "LOST_WRITE"
    DELETED_IN_STORE = "DELETED_IN_STORE"
    REFUSED_EDIT = "REFUSED_EDIT"


class State(StrEnum):
    """Where a drift stands; the names are the contract's."""

    OPEN = "OPEN"
    HEALED = "HEALED"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Edit:
    """One difference between what a store shows of a listing and what it should show."""

    kind: EditKind
    field: str = ""
    item_id: str = ""
    store_value: str = ""
    own_value: str = ""

    @property
    def key(self) -> "EditKey":
        """What tells it from the listing's other differences."""
        return (self.item_id, self.field, self.kind)


EditKey = tuple[str, str, EditKind]
"""Item, field, kind."""


@dataclass(frozen=True, slots=True)
class Drift:
    """A difference that was found between a listing and its store."""

    merchant_id: str
    channel_id: str
    product_id: str
    item_id: str
    field: str
    kind: EditKind
    own_value: str
    store_value: str
    cause: Cause
    state: State
    observe_time: datetime
    """When it was first seen."""
    last_observe_time: datetime
    heal_time: datetime | None
    times: int
    """How often it was seen anew after it had been healed, and the first time."""

    @property
    def key(self) -> EditKey:
        """What tells it from the listing's other drift."""
        return (self.item_id, self.field, self.kind)


@dataclass(frozen=True, slots=True)
class Seen:
    """How a store shows a listing."""

    version: int
    """Of the listing, that the store was compared with."""
    edits: tuple[Edit, ...]
    own: StoreFields | None
    """None: not told."""
    image_urls: tuple[str, ...]
    """Of the images that were added in the store."""
    store_update_time: datetime | None
    """When the store last changed the product, by its own clock."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a listing after it was seen in its store."""

    placement: Placement
    drift: tuple[Drift, ...]
    """What is new, or not as it was."""
    in_flight: bool
    taken: tuple[str, ...]
    """Fields of the store's own whose value was taken."""


def judged(
    before: Placement, known: Mapping[EditKey, Drift], seen: Seen, source: Source, now: datetime
) -> Verdict:
    """What to make of how a store shows a listing: its own fields are taken over (CAT-05), other
    differences are drift (CAT-07, CAT-09, CAT-10, CAT-11), what is right again is healed, and the
    listing gets a new version if it is to be written again.

    Args:
        before: the listing's place.
        known: all drift of the listing so far.
        seen: what the store shows.
        source: of what is taken over.
        now: the time.

    Raises:
        DomainError: INVALID_FIELD.
    """
    listings.check_version(before, seen.version)
    check_edits(seen.edits)
    if seen.version != before.version or seen.version != before.pushed_version:
        return Verdict(before, (), in_flight=True, taken=())
    edits = _merged(seen.edits)
    gone = _is_gone(edits.values())
    place, taken = before, list[str]()
    if seen.own and not gone:
        place, taken = listings.taken_over(before, seen.own, seen.image_urls, source, now)
    found = [
        _observed(known.get(edit.key), edit, before, _cause(edit, before, seen), now)
        for edit in edits.values()
    ]
    right = [
        healed(one, now)
        for one in known.values()
        if one.state is State.OPEN and one.key not in edits
    ]
    if any(_is_due(one, before, now) for one in found):
        place = restored(place, edits.values(), now)
    return Verdict(place, (*found, *right), in_flight=False, taken=tuple(taken))


def check_edits(edits: Iterable[Edit]) -> None:
    """Checks that each edit is about something that a store may not change.

    Raises:
        DomainError: INVALID_FIELD.
    """
    for index, edit in enumerate(edits):
        path = f"edits[{index}].field"
        if edit.kind is not EditKind.FIELD_CHANGED:
            if edit.field:
                raise invalid(path, f"must be empty with {edit.kind}")
            continue
        names = EDITED_VARIANT_FIELDS if edit.item_id else EDITED_FIELDS
        if edit.field in listings.OWN_FIELDS:
            raise invalid(path, "is the store's own; report it in store_fields")
        if edit.field not in names:
            raise invalid(path, f"must be one of {', '.join(sorted(names))}")


def restored(before: Placement, wrong: Iterable[Edit | Drift], now: datetime) -> Placement:
    """The place as it is to be written again, because of what is wrong in the store."""
    return listings.lost(before, now) if _is_gone(wrong) else listings.changed(before, now)


def healed(before: Drift, now: datetime) -> Drift:
    """The drift after the store shows the right value again, or nothing at all any more."""
    return replace(before, state=State.HEALED, heal_time=now)


def is_answered(before: Placement, after: Placement) -> bool:
    """Whether a push has written a newer version than the store had, and with it all that drift
    was seen in.
    """
    return after.pushed_version > before.pushed_version


def attempts(listing: Listing, asked: Shown, names: Collection[str]) -> Iterator[Edit]:
    """What a caller wanted to change of these fields, which the point of sale owns."""
    for row in PRODUCT_FIELDS:
        if row.listed not in names:
            continue
        if row.listed == "variants":
            yield from _variant_attempts(listing.shown.variants, asked.variants)
            continue
        own = listing.available if row.listed == "available" else getattr(listing.shown, row.shown)
        wanted = getattr(asked, row.shown)
        if wanted != own:
            yield Edit(EditKind.FIELD_CHANGED, row.listed, "", text(wanted), text(own))


def refused(before: Drift | None, edit: Edit, place: Placement, now: datetime) -> Drift:
    """The drift after an edit was refused before it could reach anything (CAT-07, CAT-09). Open
    drift of the same field stays as it is, since the store shows that still. An attempt that is
    repeated, as callers do who got no answer, is not counted again.
    """
    if before and before.state is State.OPEN:
        return before
    after = replace(_anew(before, edit, place, now), cause=Cause.REFUSED_EDIT, state=State.REFUSED)
    return replace(after, times=before.times) if before and _is_same(before, after) else after


def merged(edits: Iterable[Edit]) -> list[Edit]:
    """The edits, each key once: what several of them say stands together, such as the variants that
    were added.
    """
    return list(_merged(edits).values())


def message(edit: Edit) -> str:
    """Why an edit may not stay, and what to do instead (CAT-07, CAT-09, CAT-10, CAT-11)."""
    match edit.kind:
        case EditKind.VARIANT_ADDED:
            return (
                "a variant cannot be added in the store: add it in the point of sale, and it"
                " appears here; the next push removes this one"
            )
        case EditKind.VARIANT_REMOVED:
            return (
                "a variant cannot be removed in the store: remove or deactivate it in the point of"
                " sale; the next push restores it"
            )
        case EditKind.LISTING_DELETED:
            return (
                "a product cannot be deleted in the store: switch its listing off with"
                " SetSellOnline, or delete it in the point of sale; the next push restores it"
            )
        case EditKind.FIELD_CHANGED:
            return f"{listings.instead(edit.field)}; the next push restores the value"


def _cause(edit: Edit, place: Placement, seen: Seen) -> Cause:
    """Why the store differs, as far as can be told (BEY-07)."""
    if edit.kind is EditKind.LISTING_DELETED:
        return Cause.DELETED_IN_STORE
    changed, written = seen.store_update_time, place.push_time
    if changed is None or written is None or changed > written:
        return Cause.MANUAL_EDIT
    return Cause.LOST_WRITE


def _observed(
    before: Drift | None, edit: Edit, place: Placement, cause: Cause, now: datetime
) -> Drift:
    if before and before.state is State.OPEN:
        return replace(
            before,
            own_value=edit.own_value,
            store_value=edit.store_value,
            cause=cause,
            last_observe_time=now,
        )
    return replace(_anew(before, edit, place, now), cause=cause)


def _anew(before: Drift | None, edit: Edit, place: Placement, now: datetime) -> Drift:
    """Drift that was not open."""
    return Drift(
        merchant_id=place.merchant_id,
        channel_id=place.channel_id,
        product_id=place.product_id,
        item_id=edit.item_id,
        field=edit.field,
        kind=edit.kind,
        own_value=edit.own_value,
        store_value=edit.store_value,
        cause=Cause.MANUAL_EDIT,
        state=State.OPEN,
        observe_time=before.observe_time if before else now,
        last_observe_time=now,
        heal_time=None,
        times=before.times + 1 if before else 1,
    )


def _is_same(before: Drift, after: Drift) -> bool:
    """Whether it is the same attempt at the same value."""
    return (before.state, before.store_value, before.own_value) == (
        after.state,
        after.store_value,
        after.own_value,
    )


def _is_gone(wrong: Iterable[Edit | Drift]) -> bool:
    return any(one.kind is EditKind.LISTING_DELETED for one in wrong)


def _is_due(drift: Drift, place: Placement, now: datetime) -> bool:
    """Whether the store is to be written again because of this drift now (BEY-16)."""
    doublings = drift.times - RESTORES_AT_ONCE - 1
    if doublings < 0 or place.push_time is None:
        return True
    wait: timedelta = min(WAIT_FIRST * 2 ** min(doublings, 30), WAIT_MAX)
    return now - place.push_time >= wait


def _merged(edits: Iterable[Edit]) -> dict[EditKey, Edit]:
    found: dict[EditKey, Edit] = {}
    for edit in edits:
        other = found.get(edit.key)
        found[edit.key] = replace(
            edit,
            store_value=_joined(other.store_value if other else "", edit.store_value),
            own_value=_joined(other.own_value if other else "", edit.own_value),
        )
    return found


def _joined(before: str, value: str) -> str:
    both = value if not before or before == value else f"{before}; {value}" if value else before
    return both[:VALUE_MAX]


def _variant_attempts(
    own: tuple[ShownVariant, ...], asked: tuple[ShownVariant, ...]
) -> Iterator[Edit]:
    by_id = {variant.item_id: variant for variant in own}
    for variant in asked:
        known = by_id.pop(variant.item_id, None)
        if known is None:
            yield Edit(EditKind.VARIANT_ADDED, store_value=_called(variant))
            continue
        for row in VARIANT_FIELDS:
            if row.shown and getattr(variant, row.shown) != getattr(known, row.shown):
                values = text(getattr(variant, row.shown)), text(getattr(known, row.shown))
                yield Edit(EditKind.FIELD_CHANGED, row.listed, variant.item_id, *values)
    for variant in by_id.values():
        yield Edit(EditKind.VARIANT_REMOVED, "", variant.item_id, "", _called(variant))


def _called(variant: ShownVariant) -> str:
    return variant.sku or " / ".join(variant.option_values) or variant.item_id
