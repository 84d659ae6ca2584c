"""JSON schemas of messages, as `google.protobuf.json_format` writes them.

The constraints come from the `buf.validate` options, the descriptions from the comments.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.transcode.values import has_own_json

Json = dict[str, Any]
Rules = Any
"""A rules message of `buf.validate`, whose generated module has no types."""

COMPONENT = "#/components/schemas/"
"""What a reference to a message or enum begins with."""

_FIELD_RULES: Any = validate_pb2.DESCRIPTOR.extensions_by_name["field"]
_INT64 = r"^-?(0|[1-9][0-9]{0,18})$"

_SCALARS: Mapping[int, Json] = {
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_UINT32: {"type": "integer", "format": "int64", "minimum": 0},
    FieldDescriptor.TYPE_INT64: {"type": "string", "format": "int64", "pattern": _INT64},
    FieldDescriptor.TYPE_UINT64: {"type": "string", "format": "uint64", "pattern": _INT64},
    FieldDescriptor.TYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number", "format": "double"},
}

_OWN_JSON: Mapping[str, Json] = {
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string", "description": "Names the message's type."}},
        "required": ["@type"],
    },
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {
        "type": "string",
        "description": "Field paths in lowerCamelCase, separated by commas.",
    },
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
}

_GOOGLE: Mapping[str, str] = {
    "google.type.Money": "An amount of money: whole units and billionths, of the same sign.",
    "google.type.Money.currency_code": "Three letters of ISO 4217.",
    "google.type.Money.units": "Whole units.",
    "google.type.Money.nanos": "Billionths of a unit: -999999999 to 999999999.",
    "google.type.Date": "A day of the calendar.",
    "google.type.Date.year": "1 to 9999.",
    "google.type.Date.month": "1 to 12.",
    "google.type.Date.day": "1 to 31, as the month has them.",
    "google.type.TimeOfDay": "A time of the day by the clock on the wall.",
    "google.type.TimeOfDay.hours": "0 to 24; 24 only at the end of a day.",
    "google.type.TimeOfDay.minutes": "0 to 59.",
    "google.type.TimeOfDay.seconds": "0 to 59.",
    "google.type.TimeOfDay.nanos": "0.",
}
"""Comments of the common types that our contracts use, since their files are not among ours."""

ERROR_SCHEMA: Json = {
    "type": "object",
    "description": "Why a request was refused (AIP-193).",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "status", "details"],
            "properties": {
                "code": {"type": "integer", "description": "The HTTP status."},
                "message": {"type": "string", "description": "What would make it pass."},
                "status": {"type": "string", "description": "Name of the gRPC status code."},
                "details": {
                    "type": "array",
                    "description": "An ErrorInfo with the `reason`, then a BadRequest with the bad "
                    "fields and a RetryInfo where they apply.",
                    "items": {
                        "type": "object",
                        "required": ["@type"],
                        "properties": {
                            "@type": {"type": "string"},
                            "reason": {"type": "string"},
                            "domain": {"type": "string"},
                            "metadata": {
                                "type": "object",
                                "additionalProperties": {"type": "string"},
                            },
                            "fieldViolations": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "properties": {
                                        "field": {"type": "string"},
                                        "description": {"type": "string"},
                                    },
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}


class Schemas:
    """Schemas of fields and messages; messages and enums become components as they are met."""

    def __init__(self, comments: Mapping[str, str]) -> None:
        self._comments = {**_GOOGLE, **comments}
        self._components: dict[str, Json] = {}

    def components(self) -> dict[str, Json]:
        """Every message and enum that was met, by its name in the document."""
        return dict(sorted(self._components.items()))

    def of_message(self, message: Descriptor) -> Json:
        """A reference to the message's schema."""
        if has_own_json(message):
            return dict(_OWN_JSON.get(message.full_name, {}))
        name = _component_name(message.full_name)
        if name not in self._components:
            self._components[name] = {}  # a message may hold itself
            self._components[name] = self._object(message, message.fields, self._names(message))
        return {"$ref": COMPONENT + name}

    def of_request(
        self, message: Descriptor, omitted: Collection[str], *, optional: Collection[str] | None
    ) -> Json:
        """The schema of a message as a request's body.

        Args:
            message: what the body is.
            omitted: fields that come from the path.
            optional: required fields that may come otherwise; `None` when the body is a change,
                in which every field may be left out.
        """
        fields = [field for field in message.fields if field.name not in omitted]
        required = self._names(message) - set(omitted)
        required = set() if optional is None else required - set(optional)
        return self._object(message, fields, required) | {"additionalProperties": False}

    def of_field(self, field: FieldDescriptor) -> Json:
        """The schema of a field with its description and constraints."""
        rules = _rules(field)
        if _is_map(field):
            assert field.message_type is not None, "a map is a message"
            value = self._of_value(field.message_type.fields_by_name["value"], rules)
            schema: Json = {"type": "object", "additionalProperties": value}
        elif field.is_repeated:
            repeated = rules.repeated
            schema = {"type": "array", "items": self._of_value(field, repeated.items)}
            schema |= _present(
                repeated, min_items="minItems", max_items="maxItems", unique="uniqueItems"
            )
        else:
            schema = self._of_value(field, rules)
        comment = self._comments.get(field.full_name, "")
        if comment:
            schema["description"] = comment
        if "Output only" in comment:
            schema["readOnly"] = True
        return schema

    def required(self, field: FieldDescriptor) -> bool:
        """Whether leaving the field out is always refused."""
        rules = _rules(field)
        if field.is_repeated:
            return bool(rules.repeated.min_items)
        if rules.required or field.has_presence:
            return bool(rules.required)
        if field.type == FieldDescriptor.TYPE_STRING:
            return not _takes(rules.string, "")
        if field.type == FieldDescriptor.TYPE_ENUM:
            return not _takes(rules.enum, 0)
        return field.type == FieldDescriptor.TYPE_INT64 and rules.int64.gte > 0

    def _names(self, message: Descriptor) -> set[str]:
        return {field.name for field in message.fields if self.required(field)}

    def _object(
        self, message: Descriptor, fields: Collection[FieldDescriptor], required: set[str]
    ) -> Json:
        schema: Json = {"type": "object"}
        comment = self._comments.get(message.full_name, "")
        if comment:
            schema["description"] = comment
        schema["properties"] = {field.json_name: self.of_field(field) for field in fields}
        names = [field.json_name for field in fields if field.name in required]
        if names:
            schema["required"] = names
        return schema

    def _of_value(self, field: FieldDescriptor, rules: Rules) -> Json:
        if field.message_type is not None:
            return self.of_message(field.message_type)
        if field.enum_type is not None:
            return self._of_enum(field.enum_type) | _enum_rules(field.enum_type, rules.enum)
        return dict(_SCALARS[field.type]) | _scalar_rules(field, rules)

    def _of_enum(self, enum: EnumDescriptor) -> Json:
        name = _component_name(enum.full_name)
        scope = enum.full_name.rpartition(".")[0]
        lines = [self._comments.get(enum.full_name, ""), ""]
        for value in enum.values:
            comment = " ".join(self._comments.get(f"{scope}.{value.name}", "").split())
            lines.append(f"- `{value.name}`: {comment}")
        self._components[name] = {
            "type": "string",
            "description": "\n".join(lines).strip(),
            "enum": [value.name for value in enum.values],
        }
        return {"$ref": COMPONENT + name}


