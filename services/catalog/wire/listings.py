"""Listings, as messages."""

from collections.abc import Iterable

from services.catalog.rules.listings import (
    FieldSource,
    Listing,
    Placement,
    StoreFields,
    Wanted,
)
from services.catalog.rules.mapping import DimensionsCm, Option, Shown, ShownVariant
from services.catalog.wire.scalars import money, money_message, timestamp
from tillbridge.catalog.v1 import catalog_pb2 as pb
from tillbridge.catalog.v1 import events_pb2


def listing(value: Listing, sources: Iterable[FieldSource] = ()) -> pb.Listing:
    """A listing, with where its values came from."""
    placement, shown, own = value.placement, value.shown, value.placement.own
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
        update_time=timestamp(placement.update_time),
        push_time=timestamp(placement.push_time) if placement.push_time else None,
        pushed_version=placement.pushed_version,
        push_error=placement.push_error,
        compare_to_price=money_message(own.compare_to_price),
        subtitle=own.subtitle,
        low_stock_threshold=own.low_stock_threshold,
        unpushed_fields=[name for name, _ in placement.unpushed],
        store_image_urls=placement.store_image_urls,
        images_version=placement.images_version,
        provenance=[_field_provenance(one) for one in sources],
    )


def own_fields(message: pb.Listing) -> StoreFields:
    """The fields of a listing that belong to its store, as somebody wants them.

    Raises:
        DomainError: INVALID_FIELD; an amount of money is none.
    """
    has_price = message.HasField("compare_to_price")
    return StoreFields(
        compare_to_price=(
            money(message.compare_to_price, "listing.compare_to_price") if has_price else None
        ),
        subtitle=message.subtitle,
        low_stock_threshold=(
            message.low_stock_threshold if message.HasField("low_stock_threshold") else None
        ),
    )


def asked(message: pb.Listing) -> Shown:
    """What somebody wants a listing to show.

    Raises:
        DomainError: INVALID_FIELD; an amount of money is none.
    """
    return Shown(
        name=message.name,
        description=message.description,
        category=message.category,
        brand=message.brand,
        active=message.available,
        options=tuple(Option(one.name, tuple(one.values)) for one in message.options),
        variants=tuple(
            _asked_variant(one, f"listing.variants[{index}].price")
            for index, one in enumerate(message.variants)
        ),
        image_urls=tuple(message.image_urls),
    )


def wanted(request: pb.ListListingsRequest) -> Wanted:
    """Which listings a page is asked of."""
    return Wanted(
        sell_online=request.sell_online if request.HasField("sell_online") else None,
        category=request.category,
        brand=request.brand,
        skus=tuple(request.skus),
        product_ids=tuple(request.product_ids),
        push_failed=request.push_failed,
    )


def to_switch(request: pb.SetSellOnlineRequest) -> Wanted:
    """Which listings have to be switched: those that are not as they shall be."""
    return Wanted(
        sell_online=not request.sell_online,
        category=request.category,
        brand=request.brand,
        tag=request.tag,
        skus=tuple(request.skus),
        product_ids=tuple(request.product_ids),
    )


def listing_page(values: Iterable[Listing], next_page_token: str) -> pb.ListListingsResponse:
    """One page of listings."""
    return pb.ListListingsResponse(
        listings=[listing(value) for value in values], next_page_token=next_page_token
    )


def listing_changed(value: Placement) -> events_pb2.ListingChanged:
    """That a listing is new, different or gone."""
    return events_pb2.ListingChanged(
        channel_id=value.channel_id,
        product_id=value.product_id,
        version=value.version,
        deleted=value.deleted,
    )


def _shown_variant(variant: ShownVariant) -> pb.ListingVariant:
    return pb.ListingVariant(
        item_id=variant.item_id,
        sku=variant.sku,
        upc=variant.upc,
        option_values=variant.option_values,
        price=money_message(variant.price),
        weight_kg=variant.weight_kg,
        dimensions_cm=_cm_message(variant.dimensions_cm) if variant.dimensions_cm else None,
        track_inventory=variant.track_inventory,
    )


def _cm_message(dimensions: DimensionsCm) -> pb.DimensionsCm:
    return pb.DimensionsCm(
        length=dimensions.length, width=dimensions.width, height=dimensions.height
    )


def _asked_variant(message: pb.ListingVariant, path: str) -> ShownVariant:
    cm = message.dimensions_cm
    return ShownVariant(
        item_id=message.item_id,
        sku=message.sku,
        upc=message.upc,
        option_values=tuple(message.option_values),
        price=money(message.price, path) if message.HasField("price") else None,
        weight_kg=message.weight_kg,
        dimensions_cm=(
            DimensionsCm(cm.length, cm.width, cm.height)
            if message.HasField("dimensions_cm")
            else None
        ),
        track_inventory=message.track_inventory,
    )


def _field_provenance(value: FieldSource) -> pb.FieldProvenance:
    source = value.source
    return pb.FieldProvenance(
        field=value.field,
        owner=pb.FieldOwner.Value(f"FIELD_OWNER_{value.owner.name}"),
        cause=source.cause if source else "",
        source_request_id=source.request_id if source else "",
        observe_time=timestamp(source.observe_time) if source else None,
    )
