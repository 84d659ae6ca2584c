"""From JSON and text to values that fit a message, with every complaint at its field's path.

The result is a tree of plain values under the contract's own field names, whichever spelling came
in. What it has not checked (the range of a number, the form of a timestamp) the protobuf parser
checks when the tree becomes a message.
"""

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from gateway.transcode.bindings import FieldPath, fields_of

Tree = dict[str, Any]
Violations = list[tuple[str, str]]
"""Field path and what the field takes."""

FIELD_MASK = "google.protobuf.FieldMask"

_OWN_JSON = re.compile(
    r"google\.protobuf\.(Any|Duration|Empty|FieldMask|ListValue|Struct|Timestamp|Value|\w+Value)"
)
"""Types with a JSON form of their own, which only the protobuf parser knows."""

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: range(-(2**31), 2**31),
    FieldDescriptor.CPPTYPE_INT64: range(-(2**63), 2**63),
    FieldDescriptor.CPPTYPE_UINT32: range(2**32),
    FieldDescriptor.CPPTYPE_UINT64: range(2**64),
}
_ENUM_NUMBERS = _INTEGERS[FieldDescriptor.CPPTYPE_INT32]
_BOOLS = {"true": True, "false": False}
_PARSER_PLACE = re.compile(r' at "?[A-Za-z_]\w*\.([^\s"]+)"?\.?$')


def has_own_json(message: Descriptor | None) -> bool:
    """Whether this is no message but a value in JSON, such as a timestamp."""
    return message is not None and _OWN_JSON.fullmatch(message.full_name) is not None


def read_message(value: Any, message: Descriptor, path: str, bad: Violations) -> Any:
    """A JSON object as a tree for `message`; what does not fit is added to `bad`."""
    if has_own_json(message):
        return value
    if not isinstance(value, dict):
        bad.append((path, "must be a JSON object"))
        return None
    known = fields_of(message)
    tree: Tree = {}
    for key, item in value.items():
        field = known.get(key)
        if field is None:
            bad.append((_join(path, key), f"no such field in {message.name}"))
        elif field.name in tree:
            bad.append((_join(path, field.name), "given in both spellings; send one"))
        else:
            tree[field.name] = _read_field(item, field, _join(path, field.name), bad)
    return tree


def read_text(text: str, field: FieldDescriptor, path: str, bad: Violations) -> Any:
    """One value of a path or query, where everything is text, as it would stand in a tree."""
    value: Any = text
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        value = _BOOLS.get(text, text)
    elif field.cpp_type == FieldDescriptor.CPPTYPE_ENUM and _INTEGER.fullmatch(text):
        value = int(text)
    elif field.message_type is not None and field.message_type.full_name == FIELD_MASK:
        value = _camel(text)
    return _read_single(value, field, path, bad)


def place(tree: Tree, fields: FieldPath, value: Any, bad: Violations) -> None:
    """Puts a value of the path or query where it belongs.

    What the body says already may only be said again, not otherwise.
    """
    for field in fields[:-1]:
        inner = tree.get(field.name)
        if inner is None:
            inner = tree[field.name] = {}
        tree = inner
    last = fields[-1]
    if last.is_repeated:
        tree.setdefault(last.name, []).append(value)
    elif tree.get(last.name) is None:
        tree[last.name] = value
    elif str(tree[last.name]) != str(value):
        bad.append((dotted(fields), "given twice, with different values"))


def to_message(tree: Tree, message: Message, bad: Violations) -> None:
    """Fills the message from the tree; what the protobuf parser refuses is added to `bad`."""
    try:
        json_format.ParseDict(tree, message, max_recursion_depth=100)
    except json_format.ParseError as error:
        innermost: BaseException = error
        while isinstance(innermost.__cause__, json_format.ParseError):
            innermost = innermost.__cause__
        text = str(innermost)
        place_found = _PARSER_PLACE.search(text)
        if place_found:
            bad.append((place_found[1], text[: place_found.start()]))
        else:
            bad.append(("", text))


def mask_paths(body: Tree, message: Descriptor, prefix: str = "") -> Iterator[str]:
    """The fields that a body gives, as field mask paths: the mask that it implies (AIP-134)."""
    for name, value in body.items():
        field = message.fields_by_name[name]
        inner = field.message_type
        if inner is not None and value and isinstance(value, dict) and not has_own_json(inner):
            yield from mask_paths(value, inner, f"{prefix}{name}.")
        else:
            yield prefix + name


def dotted(fields: FieldPath) -> str:
    """A field path as the contract spells it: `policies.out_of_stock_label`."""
    return ".".join(field.name for field in fields)


def _read_field(value: Any, field: FieldDescriptor, path: str, bad: Violations) -> Any:
    if value is None or _is_map(field):
        return value
    if not field.is_repeated:
        return _read_single(value, field, path, bad)
    if not isinstance(value, list):
        bad.append((path, "must be a JSON array"))
        return None
    return [_read_single(item, field, f"{path}[{i}]", bad) for i, item in enumerate(value)]


def _read_single(value: Any, field: FieldDescriptor, path: str, bad: Violations) -> Any:
    if field.message_type is not None:
        return read_message(value, field.message_type, path, bad)
    complaint = _complaint(value, field)
    if complaint:
        bad.append((path, complaint))
    return value


def _complaint(value: Any, field: FieldDescriptor) -> str:
    """What a scalar field takes, when that is not what it got; else empty."""
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING and not isinstance(value, str):
        return "must be text"
    if kind == FieldDescriptor.CPPTYPE_BOOL and not isinstance(value, bool):
        return "must be true or false"
    if kind in _INTEGERS:
        allowed = _INTEGERS[kind]
        if not _is_integer(value) or int(value) not in allowed:
            return f"must be a whole number from {allowed.start} to {allowed.stop - 1}"
    enum = field.enum_type
    if enum is not None and not _is_enum_value(value, enum):
        return "must be one of " + ", ".join(enum.values_by_name)
    return ""


def _is_integer(value: Any) -> bool:
    if isinstance(value, str):
        return _INTEGER.fullmatch(value) is not None
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _is_enum_value(value: Any, enum: EnumDescriptor) -> bool:
    if isinstance(value, str):
        return value in enum.values_by_name
    return isinstance(value, int) and not isinstance(value, bool) and value in _ENUM_NUMBERS


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _camel(mask: str) -> str:
    """A field mask as its JSON form spells it; either spelling is taken."""
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), mask)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