def _rules(field: FieldDescriptor) -> Rules:
    return field.GetOptions().Extensions[_FIELD_RULES]


def _takes(rules: Rules, absent: str | int) -> bool:
    """Whether string or enum rules take the value that an absent field has."""
    allowed = getattr(rules, "in")
    if absent in rules.not_in or (allowed and absent not in allowed):
        return False
    if isinstance(absent, int):
        return True
    pattern = rules.pattern if rules.HasField("pattern") else ""
    return not rules.min_len and re.search(pattern, absent) is not None


def _scalar_rules(field: FieldDescriptor, rules: Rules) -> Json:
    if field.type == FieldDescriptor.TYPE_STRING:
        return _string_rules(rules.string)
    if field.type == FieldDescriptor.TYPE_INT64:
        return _int64_rules(rules.int64)
    if field.type == FieldDescriptor.TYPE_INT32:
        return _present(
            rules.int32,
            gte="minimum",
            lte="maximum",
            gt="exclusiveMinimum",
            lt="exclusiveMaximum",
        )
    return {}


def _string_rules(rules: Rules) -> Json:
    schema = _present(rules, min_len="minLength", max_len="maxLength", pattern="pattern")
    if rules.HasField("max_bytes"):
        schema |= {"maxLength": rules.max_bytes, "x-max-bytes": rules.max_bytes}
    allowed = list(getattr(rules, "in"))
    if allowed:
        schema["enum"] = allowed
    if rules.not_in:
        schema["not"] = {"enum": list(rules.not_in)}
    return schema


def _int64_rules(rules: Rules) -> Json:
    """Its JSON form is text, so the bounds are said beside it, and the sign by the pattern."""
    schema = _present(rules, gte="x-minimum", lte="x-maximum", gt="x-above", lt="x-below")
    if schema.get("x-minimum", -1) >= 0 or schema.get("x-above", -2) >= -1:
        schema["pattern"] = _INT64.replace("-?", "")
    if schema.get("x-minimum") == 1:
        schema["pattern"] = "^[1-9][0-9]{0,18}$"
    return schema


def _enum_rules(enum: EnumDescriptor, rules: Rules) -> Json:
    allowed = getattr(rules, "in")
    if allowed:
        return {"enum": [enum.values_by_number[number].name for number in allowed]}
    if rules.not_in:
        return {"not": {"enum": [enum.values_by_number[number].name for number in rules.not_in]}}
    return {}


def _present(rules: Any, **names: str) -> Json:
    """The rules that are set, under the names that JSON schema has for them."""
    given = _set_names(rules)
    return {ours: getattr(rules, theirs) for theirs, ours in names.items() if theirs in given}


def _set_names(rules: Any) -> set[str]:
    return {field.name for field, _ in rules.ListFields()}


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _component_name(full_name: str) -> str:
    """`tillbridge.order.v1.Sale` is `order.v1.Sale`; others keep their whole name."""
    return full_name.removeprefix("tillbridge.")
