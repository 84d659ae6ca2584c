"""Errors as gRPC statuses, and back: the only place that knows both."""

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from services.chassis.errors import CODES, DomainError

DOMAIN = "tillbridge"
DETAILS_KEY = "grpc-status-details-bin"

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_UNREACHABLE = {
    grpc.StatusCode.UNAVAILABLE: "SERVICE_UNAVAILABLE",
    grpc.StatusCode.DEADLINE_EXCEEDED: "DEADLINE_PASSED",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "OVERLOADED",
    grpc.StatusCode.CANCELLED: "SERVICE_UNAVAILABLE",
    grpc.StatusCode.UNIMPLEMENTED: "METHOD_NOT_FOUND",
}


def to_status(error: DomainError) -> status_pb2.Status:
    """The refusal with ErrorInfo, and BadRequest or RetryInfo where they apply."""
    details = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.facts)
    ]
    packed = [_pack(detail) for detail in details]
    if error.violations:
        packed.append(
            _pack(
                error_details_pb2.BadRequest(
                    field_violations=[
                        error_details_pb2.BadRequest.FieldViolation(
                            field=field, description=description, reason=error.reason
                        )
                        for field, description in error.violations
                    ]
                )
            )
        )
    if error.retry_after_ms:
        delay = Duration()
        delay.FromMilliseconds(error.retry_after_ms)
        packed.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
    return status_pb2.Status(code=error.code, message=error.message, details=packed)


def grpc_code(error: DomainError) -> grpc.StatusCode:
    """The status code as grpc names it."""
    return _CODES[error.code]


def to_rpc_error(status: status_pb2.Status) -> grpc.aio.AioRpcError:
    """What another service refused, as a call that it refused by itself raises it."""
    trailing = grpc.aio.Metadata((DETAILS_KEY, status.SerializeToString()))
    code = _CODES[status.code]
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details=status.message)


def from_rpc_error(error: grpc.RpcError) -> DomainError:
    """What another service refused, or that it could not be reached, as an error of ours."""
    code, text = error.code(), error.details() or ""
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    violations: list[tuple[str, str]] = []
    for detail in status.details if status else ():
        bad_request = error_details_pb2.BadRequest()
        if detail.Unpack(bad_request):
            violations = [(v.field, v.description) for v in bad_request.field_violations]
        detail.Unpack(info)
    if info.domain == DOMAIN and info.reason in CODES:
        found = DomainError(info.reason, text, violations=violations)
        found.facts = dict(info.metadata)
        return found
    reason = _UNREACHABLE.get(code, "INTERNAL")
    return DomainError(reason, f"{code.name}: {text}")


def _pack(message: object) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)  # type: ignore[arg-type]  # any generated message
    return packed
