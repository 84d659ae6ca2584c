"""Imports of a point of sale's catalog, through the command and beside it (BEY-15)."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from gateway.imports import runs
from gateway.pos import Batch, Gone, PointOfSale, ProductState
from gateway.records import PUT_ASIDE, Aside
from gateway.sandbox.shop_products import FAMILIES
from services.chassis.settings import CONTEXTS
from tests.gateway.installation import Installation, installation
from tests.harness import KEY
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.catalog.v1 import imports_pb2 as pb

ENDED_S = 60.0


@pytest.fixture
async def installed(tmp_path: Path) -> AsyncIterator[Installation]:
    async with installation(tmp_path) as running:
        yield running


async def command(installed: Installation, *arguments: str) -> tuple[int, str]:
    """The exit code of `tillbridge import`, and what it said."""
    addresses = {
        f"TILLBRIDGE_{context.upper()}_ADDRESS": installed.settings.address(context)
        for context in CONTEXTS
    }
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("tillbridge")),
        "import",
        *arguments,
        env={**os.environ, **addresses, "TILLBRIDGE_TOKEN_KEY": KEY},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), ENDED_S)
    assert process.returncode is not None
    return process.returncode, said.decode()


@pytest.mark.rule("BEY-15")
async def test_the_catalog_of_a_point_of_sale_comes_in_whole_and_once(
    installed: Installation,
) -> None:
    channel_id = await installed.connect(store=False)
    arguments = ("products", "--from-pos", channel_id, "--yes")
    code, said = await command(installed, *arguments)
    assert code == 0, said
    assert f"It would create {len(FAMILIES)} products" in said
    assert f"created {len(FAMILIES)}, changed 0, unchanged 0, refused rows 0" in said
    code, said = await command(installed, *arguments)
    assert code == 0, said
    assert f"created 0, changed 0, unchanged {len(FAMILIES)}, refused rows 0" in said


async def test_a_channel_that_is_unknown_says_so(installed: Installation) -> None:
    code, said = await command(installed, "products", "--from-pos", "nowhere")
    assert (code, "CONNECTION_NOT_FOUND" in said) == (2, True)


class Till:
    """A point of sale with two pages, behind a cursor."""

    def __init__(self, *pages: Sequence[ProductState]) -> None:
        self._pages = pages

    async def products_since(self, cursor: str) -> AsyncIterator[Batch[ProductState]]:
        for number, page in enumerate(self._pages, 1):
            if number > int(cursor or 0):
                yield Batch(page, str(number))


def named(*names: str) -> list[ProductState]:
    return [catalog_pb2.Product(product_id=name) for name in names]


async def read(till: Till, run: pb.Import) -> list[runs.Batch]:
    return [one async for one in runs.of_point_of_sale(cast("PointOfSale", till), run)]


@pytest.mark.rule("BEY-15")
async def test_products_are_rows_and_the_cursor_goes_with_them() -> None:
    till = Till(named("a", "b"), [Gone("x", 3)], named("c"))
    first, second = await read(till, pb.Import(next_row=1))
    assert (first.first_row, first.next_row, first.cursor) == (1, 3, "1")
    assert (second.first_row, second.next_row, second.cursor) == (3, 4, "3")
    (rest,) = await read(till, pb.Import(next_row=3, cursor="1"))
    assert (rest.first_row, rest.products[0].product.product_id) == (3, "c")


@pytest.mark.rule("BEY-15")
async def test_what_makes_no_sense_in_the_point_of_sale_is_a_refused_row() -> None:
    PUT_ASIDE.set([Aside("product", "odd", "no variant of it makes sense")])
    (batch,) = await read(Till(named("a")), pb.Import(next_row=1))
    assert batch.next_row == 3
    (row,) = batch.refused
    assert (row.row, row.product_id, row.message) == (
        2,
        "odd",
        "product: no variant of it makes sense",
    )
