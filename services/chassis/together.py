"""Calls that travel together: those that one process makes of another at the same moment.

A gRPC call costs both ends more than most of what is asked. So calls that are made in one turn of
the event loop go as one message, `tillbridge.calls.v1`, and their answers come back as one. Each is
admitted, checked, run and logged like any other; one that is alone goes by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import grpc
from google.protobuf.message import DecodeError

from services.chassis import status
from services.chassis.auth import MERCHANT_KEY
from services.chassis.client import Identity, Metadata
from services.chassis.errors import DomainError, invalid
from tillbridge.calls.v1.calls_pb2 import Answer, Call, TogetherRequest, TogetherResponse

PATH = "/tillbridge.calls.v1.Calls/Together"
CALLS_MAX = 256
BYTES_MAX = 1024 * 1024
"""What goes together at most, so that it fits what a server takes; a larger call goes alone."""

AnswerOne = Callable[[str, str, bytes], Awaitable[bytes]]
"""Path, merchant and request to response; raises DomainError."""


async def answer_together(body: bytes, answer_one: AnswerOne) -> bytes:
    """Answers calls that came together, each by `answer_one`.

    Raises:
        DomainError: INVALID_FIELD when it is something else.
    """
    try:
        calls = TogetherRequest.FromString(body).calls
    except DecodeError as error:
        raise invalid("request", f"is no {TogetherRequest.DESCRIPTOR.full_name}") from error
    answers = await asyncio.gather(*(_answer(call, answer_one) for call in calls))
    return TogetherResponse(answers=answers).SerializeToString()


async def _answer(call: Call, answer_one: AnswerOne) -> Answer:
    try:
        return Answer(response=await answer_one(call.path, call.merchant_id, call.request))
    except DomainError as refusal:
        return Answer(status=status.to_status(refusal))


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A call that is about to be sent."""

    call: Call
    alone: Callable[..., Awaitable[bytes]]
    """Makes it by itself."""
    timeout_s: float
    answer: "asyncio.Future[bytes]"


def together(channel: grpc.aio.Channel, identity: Identity) -> grpc.aio.Channel:
    """A channel for unary calls, by this process' `identity`: those of one moment travel together
    on `channel`.
    """
    return cast("grpc.aio.Channel", _Together(channel, identity))


class _Together:
    """What stubs need of a channel."""

    def __init__(self, channel: grpc.aio.Channel, identity: Identity) -> None:
        self._channel = channel
        self._identity = identity
        self._carry: Any = channel.unary_unary(
            PATH,
            request_serializer=TogetherRequest.SerializeToString,
            response_deserializer=TogetherResponse.FromString,
        )
        self._waiting: list[_Waiting] = []
        self._sending: set[asyncio.Task[None]] = set()

    def unary_unary(
        self,
        path: str,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], Any],
        **_options: object,
    ) -> Callable[..., Awaitable[Any]]:
        """A method to call. A refusal is a grpc.aio.AioRpcError, as it is of a call by itself."""
        alone = self._channel.unary_unary(
            path, request_serializer=bytes, response_deserializer=bytes
        )

        async def call(
            request: Any,
            *,
            metadata: Metadata,
            timeout: float,  # noqa: ASYNC109  (as gRPC's stubs have it)
        ) -> Any:
            made = Call(path=path, request=request_serializer(request))
            made.merchant_id = next((value for name, value in metadata if name == MERCHANT_KEY), "")
            answer = asyncio.get_running_loop().create_future()
            if not self._waiting:
                asyncio.get_running_loop().call_soon(self._send)
            self._waiting.append(_Waiting(made, alone, timeout, answer))
            return response_deserializer(await answer)

        return call

    def unary_stream(self, *_arguments: object, **_options: object) -> None:
        """Streams go by the channel itself."""

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for part in _parts(waiting):
            task = asyncio.ensure_future(self._answered(part))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _answered(self, part: Sequence[_Waiting]) -> None:
        """Sends calls, and hands out their answers."""
        try:
            answers = [await self._alone(part[0])] if len(part) == 1 else await self._all(part)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED and len(part) > 1:
                # A process of an older version: it knows single calls.
                await asyncio.gather(*(self._answered([one]) for one in part))
                return
            _fail(part, error)
        except Exception as error:
            _fail(part, error)
            raise
        else:
            for one, answer in zip(part, answers, strict=True):
                if one.answer.done():
                    continue  # the caller went away
                if answer.HasField("status"):
                    one.answer.set_exception(status.to_rpc_error(answer.status))
                else:
                    one.answer.set_result(answer.response)

    async def _alone(self, one: _Waiting) -> Answer:
        metadata = self._identity.metadata(one.call.merchant_id)
        answer = await one.alone(one.call.request, metadata=metadata, timeout=one.timeout_s)
        return Answer(response=answer)

    async def _all(self, part: Sequence[_Waiting]) -> Sequence[Answer]:
        found = await self._carry(
            TogetherRequest(calls=[one.call for one in part]),
            metadata=self._identity.metadata(),
            timeout=min(one.timeout_s for one in part),
        )
        return cast("Sequence[Answer]", found.answers)


def _parts(waiting: Sequence[_Waiting]) -> Iterator[Sequence[_Waiting]]:
    """The calls in order, as many together as may be."""
    part: list[_Waiting] = []
    size = 0
    for one in waiting:
        size += len(one.call.request)
        if part and (size > BYTES_MAX or len(part) == CALLS_MAX):
            yield part
            part, size = [], len(one.call.request)
        part.append(one)
    yield part


def _fail(part: Sequence[_Waiting], error: Exception) -> None:
    for one in part:
        if not one.answer.done():
            one.answer.set_exception(error)
