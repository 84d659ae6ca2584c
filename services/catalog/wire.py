"""Messages of the catalog, and the values that they stand for."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from google.type import money_pb2

from services.catalog.rules.items import Item, Reference
from services.catalog.rules.listings import DimensionsCm, Listing, Placement, ShownVariant
from services.catalog.rules.products import (
    Dimensions,
    Image,
    Known,
    LengthUnit,
    Money,
    Outcome,
    Product,
    Stamp,
    Variant,
    Weight,
    WeightUnit,
)
from services.chassis.errors import DomainError, invalid
from tillbridge.catalog.v1 import catalog_pb2 as pb
from tillbridge.catalog.v1 import events_pb2

NANOS = 10**9


def stamp(message: pb.Product, now: datetime) -> Stamp:
    """How new a report of a product is that arrives `now`.

    Raises:
        DomainError: INVALID_FIELD; the time is none.
    """
    if not message.HasField("observe_time"):
        return Stamp.of(message.version, None, now)
    try:
        observed = message.observe_time.ToDatetime(tzinfo=UTC)
    except (OverflowError, ValueError) as error:
        raise invalid("observe_time", "must be a time between the years 1 and 9999") from error
    return Stamp.of(message.version, observed, now)


def product(message: pb.Product) -> Product:
    """A product as the point of sale reports it.

    Raises:
        DomainError: INVALID_FIELD; an amount of money is none.
    """
    return Product(
        product_id=message.product_id,
        name=message.name,
        description=message.description,
        category=message.category,
        brand=message.brand,
        active=message.active,
        attribute_names=tuple(message.attribute_names),
        variants=tuple(
            _variant(one, f"variants[{index}]") for index, one in enumerate(message.variants)
        ),
        images=tuple(Image(image.image_id, image.url) for image in message.images),
        handle=message.handle,
        tags=tuple(message.tags),
        supplier=message.supplier,
    )


def references(request: pb.ResolveItemsRequest) -> list[Reference]:
    """How an order names its items."""
    return [Reference(one.item_id, one.sku) for one in request.references]


def result(product_id: str, outcome: Outcome, message: str = "") -> pb.ProductResult:
    """What became of one product of a batch."""
    return pb.ProductResult(
        product_id=product_id,
        outcome=pb.UpsertOutcome.Value(f"UPSERT_OUTCOME_{outcome}"),
        message=message,
    )


def refusal(product_id: str, index: int, error: DomainError) -> pb.ProductResult:
    """Why the product at `index` of a batch was refused, with the paths of its bad fields."""
    reasons = [f"products[{index}].{field}: {what}" for field, what in error.violations[:5]]
    return result(product_id, Outcome.REFUSED, "; ".join(reasons))


def known(value: Known) -> pb.Product:
    """A product that is not deleted, as it was last taken in."""
    assert value.product is not None
    found = value.product
    return pb.Product(
        product_id=found.product_id,
        name=found.name,
        description=found.description,
        category=found.category,
        brand=found.brand,
        active=found.active,
        attribute_names=found.attribute_names,
        variants=[_variant_message(variant) for variant in found.variants],
        images=[pb.Image(image_id=image.image_id, url=image.url) for image in found.images],
        handle=found.handle,
        tags=found.tags,
        supplier=found.supplier,
        version=value.stamp.version,
        observe_time=_timestamp(value.stamp.observe_time),
        update_time=_timestamp(value.update_time),
    )


def product_page(values: Sequence[Known], next_page_token: str) -> pb.ListProductsResponse:
    """One page of products."""
    return pb.ListProductsResponse(
        products=[known(value) for value in values], next_page_token=next_page_token
    )


def listing(value: Listing) -> pb.Listing:
    """A listing."""
    placement, shown = value.placement, value.shown
    return pb.Listing(
        channel_id=placement.channel_id,
        product_id=placement.product_id,
        sell_online=placement.sell_online,
        available=value.available,
        name=shown.name,
        description=shown.description,
        category=shown.category,
        brand=shown.brand,
        options=[pb.ListingOption(name=one.name, values=one.values) for one in shown.options],
        variants=[_shown_variant(variant) for variant in shown.variants],
        image_urls=shown.image_urls,
        version=placement.version,
        update_time=_timestamp(placement.update_time),
        push_time=_timestamp(placement.push_time) if placement.push_time else None,
        pushed_version=placement.pushed_version,
        push_error=placement.push_error,
    )


def listing_page(values: Iterable[Listing], next_page_token: str) -> pb.ListListingsResponse:
    """One page of listings."""
    return pb.ListListingsResponse(
        listings=[listing(value) for value in values], next_page_token=next_page_token
    )


def resolved(found: Iterable[Item | DomainError]) -> pb.ResolveItemsResponse:
    """The items that were meant, or why there is none, in the order of the references."""
    return pb.ResolveItemsResponse(items=[_resolved(one) for one in found])


def product_changed(value: Known) -> events_pb2.ProductChanged:
    """That a product is new, different or gone."""
    return events_pb2.ProductChanged(
        product_id=value.product_id,
        items=[
            events_pb2.ProductItem(
                item_id=variant.item_id,
                sku=variant.sku,
                track_inventory=variant.track_inventory,
            )
            for variant in (value.product.variants if value.product else ())
        ],
        deleted=value.product is None,
        revision=value.revision,
    )


def listing_changed(value: Placement) -> events_pb2.ListingChanged:
    """That a listing is new, different or gone."""
    return events_pb2.ListingChanged(
        channel_id=value.channel_id,
        product_id=value.product_id,
        version=value.version,
        deleted=value.deleted,
    )


def _variant(message: pb.Variant, path: str) -> Variant:
    track = message.track_inventory if message.HasField("track_inventory") else True
    return Variant(
        item_id=message.item_id,
        sku=message.sku,
        upc=message.upc,
        attribute_values=tuple(message.attribute_values),
        retail_price=(
            _money(message.retail_price, f"{path}.retail_price")
            if message.HasField("retail_price")
            else None
        ),
        weight=_weight(message.weight) if message.HasField("weight") else None,
        dimensions=_dimensions(message.dimensions) if message.HasField("dimensions") else None,
        track_inventory=track,
        supply_price=(
            _money(message.supply_price, f"{path}.supply_price")
            if message.HasField("supply_price")
            else None
        ),
        supplier_code=message.supplier_code,
        active=message.active if message.HasField("active") else None,
    )


def _money(message: money_pb2.Money, path: str) -> Money:
    units, nanos = message.units, message.nanos
    if abs(nanos) >= NANOS or (units > 0 > nanos) or (units < 0 < nanos):
        raise invalid(
            f"{path}.nanos", "must lie between -999999999 and 999999999 and have the sign of units"
        )
    return Money(message.currency_code, units * NANOS + nanos)


def _weight(message: pb.Weight) -> Weight:
    name = pb.WeightUnit.Name(message.unit).removeprefix("WEIGHT_UNIT_")
    return Weight(message.value, WeightUnit(name))


def _dimensions(message: pb.Dimensions) -> Dimensions:
    name = pb.LengthUnit.Name(message.unit).removeprefix("LENGTH_UNIT_")
    return Dimensions(message.length, message.width, message.height, LengthUnit(name))


def _variant_message(variant: Variant) -> pb.Variant:
    return pb.Variant(
        item_id=variant.item_id,
        sku=variant.sku,
        upc=variant.upc,
        attribute_values=variant.attribute_values,
        retail_price=_money_message(variant.retail_price),
        weight=_weight_message(variant.weight) if variant.weight else None,
        dimensions=_dimensions_message(variant.dimensions) if variant.dimensions else None,
        track_inventory=variant.track_inventory,
        supply_price=_money_message(variant.supply_price),
        supplier_code=variant.supplier_code,
        active=variant.active,
    )


def _weight_message(weight: Weight) -> pb.Weight:
    unit = pb.WeightUnit.Value(f"WEIGHT_UNIT_{weight.unit}")
    return pb.Weight(value=weight.value, unit=unit)


def _dimensions_message(dimensions: Dimensions) -> pb.Dimensions:
    return pb.Dimensions(
        length=dimensions.length,
        width=dimensions.width,
        height=dimensions.height,
        unit=pb.LengthUnit.Value(f"LENGTH_UNIT_{dimensions.unit}"),
    )


def _shown_variant(variant: ShownVariant) -> pb.ListingVariant:
    return pb.ListingVariant(
        item_id=variant.item_id,
        sku=variant.sku,
        upc=variant.upc,
        option_values=variant.option_values,
        price=_money_message(variant.price),
        weight_kg=variant.weight_kg,
        dimensions_cm=_cm_message(variant.dimensions_cm) if variant.dimensions_cm else None,
        track_inventory=variant.track_inventory,
    )


def _cm_message(dimensions: DimensionsCm) -> pb.DimensionsCm:
    return pb.DimensionsCm(
        length=dimensions.length, width=dimensions.width, height=dimensions.height
    )


def _money_message(money: Money | None) -> money_pb2.Money | None:
    if money is None:
        return None
    units, nanos = divmod(money.amount_nanos, NANOS)
    return money_pb2.Money(currency_code=money.currency_code, units=units, nanos=nanos)


def _resolved(found: Item | DomainError) -> pb.ResolvedItem:
    if isinstance(found, DomainError):
        return pb.ResolvedItem(reason=found.number)
    return pb.ResolvedItem(
        item_id=found.item_id,
        product_id=found.product_id,
        sku=found.sku,
        name=found.name,
        track_inventory=found.track_inventory,
    )


def _timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message
