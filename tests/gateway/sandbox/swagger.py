"""Checks JSON against the schemas of a published OpenAPI document: the types, not the wording."""

import json
from pathlib import Path
from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


class Swagger:
    """A published API description."""

    def __init__(self, path: Path) -> None:
        self._schemas = json.loads(path.read_text(encoding="utf-8"))["components"]["schemas"]

    def complaints(self, name: str, value: Any) -> list[str]:
        """Where a value departs from the schema of this name; fields it lacks are no fault."""
        return list(self._complaints({"$ref": name}, value, name))

    def required(self, name: str) -> list[str]:
        return list(self._schemas[name].get("required", []))

    def _complaints(self, schema: dict[str, Any], value: Any, where: str) -> list[str]:
        if "$ref" in schema:
            schema = self._schemas[schema["$ref"].rsplit("/", 1)[-1]]
        if value is None:
            # The documented examples leave fields out; null where it is not foreseen is a fault.
            fine = schema.get("nullable", False)
            return [] if fine else [f"{where}: null, expected {schema.get('type')}"]
        wanted = TYPES.get(schema.get("type", ""))
        if wanted and (
            not isinstance(value, wanted) or isinstance(value, bool) != (bool in wanted)
        ):
            return [f"{where}: {value!r} is not {schema['type']}"]
        if "enum" in schema and value not in schema["enum"]:
            return [f"{where}: {value!r} is not one of {schema['enum']}"]
        return self._inner(schema, value, where)

    def _inner(self, schema: dict[str, Any], value: Any, where: str) -> list[str]:
        if isinstance(value, list):
            items = schema.get("items", {})
            return [c for v in value for c in self._complaints(items, v, f"{where}[]")]
        if isinstance(value, dict):
            known = schema.get("properties", {})
            return [
                complaint
                for name, inner in value.items()
                if name in known
                for complaint in self._complaints(known[name], inner, f"{where}.{name}")
            ]
        return []
