"""Examples of calls, made from the OpenAPI document."""

import json
import re
import shlex
from typing import Any

from gateway.openapi.document import document
from gateway.openapi.schemas import COMPONENT, Json
from gateway.transcode.request import IDEMPOTENCY_HEADER

_SAMPLES = {
    "date-time": "2026-11-21T09:30:00Z",
    "int64": "1",
    "currencyCode": "EUR",
    "units": "12",
    "baseUrl": "https://example.com",
    "email": "ada@example.com",
    "quantity": "5",
    "feed": "inventory",
}
"""Example values, by format or by field name."""


def curl(method: str, path: str, operation: Json, body: Json) -> str:
    """A command that would pass, given a token."""
    query = []
    for parameter in operation["parameters"]:
        name = parameter["name"]
        if parameter["in"] == "path":
            path = path.replace("{" + name + "}", str(_sample(name, parameter["schema"])))
        elif parameter["in"] == "query" and parameter.get("required"):
            query.append(f"{name}={_sample(name, parameter['schema'])}")
    address = path + ("?" + "&".join(query) if query else "")
    lines = [f'curl -X {method} "$TILLBRIDGE{address}"', '-H "Authorization: Bearer $TOKEN"']
    if any(parameter["name"] == IDEMPOTENCY_HEADER for parameter in operation["parameters"]):
        lines.append(f'-H "{IDEMPOTENCY_HEADER}: $(uuidgen)"')
    if body:
        text = json.dumps(_sample_object(body), indent=2, ensure_ascii=False)
        lines += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(text)}"]
    return " \\\n  ".join(lines)


def _sample_object(schema: Json) -> Json:
    """An object with the fields that it needs; with its first few when it needs none."""
    properties = schema.get("properties", {})
    writable = [name for name in properties if not properties[name].get("readOnly")]
    names = schema.get("required") or [n for n in writable if n != "requestId"][:2]
    return {name: _sample(name, properties[name]) for name in names}


def _sample(name: str, schema: Json) -> Any:
    """A value that fits a field, as far as its schema tells."""
    if "$ref" in schema:
        target = document()["components"]["schemas"][schema["$ref"].removeprefix(COMPONENT)]
        if "enum" not in target:
            return _sample_object(target)
        schema = {"enum": target["enum"][1:]} | schema
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "array":
        return [_sample(name.removesuffix("s"), schema["items"])]
    known = _SAMPLES.get(name) or _SAMPLES.get(schema.get("format", "")) or _word(name)
    by_type = {"boolean": True, "integer": max(1, schema.get("minimum", 1)), "string": known}
    return by_type.get(schema.get("type", ""), {})


def _word(name: str) -> str:
    """`itemId` is `item-1`, `displayName` is `display-name`."""
    words = re.sub(r"(?<=[a-z])([A-Z])", r"-\1", name.rpartition(".")[2]).lower()
    return words.removesuffix("-id") + "-1" if words.endswith("-id") else words
