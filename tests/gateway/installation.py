"""A whole installation in one process: the four services, the gateway and both platforms."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import uvicorn

from gateway.inward import Inward
from gateway.owners import Owners
from gateway.pos.lightspeed_x import PLATFORM
from gateway.pos.lightspeed_x import LightspeedX as PosClient
from gateway.protocol import Protocol
from gateway.push import Workers
from gateway.run import assembled
from gateway.sandbox import shop
from gateway.sandbox.ecwid import Ecwid
from gateway.sandbox.lightspeed_x import LightspeedX
from gateway.sandbox.server import QuietServer, SandboxServer, listening_socket
from gateway.sandbox.webhooks import RetryPolicy
from gateway.settings import GatewaySettings
from services.catalog.service import build as build_catalog
from services.catalog.store import PLUMBING as CATALOG
from services.chassis.auth import Tokens
from services.chassis.client import Identity
from services.chassis.plumbing import Plumbing
from services.chassis.run import Build, assemble
from services.chassis.settings import CONTEXTS, Context
from services.customer.service import build as build_customer
from services.customer.store import PLUMBING as CUSTOMER
from services.inventory.service import build as build_inventory
from services.inventory.store import PLUMBING as INVENTORY
from services.order.service import build as build_order
from services.order.store import PLUMBING as ORDER
from tests.harness import KEY, MERCHANT, connected, migrated
from tests.ports import free_ports
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.inventory.v1 import channels_pb2

MAIN, HARBOUR = shop.OUTLET_MAIN_ID, shop.OUTLET_HARBOUR_ID
MUG = shop.product_id("MUG")
POS_TOKEN, POS_SECRET = "sandbox-pos-token", "sandbox-pos-secret"
STORE_TOKEN, STORE_SECRET = "secret_sandbox_store_token", "sandbox-store-secret"
QUICK = RetryPolicy(first_delay_s=0.05, delay_s_max=0.3, attempts_max=100)

SERVICES: Mapping[Context, tuple[Plumbing, Build]] = {
    "inventory": (INVENTORY, build_inventory),
    "catalog": (CATALOG, build_catalog),
    "customer": (CUSTOMER, build_customer),
    "order": (ORDER, build_order),
}


@dataclass
class Installation:
    """A running installation, and both platforms behind it.

    Attributes:
        settings: of every process.
        owners: the services, called for the one merchant.
        pos: the simulated point of sale.
        store: the simulated store.
        pos_api: the point of sale, as its own clients see it.
        store_api: the store likewise.
        pos_url: where the point of sale is.
        store_url: where the store is.
        channel_id: the channel, once there is one.
        gateway_url: where the gateway listens.
        workers: the gateway's workers.
    """

    settings: GatewaySettings
    owners: Owners
    pos: LightspeedX
    store: Ecwid
    pos_api: httpx.AsyncClient
    store_api: httpx.AsyncClient
    pos_url: str
    store_url: str
    channel_id: str = ""
    gateway_url: str = ""
    workers: Workers | None = None

    async def connect(self, *, pos: bool = True, store: bool = True) -> str:
        """Creates a channel at the online register, connected to the platforms that are asked
        for. Its outlets are known from the point of sale.
        """
        client = PosClient(self.pos_url, POS_TOKEN)
        await Inward(self.owners, client, PLATFORM).places()
        await client.close()
        channels = self.owners.channels
        created = await self.owners.call(
            channels.CreateChannel,
            channels_pb2.CreateChannelRequest(
                request_id="channel",
                display_name="Web shop",
                profile=channels_pb2.PROFILE_RETAIL_X_ECOM,
                register_id=shop.REGISTER_ONLINE_ID,
                connected_outlet_ids=[HARBOUR],
                external_pos=True,
            ),
        )
        self.channel_id = created.channel.channel_id
        if pos:
            await self._set(channels_pb2.CONNECTION_SIDE_POS, PLATFORM, self.pos_url)
        if store:
            await self._set(channels_pb2.CONNECTION_SIDE_STORE, "ecwid", self.store_url)
            self.store.webhook_url = f"{self.gateway_url}/webhooks/ecwid/{self.channel_id}"
        return self.channel_id

    async def _set(self, side: Any, platform: str, url: str) -> None:
        of_pos = side == channels_pb2.CONNECTION_SIDE_POS
        connection = channels_pb2.Connection(
            side=side,
            platform=platform,
            base_url=url,
            account=shop.DOMAIN_PREFIX if of_pos else "1003",
            access_token=POS_TOKEN if of_pos else STORE_TOKEN,
            webhook_secret=POS_SECRET if of_pos else STORE_SECRET,
        )
        await self.owners.call(
            self.owners.channels.SetConnection,
            channels_pb2.SetConnectionRequest(
                request_id=f"connect/{side}", channel_id=self.channel_id, connection=connection
            ),
        )

    async def sell_online(self, *product_ids: str) -> None:
        """Switches listings on, as soon as they are there."""
        request = catalog_pb2.SetSellOnlineRequest(
            request_id=f"sell/{'/'.join(product_ids)}"[:128],
            channel_id=self.channel_id,
            product_ids=product_ids,
            sell_online=True,
        )
        await self.owners.call(self.owners.catalog.SetSellOnline, request)

    async def count(self, product_id: str, outlet_id: str, quantity: float) -> None:
        """Somebody counts the shelf, in the point of sale."""
        level = {"outlet_id": outlet_id, "current_amount": quantity}
        answer = await self.pos_api.put(
            f"/api/2.1/products/{product_id}", json={"details": {"inventory": [level]}}
        )
        answer.raise_for_status()

    async def in_store(self, product_id: str) -> dict[str, Any] | None:
        """What the store holds of a product; None when it holds nothing."""
        found = await self.store_api.get("products", params={"externalReferenceId": product_id})
        items = found.json()["items"]
        return dict(items[0]) if items else None

    async def shown(self, product_id: str = MUG) -> int | None:
        """How many the store says there are."""
        product = await self.in_store(product_id)
        return None if product is None else product.get("quantity")

    async def order(self, product_id: str, quantity: int, **more: Any) -> str:
        """A buyer orders in the store, to pick up at Main; gives the order's public id."""
        product = await self.in_store(product_id)
        assert product is not None
        total = product["price"] * quantity
        body = {
            "email": "jo@example.com",
            "subtotal": total,
            "total": total,
            "paymentMethod": "Pay at pickup",
            "billingPerson": {"name": "Jo Doe"},
            "items": [{"productId": product["id"], "quantity": quantity}],
            "shippingOption": {
                "shippingMethodName": "Pickup at Main",
                "fulfillmentType": "PICKUP",
                "isPickup": True,
                "locationId": MAIN,
            },
            **more,
        }
        answer = await self.store_api.post("orders", json=body)
        answer.raise_for_status()
        return str(answer.json()["orderid"])

    async def pos_sales(self) -> list[dict[str, Any]]:
        """The point of sale's sales history."""
        return list((await self.pos_api.get("/api/2.0/sales")).json()["data"])


