"""What a store shows otherwise than a listing would have it (CAT-07 to CAT-11).

Both sides are compared in the store's own words: the product as it is, with the body that our next
write would send. So only what that write would change is a difference. What the platform does to
what it is given is none: numbers are rounded, runs of white space and the way that HTML is written
do not count, and scripts in descriptions are dropped.

Stock is not looked at here; inventory owns it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from html.parser import HTMLParser

from gateway.ecom.ecwid.listings import (
    BASE_FIELDS,
    Units,
    image_mark,
    images_of,
    is_ours,
    product_body,
    shelf_of,
)
from gateway.records import (
    Record,
    decimal,
    listed,
    money,
    nested,
    plain,
    printable,
    text,
    timestamp,
    whole,
)
from tillbridge.catalog.v1 import catalog_pb2, drift_pb2

VALUE_LENGTH_MAX = 10_000
EDITS_MAX = 1000
IMAGES_MAX = 100
URL_LENGTH_MAX = 2048
SUBTITLE_LENGTH_MAX = 1000
THRESHOLD_MAX = 2**31 - 1
MEASURE_STEP = Decimal("0.00001")
"""The platform keeps five decimals of weights and lengths."""

UNSEEN = frozenset({"script"})
"""Elements that descriptions do not keep."""

Edits = list[drift_pb2.ListingEdit]


@dataclass(frozen=True, slots=True)
class Compared:
    """A field that a product has in the store and in the body that we would write.

    Attributes:
        field: its name in `Listing` or `ListingVariant`.
        read: its value, as text, out of either.
        same: whether two values are the same to the platform.
        written: the key without which our body says nothing of it; empty when it always does.
    """

    field: str
    read: Callable[[Record], str]
    same: Callable[[str, str, Units], bool]
    written: str = ""


def report_of(
    listing: catalog_pb2.Listing, product: Record, units: Units
) -> drift_pb2.ReportListingEditRequest:
    """How a product in the store compares with its listing; lacks only the request id.

    Raises:
        BadRecordError: the store cannot hold the listing, so there is nothing to compare with.
    """
    body = product_body(listing, {}, shelf_of(product), units, None)
    edits = [
        *_changed(PRODUCT_FIELDS, body, product, units),
        *_category(listing, product),
        *_variants(listing, body, product, units),
        *_images(listing, product),
    ]
    report = drift_pb2.ReportListingEditRequest(
        channel_id=listing.channel_id,
        product_id=listing.product_id,
        version=listing.version,
        edits=edits[:EDITS_MAX],
        store_fields=store_fields(product, units),
        store_image_urls=_store_images(product),
    )
    if updated := whole(product.get("updateTimestamp")):
        report.store_update_time.CopyFrom(timestamp(updated))
    return report


def store_fields(product: Record, units: Units) -> drift_pb2.StoreFields:
    """What the store has in the fields that are its own (CAT-05)."""
    fields = drift_pb2.StoreFields(
        subtitle=printable(text(product, "subtitle"))[:SUBTITLE_LENGTH_MAX]
    )
    price = decimal(product.get("compareToPrice"))
    if price is not None and price > 0:
        fields.compare_to_price.CopyFrom(money(price, units.currency))
    limit = decimal(product.get("warningLimit"))
    if limit is not None and 0 <= limit <= THRESHOLD_MAX:
        fields.low_stock_threshold = int(limit)
    return fields


def _changed(
    fields: Iterable[Compared], body: Record, held: Record, units: Units, item_id: str = ""
) -> Iterator[drift_pb2.ListingEdit]:
    for one in fields:
        if one.written and one.written not in body:
            continue
        own, theirs = one.read(body), one.read(held)
        if not one.same(own, theirs, units):
            yield _edit(one.field, theirs, own, item_id)


def _category(listing: catalog_pb2.Listing, product: Record) -> Iterator[drift_pb2.ListingEdit]:
    """The category, by name: our own id of it is not known here."""
    names = [text(category, "name") for category in listed(product, "categories")]
    own = [listing.category] if listing.category else []
    if "categories" in product and [*map(squeezed, names)] != [*map(squeezed, own)]:
        yield _edit("category", ", ".join(names), listing.category)


def _variants(
    listing: catalog_pb2.Listing, body: Record, product: Record, units: Units
) -> Iterator[drift_pb2.ListingEdit]:
    held = listed(product, "combinations")
    if not listing.options:
        item_id = listing.variants[0].item_id
        yield from _changed(VARIANT_FIELDS, body, product, units, item_id)
        yield from map(_added, held)
        return
    by_item = {text(one, "externalReferenceId"): one for one in reversed(held)}
    found: Edits = []
    for variant, own in zip(listing.variants, body["combinations"], strict=True):
        theirs = by_item.pop(variant.item_id, None)
        if theirs is None:
            kind = drift_pb2.EDIT_KIND_VARIANT_REMOVED
            yield drift_pb2.ListingEdit(
                kind=kind, item_id=variant.item_id, own_value=_cut(_named(own))
            )
            continue
        fields = (*VARIANT_FIELDS, OPTION_VALUES)
        found += _changed(fields, own, _priced(theirs, product), units, variant.item_id)
        held.remove(theirs)
    yield from found
    yield from map(_added, held)
    # What the base product shows is the first variant's.
    first = listing.variants[0].item_id
    told = {(edit.field, edit.item_id) for edit in found}
    base = [one for one in VARIANT_FIELDS if one.written in BASE_FIELDS]
    for edit in _changed(base, body, product, units, first):
        if (edit.field, edit.item_id) not in told:
            yield edit


def _priced(variation: Record, product: Record) -> Record:
    """A variation that has no price of its own has the product's."""
    if variation.get("price") is not None:
        return variation
    return {**variation, "price": product.get("price")}


