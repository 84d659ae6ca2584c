"""`tillbridge import` against a real catalog: dry run, run, being killed, undo (BEY-15, BEY-10)."""

import asyncio
import csv
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.catalog.conftest import Shop
from tests.catalog.samples import money, mug
from tests.harness import metadata, service_metadata
from tillbridge.catalog.v1 import catalog_pb2, events_pb2
from tillbridge.catalog.v1 import imports_pb2 as pb
from tillbridge.catalog.v1.imports_pb2_grpc import ImportServiceStub
from tillbridge.events.v1 import events_pb2 as feed_pb
from tillbridge.events.v1.events_pb2_grpc import EventFeedStub

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "catalogs"
COMMAND = (str(Path(sys.executable).with_name("tillbridge")), "import")
ENDED_S = 60.0
MANY = 3000
FOLLOW = "rows of one product must follow each other"


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody at a terminal, beside a catalog that runs."""

    shop: Shop

    async def start(
        self, *arguments: str, merchant: str = "mug-shop", stdin: int = asyncio.subprocess.DEVNULL
    ) -> asyncio.subprocess.Process:
        token = dict(metadata(merchant))["authorization"].removeprefix("Bearer ")
        known = {name: value for name, value in os.environ.items() if "TILLBRIDGE" not in name}
        return await asyncio.create_subprocess_exec(
            *COMMAND,
            *arguments,
            env=known
            | {"TILLBRIDGE_CATALOG_ADDRESS": self.shop.catalog.address, "TILLBRIDGE_TOKEN": token},
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def run(self, *arguments: str, merchant: str = "mug-shop") -> tuple[int, str]:
        """The exit code of a command, and what it said."""
        process = await self.start(*arguments, merchant=merchant)
        said, _ = await asyncio.wait_for(process.communicate(), ENDED_S)
        assert process.returncode is not None
        return process.returncode, said.decode()

    async def runs(self, merchant: str = "mug-shop") -> list[pb.Import]:
        stub = ImportServiceStub(self.shop.catalog.channel)
        answer = await stub.ListImports(pb.ListImportsRequest(), metadata=metadata(merchant))
        return list(answer.imports)

    async def products(self, merchant: str = "mug-shop") -> list[catalog_pb2.Product]:
        """All products, without when they came."""
        found: list[catalog_pb2.Product] = []
        request = catalog_pb2.ListProductsRequest(page_size=1000)
        while True:
            page = await self.shop.stub.ListProducts(request, metadata=metadata(merchant))
            found += page.products
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        for one in found:
            one.ClearField("observe_time")
            one.ClearField("update_time")
        return found


@pytest.fixture
def operator(shop: Shop) -> Operator:
    return Operator(shop)


def written(folder: Path, rows: Sequence[Mapping[str, str]], name: str = "shop.csv") -> str:
    """A file of products."""
    path = folder / name
    with path.open("w", newline="", encoding="utf-8") as file:
        columns = ("handle", "sku", "name", "retail_price", "active")
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def line(name: str, price: str = "12.50", active: str = "1") -> dict[str, str]:
    return {
        "handle": name,
        "sku": f"SKU-{name}",
        "name": name.title(),
        "retail_price": price,
        "active": active,
    }


EUR = ("--currency", "EUR", "--yes")


@pytest.mark.skipif(not REAL.is_dir(), reason="shared/data is not beside the repository")
@pytest.mark.rule("BEY-15")
@pytest.mark.parametrize(
    ("name", "count"), [("shopify-apparel.csv", 20), ("shopify-home-and-garden.csv", 20)]
)
async def test_a_real_file_comes_in_whole_and_the_second_time_changes_nothing(
    operator: Operator, name: str, count: int
) -> None:
    code, said = await operator.run("products", str(REAL / name), *EUR)
    assert code == 0, said
    assert f"It would create {count} products, change 0, leave 0 as they are" in said
    found = await operator.products()
    assert len(found) == count
    with (REAL / name).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    variants = [one for product in found for one in product.variants]
    assert len(variants) == sum(bool(row["Variant Price"]) for row in rows)
    images = {one.url for product in found for one in product.images}
    assert images == {row["Image Src"] for row in rows} - {""}
    told = await operator.shop.told()
    before = await operator.products()
    code, said = await operator.run("products", str(REAL / name), *EUR)
    assert code == 0, said
    assert f"create 0 products, change 0, leave {count} as they are, and refuse 0 rows" in said
    assert await operator.products() == before
    assert await operator.shop.told() == told
    last, first = await operator.runs()
    assert (first.created_count, first.refused_count) == (count, 0)
    assert (last.created_count, last.updated_count, last.unchanged_count) == (0, 0, count)


@pytest.mark.rule("BEY-15")
async def test_a_dry_run_shows_what_would_change_and_changes_nothing(
    operator: Operator, tmp_path: Path
) -> None:
    await operator.shop.upsert(mug("a"), mug("b"))
    file = written(tmp_path, [line("a", "13"), line("bad", "abc"), line("new")])
    before = await operator.products()
    code, said = await operator.run("products", file, "--currency", "EUR", "--dry-run")
    assert code == 1
    assert "row 2, a: variants[a-item].retail_price: '12.5 EUR' -> '13 EUR'" in said
    assert "row 3 refused: retail_price: must be a number such as 12.50" in said
    assert "create 1 products, change 1, leave 0 as they are, and refuse 1 rows" in said
    assert await operator.products() == before
    assert await operator.runs() == []


async def test_nothing_is_done_where_nobody_can_be_asked(
    operator: Operator, tmp_path: Path
) -> None:
    code, said = await operator.run("products", written(tmp_path, [line("a")]), *EUR[:2])
    assert (code, "--yes imports it" in said) == (2, True)
    assert await operator.products() == []


@pytest.mark.rule("BEY-15")
async def test_a_bad_row_is_listed_and_the_others_come_in(
    operator: Operator, tmp_path: Path
) -> None:
    rows = [line("a"), line("bad", "-1"), line("twice"), line("b"), line("twice"), line("c")]
    code, said = await operator.run("products", written(tmp_path, rows), *EUR)
    assert code == 1
    (run,) = await operator.runs()
    assert (run.created_count, run.refused_count) == (4, 2)
    code, said = await operator.run("rows", run.import_id)
    assert said.splitlines() == [
        "row 3: retail_price: must not be negative; got `-1`",
        f"row 6: row: its product stands at row 4 already; {FOLLOW}",
    ]


@pytest.mark.rule("BEY-15")
async def test_what_came_from_the_point_of_sale_is_known_by_its_skus(
    operator: Operator, tmp_path: Path
) -> None:
    known = mug("a", handle="a")
    known.product_id = "pos-1"
    await operator.shop.upsert(known)
    code, said = await operator.run("products", written(tmp_path, [line("a", "14")]), *EUR)
    assert code == 0, said
    (product,) = await operator.products()
    assert (product.product_id, product.variants[0].item_id) == ("pos-1", "a-item")
    assert product.variants[0].retail_price == money("14")


@pytest.mark.rule("BEY-15")
async def test_skus_of_two_products_are_never_guessed(operator: Operator, tmp_path: Path) -> None:
    await operator.shop.upsert(mug("a"))
    rows = [line("b") | {"sku": "SKU-a"}, line("a") | {"sku": "other"}]
    code, said = await operator.run("products", written(tmp_path, rows), *EUR)
    assert code == 1
    assert "its SKU belongs to product 'a' here, which stands in the file as well" in said


@pytest.mark.long
@pytest.mark.rule("BEY-15", "BEY-08")
async def test_killed_at_any_moment_it_goes_on_without_duplicates(
    operator: Operator, tmp_path: Path
) -> None:
    rows = [line(f"p{number:04}") for number in range(MANY)]
    rows[700] = line("bad", "abc")
    file = written(tmp_path, rows)
    arguments = ("products", file, *EUR, "--no-preview")
    code, said = await operator.run(*arguments, merchant="clean")
    assert code == 1, said
    for threshold in (0, 1, 900, 1700, 2500):
        process = await operator.start(*arguments)
        while process.returncode is None:
            found = await operator.runs()
            if found and found[0].next_row > threshold:
                process.kill()
                break
            await asyncio.sleep(0.002)
        await process.communicate()
    code, said = await operator.run(*arguments)
    assert code == 1, said
    (run,) = await operator.runs()
    (clean,) = await operator.runs("clean")
    assert run.state == pb.IMPORT_STATE_DONE
    counts = ("created_count", "updated_count", "unchanged_count", "refused_count", "next_row")
    for name in counts:
        assert getattr(run, name) == getattr(clean, name)
    assert run.created_count == MANY - 1
    assert await operator.products() == await operator.products("clean")
    assert await _told_once(operator.shop)


async def _told_once(shop: Shop) -> bool:
    """Whether the feed tells of each product once."""
    names: list[str] = []
    cursor = 0
    stub = EventFeedStub(shop.catalog.channel)
    while True:
        request = feed_pb.ReadEventsRequest(consumer="once", max_events=1000)
        answer = await stub.ReadEvents(request, metadata=service_metadata(shop.merchant))
        if not answer.events:
            break
        for event in answer.events:
            change = events_pb2.ProductChanged()
            if event.data.Unpack(change):
                names.append(change.product_id)
        cursor = answer.events[-1].cursor
        await stub.AckEvents(
            feed_pb.AckEventsRequest(consumer="once", cursor=cursor),
            metadata=service_metadata(shop.merchant),
        )
    return len(names) == len(set(names)) == MANY - 1


@pytest.mark.rule("BEY-10")
async def test_an_import_that_takes_too_much_out_of_sale_waits_for_a_yes(
    operator: Operator, tmp_path: Path
) -> None:
    names = [f"p{number}" for number in range(6)]
    await operator.shop.upsert(*map(mug, names))
    file = written(tmp_path, [line(name, active="0") for name in names])
    arguments = ("products", file, *EUR, "--share", "50", "--items-min", "1")
    code, said = await operator.run(*arguments)
    assert code == 2
    assert "6 products would be deactivated" in said
    assert "would deactivate 6 products, which is more than 50 %" in said
    (run,) = await operator.runs()
    assert all(product.active for product in await operator.products())
    code, said = await operator.run("approve", run.import_id)
    assert (code, "running" in said) == (0, True)
    code, said = await operator.run(*arguments)
    assert code == 0, said
    assert not any(product.active for product in await operator.products())


@pytest.mark.rule("BEY-15")
async def test_an_import_is_undone_but_for_what_changed_since(
    operator: Operator, tmp_path: Path
) -> None:
    await operator.shop.upsert(mug("a"))
    before = await operator.products()
    rows = [line("a", "20"), line("b"), line("c")]
    await operator.run("products", written(tmp_path, rows), *EUR)
    (run,) = await operator.runs()
    await operator.shop.upsert(mug("c", variants=[catalog_pb2.Variant(
        item_id="c", sku="C", retail_price=money("1"))]))  # fmt: skip
    code, said = await operator.run("undo", run.import_id)
    assert code == 0
    assert "c stays: it was changed since" in said
    assert "undone 2, kept 1" in said
    found = await operator.products()
    assert [one.product_id for one in found] == ["a", "c"]
    assert found[0] == before[0]
    code, said = await operator.run("show", run.import_id)
    assert (code, " undone " in said) == (0, True)


@pytest.mark.parametrize("answer", ["n", "Ctrl-C", "Ctrl-D"])
async def test_a_no_at_the_terminal_changes_nothing(
    operator: Operator, tmp_path: Path, answer: str
) -> None:
    file = written(tmp_path, [line("a")])
    terminal, keyboard = os.openpty()
    process = await operator.start("products", file, "--currency", "EUR", stdin=keyboard)
    os.close(keyboard)
    assert process.stdout
    said = await asyncio.wait_for(process.stdout.readuntil(b"Import it?"), ENDED_S)
    if answer == "Ctrl-C":
        process.send_signal(signal.SIGINT)
    else:
        os.write(terminal, b"\x04" if answer == "Ctrl-D" else b"n\n")
    rest = await asyncio.wait_for(process.stdout.read(), ENDED_S)
    os.close(terminal)
    assert (await process.wait(), b"would create 1 products" in said) == (2, True)
    assert rest.endswith(b"Nothing was changed.\n")
    assert await operator.runs() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("products", "/nowhere.csv", *EUR), "No such file"),
        (("products", "{file}"), "give --currency"),
        (("products",), "give a file, or --from-pos"),
        (("show", "nobody"), "IMPORT_NOT_FOUND"),
    ],
)
async def test_a_command_that_cannot_be_done_says_why(
    operator: Operator, tmp_path: Path, arguments: Sequence[str], said: str
) -> None:
    file = written(tmp_path, [line("a")])
    code, heard = await operator.run(*(word.format(file=file) for word in arguments))
    assert code == 2
    assert said in heard
