"""What a store changed by itself: looked at when its webhook comes, and told to the catalog."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from gateway import webhooks
from gateway.app import create_app
from gateway.connections import Connections, Platforms
from gateway.ecom import Figure, Held, Shelf
from gateway.ecom.ecwid import Ecwid
from gateway.ecom.ecwid.edits import report_of
from gateway.owners import Owners
from gateway.push.echoes import ECHO_S_MAX, Echoes
from gateway.push.edits import ListingEdits, differs
from gateway.push.listings import ListingPush
from gateway.push.shelves import Shelves
from gateway.push.sweep import edited_of
from gateway.sandbox import ecwid as sandbox
from gateway.sandbox.chaos import ChaosSettings
from gateway.sandbox.ecwid.events import signature
from gateway.sandbox.server import SandboxServer
from gateway.webhooks import Looks
from services.chassis.auth import Tokens
from services.chassis.client import Identity, connect
from services.chassis.errors import DomainError
from tests.gateway.served import CONTEXTS, Call, Served, backend, listening
from tests.gateway.test_ecwid_edits import MUG, UNITS, in_store
from tests.harness import KEY
from tillbridge.catalog.v1 import catalog_pb2, drift_pb2
from tillbridge.inventory.v1 import channels_pb2

SECRET, TOKEN = "sandbox-store-secret", "secret_sandbox_store_token"


@dataclass
class Writer:
    """Who writes to the store."""

    products: dict[str, str] = field(default_factory=dict)
    echoes: Echoes = field(default_factory=Echoes)
    seen: list[Shelf] = field(default_factory=list)

    def product_at(self, _channel_id: str, shelf_id: str) -> str:
        return self.products.get(shelf_id, "")

    def is_echo(self, _channel_id: str, shelf_id: str) -> bool:
        return self.echoes.is_one(shelf_id)

    def saw(self, _channel_id: str, shelf: Shelf) -> None:
        self.seen.append(shelf)


@dataclass
class Shop:
    """A gateway before scripted services, whose channel is connected to a simulated store."""

    served: Served
    raw: httpx.AsyncClient
    store: Ecwid
    simulated: sandbox.Ecwid
    owners: Owners
    writer: Writer
    shelf_id: str = ""

    async def change(self, **fields: Any) -> None:
        """Somebody edits the mug in the store."""
        (await self.raw.put(f"products/{self.shelf_id}", json=fields)).raise_for_status()

    async def event(self, kind: str = "product.updated", **changes: Any) -> httpx.Response:
        """The store tells about it."""
        event = {
            "eventId": "e-1",
            "eventCreated": int(time.time()),
            "storeId": 1003,
            "entityId": int(self.shelf_id),
            "eventType": kind,
            **changes,
        }
        header = signature(SECRET, event["eventCreated"], event["eventId"])
        return await self.served.http.post(
            "/webhooks/ecwid/ch", json=event, headers={"X-Ecwid-Webhook-Signature": header}
        )

    @property
    def reports(self) -> list[Call]:
        return [call for call in self.served.calls if call.method == "ReportListingEdit"]

    def answer(self, **changes: Any) -> None:
        """Lets the catalog have the mug's listing so."""
        listing = catalog_pb2.Listing()
        listing.CopyFrom(MUG)
        listing.MergeFrom(catalog_pb2.Listing(**changes))
        self.served.answer("GetListing", catalog_pb2.GetListingResponse(listing=listing))


