"""What every request is checked for before a service sees it."""

import re
from collections.abc import Iterator, Sequence
from functools import cache

import protovalidate
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from services.chassis.errors import DomainError, invalid

_validator = protovalidate.Validator()

_BAD_CHARACTER = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\u202a-\u202e\u2066-\u2069]")


def parse(kind: type[Message], body: bytes) -> Message:
    """The request in `body`, found valid.

    Raises:
        DomainError: INVALID_FIELD, naming every field and what it takes.
    """
    try:
        request = kind.FromString(body)
    except DecodeError as error:
        raise invalid("request", f"is no {kind.DESCRIPTOR.full_name}: {error}") from error
    texts: list[str] = []
    _gather(request, texts)
    # Hardly ever is there a bad one, and nothing is faster at finding none.
    if not "".join(texts).isprintable() and (violations := list(_bad_text(request, ""))):
        raise _refusal(violations)
    check_constraints(request)
    return request


def check_constraints(message: Message) -> None:
    """Checks a message, such as one of those in a batch, for the constraints of its contract.

    Raises:
        DomainError: INVALID_FIELD, naming every field and what it takes.
    """
    try:
        _validator.validate(message)
    except protovalidate.ValidationError as error:
        raise _refusal([_violation(found) for found in error.violations]) from error


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
    for name, many, is_text in _fields_with_text(message.DESCRIPTOR):
        if not many and not is_text and not message.HasField(name):
            continue
        value = getattr(message, name)
        for index, one in enumerate(value if many else (value,)):
            bad = _BAD_CHARACTER.search(one) if is_text else None
            if is_text and not bad:
                continue
            where = f"{path}{name}[{index}]" if many else f"{path}{name}"
            if bad:
                yield where, f"must not contain the character U+{ord(bad[0]):04X}"
            else:
                yield from _bad_text(one, where + ".")


def _gather(message: Message, texts: list[str]) -> None:
    """Adds all text of a message."""
    for name, many, is_text in _fields_with_text(message.DESCRIPTOR):
        if is_text and many:
            texts.extend(getattr(message, name))
        elif is_text:
            texts.append(getattr(message, name))
        elif many:
            for one in getattr(message, name):
                _gather(one, texts)
        elif message.HasField(name):
            _gather(getattr(message, name), texts)


@cache
def _fields_with_text(kind: Descriptor) -> Sequence[tuple[str, bool, bool]]:
    """Name, whether it is repeated, and whether it is text, of the fields that are text or messages
    in which text may be. Kept, since asking descriptors takes longer than looking at the text.
    """
    return [
        (field.name, field.is_repeated, field.type == FieldDescriptor.TYPE_STRING)
        for field in kind.fields
        if field.type == FieldDescriptor.TYPE_STRING
        or (field.message_type and any(map(_may_have_text, field.message_type.fields)))
    ]


def _may_have_text(field: FieldDescriptor) -> bool:
    return field.type in {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE}


_PATTERNS = {
    r"^-?[0-9]{1,9}(\.[0-9]{1,3})?$": "must be decimal text such as `7`, `-2` or `7.5`: below"
    " 1000000000, with at most three fraction digits",
    r"^[0-9]{1,9}(\.[0-9]{1,3})?$": "must be decimal text such as `7` or `7.5`: not negative, below"
    " 1000000000, with at most three fraction digits",
    r"^[0-9]{1,9}(\.[0-9]{1,6})?$": "must be decimal text such as `0.75`: not negative, below"
    " 1000000000, with at most six fraction digits",
    r"^https?://[^/?#@\s]+$": "must be `http://` or `https://` and a host, without a path",
}
"""What the contracts' harder patterns take, for people who read no regular expressions."""


def _violation(found: protovalidate.Violation) -> tuple[str, str]:
    path = ""
    for element in found.proto.field.elements if found.proto.field else ():
        path += ("." if path else "") + element.field_name
        if element.subscript is not None:
            path += f"[{element.subscript.value}]"
    said = found.proto.message or found.proto.rule_id
    words = next((words for pattern, words in _PATTERNS.items() if f"`{pattern}`" in said), said)
    return path, words