@asynccontextmanager
async def installation(data_dir: Path, **configured: Any) -> AsyncIterator[Installation]:
    """Runs the four services and both platforms until the block ends; no gateway yet."""
    ports = free_ports([*CONTEXTS, "http"])
    values: dict[str, Any] = {
        "data_dir": data_dir,
        "token_key": KEY,
        "poll_s": 0.5,
        "ecwid_calls_per_minute": 60_000,
        **{f"{name}_port": port for name, port in ports.items()},
        **configured,
    }
    settings = GatewaySettings(**values)
    async with AsyncExitStack() as stack:
        for name in SERVICES:
            await stack.enter_async_context(service(name, settings))
        channels: dict[str, grpc.aio.Channel] = {
            name: await connected(settings.address(name)) for name in CONTEXTS
        }
        for channel in channels.values():
            stack.push_async_callback(channel.close)
        pos, store = LightspeedX(retry=QUICK), Ecwid(retry=QUICK)
        pos_server = await stack.enter_async_context(SandboxServer(pos))
        store_server = await stack.enter_async_context(SandboxServer(store))
        headers = {"Authorization": f"Bearer {POS_TOKEN}", "User-Agent": "till"}
        pos_api = httpx.AsyncClient(base_url=pos_server.url, headers=headers, trust_env=False)
        store_api = httpx.AsyncClient(
            base_url=f"{store_server.url}/api/v3/1003/",
            headers={"Authorization": f"Bearer {STORE_TOKEN}"},
            trust_env=False,
        )
        await stack.enter_async_context(pos_api)
        await stack.enter_async_context(store_api)
        owners = Owners.reached_by(channels, Identity(Tokens(KEY), "test"), MERCHANT)
        yield Installation(
            settings, owners, pos, store, pos_api, store_api, pos_server.url, store_server.url
        )


@asynccontextmanager
async def service(name: Context, settings: GatewaySettings) -> AsyncIterator[None]:
    """Runs one service on its port until the block ends."""
    plumbing, build = SERVICES[name]
    await asyncio.to_thread(migrated, name, settings.database(name))
    server, database, wiring = await assemble(name, settings, plumbing, build)
    await server.start(settings.address(name))
    tasks = [asyncio.ensure_future(task()) for task in wiring.background]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.stop(0)
        await database.close()


@asynccontextmanager
async def gateway(installed: Installation, *, working: bool = True) -> AsyncIterator[None]:
    """Runs a gateway, with its workers unless told otherwise, until the block ends."""
    async with AsyncExitStack() as stack:
        built = await stack.enter_async_context(assembled(installed.settings))
        port = installed.settings.http_port
        installed.gateway_url = f"http://127.0.0.1:{port}"
        await stack.enter_async_context(_listening(built.app, port))
        installed.workers = built.workers
        task = asyncio.ensure_future(built.workers.run() if working else asyncio.sleep(0))
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def _listening(app: Any, port: int) -> AsyncIterator[None]:
    server = QuietServer(
        uvicorn.Config(
            app, http=Protocol, log_level="error", lifespan="off", timeout_graceful_shutdown=1
        )
    )
    with listening_socket("127.0.0.1", port) as listener:
        task = asyncio.ensure_future(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110  (uvicorn offers nothing else to wait for)
            await asyncio.sleep(0.005)
        yield
        server.should_exit = True
        await task