@pytest.fixture
async def open_shop() -> AsyncIterator[Shop]:
    """A shop whose store holds the mug as its listing has it."""
    async with AsyncExitStack() as stack:
        simulated = sandbox.Ecwid()
        server = await stack.enter_async_context(SandboxServer(simulated))
        backends = {name: await stack.enter_async_context(backend(name)) for name in CONTEXTS}
        channels = {name: connect(one.address) for name, one in backends.items()}
        for channel in channels.values():
            stack.push_async_callback(channel.close)
        platforms = Platforms(60_000)
        stack.push_async_callback(platforms.close)
        owners = Owners.reached_by(channels, Identity(Tokens(KEY), "gateway"))
        writer = Writer()
        routes = webhooks.routes(Connections(owners, platforms), writer)
        address = await stack.enter_async_context(listening(create_app(channels, routes=routes)))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=address, timeout=10))
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"{server.url}/api/v3/1003/"
        raw = await stack.enter_async_context(
            httpx.AsyncClient(base_url=url, headers=headers, trust_env=False)
        )
        store = Ecwid(server.url, "1003", TOKEN, 60_000)
        stack.push_async_callback(store.close)
        shop = Shop(Served(http, backends), raw, store, simulated, owners, writer)
        shop.served.answer("ListConnections", connections(server.url))
        shop.shelf_id = (await store.write_listing(MUG, {"mug-item": Figure(8)})).shelf_id
        shop.answer()
        yield shop


def connections(url: str) -> channels_pb2.ListConnectionsResponse:
    store = channels_pb2.Connection(
        merchant_id="mug-shop",
        channel_id="ch",
        side=channels_pb2.CONNECTION_SIDE_STORE,
        platform="ecwid",
        base_url=url,
        account="1003",
        access_token=TOKEN,
        webhook_secret=SECRET,
    )
    return channels_pb2.ListConnectionsResponse(connections=[store])


@pytest.mark.rule("CAT-07")
async def test_an_edit_is_with_the_catalog_before_its_event_is_acknowledged(
    open_shop: Shop,
) -> None:
    await open_shop.change(name="Cup")

    assert (await open_shop.event()).status_code == 200
    [call] = open_shop.reports
    [edit] = call.request.edits
    assert (edit.field, edit.store_value, edit.own_value) == ("name", "Cup", "Mug")
    assert (call.request.product_id, call.request.version) == ("mug", 4)
    assert call.request.store_update_time.seconds > 0
    assert call.values("tillbridge-merchant") == ["mug-shop"]


@pytest.mark.rule("BEY-16")
async def test_the_echo_of_our_own_write_says_nothing(open_shop: Shop) -> None:
    for kind in ("product.created", "product.updated"):
        assert (await open_shop.event(kind)).status_code == 200

    assert open_shop.reports == []


@pytest.mark.rule("BEY-16")
async def test_an_echo_of_our_stock_costs_no_look_and_hides_no_edit(open_shop: Shop) -> None:
    await open_shop.change(name="Cup")
    for _ in range(2):
        open_shop.writer.echoes.expect(open_shop.shelf_id)
    reads = len(open_shop.simulated.ledger.rows())

    for number in range(2):
        await open_shop.event(eventId=f"echo-{number}")
    assert (len(open_shop.simulated.ledger.rows()), open_shop.reports) == (reads, [])

    await open_shop.event(eventId="edit")
    assert [edit.field for edit in open_shop.reports[0].request.edits] == ["name"]


@pytest.mark.rule("BEY-16")
async def test_a_deletion_is_never_an_echo(open_shop: Shop) -> None:
    open_shop.writer.echoes.expect(open_shop.shelf_id)
    open_shop.writer.products[open_shop.shelf_id] = "mug"
    (await open_shop.raw.delete(f"products/{open_shop.shelf_id}")).raise_for_status()

    await open_shop.event("product.deleted")

    assert len(open_shop.reports) == 1


def test_what_an_echo_was_about_is_looked_at_once_and_later() -> None:
    now = 0.0
    echoes = Echoes(lambda: now)
    for shelf_id in ("heard", "heard", "late"):
        echoes.expect(shelf_id)
    now = ECHO_S_MAX - 1
    echoes.expect("owed")
    assert [echoes.is_one(name) for name in ("heard", "heard", "heard", "other")] == [
        True,
        True,
        False,
        False,
    ]
    assert [echoes.to_look_at(), echoes.to_look_at()] == [["heard"], []]

    now = ECHO_S_MAX + 1
    assert [echoes.to_look_at(), echoes.to_look_at()] == [["late"], []]
    assert [echoes.is_one("late"), echoes.is_one("owed")] == [False, True]


