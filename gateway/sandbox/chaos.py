"""The chaos knob: how often webhooks and API calls of a simulator go wrong.

Every decision comes from a seeded generator, one for webhooks and one for API calls, so that a run
which found a fault can be repeated: same seed, same order of events, same fates.
"""

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0, le=1)]


class ChaosSettings(BaseModel):
    """What goes wrong, and how often. All probabilities are 0 to 1 and independent.

    Attributes:
        duplicate: a webhook is sent a second time, with the same body and event id.
        drop: a webhook is never sent, as platforms that give no guarantee do.
        delay: a webhook waits before its first attempt, up to `delay_seconds_max`.
        delay_seconds_max: the longest such wait, in seconds; waits are uniform.
        reorder: a webhook is held back until a later one has gone first.
        fail: an API call is refused untouched: half of them HTTP 500, half HTTP 429.
        lost_reply: an API call is carried out, but the caller gets HTTP 500.
        seed: where the generators start.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    duplicate: Probability = 0
    drop: Probability = 0
    delay: Probability = 0
    delay_seconds_max: Annotated[float, Field(ge=0, le=60)] = 0
    reorder: Probability = 0
    fail: Probability = 0
    lost_reply: Probability = 0
    seed: int = 0


class CallFate(StrEnum):
    """What happens to one API call."""

    SERVED = "served"
    ERROR = "error"
    RATE_LIMITED = "rate_limited"
    LOST_REPLY = "lost_reply"


@dataclass(frozen=True)
class WebhookFate:
    """What happens to one copy of one webhook.

    Attributes:
        dropped: it is never sent.
        delay_s: seconds to wait before the first attempt.
        held: it lets the next webhook overtake it.
    """

    dropped: bool = False
    delay_s: float = 0
    held: bool = False


class Chaos:
    """Draws the fate of each webhook and each API call from the current settings."""

    def __init__(self, settings: ChaosSettings | None = None) -> None:
        self.settings = settings or ChaosSettings()
        self._seed_generators()

    def set(self, settings: ChaosSettings) -> None:
        """Replaces the settings and starts the generators again from their seed."""
        self.settings = settings
        self._seed_generators()

    def fate_of_call(self) -> CallFate:
        """Draws what happens to the API call that has just arrived."""
        draw = self._calls.random
        if draw() < self.settings.fail:
            return CallFate.ERROR if draw() < 0.5 else CallFate.RATE_LIMITED
        if draw() < self.settings.lost_reply:
            return CallFate.LOST_REPLY
        return CallFate.SERVED

    def fates_of_webhook(self) -> list[WebhookFate]:
        """Draws what happens to a webhook: one fate per copy, the original first."""
        draw = self._webhooks.random
        if draw() < self.settings.drop:
            return [WebhookFate(dropped=True)]
        copies = 2 if draw() < self.settings.duplicate else 1
        return [self._fate_of_copy() for _ in range(copies)]

    def _fate_of_copy(self) -> WebhookFate:
        draw = self._webhooks.random
        delayed = draw() < self.settings.delay
        return WebhookFate(
            delay_s=draw() * self.settings.delay_seconds_max if delayed else 0,
            held=draw() < self.settings.reorder,
        )

    def _seed_generators(self) -> None:
        # Two streams: the number of API calls must not shift the fate of webhooks.
        self._calls = Random(f"{self.settings.seed}/calls")  # noqa: S311 - repeatable, not secret
        self._webhooks = Random(f"{self.settings.seed}/webhooks")  # noqa: S311 - as above
