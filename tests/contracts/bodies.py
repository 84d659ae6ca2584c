"""The same request with another body."""

from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from services.chassis.checks import check_constraints
from services.chassis.errors import DomainError


def with_another_body(request: Message) -> Message:
    """A request that is valid, and differs from this one in one field that is not its id; in one
    that names nothing else, if there is one.
    """
    changed: Message
    for changed in (*_variations(request, ids=False), *_variations(request, ids=True)):
        try:
            check_constraints(changed)
        except DomainError:
            continue
        return changed
    raise AssertionError(f"no other {request.DESCRIPTOR.full_name} is valid")


def _variations(message: Message, *, ids: bool) -> Iterator[Any]:
    fields: Sequence[Any] = message.DESCRIPTOR.fields
    for field in reversed(fields):  # what a thing belongs to comes first
        if field.name in {"request_id", "validate_only"} or field.message_type:
            continue
        if field.name.endswith(("_id", "_ids")) != ids:
            continue
        if not field.is_repeated:
            for value in _other_values(field, getattr(message, field.name)):
                changed = _copy(message)
                setattr(changed, field.name, value)
                yield changed
        elif field.type == FieldDescriptor.TYPE_STRING:
            changed = _copy(message)
            getattr(changed, field.name).append("another")
            yield changed
    for field, value in message.ListFields():
        if field.message_type and field.message_type.full_name.startswith("tillbridge."):
            for inner in _variations(value[0] if field.is_repeated else value, ids=ids):
                changed = _copy(message)
                kept = getattr(changed, field.name)
                (kept[0] if field.is_repeated else kept).CopyFrom(inner)
                yield changed


def _copy(message: Message) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def _other_values(field: Any, value: Any) -> Iterator[Any]:
    if field.type == FieldDescriptor.TYPE_STRING:
        yield from (f"{value}x", f"{value}1", "another")
    elif field.type == FieldDescriptor.TYPE_BOOL:
        yield not value
    elif field.enum_type:
        yield from (one.number for one in field.enum_type.values if one.number != value)
    else:
        yield from (value + 1, value - 1)
