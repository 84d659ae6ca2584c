"""A catalog that runs, on each kind of database, beside a feed that tells it of channels."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.message import Message
from sqlalchemy import MetaData

from services.catalog.service import build
from services.catalog.store import PLUMBING
from services.chassis.plumbing import Plumbing
from services.chassis.run import Wiring
from tests.harness import (
    MERCHANT,
    Running,
    eventually,
    metadata,
    running,
    service_metadata,
    settings,
)
from tillbridge.attention.v1 import attention_pb2
from tillbridge.catalog.v1 import attention_pb2 as catalog_attention_pb2
from tillbridge.catalog.v1 import catalog_pb2 as pb
from tillbridge.catalog.v1 import drift_pb2, events_pb2
from tillbridge.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from tillbridge.events.v1 import events_pb2 as feed_pb
from tillbridge.events.v1.events_pb2_grpc import EventFeedStub
from tillbridge.inventory.v1 import events_pb2 as inventory_pb

if TYPE_CHECKING:
    from tillbridge.catalog.v1.catalog_pb2_grpc import CatalogServiceAsyncStub

_ids = (f"r-{number}" for number in count(1))


@dataclass(frozen=True, slots=True)
class Shop:
    """A merchant's catalog, and the inventory's feed, which has nothing but channels to tell."""

    catalog: Running
    inventory: Running
    merchant: str = MERCHANT

    @property
    def stub(self) -> "CatalogServiceAsyncStub":
        return CatalogServiceStub(self.catalog.channel)

    async def open_channel(self, channel_id: str) -> None:
        """Lets the inventory tell of a new channel and waits until the catalog knows it."""
        told = inventory_pb.ChannelChanged(channel_id=channel_id, created=True)
        await self.inventory.database.apply(
            "tell",
            lambda one: one.emit(self.merchant, f"channel/{channel_id}", told, channel_id),
        )

        async def known() -> bool:
            request = pb.ListListingsRequest(channel_id=channel_id, page_size=1)
            try:
                await self.stub.ListListings(request, metadata=metadata(self.merchant))
            except grpc.aio.AioRpcError:
                return False
            return True

        await eventually(known)

    async def upsert(
        self, *products: pb.Product, cause: str = "", validate_only: bool = False
    ) -> list[str]:
        """Reports products; gives what became of each, such as `CREATED`."""
        found = await self.results(*products, cause=cause, validate_only=validate_only)
        return [pb.UpsertOutcome.Name(one.outcome).removeprefix("UPSERT_OUTCOME_") for one in found]

    async def results(
        self, *products: pb.Product, cause: str = "", validate_only: bool = False
    ) -> list[pb.ProductResult]:
        request = pb.BatchUpsertProductsRequest(
            request_id=next(_ids), products=products, cause=cause, validate_only=validate_only
        )
        answer = await self.stub.BatchUpsertProducts(request, metadata=metadata(self.merchant))
        return list(answer.results)

    async def delete(self, product_id: str, version: int = 0, cause: str = "") -> bool:
        return (await self.deletion(product_id, version, cause)).deleted

    async def deletion(
        self, product_id: str, version: int = 0, cause: str = ""
    ) -> pb.DeleteProductResponse:
        request = pb.DeleteProductRequest(
            request_id=next(_ids), product_id=product_id, version=version, cause=cause
        )
        return await self.stub.DeleteProduct(request, metadata=metadata(self.merchant))

    async def attention(self, page_size: int = 0) -> list[attention_pb2.AttentionGroup]:
        """What waits for an operator."""
        request = catalog_attention_pb2.ListAttentionRequest(page_size=page_size)
        found: list[attention_pb2.AttentionGroup] = []
        while True:
            page = await self.stub.ListAttention(request, metadata=metadata(self.merchant))
            found += page.groups
            if not page.next_page_token:
                return found
            assert len(page.groups) == page_size
            request.page_token = page.next_page_token

    async def decide(
        self, cause: str, key: str, *, go_on: bool = True, validate_only: bool = False
    ) -> tuple[int, int]:
        """Decides on what waits; gives how many went on or were dropped, and how many wait."""
        request = catalog_attention_pb2.ResolveAttentionRequest(
            request_id=next(_ids),
            cause=attention_pb2.AttentionCause.Value(f"ATTENTION_CAUSE_{cause}"),
            key=key,
            decision=(
                attention_pb2.ATTENTION_DECISION_GO_ON
                if go_on
                else attention_pb2.ATTENTION_DECISION_DISCARD
            ),
            validate_only=validate_only,
        )
        answer = await self.stub.ResolveAttention(request, metadata=metadata(self.merchant))
        return answer.resolved_count, answer.waiting_count

    async def product(self, product_id: str) -> pb.Product:
        request = pb.GetProductRequest(product_id=product_id)
        answer = await self.stub.GetProduct(request, metadata=metadata(self.merchant))
        return answer.product

    async def listing(self, channel_id: str, product_id: str) -> pb.Listing:
        request = pb.GetListingRequest(channel_id=channel_id, product_id=product_id)
        answer = await self.stub.GetListing(request, metadata=metadata(self.merchant))
        return answer.listing

    async def listings(
        self, channel_id: str, *, sell_online: bool | None = None, page_size: int = 0
    ) -> list[pb.Listing]:
        request = pb.ListListingsRequest(
            channel_id=channel_id, sell_online=sell_online, page_size=page_size
        )
        found: list[pb.Listing] = []
        while True:
            page = await self.stub.ListListings(request, metadata=metadata(self.merchant))
            found += page.listings
            if not page.next_page_token:
                return found
            assert len(page.listings) == page_size
            request.page_token = page.next_page_token

    async def sell(self, channel_id: str, *product_ids: str, on: bool = True) -> int:
        """Sets switches; gives how many moved."""
        request = pb.SetSellOnlineRequest(
            request_id=next(_ids), channel_id=channel_id, product_ids=product_ids, sell_online=on
        )
        answer = await self.stub.SetSellOnline(request, metadata=metadata(self.merchant))
        return answer.changed_count

    async def report(self, channel_id: str, product_id: str, version: int, error: str = "") -> None:
        request = pb.ReportListingPushRequest(
            request_id=next(_ids),
            channel_id=channel_id,
            product_id=product_id,
            version=version,
            error=error,
        )
        await self.stub.ReportListingPush(request, metadata=service_metadata(self.merchant))

    async def report_store_images(
        self, channel_id: str, product_id: str, version: int, urls: Sequence[str]
    ) -> None:
        """Tells which images were added in a store."""
        request = drift_pb2.ReportListingEditRequest(
            request_id=next(_ids),
            channel_id=channel_id,
            product_id=product_id,
            version=version,
            store_fields=drift_pb2.StoreFields(),
            store_image_urls=urls,
        )
        await self.stub.ReportListingEdit(request, metadata=metadata(self.merchant))

    async def resolve(self, *references: pb.ItemReference) -> list[pb.ResolvedItem]:
        request = pb.ResolveItemsRequest(references=references)
        answer = await self.stub.ResolveItems(request, metadata=metadata(self.merchant))
        return list(answer.items)

    async def told(self) -> list[feed_pb.Event]:
        """All events of the merchant's catalog so far, oldest first."""
        found = await EventFeedStub(self.catalog.channel).ReadEvents(
            feed_pb.ReadEventsRequest(consumer="test", max_events=1000),
            metadata=service_metadata(self.merchant),
        )
        return list(found.events)

    async def changes(self) -> list[Message]:
        """What those events say."""
        return [unpacked(event) for event in await self.told()]


def unpacked(event: feed_pb.Event) -> Message:
    for kind in (events_pb2.ProductChanged, events_pb2.ListingChanged):
        message = kind()
        if event.data.Unpack(message):
            return message
    raise AssertionError(event.type)


@pytest.fixture
async def shop(tmp_path: Path, database_url: str) -> AsyncIterator[Shop]:
    beside = settings(tmp_path / "inventory")
    async with running(
        "inventory", Plumbing(MetaData()), lambda _: Wiring({}), beside
    ) as inventory:
        configured = settings(tmp_path, database_url, inventory_address=inventory.address)
        async with running("catalog", PLUMBING, build, configured) as catalog:
            yield Shop(catalog, inventory)
