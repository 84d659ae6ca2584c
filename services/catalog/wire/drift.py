"""What stores show and should not, as messages and as values."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from services.catalog.rules.drift import Drift, Edit, EditKind, Seen, State, Verdict, message
from services.catalog.rules.listings import StoreFields
from services.catalog.wire.scalars import money, timestamp
from services.chassis.errors import invalid
from tillbridge.catalog.v1 import drift_pb2 as pb
from tillbridge.errors.v1 import errors_pb2


def seen(request: pb.ReportListingEditRequest) -> Seen:
    """How a store shows a listing.

    Raises:
        DomainError: INVALID_FIELD; an amount of money or a time is none.
    """
    told = request.HasField("store_fields")
    return Seen(
        version=request.version,
        edits=tuple(_edit(one) for one in request.edits),
        own=_store_fields(request.store_fields) if told else None,
        image_urls=tuple(dict.fromkeys(request.store_image_urls)),
        store_update_time=_store_update_time(request),
    )


def answer(edits: Iterable[Edit], verdict: Verdict) -> pb.ReportListingEditResponse:
    """What became of each edit, and what was taken over."""
    return pb.ReportListingEditResponse(
        results=[_result(edit, verdict.in_flight) for edit in edits], taken_fields=verdict.taken
    )


def state(request: pb.ListDriftRequest) -> State | None:
    """The state that is asked for; None for any."""
    if not request.state:
        return None
    return State(pb.DriftState.Name(request.state).removeprefix("DRIFT_STATE_"))


def page(values: Iterable[Drift], next_page_token: str) -> pb.ListDriftResponse:
    """One page of drift."""
    return pb.ListDriftResponse(
        drift=[_drift(value) for value in values], next_page_token=next_page_token
    )


def restored(values: Sequence[Drift], listing_count: int) -> pb.HealDriftResponse:
    """What is restored."""
    return pb.HealDriftResponse(
        drift=[_drift(value) for value in values], listing_count=listing_count
    )


def _edit(found: pb.ListingEdit) -> Edit:
    return Edit(
        kind=EditKind(pb.EditKind.Name(found.kind).removeprefix("EDIT_KIND_")),
        field=found.field,
        item_id=found.item_id,
        store_value=found.store_value,
        own_value=found.own_value,
    )


def _store_fields(found: pb.StoreFields) -> StoreFields:
    has_price = found.HasField("compare_to_price")
    path = "store_fields.compare_to_price"
    return StoreFields(
        compare_to_price=money(found.compare_to_price, path) if has_price else None,
        subtitle=found.subtitle,
        low_stock_threshold=(
            found.low_stock_threshold if found.HasField("low_stock_threshold") else None
        ),
    )


def _store_update_time(request: pb.ReportListingEditRequest) -> datetime | None:
    if not request.HasField("store_update_time"):
        return None
    try:
        return request.store_update_time.ToDatetime(tzinfo=UTC)
    except (OverflowError, ValueError) as error:
        raise invalid("store_update_time", "must be a time between 1 and 9999") from error


def _result(edit: Edit, in_flight: bool) -> pb.EditResult:
    if in_flight:
        return pb.EditResult(
            outcome=pb.EDIT_OUTCOME_IN_FLIGHT,
            message="the listing is about to be written to the store: compare again after that",
        )
    return pb.EditResult(
        outcome=pb.EDIT_OUTCOME_RESTORED,
        reason=errors_pb2.ERROR_REASON_FIELD_OWNED_BY_POS,
        message=message(edit),
    )


def _drift(value: Drift) -> pb.Drift:
    return pb.Drift(
        channel_id=value.channel_id,
        product_id=value.product_id,
        item_id=value.item_id,
        field=value.field,
        kind=pb.EditKind.Value(f"EDIT_KIND_{value.kind}"),
        own_value=value.own_value,
        store_value=value.store_value,
        cause=pb.DriftCause.Value(f"DRIFT_CAUSE_{value.cause}"),
        state=pb.DriftState.Value(f"DRIFT_STATE_{value.state}"),
        observe_time=timestamp(value.observe_time),
        last_observe_time=timestamp(value.last_observe_time),
        heal_time=timestamp(value.heal_time) if value.heal_time else None,
        times=value.times,
    )
