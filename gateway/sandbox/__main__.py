"""Runs both simulators in one process: `python -m gateway.sandbox`."""

import asyncio
import signal

import structlog

from gateway.sandbox.ecwid import Ecwid
from gateway.sandbox.lightspeed_x import LightspeedX
from gateway.sandbox.server import SandboxServer
from gateway.sandbox.settings import SandboxSettings


async def run(settings: SandboxSettings) -> None:
    """Serves until the process is asked to stop."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stopping.set)
    pos = LightspeedX(
        token=settings.sandbox_pos_token,
        secret=settings.sandbox_pos_secret,
        deduct_on=settings.sandbox_pos_deduct_on,
        data_dir=settings.data_dir,
    )
    store = Ecwid(
        store_id=settings.sandbox_store_id,
        token=settings.sandbox_store_token,
        secret=settings.sandbox_store_secret,
        webhook_url=settings.sandbox_store_webhook_url,
        data_dir=settings.data_dir,
    )
    log = structlog.get_logger()
    async with (
        SandboxServer(pos, port=settings.sandbox_pos_port) as pos_server,
        SandboxServer(store, port=settings.sandbox_store_port) as store_server,
    ):
        log.info("sandbox_up", pos=pos_server.url, store=store_server.url)
        await stopping.wait()
    log.info("sandbox_down")


def main() -> None:
    """Reads the settings and runs."""
    asyncio.run(run(SandboxSettings()))


if __name__ == "__main__":
    main()