def _added(variation: Record) -> drift_pb2.ListingEdit:
    kind = drift_pb2.EDIT_KIND_VARIANT_ADDED
    return drift_pb2.ListingEdit(kind=kind, store_value=_cut(_named(variation)))


def _named(variation: Record) -> str:
    """What tells a variation: its SKU, or else its options."""
    return text(variation, "sku") or _option_values(variation)


def _images(listing: catalog_pb2.Listing, product: Record) -> Iterator[drift_pb2.ListingEdit]:
    """Images of ours that are missing; those that were added in the store are no difference."""
    there = {text(image, "externalId") for image in images_of(product)}
    shown = [url for url in listing.image_urls if image_mark(url) in there]
    if len(shown) < len(listing.image_urls):
        yield _edit("image_urls", " ".join(shown), " ".join(listing.image_urls))


def _store_images(product: Record) -> list[str]:
    """Addresses of the images that were added in the store (CAT-08)."""
    urls = [_address(image) for image in images_of(product) if not is_ours(image)]
    return [url for url in urls if 0 < len(url) <= URL_LENGTH_MAX][:IMAGES_MAX]


def _address(image: Record) -> str:
    return printable(text(image, "imageOriginalUrl") or text(image, "image1500pxUrl"))


def _edit(field: str, theirs: str, own: str, item_id: str = "") -> drift_pb2.ListingEdit:
    return drift_pb2.ListingEdit(
        kind=drift_pb2.EDIT_KIND_FIELD_CHANGED,
        field=field,
        item_id=item_id,
        store_value=_cut(theirs),
        own_value=_cut(own),
    )


def _cut(value: str) -> str:
    return printable(value)[:VALUE_LENGTH_MAX]


# Reading a value out of the store's words.


def _attribute(kind: str) -> Callable[[Record], str]:
    def read(record: Record) -> str:
        for attribute in listed(record, "attributes"):
            if kind in (text(attribute, "type"), text(attribute, "alias")):
                return text(attribute, "value")
        return ""

    return read


def _enabled(record: Record) -> str:
    return "true" if record.get("enabled") is True else "false"


