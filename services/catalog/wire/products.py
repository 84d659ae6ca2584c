"""Products and items, as messages and as values."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from services.catalog.rules.changes import FieldChange
from services.catalog.rules.items import Item, Reference
from services.catalog.rules.products import (
    Dimensions,
    Image,
    Known,
    LengthUnit,
    Outcome,
    Product,
    Stamp,
    Variant,
    Weight,
    WeightUnit,
)
from services.catalog.wire.scalars import money, money_message, timestamp
from services.chassis.errors import DomainError, invalid
from tillbridge.catalog.v1 import catalog_pb2 as pb
from tillbridge.catalog.v1 import events_pb2

_OUTCOMES = {outcome: pb.UpsertOutcome.Value(f"UPSERT_OUTCOME_{outcome}") for outcome in Outcome}
_WEIGHT_UNITS = {pb.WeightUnit.Value(f"WEIGHT_UNIT_{unit}"): unit for unit in WeightUnit}
_LENGTH_UNITS = {pb.LengthUnit.Value(f"LENGTH_UNIT_{unit}"): unit for unit in LengthUnit}


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


def result(
    product_id: str,
    outcome: Outcome,
    message: str = "",
    warnings: Iterable[str] = (),
    changes: Iterable[FieldChange] = (),
) -> pb.ProductResult:
    """What became of one product of a batch."""
    return pb.ProductResult(
        product_id=product_id,
        outcome=_OUTCOMES[outcome],
        message=message,
        warnings=warnings,
        changes=[
            pb.FieldChange(field=one.field, old_value=one.old_value, new_value=one.new_value)
            for one in changes
        ],
    )


def reason(index: int, error: DomainError) -> str:
    """Why the product at `index` of a batch was refused, with the paths of its bad fields."""
    return "; ".join(f"products[{index}].{field}: {what}" for field, what in error.violations[:5])


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
        observe_time=timestamp(value.stamp.observe_time),
        update_time=timestamp(value.update_time),
    )


def product_page(values: Sequence[Known], next_page_token: str) -> pb.ListProductsResponse:
    """One page of products."""
    return pb.ListProductsResponse(
        products=[known(value) for value in values], next_page_token=next_page_token
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


def _variant(message: pb.Variant, path: str) -> Variant:
    track = message.track_inventory if message.HasField("track_inventory") else True
    return Variant(
        item_id=message.item_id,
        sku=message.sku,
        upc=message.upc,
        attribute_values=tuple(message.attribute_values),
        retail_price=(
            money(message.retail_price, f"{path}.retail_price")
            if message.HasField("retail_price")
            else None
        ),
        weight=_weight(message.weight) if message.HasField("weight") else None,
        dimensions=_dimensions(message.dimensions) if message.HasField("dimensions") else None,
        track_inventory=track,
        supply_price=(
            money(message.supply_price, f"{path}.supply_price")
            if message.HasField("supply_price")
            else None
        ),
        supplier_code=message.supplier_code,
        active=message.active if message.HasField("active") else None,
    )


def _weight(message: pb.Weight) -> Weight:
    return Weight(message.value, _WEIGHT_UNITS[message.unit])


def _dimensions(message: pb.Dimensions) -> Dimensions:
    unit = _LENGTH_UNITS[message.unit]
    return Dimensions(message.length, message.width, message.height, unit)


def _variant_message(variant: Variant) -> pb.Variant:
    return pb.Variant(
        item_id=variant.item_id,
        sku=variant.sku,
        upc=variant.upc,
        attribute_values=variant.attribute_values,
        retail_price=money_message(variant.retail_price),
        weight=_weight_message(variant.weight) if variant.weight else None,
        dimensions=_dimensions_message(variant.dimensions) if variant.dimensions else None,
        track_inventory=variant.track_inventory,
        supply_price=money_message(variant.supply_price),
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