@pytest.mark.rule("BEY-16")
async def test_a_write_between_our_two_reads_is_no_edit(open_shop: Shop) -> None:
    """The store is read, our write goes through, and the catalog says so before it is asked."""
    await open_shop.change(name="Old name")
    read = open_shop.store.held_at

    async def stale(shelf_id: str) -> Held | None:
        held = await read(shelf_id)
        await open_shop.store.write_listing(MUG, {"mug-item": Figure(8)})
        return held

    open_shop.store.held_at = stale  # type: ignore[method-assign]
    edits = ListingEdits("ch", open_shop.owners, open_shop.store)

    assert await edits.look_at(open_shop.shelf_id, "e")
    assert open_shop.reports == []


async def test_an_event_that_comes_again_reports_under_one_request_id(open_shop: Shop) -> None:
    await open_shop.change(name="Cup")
    for _ in range(2):
        await open_shop.event()
    await open_shop.event(eventId="e-2")

    ids = [call.request.request_id for call in open_shop.reports]
    assert (len(ids), len(set(ids)), ids[0] == ids[1]) == (3, 2, True)


@pytest.mark.rule("CAT-05")
async def test_the_store_s_own_fields_are_told_when_they_are_news(open_shop: Shop) -> None:
    await open_shop.change(subtitle="Hot", warningLimit=2)
    await open_shop.event()
    open_shop.answer(subtitle="Hot", low_stock_threshold=2)
    await open_shop.event(eventId="e-2")

    [call] = open_shop.reports
    told = call.request.store_fields
    assert (list(call.request.edits), told.subtitle, told.low_stock_threshold) == ([], "Hot", 2)


@pytest.mark.rule("CAT-05")
async def test_a_value_that_is_not_written_yet_is_not_taken_back(open_shop: Shop) -> None:
    await open_shop.change(subtitle="Old", warningLimit=2)
    open_shop.answer(subtitle="New", unpushed_fields=["subtitle", "low_stock_threshold"])

    await open_shop.event()

    assert open_shop.reports == []


@pytest.mark.rule("CAT-08")
async def test_an_image_that_was_added_is_told_once(open_shop: Shop) -> None:
    url = "https://images.example/theirs.jpg"
    path = f"products/{open_shop.shelf_id}/gallery"
    (await open_shop.raw.post(path, params={"externalUrl": url})).raise_for_status()
    await open_shop.event()
    open_shop.answer(store_image_urls=[url])
    await open_shop.event(eventId="e-2")

    [call] = open_shop.reports
    assert ([url], []) == (list(call.request.store_image_urls), list(call.request.edits))


@pytest.mark.rule("CAT-11")
async def test_a_deletion_is_told_by_what_is_known_of_the_store(open_shop: Shop) -> None:
    (await open_shop.raw.delete(f"products/{open_shop.shelf_id}")).raise_for_status()
    assert (await open_shop.event("product.deleted")).status_code == 200
    assert open_shop.reports == []  # nobody knows what it was: the sweep finds it

    open_shop.writer.products[open_shop.shelf_id] = "mug"
    await open_shop.event("product.deleted")

    [call] = open_shop.reports
    [edit] = call.request.edits
    assert (edit.kind, edit.own_value) == (drift_pb2.EDIT_KIND_LISTING_DELETED, "Mug")
    assert not call.request.HasField("store_fields")


async def test_a_product_that_was_deleted_and_made_again_is_not_told_as_gone(
    open_shop: Shop,
) -> None:
    gone = open_shop.shelf_id
    open_shop.writer.products[gone] = "mug"
    (await open_shop.raw.delete(f"products/{gone}")).raise_for_status()
    await open_shop.store.write_listing(MUG, {})

    await open_shop.event("product.deleted")

    assert open_shop.reports == []


async def test_what_the_store_sells_beside_is_its_own_business(open_shop: Shop) -> None:
    made = await open_shop.raw.post("products", json={"name": "Theirs"})
    await open_shop.event("product.created", entityId=made.json()["id"])
    open_shop.served.answer("GetListing", DomainError("LISTING_NOT_FOUND", "none"))
    await open_shop.change(name="Cup")
    await open_shop.event()

    assert open_shop.reports == []


