"""The one error that crosses borders: a refusal, from the rule that found it to the caller.

Rules raise `DomainError`; `chassis.status` is the only place that turns it into a gRPC status.
"""

from collections.abc import Mapping, Sequence

from tillbridge.errors.v1 import errors_pb2
from tillbridge.options.v1 import options_pb2

_PREFIX = "ERROR_REASON_"

CODES: Mapping[str, int] = {
    value.name.removeprefix(_PREFIX): value.GetOptions().Extensions[options_pb2.status]
    for value in errors_pb2.ErrorReason.DESCRIPTOR.values
    if value.number
}
"""gRPC status code of every documented reason, as `tillbridge/errors/v1/errors.proto` says."""


class DomainError(Exception):
    """A refusal with a documented reason.

    Attributes:
        reason: a name of `tillbridge.errors.v1.ErrorReason` without its prefix.
        message: what is wrong and what would make it pass, for people.
        field: path of the field that is to blame, such as `counts[2].quantity`; may be empty.
        facts: what the contract promises as ErrorInfo metadata.
        violations: every bad field with what it takes, where there are several.
        retry_after_ms: when a retry makes sense; 0 when the caller has to change something.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        field: str = "",
        violations: Sequence[tuple[str, str]] = (),
        retry_after_ms: int = 0,
        **facts: object,
    ) -> None:
        super().__init__(message)
        self.code = CODES[reason]
        self.reason = reason
        self.message = message
        self.field = field
        self.violations = violations or ([(field, message)] if field else [])
        self.retry_after_ms = retry_after_ms
        self.facts = {name: str(value) for name, value in facts.items()}

    @property
    def number(self) -> errors_pb2.ErrorReason.ValueType:
        """The reason as the contract's enum value, for messages that carry reasons."""
        return errors_pb2.ErrorReason.Value(_PREFIX + self.reason)

    @property
    def transient(self) -> bool:
        """Whether the same call may pass later with nobody changing anything."""
        return self.reason in {
            "DEADLINE_PASSED",
            "INTERNAL",
            "LEASE_HELD",
            "OVERLOADED",
            "SERVICE_UNAVAILABLE",
        }


def invalid(field: str, message: str) -> DomainError:
    """A field that is missing, malformed or out of range; `message` says what it takes."""
    return DomainError("INVALID_FIELD", f"{field}: {message}", violations=[(field, message)])
