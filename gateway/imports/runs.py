"""Runs: sending what a source has to the catalog, batch by batch, or only asking what would be."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from gateway.imports.catalog import Catalog, run_in
from gateway.imports.files import MESSAGE_MAX, Draft, ProductFile
from gateway.imports.ids import Ids
from gateway.imports.rows import ID_LENGTH_MAX
from gateway.inward import BATCH_BYTES_MAX, batches
from gateway.pos import PointOfSale
from gateway.records import PUT_ASIDE, Aside, request_id
from services.chassis import failpoints
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.catalog.v1 import imports_pb2 as pb

BATCH_PRODUCTS_MAX = 500
BATCH_ROWS_MAX = 4000


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that go to the catalog in one call."""

    first_row: int
    next_row: int
    products: Sequence[pb.ImportedProduct]
    refused: Sequence[pb.ImportRow] = ()
    cursor: str = ""


@dataclass(slots=True)
class Findings:
    """What a dry run has found."""

    outcomes: Counter[str] = field(default_factory=Counter)
    deactivated_count: int = 0
    refused_rows: int = 0


Moved = Callable[[pb.Import], None]
"""Told of a run after each batch."""
Previewed = Callable[[Batch, Sequence[catalog_pb2.ProductResult]], None]
"""Told of a batch, and of what would become of its products."""


async def begin(
    catalog: Catalog, name: str, digest: str, row_count: int, breaker: tuple[int, int]
) -> tuple[pb.Import, bool]:
    """A new run, or the unfinished one of the same source, and whether it is that."""
    share, items_min = breaker
    request = pb.CreateImportRequest(
        request_id=uuid4().hex,
        source_name=name[:200],
        source_digest=digest,
        row_count=row_count,
        breaker_share_percent=share,
        breaker_items_min=items_min,
    )
    answer = await catalog.call(catalog.imports.CreateImport, request)
    return run_in(answer), answer.resumed


async def send(
    catalog: Catalog, run: pb.Import, batches: AsyncIterator[Batch], moved: Moved
) -> pb.Import:
    """Sends batches, one after the other, and finishes the run. While a batch is under way the next
    one is read.

    Raises:
        DomainError: the run is held, has ended, or the catalog cannot be reached.
    """
    ahead = asyncio.ensure_future(anext(batches, None))
    while batch := await ahead:
        ahead = asyncio.ensure_future(anext(batches, None))
        try:
            run = await _send(catalog, run, batch)
        except BaseException:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
            raise
        moved(run)
    finish = pb.FinishImportRequest(request_id=uuid4().hex, import_id=run.import_id)
    return run_in(await catalog.call(catalog.imports.FinishImport, finish))


async def _send(catalog: Catalog, run: pb.Import, batch: Batch) -> pb.Import:
    request = pb.ImportProductsRequest(
        import_id=run.import_id,
        first_row=batch.first_row,
        next_row=batch.next_row,
        cursor=batch.cursor,
        products=batch.products,
        refused=batch.refused,
    )
    request.request_id = request_id("import", run.import_id, batch.first_row, body=request)
    taken = run_in(await catalog.call(catalog.imports.ImportProducts, request))
    failpoints.at("import.sent")
    return taken


async def preview(
    catalog: Catalog, cause: str, batches: AsyncIterator[Batch], told: Previewed
) -> Findings:
    """Asks the catalog what would become of each product; nothing changes."""
    findings = Findings()
    async for batch in batches:
        results: Sequence[catalog_pb2.ProductResult] = ()
        if batch.products:
            request = catalog_pb2.BatchUpsertProductsRequest(
                request_id=uuid4().hex,
                products=[one.product for one in batch.products],
                cause=cause[:200],
                validate_only=True,
            )
            method = catalog.products.BatchUpsertProducts
            results = (await catalog.call(method, request)).results
        findings.refused_rows += len(batch.refused)
        for imported, result in zip(batch.products, results, strict=False):
            name = catalog_pb2.UpsertOutcome.Name(result.outcome)
            findings.outcomes[name.removeprefix("UPSERT_OUTCOME_")] += 1
            if result.outcome == catalog_pb2.UPSERT_OUTCOME_REFUSED:
                findings.refused_rows += imported.row_count or 1
            findings.deactivated_count += any(
                change.field == "active" and change.new_value == "false"
                for change in result.changes
            )
        told(batch, results)
    return findings


async def of_file(catalog: Catalog, file: ProductFile, next_row: int) -> AsyncIterator[Batch]:
    """The rows of a file from a row on, read and looked up beside whoever takes them."""
    ids = Ids(catalog, file)
    await ids.begin()
    lists = _lists(file.drafts(next_row))
    first_row = next_row
    while drafts := await asyncio.to_thread(next, lists, None):
        given = await ids.given(drafts)
        yield Batch(
            first_row,
            given[-1].next_row,
            [
                pb.ImportedProduct(row=one.first_row, product=one.product, row_count=one.row_count)
                for one in given
                if one.product
            ],
            [row for one in given for row in one.refused],
        )
        first_row = given[-1].next_row
    if first_row <= file.row_count:
        yield Batch(first_row, file.row_count + 1, [])


def _lists(drafts: Iterator[Draft]) -> Iterator[list[Draft]]:
    """Drafts in parts that the catalog takes in one call."""
    found: list[Draft] = []
    size = rows = 0
    for draft in drafts:
        more = draft.product.ByteSize() if draft.product else 0
        if found and (
            len(found) >= BATCH_PRODUCTS_MAX
            or size + more > BATCH_BYTES_MAX
            or rows + draft.row_count > BATCH_ROWS_MAX
        ):
            yield found
            found, size, rows = [], 0, 0
        found.append(draft)
        size += more
        rows += draft.row_count
    if found:
        yield found


async def of_point_of_sale(pos: PointOfSale, run: pb.Import) -> AsyncIterator[Batch]:
    """The products of a point of sale behind the run's cursor, one a row. What makes no sense there
    is a row that is refused; what was deleted there is no row: polling takes that.
    """
    row, cursor = run.next_row, run.cursor
    aside = PUT_ASIDE.get()
    async for batch in pos.products_since(cursor):
        products = [one for one in batch.records if isinstance(one, catalog_pb2.Product)]
        for part in batches(products, BATCH_PRODUCTS_MAX):
            last = part[-1] is products[-1]
            numbered = _numbered(row, part, aside or [], batch.cursor if last else cursor)
            row = numbered.next_row
            yield numbered
        cursor = batch.cursor
    while aside:
        numbered = _numbered(row, (), aside, cursor)
        row = numbered.next_row
        yield numbered


def _numbered(
    row: int, products: Sequence[catalog_pb2.Product], aside: list[Aside], cursor: str
) -> Batch:
    """Products, and what was put aside so far, as rows from this one on; nothing stays aside."""
    behind = row + len(products)
    refused = [
        pb.ImportRow(
            row=behind + index,
            product_id=one.name[:ID_LENGTH_MAX],
            outcome=catalog_pb2.UPSERT_OUTCOME_REFUSED,
            message=f"{one.kind}: {one.why}"[:MESSAGE_MAX],
        )
        for index, one in enumerate(aside[:BATCH_ROWS_MAX])
    ]
    del aside[: len(refused)]
    return Batch(
        row,
        behind + len(refused),
        [
            pb.ImportedProduct(row=row + index, product=product)
            for index, product in enumerate(products)
        ],
        refused,
        cursor,
    )