def _number(name: str) -> Callable[[Record], str]:
    return lambda record: plain(_decimal(record.get(name)))


def _dimensions(record: Record) -> str:
    sides = nested(record, "dimensions")
    names = ("length", "width", "height")
    return " x ".join(plain(_decimal(sides.get(name))) for name in names)


def _decimal(value: object) -> Decimal:
    """A number of either side; what is missing is nothing."""
    return decimal(plain(Decimal(repr(value))) if isinstance(value, float) else value) or Decimal(0)


def _options(record: Record) -> str:
    """The choices that a buyer has, with what they add to the price: nothing, if it is ours."""
    return "; ".join(
        f"{text(option, 'name')}: {', '.join(map(_choice, listed(option, 'choices')))}"
        for option in listed(record, "options")
    )


def _choice(choice: Record) -> str:
    modifier = _decimal(choice.get("priceModifier"))
    unit = "%" if text(choice, "priceModifierType") == "PERCENT" else ""
    return text(choice, "text") + (f" ({modifier:+f}{unit})" if modifier else "")


def _option_values(variation: Record) -> str:
    chosen = [(text(one, "name"), text(one, "value")) for one in listed(variation, "options")]
    return ", ".join(f"{name}: {value}" for name, value in sorted(chosen))


# Whether two values are the same to the platform.


def squeezed(value: str) -> str:
    """Text whose runs of white space are one space each: to the platform it is the same."""
    return " ".join(value.split())


def _same_text(own: str, theirs: str, _units: Units) -> bool:
    return own == theirs or squeezed(own) == squeezed(theirs)


def _same_html(own: str, theirs: str, _units: Units) -> bool:
    return own == theirs or _Pieces.of(own) == _Pieces.of(theirs)


def _same_price(own: str, theirs: str, units: Units) -> bool:
    return abs(Decimal(own) - Decimal(theirs)) < units.price_step


def _same_measure(own: str, theirs: str, _units: Units) -> bool:
    pairs = zip(own.split(" x "), theirs.split(" x "), strict=True)
    return all(abs(Decimal(one) - Decimal(other)) < MEASURE_STEP for one, other in pairs)


class _Pieces(HTMLParser):
    """HTML as tags and text, however it is written."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._unseen: Counter[str] = Counter()

    @classmethod
    def of(cls, html: str) -> list[str]:
        """The pieces of a description, in order."""
        parser = cls()
        parser.feed(html)
        parser.close()
        return parser.pieces

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag; the order of its attributes means nothing."""
        if tag in UNSEEN:
            self._unseen[tag] += 1
            return
        shown = sorted((name, value or "") for name, value in attrs)
        self.pieces.append(f"<{tag} {shown}>")

    def handle_endtag(self, tag: str) -> None:
        """The end of an element."""
        if tag in UNSEEN:
            self._unseen[tag] = 0
            return
        self.pieces.append(f"</{tag}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """`<br/>` is `<br>`."""
        self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        """Text between tags."""
        if not any(self._unseen.values()) and (shown := squeezed(data)):
            self.pieces.append(shown)


PRODUCT_FIELDS = (
    Compared("name", lambda record: text(record, "name"), _same_text),
    Compared("description", lambda record: text(record, "description"), _same_html),
    Compared("brand", _attribute("BRAND"), _same_text),
    Compared("available", _enabled, _same_text),
    Compared("options", _options, _same_text),
)
VARIANT_FIELDS = (
    Compared("sku", lambda record: text(record, "sku"), _same_text, "sku"),
    Compared("upc", _attribute("UPC"), _same_text, "attributes"),
    Compared("price", _number("price"), _same_price, "price"),
    Compared("weight_kg", _number("weight"), _same_measure, "weight"),
    Compared("dimensions_cm", _dimensions, _same_measure, "dimensions"),
)
OPTION_VALUES = Compared("option_values", _option_values, _same_text, "options")