@pytest.mark.parametrize("method", ["GetListing", "ReportListingEdit"])
async def test_a_catalog_that_is_down_has_the_event_sent_again(
    open_shop: Shop, method: str
) -> None:
    open_shop.served.answer(method, DomainError("SERVICE_UNAVAILABLE", "down"))
    await open_shop.change(name="Cup")

    answer = await open_shop.event()

    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)


async def test_a_store_that_cannot_be_read_has_the_event_sent_again(open_shop: Shop) -> None:
    open_shop.simulated.chaos.set(ChaosSettings(fail=1))

    assert (await open_shop.event()).status_code == 503


async def test_a_burst_of_events_costs_two_looks() -> None:
    looks = Looks()
    begun: list[int] = []
    go_on = asyncio.Event()

    async def look() -> None:
        begun.append(len(begun))
        await go_on.wait()

    first = asyncio.create_task(looks.look(("ch", "1"), look))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = [asyncio.create_task(looks.look(("ch", "1"), look)) for _ in range(50)]
    await asyncio.sleep(0)
    assert begun == [0]
    go_on.set()
    await asyncio.gather(first, *rest)

    assert begun == [0, 1]


async def test_a_look_that_fails_fails_all_that_waited_for_it() -> None:
    looks = Looks()

    async def look() -> None:
        raise DomainError("SERVICE_UNAVAILABLE", "down")

    found = await asyncio.gather(
        *(looks.look(("ch", "1"), look) for _ in range(3)), return_exceptions=True
    )

    assert [type(one) for one in found] == [DomainError] * 3


def test_a_listing_that_the_store_cannot_hold_has_no_edits() -> None:
    euros = catalog_pb2.Listing()
    euros.CopyFrom(MUG)
    euros.variants[0].price.currency_code = "EUR"

    def report(listing: catalog_pb2.Listing) -> drift_pb2.ReportListingEditRequest:
        return report_of(listing, in_store(MUG), UNITS)

    assert not differs(euros, Held(Shelf("1", "mug", True, {}), report))


@pytest.mark.rule("BEY-16")
async def test_what_is_not_written_wholly_yet_is_no_edit(open_shop: Shop) -> None:
    """The event of our first call may come before we have made the second."""
    await open_shop.change(name="Cup")
    open_shop.answer(version=MUG.pushed_version + 1)

    await open_shop.event()

    assert open_shop.reports == []


@pytest.mark.rule("INV-10")
async def test_stock_that_an_event_shows_is_told_to_who_wrote_it(open_shop: Shop) -> None:
    await open_shop.change(quantity=99)

    await open_shop.event()

    [shelf] = open_shop.writer.seen
    assert (shelf.product_id, shelf.slots["mug"].figure.quantity) == ("mug", 99)


@pytest.mark.rule("BEY-16")
@pytest.mark.parametrize(
    ("change", "edited"),
    [({}, []), ({"name": "Cup"}, ["mug"]), ({"quantity": 99}, ["mug"]), (None, ["mug"])],
)
async def test_what_was_written_is_looked_at_in_one_call_whoever_changed_it(
    open_shop: Shop, change: dict[str, Any] | None, edited: list[str]
) -> None:
    listings = catalog_pb2.ListListingsResponse(listings=[MUG])
    open_shop.served.answer("ListListings", listings)
    shelves = Shelves("ch", open_shop.owners, open_shop.store)
    shelves.learn(MUG)
    await shelves.read()
    shelves.tell("mug-item", Figure(8, version=1))
    await open_shop.raw.post("products", json={"name": "Theirs"})
    if change is None:
        (await open_shop.raw.delete(f"products/{open_shop.shelf_id}")).raise_for_status()
    else:
        await open_shop.change(**change)
    pushing = ListingPush(open_shop.owners, open_shop.store, shelves, print, print)
    await open_shop.store.units()
    reads = len(open_shop.simulated.ledger.rows("GET"))

    found = await edited_of(shelves, pushing, [open_shop.shelf_id, "999"])

    assert found == edited
    assert len(open_shop.simulated.ledger.rows("GET")) == reads + 1
