"""One worker per channel, in one process at a time."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from gateway.connections import Connections, Link
from gateway.ecom import Shelf
from gateway.push.channel import ChannelWork
from services.chassis import failpoints
from services.chassis.errors import DomainError
from tillbridge.inventory.v1 import channels_pb2 as pb

LEASE = "writer"
LEASE_MS = 15_000
RENEW_EVERY_S = 3.0
TAKE_S_MAX = 2.0
LOOK_EVERY_S = 1.0
"""How soon a new or changed connection is noticed."""

RESTART_S = 1.0

log = structlog.get_logger()

Beside = Callable[[Link], Awaitable[None]]


class Workers:
    """The workers of all channels.

    Args:
        connections: which channels there are.
        beside: what else runs for a channel under its lease, such as polling.
        holder: who holds the leases. A process that is started again in its predecessor's place,
            on the same port of the same machine, is the same holder and need not wait.
    """

    def __init__(self, connections: Connections, beside: Beside, holder: str) -> None:
        self._connections = connections
        self._beside = beside
        self._holder = holder
        self._running: dict[str, tuple[bytes, asyncio.Task[None]]] = {}
        self._works: dict[str, ChannelWork] = {}

    def sweep(self, channel_id: str) -> bool:
        """Asks for a sweep of a channel; False when another process does its work."""
        work = self._works.get(channel_id)
        if work is not None:
            work.sweep()
        return work is not None

    def product_at(self, channel_id: str, shelf_id: str) -> str:
        """The product whose listing a channel's store has, or had, under an id of its own; empty
        when none of ours, or when another process does the channel's work.
        """
        work = self._works.get(channel_id)
        return work.product_at(shelf_id) if work is not None else ""

    def is_echo(self, channel_id: str, shelf_id: str) -> bool:
        """Whether an event of a channel's store counts as the echo of a write of this process."""
        work = self._works.get(channel_id)
        return work is not None and work.is_echo(shelf_id)

    def saw(self, channel_id: str, shelf: Shelf) -> None:
        """Takes what a channel's store was just seen to hold, if this process writes to it."""
        work = self._works.get(channel_id)
        if work is not None:
            work.saw(shelf)

    async def run(self) -> None:
        """Keeps one worker per connected channel, until it is canceled."""
        try:
            while True:
                try:
                    await self._look()
                except DomainError as error:
                    log.warning("connections not read", error=error.message)
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            await self._stop(list(self._running))

    async def _look(self) -> None:
        links = {
            link.channel_id: link
            for link in await self._connections.all()
            if link.pos or link.store
        }
        marks = {channel_id: _mark(link) for channel_id, link in links.items()}
        await self._stop(
            [name for name, (mark, _) in self._running.items() if marks.get(name) != mark]
        )
        for channel_id, link in links.items():
            if channel_id not in self._running:
                task = asyncio.create_task(self._work(link))
                self._running[channel_id] = (marks[channel_id], task)

    async def _stop(self, channel_ids: list[str]) -> None:
        tasks = [self._running.pop(channel_id)[1] for channel_id in channel_ids]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, link: Link) -> None:
        """Does a channel's work whenever its lease is to be had."""
        while True:
            try:
                held_until_s = await self._take(link, LEASE_MS)
                failpoints.at("lease.taken")
            except DomainError as error:
                log.debug("no lease", channel_id=link.channel_id, reason=error.reason)
                await asyncio.sleep(RENEW_EVERY_S)
                continue
            try:
                await self._work_under_lease(link, held_until_s)
            except Exception:
                log.exception("worker broke", channel_id=link.channel_id)
            await asyncio.sleep(RESTART_S)

    async def _work_under_lease(self, link: Link, held_until_s: float) -> None:
        log.info("working", channel_id=link.channel_id, holder=self._holder)
        work = self._works[link.channel_id] = ChannelWork(link)
        tasks = [
            asyncio.create_task(work.run()),
            asyncio.ensure_future(self._beside(link)),
            asyncio.create_task(self._renew(link, held_until_s)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._works.pop(link.channel_id, None)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._give_back(link)

    async def _renew(self, link: Link, held_until_s: float) -> None:
        """Prolongs the lease; returns when it is lost, or would be before the next try is answered,
        so that nothing is on its way to a platform when the next holder begins.
        """
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            try:
                held_until_s = await self._take(link, LEASE_MS)
            except DomainError as error:
                if not error.transient or error.reason == "LEASE_HELD":
                    log.warning("lease lost", channel_id=link.channel_id, why=error.message)
                    return
                if loop.time() + RENEW_EVERY_S + TAKE_S_MAX > held_until_s:
                    log.warning("lease not renewed in time", channel_id=link.channel_id)
                    return

    async def _take(self, link: Link, duration_ms: int) -> float:
        """Takes or prolongs the lease; gives until when it is held, on this process's clock.

        Raises:
            DomainError: LEASE_HELD, or ChannelService cannot be reached.
        """
        asked_s = asyncio.get_running_loop().time()
        request = pb.AcquireLeaseRequest(
            channel_id=link.channel_id, lease=LEASE, holder=self._holder, duration_ms=duration_ms
        )
        await link.owners.call(link.owners.channels.AcquireLease, request, timeout_s=TAKE_S_MAX)
        return asked_s + duration_ms / 1000

    async def _give_back(self, link: Link) -> None:
        try:
            await self._take(link, 0)
        except DomainError as error:
            log.info("lease runs out by itself", channel_id=link.channel_id, why=error.reason)


def _mark(link: Link) -> bytes:
    """What a link is made of: another mark is another link."""
    sides = [side for side in (link.pos_side, link.store_side) if side is not None]
    return b"|".join(side.SerializeToString(deterministic=True) for side in sides)
