"""Sending webhooks as the platforms do: at least once, out of order, with growing pauses."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from gateway.sandbox.chaos import Chaos, WebhookFate
from gateway.sandbox.values import Clock

DELIVERIES_MAX = 10_000
"""How many deliveries are remembered."""

CONNECTIONS_MAX = 8
"""How many webhooks are in flight at once."""

HOLD_S_MAX = 0.5
"""How long a webhook that is to be overtaken waits for a later one, in seconds."""


@dataclass(frozen=True)
class RetryPolicy:
    """When a refused webhook is tried again.

    Attributes:
        first_delay_s: seconds before the second attempt.
        factor: each further pause is this many times longer.
        delay_s_max: no pause is longer than this, in seconds.
        attempts_max: after so many attempts the webhook is given up.
    """

    first_delay_s: float = 0.2
    factor: float = 2.0
    delay_s_max: float = 5.0
    attempts_max: int = 20

    def pause_s(self, attempts: int) -> float:
        """Seconds to wait after so many failed attempts."""
        # The exponent is bounded: past it every pause is the longest one, and no float overflows.
        return min(self.delay_s_max, self.first_delay_s * self.factor ** min(attempts - 1, 64))


@dataclass(frozen=True)
class Message:
    """A webhook as it goes over the wire.

    Attributes:
        event_type: the platform's name of the event, such as `product.update`.
        url: where it goes.
        body: the exact bytes, which are UTF-8 text.
        headers: content type and signature.
    """

    event_type: str
    url: str
    body: str
    headers: Mapping[str, str]


@dataclass
class Delivery:
    """One copy of a message on its way.

    Attributes:
        id: of this copy.
        message: what is sent.
        created_at: when the event happened, ISO 8601, UTC.
        outcome: `pending`, `delivered`, `dropped` (by chaos) or `given_up`.
        attempts: for each attempt its time and the HTTP status, or the error's name.
    """

    id: str
    message: Message
    created_at: str
    outcome: str = "pending"
    attempts: list[dict[str, Any]] = field(default_factory=list)


class Courier:
    """Delivers messages in the background, and remembers how that went.

    Webhooks that happen before `start` (or that were pending when the state was saved) go out
    once it has been called.
    """

    def __init__(
        self,
        *,
        accepts: Callable[[int], bool],
        timeout: httpx.Timeout,
        retry: RetryPolicy,
        chaos: Chaos,
        clock: Clock,
    ) -> None:
        self._accepts = accepts
        self._timeout = timeout
        self._retry = retry
        self._chaos = chaos
        self._clock = clock
        self._client: httpx.AsyncClient | None = None
        self._slots = asyncio.Semaphore(CONNECTIONS_MAX)
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: list[asyncio.Event] = []
        self._deliveries: deque[Delivery] = deque(maxlen=DELIVERIES_MAX)

    async def start(self) -> None:
        """Opens connections and sends what is pending."""
        # trust_env off: a proxy in the environment must not see traffic meant for this machine.
        self._client = httpx.AsyncClient(timeout=self._timeout, trust_env=False)
        for delivery in self._deliveries:
            if delivery.outcome == "pending":
                self._launch(delivery, WebhookFate())

    async def close(self) -> None:
        """Stops sending; what is pending stays pending."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def send(self, message: Message) -> None:
        """Takes a message; chaos decides how many copies leave, when, and whether at all."""
        for fate in self._chaos.fates_of_webhook():
            delivery = Delivery(str(uuid4()), message, self._clock().isoformat())
            self._deliveries.append(delivery)
            if fate.dropped:
                delivery.outcome = "dropped"
            elif self._client is not None:
                self._launch(delivery, fate)

    def rows(self) -> list[dict[str, Any]]:
        """All remembered deliveries as JSON objects, oldest first."""
        return [asdict(delivery) for delivery in self._deliveries]

    def pending_rows(self) -> list[dict[str, Any]]:
        """The deliveries a restart must not forget."""
        return [asdict(d) for d in self._deliveries if d.outcome == "pending"]

    def restore(self, rows: list[dict[str, Any]]) -> None:
        """Takes back what `pending_rows` gave before the restart."""
        for row in rows:
            self._deliveries.append(Delivery(**{**row, "message": Message(**row["message"])}))

    def _launch(self, delivery: Delivery, fate: WebhookFate) -> None:
        task = asyncio.create_task(self._deliver(delivery, fate))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, delivery: Delivery, fate: WebhookFate) -> None:
        await asyncio.sleep(fate.delay_s)
        if fate.held:
            await self._wait_to_be_overtaken()
        while len(delivery.attempts) < self._retry.attempts_max:
            async with self._slots:
                accepted = await self._attempt(delivery)
            if not fate.held:
                self._let_held_ones_go()
            if accepted:
                delivery.outcome = "delivered"
                return
            await asyncio.sleep(self._retry.pause_s(len(delivery.attempts)))
        delivery.outcome = "given_up"

    async def _attempt(self, delivery: Delivery) -> bool:
        if self._client is None:
            raise RuntimeError("the courier is closed")
        attempt: dict[str, Any] = {"time": self._clock().isoformat()}
        message = delivery.message
        try:
            response = await self._client.post(
                message.url, content=message.body.encode(), headers=dict(message.headers)
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            attempt["error"] = type(error).__name__
            return False
        else:
            attempt["status"] = response.status_code
            return self._accepts(response.status_code)
        finally:
            delivery.attempts.append(attempt)

    async def _wait_to_be_overtaken(self) -> None:
        overtaken = asyncio.Event()
        self._held.append(overtaken)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(overtaken.wait(), HOLD_S_MAX)

    def _let_held_ones_go(self) -> None:
        for overtaken in self._held:
            overtaken.set()
        self._held.clear()
