"""What the people and machines outside have asked for, and what they were told."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from services.chassis.auth import Tokens
from services.chassis.client import Metadata
from services.chassis.status import from_rpc_error
from tests.harness import KEY

TRIES = 12
PAUSE_S = 0.2
TIMEOUT_S = 5.0

Answer = TypeVar("Answer", bound=Message)

_TOKENS = Tokens(KEY)
_KNOWN: dict[str, Metadata] = {}


class GaveUpError(Exception):
    """Nobody knows whether it was carried out."""


@dataclass(slots=True)
class Sent:
    """A change that was asked for, once or several times under one request id."""

    method: str
    request: Any
    answers: set[bytes] = field(default_factory=set)
    refusals: set[str] = field(default_factory=set)

    @property
    def done(self) -> bool:
        """Whether somebody was told that it was carried out."""
        return bool(self.answers)


class Book:
    """What a merchant's people and machines know: the auditor's other half of the truth."""

    def __init__(self, merchant: str) -> None:
        self.merchant = merchant
        self.sent: dict[tuple[str, str], Sent] = {}
        """By method and request id."""

    def of(self, method: str) -> list[Sent]:
        """What was asked for of a method."""
        return [sent for (name, _), sent in self.sent.items() if name == method]

    async def send(
        self,
        method: Callable[..., Awaitable[Answer]],
        request: Any,
        dice: random.Random,
        *,
        patience: int = TRIES,
    ) -> Answer:
        """Asks for a change, again and again until there is an answer.

        Raises:
            DomainError: it was refused.
            GaveUpError: after `patience` tries.
        """
        name = request.DESCRIPTOR.name.removesuffix("Request")
        known = self.sent.setdefault((name, request.request_id), Sent(name, request))
        for _ in range(patience):
            try:
                answer = await method(request, metadata=identity(self.merchant), timeout=TIMEOUT_S)
            except grpc.aio.AioRpcError as failure:
                error = from_rpc_error(failure)
                if not error.transient:
                    known.refusals.add(error.reason)
                    raise error from failure
                await asyncio.sleep(PAUSE_S * (1 + dice.random()))
            else:
                known.answers.add(answer.SerializeToString(deterministic=True))
                return answer
        raise GaveUpError

    async def ask(self, method: Callable[..., Awaitable[Answer]], request: Message) -> Answer:
        """Reads something, again and again until there is an answer.

        Raises:
            DomainError: it was refused.
        """
        while True:
            try:
                return await method(request, metadata=identity(self.merchant), timeout=TIMEOUT_S)
            except grpc.aio.AioRpcError as failure:
                error = from_rpc_error(failure)
                if not error.transient:
                    raise error from failure
                await asyncio.sleep(PAUSE_S)


def identity(merchant: str) -> Metadata:
    """Metadata of a caller who may do everything for a merchant."""
    if merchant not in _KNOWN:
        roles = ("pos", "ecom", "operator")
        token = _TOKENS.issue("simulation", merchant, roles, timedelta(hours=1))
        _KNOWN[merchant] = (("authorization", f"Bearer {token}"),)
    return _KNOWN[merchant]
