"""Imports, as messages and as values."""

from collections.abc import Iterable, Sequence

from services.catalog.rules.imports import Line, Place, Run, Undoing
from services.catalog.rules.products import Known, Outcome, Product
from services.catalog.wire import products as product_wire
from services.catalog.wire.scalars import timestamp
from services.chassis.errors import DomainError
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.catalog.v1 import imports_pb2 as pb

_OUTCOMES = {
    outcome: catalog_pb2.UpsertOutcome.Value(f"UPSERT_OUTCOME_{outcome}") for outcome in Outcome
}
_BY_NUMBER = {number: outcome for outcome, number in _OUTCOMES.items()}


def run(value: Run) -> pb.Import:
    """A run."""
    return pb.Import(
        import_id=value.import_id,
        source_name=value.source_name,
        source_digest=value.source_digest,
        state=pb.ImportState.Value(f"IMPORT_STATE_{value.state}"),
        row_count=value.row_count,
        next_row=value.next_row,
        cursor=value.cursor,
        created_count=value.created_count,
        updated_count=value.updated_count,
        unchanged_count=value.unchanged_count,
        refused_count=value.refused_count,
        deactivated_count=value.deactivated_count + value.held_count,
        breaker_share_percent=value.breaker_share_percent,
        breaker_items_min=value.breaker_items_min,
        undone_count=value.undone_count,
        kept_count=value.kept_count,
        create_time=timestamp(value.create_time),
        update_time=timestamp(value.update_time),
        end_time=timestamp(value.end_time) if value.end_time else None,
    )


def places(request: pb.ImportProductsRequest) -> list[Place]:
    """Where the products of a call stand in their source."""
    return [Place(one.row, one.row_count or 1) for one in request.products]


def refused(request: pb.ImportProductsRequest) -> list[Line]:
    """The rows of a call that are no product."""
    return [
        Line(one.row, one.product_id, _BY_NUMBER[one.outcome], one.message)
        for one in request.refused
    ]


def taken(value: Run, results: Iterable[catalog_pb2.ProductResult]) -> pb.ImportProductsResponse:
    """How far a run has got, and what became of the products of a call."""
    answer = pb.ImportProductsResponse(results=results)
    getattr(answer, "import").CopyFrom(run(value))
    return answer


def why(error: DomainError) -> str:
    """Why a product was refused, with the paths of its bad fields."""
    return "; ".join(f"{field}: {what}" for field, what in error.violations[:5])


def lines(found: Sequence[Line], next_page_token: str) -> pb.ListImportRowsResponse:
    """One page of rows."""
    return pb.ListImportRowsResponse(
        rows=[
            pb.ImportRow(
                row=line.row,
                product_id=line.product_id,
                outcome=_OUTCOMES[line.outcome],
                message=line.message,
            )
            for line in found
        ],
        next_page_token=next_page_token,
    )


def page(found: Sequence[Run], next_page_token: str) -> pb.ListImportsResponse:
    """One page of runs."""
    return pb.ListImportsResponse(
        imports=[run(one) for one in found], next_page_token=next_page_token
    )


def undone(value: Run, remaining: int, undoings: Iterable[Undoing]) -> pb.UndoImportResponse:
    """What became of the products of a run that is undone."""
    return pb.UndoImportResponse(
        **{"import": run(value)},
        remaining_count=remaining,
        results=[
            pb.UndoResult(
                product_id=one.product_id,
                undone=not one.kept_because,
                message=one.kept_because,
            )
            for one in undoings
        ],
    )


def packed(known: Known) -> bytes:
    """A product that is not deleted as bytes, to be kept."""
    return product_wire.known(known).SerializeToString()


def unpacked(body: bytes | None) -> Product | None:
    """A product that was kept; None for none."""
    return None if body is None else product_wire.product(catalog_pb2.Product.FromString(body))
