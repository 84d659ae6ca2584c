"""Ids: by which ones the catalog knows what a file has, so that an import makes no duplicates."""

from collections.abc import Sequence

from gateway.imports.catalog import Catalog
from gateway.imports.files import Draft, ProductFile
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.catalog.v1 import imports_pb2 as pb

REFERENCES_MAX = 1000


class Ids:
    """Gives drafts the ids that the catalog knows them by.

    A SKU that stands in the file more than once says nothing; so what an earlier row of the same
    import made never decides about a later one, and an import that goes on gives the same ids as
    one that never stopped.
    """

    def __init__(self, catalog: Catalog, file: ProductFile) -> None:
        self._catalog = catalog
        self._file = file
        self._nothing_known = False

    async def begin(self) -> None:
        """Looks whether the catalog knows anything at all."""
        request = catalog_pb2.ListProductsRequest(page_size=1)
        answer = await self._catalog.call(self._catalog.products.ListProducts, request)
        self._nothing_known = not answer.products

    async def given(self, drafts: Sequence[Draft]) -> Sequence[Draft]:
        """The drafts with their ids; one that cannot be told whose it is, is refused."""
        if self._nothing_known:
            return drafts
        references = [
            catalog_pb2.ItemReference(item_id=variant.item_id, sku=sku)
            for draft in drafts
            if draft.product
            for variant, sku in zip(draft.product.variants, draft.skus, strict=True)
        ]
        found: list[catalog_pb2.ResolvedItem] = []
        for begin in range(0, len(references), REFERENCES_MAX):
            request = catalog_pb2.ResolveItemsRequest(
                references=references[begin : begin + REFERENCES_MAX]
            )
            answer = await self._catalog.call(self._catalog.products.ResolveItems, request)
            found += answer.items
        given, place = [], 0
        for draft in drafts:
            count = len(draft.product.variants) if draft.product else 0
            given.append(self._given(draft, found[place : place + count]))
            place += count
        return given

    def _given(self, draft: Draft, found: Sequence[catalog_pb2.ResolvedItem]) -> Draft:
        product = draft.product
        products = {item.product_id for item in found if item.item_id}
        if product is None or not products:
            return draft
        (known, *more) = sorted(products)
        if more:
            return _refused(
                draft,
                f"its ids and SKUs belong to {len(products)} products here: {', '.join(products)};"
                " put right which product each SKU belongs to",
            )
        if known != product.product_id and self._file.is_elsewhere(known):
            return _refused(
                draft,
                f"its SKU belongs to product {known!r} here, which stands in the file as well; put"
                " right which product the SKU belongs to",
            )
        product.product_id = known
        taken = {item.item_id for item, one in zip(found, product.variants, strict=True)
                 if item.item_id == one.item_id}  # fmt: skip
        for item, variant in zip(found, product.variants, strict=True):
            if item.item_id and item.item_id not in taken:
                taken.add(item.item_id)
                variant.item_id = item.item_id
        return draft


def _refused(draft: Draft, message: str) -> Draft:
    rows = [
        pb.ImportRow(
            row=row, outcome=catalog_pb2.UPSERT_OUTCOME_REFUSED, message=f"row: {message}"[:1000]
        )
        for row in range(draft.first_row, draft.first_row + draft.row_count)
    ]
    return Draft(draft.first_row, draft.row_count, draft.next_row, None, rows)
