"""Errors as HTTP: AIP-193 JSON bodies and the status codes that go with them.

Everything that the gateway refuses is a `DomainError`, as everywhere else; what a service refused
arrives as a gRPC status. Both leave through here, so that every error has one shape:
`{"error": {"code", "message", "status", "details": [ErrorInfo, BadRequest, ...]}}`.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from starlette.responses import Response

from services.chassis.errors import DomainError
from services.chassis.status import DOMAIN, to_status

HTTP_STATUS: Mapping[int, int] = {
    code_pb2.OK: 200,
    code_pb2.CANCELLED: 499,
    code_pb2.UNKNOWN: 500,
    code_pb2.INVALID_ARGUMENT: 400,
    code_pb2.DEADLINE_EXCEEDED: 504,
    code_pb2.NOT_FOUND: 404,
    code_pb2.ALREADY_EXISTS: 409,
    code_pb2.PERMISSION_DENIED: 403,
    code_pb2.UNAUTHENTICATED: 401,
    code_pb2.RESOURCE_EXHAUSTED: 429,
    code_pb2.FAILED_PRECONDITION: 400,
    code_pb2.ABORTED: 409,
    code_pb2.OUT_OF_RANGE: 400,
    code_pb2.UNIMPLEMENTED: 501,
    code_pb2.INTERNAL: 500,
    code_pb2.UNAVAILABLE: 503,
    code_pb2.DATA_LOSS: 500,
}
"""HTTP status of every gRPC status code, as `google/rpc/code.proto` has it."""

HTTP_STATUS_OF_REASON: Mapping[str, int] = {"BODY_TOO_LARGE": 413, "METHOD_NOT_FOUND": 404}
"""Reasons for which HTTP has a more telling status than their gRPC status code gives."""

_UNEXPLAINED: Mapping[int, tuple[str, str]] = {
    code_pb2.CANCELLED: ("SERVICE_UNAVAILABLE", "the call was broken off; retry"),
    code_pb2.DEADLINE_EXCEEDED: (
        "DEADLINE_PASSED",
        "the deadline passed before the work was done; a retry with the same request id is safe",
    ),
    code_pb2.RESOURCE_EXHAUSTED: ("OVERLOADED", "the service takes no more calls now; retry"),
    code_pb2.UNAVAILABLE: ("SERVICE_UNAVAILABLE", "the service cannot be reached now; retry"),
    code_pb2.UNIMPLEMENTED: ("METHOD_NOT_FOUND", "the service that runs does not know this method"),
}
_RETRY_AFTER_MS = {"OVERLOADED": 1000, "SERVICE_UNAVAILABLE": 1000}


class HttpError(DomainError):
    """A refusal whose HTTP status is more precise than its reason: 405, 408, 415, 431.

    Attributes:
        http_status: the status code of the answer.
        headers: response headers that belong to the status, such as `Allow`.
    """

    def __init__(
        self,
        http_status: int,
        reason: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(reason, message, **rest)
        self.http_status = http_status
        self.headers = headers or {}


def error_response(error: DomainError) -> Response:
    """The answer to a request that is refused: an AIP-193 body with the status that fits."""
    if isinstance(error, HttpError):
        return _response(to_status(error), error.http_status, error.headers)
    return _response(to_status(error), _http_status(error.code, error.reason))


def rpc_error_response(error: grpc.aio.AioRpcError, call_id: str) -> Response:
    """The answer to a request whose RPC failed."""
    status = rpc_status_of(error, call_id)
    return _response(status, _http_status(status.code, _error_info(status).reason))


def rpc_status_of(error: grpc.aio.AioRpcError, call_id: str) -> status_pb2.Status:
    """What a service answered, if it explained itself as our services do.

    Anything else (a refused connection, a crash, a proxy) is put in our own words, since its text
    may name hosts or code and helps no caller.
    """
    try:
        status = rpc_status.from_call(error)
    except (ValueError, DecodeError):
        status = None
    if status is not None and _error_info(status).domain == DOMAIN:
        return status
    code: int = error.code().value[0]
    if code not in _UNEXPLAINED:
        return to_status(internal_error(call_id))
    reason, message = _UNEXPLAINED[code]
    return to_status(DomainError(reason, message, retry_after_ms=_RETRY_AFTER_MS.get(reason, 0)))


def internal_error(call_id: str) -> DomainError:
    """A fault of ours: bland outside, with the id under which the log tells the truth."""
    return DomainError(
        "INTERNAL", f"an internal error occurred; the log has it as {call_id}", call_id=call_id
    )


def error_json(status: status_pb2.Status, http_status: int) -> bytes:
    """The AIP-193 body of a status."""
    details = [json_format.MessageToDict(detail) for detail in status.details]
    body = {
        "code": http_status,
        "message": status.message,
        "status": code_pb2.Code.Name(code_pb2.Code.ValueType(status.code)),
        "details": details,
    }
    return json.dumps({"error": body}, ensure_ascii=False).encode()


def _http_status(code: int, reason: str) -> int:
    return HTTP_STATUS_OF_REASON.get(reason) or HTTP_STATUS.get(code, 500)


def _response(
    status: status_pb2.Status, http_status: int, headers: Mapping[str, str] | None = None
) -> Response:
    response = Response(
        error_json(status, http_status), http_status, headers, media_type="application/json"
    )
    if http_status == 401:
        response.headers["WWW-Authenticate"] = f'Bearer realm="{DOMAIN}"'
    for detail in status.details:
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(retry):
            seconds = math.ceil(retry.retry_delay.ToTimedelta().total_seconds())
            response.headers["Retry-After"] = str(max(1, seconds))
    return response


def _error_info(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info):
            break
    return info
