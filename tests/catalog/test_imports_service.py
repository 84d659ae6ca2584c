"""Imports of whole catalogs, over the network, on each kind of database (BEY-15, BEY-10)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import pytest

from services.chassis.database import utc_now
from tests.catalog.conftest import Shop
from tests.catalog.samples import money, mug
from tests.harness import metadata, refused
from tillbridge.catalog.v1 import catalog_pb2, events_pb2
from tillbridge.catalog.v1 import imports_pb2 as pb
from tillbridge.catalog.v1.imports_pb2_grpc import ImportServiceStub

if TYPE_CHECKING:
    from tillbridge.catalog.v1.imports_pb2_grpc import ImportServiceAsyncStub

_ids = (f"i-{number}" for number in count(1))


def run_of(answer: object) -> pb.Import:
    """The run in an answer, whose field has a name that Python keeps for itself."""
    found: pb.Import = getattr(answer, "import")
    return found


def outcomes(results: Sequence[catalog_pb2.ProductResult]) -> list[str]:
    return [
        catalog_pb2.UpsertOutcome.Name(one.outcome).removeprefix("UPSERT_OUTCOME_")
        for one in results
    ]


def dear(product_id: str, price: str = "99", **changes: object) -> catalog_pb2.Product:
    """A mug at another price."""
    found = mug(product_id, **changes)
    found.variants[0].retail_price.CopyFrom(money(price))
    return found


@dataclass(frozen=True, slots=True)
class Importer:
    """An operator who imports."""

    shop: Shop

    @property
    def stub(self) -> "ImportServiceAsyncStub":
        return ImportServiceStub(self.shop.catalog.channel)

    async def begin(self, digest: str = "d", rows: int = 0, **more: int) -> pb.Import:
        return run_of(await self.create(digest, rows, **more))

    async def create(self, digest: str, rows: int = 0, **more: int) -> pb.CreateImportResponse:
        request = pb.CreateImportRequest(
            request_id=next(_ids),
            source_name="shop.csv",
            source_digest=digest,
            row_count=rows,
            **more,
        )
        return await self.stub.CreateImport(request, metadata=metadata())

    async def send(
        self,
        run: pb.Import,
        products: Sequence[catalog_pb2.Product],
        first_row: int = 1,
        *,
        bad: Sequence[pb.ImportRow] = (),
        next_row: int = 0,
        request_id: str = "",
    ) -> pb.ImportProductsResponse:
        """Sends one product a row."""
        imported = [
            pb.ImportedProduct(row=first_row + index, product=product)
            for index, product in enumerate(products)
        ]
        request = pb.ImportProductsRequest(
            request_id=request_id or next(_ids),
            import_id=run.import_id,
            first_row=first_row,
            next_row=next_row or first_row + len(products) + len(bad),
            cursor=f"behind {first_row}",
            products=imported,
            refused=bad,
        )
        return await self.stub.ImportProducts(request, metadata=metadata())

    async def finish(self, run: pb.Import) -> pb.Import:
        request = pb.FinishImportRequest(request_id=next(_ids), import_id=run.import_id)
        return run_of(await self.stub.FinishImport(request, metadata=metadata()))

    async def approve(self, run: pb.Import, *, approved: bool = True) -> pb.Import:
        request = pb.ApproveImportRequest(
            request_id=next(_ids), import_id=run.import_id, approved=approved
        )
        return run_of(await self.stub.ApproveImport(request, metadata=metadata()))

    async def undo(self, run: pb.Import, *, validate_only: bool = False) -> pb.UndoImportResponse:
        request = pb.UndoImportRequest(
            request_id=next(_ids), import_id=run.import_id, validate_only=validate_only
        )
        return await self.stub.UndoImport(request, metadata=metadata())

    async def get(self, run: pb.Import) -> pb.Import:
        request = pb.GetImportRequest(import_id=run.import_id)
        return run_of(await self.stub.GetImport(request, metadata=metadata()))

    async def rows(self, run: pb.Import, page_size: int = 0) -> list[pb.ImportRow]:
        request = pb.ListImportRowsRequest(import_id=run.import_id, page_size=page_size)
        found: list[pb.ImportRow] = []
        while True:
            page = await self.stub.ListImportRows(request, metadata=metadata())
            found += page.rows
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def price(self, product_id: str) -> int:
        return int((await self.shop.product(product_id)).variants[0].retail_price.units)


@pytest.fixture
async def importer(shop: Shop) -> Importer:
    return Importer(shop)


@pytest.mark.rule("BEY-15")
async def test_a_run_takes_products_counts_them_and_says_how_far_it_got(
    importer: Importer,
) -> None:
    await importer.shop.upsert(mug("a"), mug("b"))
    run = await importer.begin(rows=4)
    await importer.send(run, [], next_row=2)  # the header
    found = await importer.send(run, [mug("a"), dear("b"), mug("c")], 2)
    assert outcomes(found.results) == ["UNCHANGED", "UPDATED", "CREATED"]
    now = run_of(found)
    assert (now.created_count, now.updated_count, now.unchanged_count) == (1, 1, 1)
    assert (now.next_row, now.cursor) == (5, "behind 2")
    done = await importer.finish(run)
    assert done.state == pb.IMPORT_STATE_DONE
    assert done.HasField("end_time")
    assert (await importer.finish(run)) == done


@pytest.mark.rule("BEY-15")
async def test_one_bad_product_never_stops_the_others_and_every_row_of_it_is_listed(
    importer: Importer,
) -> None:
    run = await importer.begin()
    bad = mug("b", name=" ")
    request = pb.ImportProductsRequest(
        request_id=next(_ids),
        import_id=run.import_id,
        first_row=1,
        next_row=8,
        products=[
            pb.ImportedProduct(row=2, product=mug("a")),
            pb.ImportedProduct(row=3, row_count=3, product=bad),
            pb.ImportedProduct(row=6, product=mug("c")),
        ],
        refused=[
            pb.ImportRow(
                row=7,
                outcome=catalog_pb2.UPSERT_OUTCOME_REFUSED,
                message="retail_price: `abc` is no number",
            )
        ],
    )
    answer = await importer.stub.ImportProducts(request, metadata=metadata())
    assert outcomes(answer.results) == ["CREATED", "REFUSED", "CREATED"]
    assert answer.results[1].message.startswith("name: is blank")
    assert run_of(answer).refused_count == 4
    rows = await importer.rows(run, page_size=2)
    assert [row.row for row in rows] == [3, 4, 5, 7]
    assert rows[0].message.startswith("name: is blank")
    assert rows[1].message == "as row 3, its product's first"
    assert rows[3].message == "retail_price: `abc` is no number"


@pytest.mark.rule("BEY-15")
async def test_a_product_with_a_warning_is_taken_and_listed(importer: Importer) -> None:
    run = await importer.begin()
    odd = mug("a")
    odd.variants[0].upc = "4006381333932"  # the last digit is wrong
    answer = await importer.send(run, [odd])
    assert outcomes(answer.results) == ["CREATED"]
    (row,) = await importer.rows(run)
    assert row.outcome == catalog_pb2.UPSERT_OUTCOME_CREATED
    assert "upc" in row.message
    assert run_of(answer).refused_count == 0


@pytest.mark.rule("BEY-15")
async def test_the_same_source_goes_on_where_it_broke_off(importer: Importer) -> None:
    run = await importer.begin("one")
    await importer.send(run, [mug("a"), mug("b")])
    again = await importer.create("one")
    assert again.resumed
    assert run_of(again).import_id == run.import_id
    assert run_of(again).next_row == 3
    assert not (await importer.create("two")).resumed
    await importer.finish(run)
    assert not (await importer.create("one")).resumed


@pytest.mark.rule("BEY-15", "BEY-08")
async def test_rows_that_are_behind_change_nothing(importer: Importer) -> None:
    run = await importer.begin()
    await importer.send(run, [mug("a"), mug("b")])
    behind = await importer.send(run, [dear("a"), dear("b")])
    assert not behind.results
    over = await importer.send(run, [dear("a"), dear("b"), mug("c")])
    assert outcomes(over.results) == ["UNCHANGED", "UNCHANGED", "CREATED"]
    now = await importer.get(run)
    assert (now.created_count, now.unchanged_count, now.next_row) == (3, 0, 4)
    assert await importer.price("a") == 12


@pytest.mark.rule("BEY-08")
async def test_all_values_count_as_read_when_the_run_began(importer: Importer) -> None:
    """What the point of sale told meanwhile is newer, however late the rows come."""
    run = await importer.begin()
    await importer.shop.upsert(dear("a"))
    answer = await importer.send(run, [mug("a")])
    assert outcomes(answer.results) == ["UNCHANGED"]
    assert await importer.price("a") == 99


@pytest.mark.parametrize(
    ("first_row", "next_row", "row", "field"),
    [
        (2, 3, 2, "first_row"),
        (1, 1, 1, "next_row"),
        (1, 2, 2, "products[0].row"),
    ],
    ids=["a gap", "no rows", "a row outside"],
)
async def test_rows_that_do_not_follow_are_refused(
    importer: Importer, first_row: int, next_row: int, row: int, field: str
) -> None:
    run = await importer.begin()
    request = pb.ImportProductsRequest(
        request_id=next(_ids),
        import_id=run.import_id,
        first_row=first_row,
        next_row=next_row,
        products=[pb.ImportedProduct(row=row, product=mug("a"))],
    )
    async with refused("INVALID_FIELD") as facts:
        await importer.stub.ImportProducts(request, metadata=metadata())
    assert field in facts


async def test_a_run_is_not_finished_while_rows_are_missing(importer: Importer) -> None:
    run = await importer.begin(rows=3)
    await importer.send(run, [mug("a"), mug("b")])
    async with refused("INVALID_FIELD") as facts:
        await importer.finish(run)
    assert "from 3 to 3" in facts["message"]


async def test_an_unknown_run_and_one_that_has_ended_are_refused(importer: Importer) -> None:
    nobody = pb.Import(import_id="nobody")
    for call in (importer.get, importer.rows, importer.finish, importer.approve, importer.undo):
        async with refused("IMPORT_NOT_FOUND") as facts:
            await call(nobody)
        assert facts["import_id"].startswith(("nobody", "no"))
    async with refused("IMPORT_NOT_FOUND"):
        await importer.send(nobody, [mug("a")])
    run = await importer.begin()
    await importer.finish(run)
    async with refused("IMPORT_ENDED") as facts:
        await importer.send(run, [mug("a")])
    assert facts["state"] == "DONE"
    async with refused("IMPORT_ENDED"):
        await importer.approve(run)


@pytest.mark.rule("BEY-10")
async def test_a_run_that_would_deactivate_too_much_is_held_until_a_yes(
    importer: Importer,
) -> None:
    names = [f"p{number:02}" for number in range(10)]
    await importer.shop.upsert(*map(mug, names))
    run = await importer.begin(breaker_share_percent=30, breaker_items_min=1)
    off = [mug(name, active=False) for name in names]
    await importer.send(run, off[:3])
    async with refused("CIRCUIT_OPEN") as facts:
        await importer.send(run, [dear("new"), *off[3:5]], 4, request_id="again")
    assert facts["deactivated"] == "5"
    held = await importer.get(run)
    assert held.state == pb.IMPORT_STATE_HELD
    assert (held.deactivated_count, held.next_row) == (5, 4)
    assert not (await importer.shop.resolve(catalog_pb2.ItemReference(sku="SKU-new")))[0].item_id
    for call in (importer.send(run, off[3:5], 4), importer.finish(run)):
        async with refused("CIRCUIT_OPEN"):
            await call
    assert (await importer.create("d")).resumed
    yes = await importer.approve(run)
    assert yes.state == pb.IMPORT_STATE_RUNNING
    answer = await importer.send(run, [dear("new"), *off[3:5]], 4, request_id="again")
    assert outcomes(answer.results) == ["CREATED", "UPDATED", "UPDATED"]
    assert run_of(answer).deactivated_count == 5
    last = await importer.send(run, off[5:], 7)
    assert run_of(last).deactivated_count == 10


@pytest.mark.rule("BEY-10")
async def test_a_no_cancels_and_what_was_taken_before_stays(importer: Importer) -> None:
    await importer.shop.upsert(mug("a"), mug("b"))
    run = await importer.begin(breaker_share_percent=1, breaker_items_min=1)
    await importer.send(run, [mug("a", active=False)])
    async with refused("CIRCUIT_OPEN"):
        await importer.send(run, [mug("b", active=False)], 2)
    ended = await importer.approve(run, approved=False)
    assert ended.state == pb.IMPORT_STATE_CANCELED
    assert ended.deactivated_count == 1
    assert not (await importer.shop.product("a")).active
    assert (await importer.shop.product("b")).active


@pytest.mark.rule("BEY-15")
async def test_undo_restores_what_nobody_changed_since(importer: Importer) -> None:
    shop = importer.shop
    await shop.upsert(mug("a"), mug("b"), mug("same"))
    run = await importer.begin()
    await importer.send(run, [dear("a"), dear("b"), mug("same"), mug("new"), mug("touched")])
    await shop.upsert(dear("touched", "3"), dear("b", "4"))
    would = await importer.undo(run, validate_only=True)
    assert would.remaining_count == 4
    assert await importer.price("a") == 99
    answer = await importer.undo(run)
    assert [(one.product_id, one.undone) for one in answer.results] == [
        ("touched", False),
        ("new", True),
        ("b", False),
        ("a", True),
    ]
    assert answer.results == would.results
    now = run_of(answer)
    assert (now.state, answer.remaining_count) == (pb.IMPORT_STATE_UNDONE, 0)
    assert (now.undone_count, now.kept_count) == (2, 2)
    assert await importer.price("a") == 12
    assert await importer.price("b") == 4
    async with refused("PRODUCT_NOT_FOUND"):
        await shop.product("new")
    last = [one for one in await shop.changes() if isinstance(one, events_pb2.ProductChanged)][-2:]
    assert sorted((one.product_id, one.deleted) for one in last) == [("a", False), ("new", True)]


@pytest.mark.rule("BEY-15")
async def test_an_undone_import_can_be_done_again(importer: Importer) -> None:
    """Also where the rows carry the point of sale's versions: a tombstone of an undo has that of
    before the run.
    """
    for version in (0, 7):
        run = await importer.begin()
        await importer.send(run, [mug("a", version=version)])
        await importer.undo(run)
        again = await importer.begin()
        answer = await importer.send(again, [mug("a", version=version)])
        assert outcomes(answer.results) == ["CREATED"]
        await importer.undo(again)


@pytest.mark.rule("BEY-15")
async def test_an_item_that_moved_goes_back_where_it_was(importer: Importer) -> None:
    moving = catalog_pb2.Variant(item_id="x", sku="x", retail_price=money())
    await importer.shop.upsert(mug("a", variants=[moving]))
    run = await importer.begin()
    await importer.send(run, [mug("a"), mug("b", variants=[moving])])
    answer = await importer.undo(run)
    assert [one.undone for one in answer.results] == [True, True]
    (found,) = await importer.shop.resolve(catalog_pb2.ItemReference(item_id="x"))
    assert found.product_id == "a"


async def test_runs_are_listed_latest_first(importer: Importer) -> None:
    made = [(await importer.begin(f"d{number}")).import_id for number in range(5)]
    found: list[str] = []
    request = pb.ListImportsRequest(page_size=2)
    while True:
        page = await importer.stub.ListImports(request, metadata=metadata())
        found += [one.import_id for one in page.imports]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert found == made[::-1]
    others = await importer.stub.ListImports(
        pb.ListImportsRequest(), metadata=metadata("another-shop")
    )
    assert not others.imports


@pytest.mark.rule("BEY-15")
async def test_provenance_names_the_import(importer: Importer) -> None:
    await importer.shop.open_channel("web")
    run = await importer.begin()
    await importer.send(run, [mug("a")], request_id="the-call")
    listing = await importer.shop.listing("web", "a")
    causes = {(one.cause, one.source_request_id) for one in listing.provenance if one.cause}
    assert ("import shop.csv", "the-call") in causes


async def test_a_repeat_is_answered_as_the_first_time(importer: Importer) -> None:
    run = await importer.begin()
    first = await importer.send(run, [mug("a")], request_id="same")
    assert await importer.send(run, [mug("a")], request_id="same") == first


@pytest.mark.rule("BEY-15")
@pytest.mark.rule("BEY-08")
@pytest.mark.parametrize("known_before", [False, True])
async def test_what_the_point_of_sale_was_asked_for_before_an_undo_is_not_lost_behind_it(
    importer: Importer, known_before: bool
) -> None:
    if known_before:
        await importer.shop.upsert(mug("a", name="Before"))
    run = await importer.begin()
    await importer.send(run, [mug("a", name="Imported")])
    read = mug("a", name="From the till")
    read.observe_time.FromDatetime(utc_now())
    await importer.undo(run)
    await importer.shop.upsert(read)
    assert (await importer.shop.product("a")).name == "From the till"
