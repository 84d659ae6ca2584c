"""What every request is checked for before a service sees it."""

from collections.abc import Iterator

import protovalidate
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from services.chassis.errors import DomainError, invalid

_validator = protovalidate.Validator()

_BAD_CHARACTERS = {
    *map(chr, set(range(0x20)) - {0x09, 0x0A, 0x0D}),
    *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x206A)),
}
_BAD_BYTES = [character.encode() for character in sorted(_BAD_CHARACTERS)]


def parse(kind: type[Message], body: bytes) -> Message:
    """The request in `body`, found valid.

    Raises:
        DomainError: INVALID_FIELD, naming every field and what it takes.
    """
    try:
        request = kind.FromString(body)
    except DecodeError as error:
        raise invalid("request", f"is no {kind.DESCRIPTOR.full_name}: {error}") from error
    if any(bad in body for bad in _BAD_BYTES):  # lengths and tags give false alarms: look closely
        violations = list(_bad_text(request, ""))
        if violations:
            raise _refusal(violations)
    try:
        _validator.validate(request)
    except protovalidate.ValidationError as error:
        raise _refusal([_violation(found) for found in error.violations]) from error
    return request


def _refusal(violations: list[tuple[str, str]]) -> DomainError:
    text = "; ".join(f"{field}: {what}" for field, what in violations[:5])
    more = len(violations) - 5
    if more > 0:
        text += f"; and {more} more"
    return DomainError("INVALID_FIELD", text, violations=violations[:100])


def _bad_text(message: Message, path: str) -> Iterator[tuple[str, str]]:
    """Text fields with control or direction-changing characters, which no database or screen shows
    as they are.
    """
    for field, value in message.ListFields():
        many = field.is_repeated
        if field.type not in {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE}:
            continue
        for index, one in enumerate(value if many else [value]):
            where = f"{path}{field.name}" + (f"[{index}]" if many else "")
            if isinstance(one, Message):
                yield from _bad_text(one, where + ".")
            elif bad := _BAD_CHARACTERS.intersection(one):
                yield where, f"must not contain the character U+{ord(min(bad)):04X}"


def _violation(found: protovalidate.Violation) -> tuple[str, str]:
    path = ""
    for element in found.proto.field.elements if found.proto.field else ():
        path += ("." if path else "") + element.field_name
        if element.subscript is not None:
            path += f"[{element.subscript.value}]"
    return path, found.proto.message or found.proto.rule_id
