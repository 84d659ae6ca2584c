"""The RPCs of products and items."""

from collections.abc import Sequence
from datetime import datetime

from services.catalog.rules import items
from services.catalog.rules.products import Outcome, Stamp
from services.catalog.service.intake import (
    TOO_MANY,
    Arrival,
    Desk,
    Report,
    Verdict,
    read,
    warnings,
)
from services.catalog.store import products as product_rows
from services.catalog.wire import products as product_wire
from services.chassis import pages
from services.chassis.database import Call, Calls, Transaction
from services.chassis.errors import DomainError
from services.chassis.rpc import View, command, query, query_together
from tillbridge.catalog.v1 import catalog_pb2 as pb


class ProductRpcs:
    """The RPCs of `CatalogService` that are about products and items."""

    @command
    def batch_upsert_products(
        self,
        transaction: Transaction,
        calls: Calls[pb.BatchUpsertProductsRequest, pb.BatchUpsertProductsResponse],
    ) -> None:
        """Takes in products of the point of sale, and keeps their listings in step (CAT-06)."""
        batches = [(call, _arrivals(call, transaction.now)) for call in calls]
        desk = Desk.open(transaction, [one for _, batch in batches for one in batch])
        for call, batch in batches:
            with call:
                taken = desk.trial() if call.request.validate_only else desk
                verdicts = [taken.take(arrival) for arrival in batch]
                call.reply(_answer(transaction, call, verdicts))
        desk.close()

    @command
    def delete_product(
        self,
        transaction: Transaction,
        calls: Calls[pb.DeleteProductRequest, pb.DeleteProductResponse],
    ) -> None:
        """Deletes products and their listings (CAT-11)."""
        deletions = [(call, _deletion(call, transaction.now)) for call in calls]
        desk = Desk.open(transaction, [deletion for _, deletion in deletions])
        for call, deletion in deletions:
            with call:
                outcome = desk.take(deletion).outcome
                call.reply(
                    pb.DeleteProductResponse(
                        deleted=outcome is Outcome.UPDATED, held=outcome is Outcome.HELD
                    )
                )
        desk.close()

    @query
    def get_product(self, view: View, request: pb.GetProductRequest) -> pb.GetProductResponse:
        """One product."""
        key = (view.merchant, request.product_id)
        known = product_rows.known(view.connection, [key]).get(key)
        if known is None or known.product is None:
            raise DomainError(
                "PRODUCT_NOT_FOUND",
                f"no product {request.product_id!r}; ListProducts shows those that there are",
                field="product_id",
                product_id=request.product_id,
            )
        return pb.GetProductResponse(product=product_wire.known(known))

    @query
    def list_products(self, view: View, request: pb.ListProductsRequest) -> pb.ListProductsResponse:
        """Products by id."""
        (after,) = pages.key_before(request, str) or ("",)
        size = pages.page_size(request)
        found = product_rows.product_page(view.connection, view.merchant, after, size + 1)
        token = pages.token_after(request, found[size - 1].product_id) if found[size:] else ""
        return product_wire.product_page(found[:size], token)

    @query_together
    def resolve_items(
        self, view: View, calls: Calls[pb.ResolveItemsRequest, pb.ResolveItemsResponse]
    ) -> None:
        """The items behind the lines of an order."""
        asked = [(call, product_wire.references(call.request)) for call in calls]
        every = [(call.merchant, one) for call, references in asked for one in references]
        ids = [(merchant, one.item_id) for merchant, one in every if one.item_id]
        skus = [(merchant, one.sku) for merchant, one in every if one.sku]
        by_id = {
            merchant: {item.item_id: item for item in found}
            for merchant, found in product_rows.items_by_id(view.connection, ids).items()
        }
        by_sku = {
            merchant: items.with_sku(found)
            for merchant, found in product_rows.items_by_sku(view.connection, skus).items()
        }
        for call, references in asked:
            with call:
                known = by_id.get(call.merchant, {}), by_sku.get(call.merchant, {})
                call.reply(product_wire.resolved(_resolve(one, *known) for one in references))


def _arrivals(
    call: Call[pb.BatchUpsertProductsRequest, pb.BatchUpsertProductsResponse], now: datetime
) -> list[Arrival]:
    request = call.request
    return [
        Arrival(
            merchant_id=call.merchant,
            product_id=message.product_id,
            report=read(message, now),
            message=message,
            cause=request.cause,
            request_id=request.request_id,
        )
        for message in request.products
    ]


def _deletion(
    call: Call[pb.DeleteProductRequest, pb.DeleteProductResponse], now: datetime
) -> Arrival:
    request = call.request
    return Arrival(
        merchant_id=call.merchant,
        product_id=request.product_id,
        report=Report(request.product_id, None, Stamp(request.version, now)),
        message=None,
        cause=request.cause,
        request_id=request.request_id,
    )


def _answer(
    transaction: Transaction,
    call: Call[pb.BatchUpsertProductsRequest, pb.BatchUpsertProductsResponse],
    verdicts: Sequence[Verdict],
) -> pb.BatchUpsertProductsResponse:
    steps = [verdict.step for verdict in verdicts if verdict.step]
    warned = warnings(transaction, steps)
    results = [
        product_wire.result(
            message.product_id,
            verdict.outcome,
            product_wire.reason(index, verdict.error) if verdict.error else _held(verdict, index),
            warnings=warned.get(verdict.step.after.product_id, ()) if verdict.step else (),
            changes=verdict.step.changes if verdict.step and call.request.validate_only else (),
        )
        for index, (message, verdict) in enumerate(
            zip(call.request.products, verdicts, strict=True)
        )
    ]
    return pb.BatchUpsertProductsResponse(results=results)


def _held(verdict: Verdict, index: int) -> str:
    return f"products[{index}]: {TOO_MANY}" if verdict.outcome is Outcome.HELD else ""


def _resolve(
    reference: items.Reference,
    by_id: dict[str, items.Item],
    by_sku: dict[str, list[items.Item]],
) -> items.Item | DomainError:
    try:
        return items.resolve(reference, by_id, by_sku)
    except DomainError as error:
        return error
