"""`/openapi.json`, and `/docs`: the same document as a page for people, without any script."""

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.openapi.document import document, document_json, http_status_of
from gateway.openapi.samples import curl
from gateway.openapi.schemas import COMPONENT, Json

_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
_HEADERS = {"Cache-Control": "max-age=300"}
_METHODS = ("get", "post", "put", "patch", "delete")


class Row(NamedTuple):
    """One line of a table of fields."""

    name: str
    type: str
    link: str
    required: bool
    rules: str
    description: str


def routes() -> list[Route]:
    """The routes of the document, the page and its style sheet."""

    async def openapi(_request: Request) -> Response:
        return Response(document_json(), headers=_HEADERS, media_type="application/json")

    async def page(_request: Request) -> Response:
        headers = {"Content-Security-Policy": _POLICY, **_HEADERS}
        return Response(docs_page(), headers=headers, media_type="text/html")

    async def style(_request: Request) -> Response:
        return Response(_asset("docs.css"), headers=_HEADERS, media_type="text/css")

    return [
        Route("/openapi.json", openapi),
        Route("/docs", page),
        Route("/docs/style.css", style),
    ]


@cache
def docs_page() -> str:
    """The page, rendered once: it changes only with the contracts."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"prose": _prose, "anchor": _anchor}
    template = environment.from_string(_asset("docs.html"))
    shown = document()
    operations = list(_operations(shown))
    return template.render(
        info=shown["info"],
        services=[
            (tag, [operation for operation in operations if tag["name"] in operation["tags"]])
            for tag in shown["tags"]
        ],
        schemas=[
            (name, schema, _rows(schema))
            for name, schema in shown["components"]["schemas"].items()
            if name != "Error"
        ],
        reasons=shown["x-tillbridge-reasons"],
    )


def _operations(shown: Json) -> Iterator[Json]:
    """Every operation with what its card shows."""
    for path, item in shown["paths"].items():
        for method in _METHODS:
            if method not in item:
                continue
            operation = item[method]
            content = operation.get("requestBody", {}).get("content", {})
            body = content.get("application/json", {}).get("schema", {})
            yield operation | {
                "method": method.upper(),
                "path": path,
                "parameter_rows": [_parameter_row(one) for one in operation["parameters"]],
                "body_rows": _rows(body),
                "answer": _answer_link(operation["responses"]["200"]),
                "errors": [(r, http_status_of(r)) for r in operation["x-tillbridge-errors"]],
                "curl": curl(method.upper(), path, operation, body),
                "text": operation["description"].rpartition("\n\nRoles:")[0],
            }


def _parameter_row(parameter: Json) -> Row:
    kind, link = _type(parameter["schema"])
    description = f"{parameter['description']} In the {parameter['in']}."
    return Row(
        parameter["name"],
        kind,
        link,
        parameter.get("required", False),
        _rules(parameter["schema"]),
        description,
    )


def _rows(schema: Json) -> list[Row]:
    """The fields of an object."""
    required = schema.get("required", ())
    return [
        Row(name, *_type(field), name in required, _rules(field), field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    ]


def _type(schema: Json) -> tuple[str, str]:
    """What a schema is called, and the component that it leads to."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(COMPONENT)
        return name.rpartition(".")[2], name
    if schema.get("type") == "array":
        inner, link = _type(schema["items"])
        return f"list of {inner}", link
    return schema.get("format") or schema.get("type", "any"), ""


def _rules(schema: Json) -> str:
    """The constraints of a field in words."""
    found = [
        _range(schema, "minLength", "maxLength", "characters"),
        _range(schema, "minItems", "maxItems", "items"),
        _range(schema, "minimum", "maximum", ""),
        _range(schema, "x-minimum", "x-maximum", ""),
    ]
    if "pattern" in schema and schema.get("format") != "int64":
        found.append(f"matches `{schema['pattern']}`")
    if "enum" in schema:
        found.append("one of " + ", ".join(f"`{value}`" for value in schema["enum"]))
    if "not" in schema:
        found.append("not " + ", ".join(f"`{value}`" for value in schema["not"]["enum"]))
    if schema.get("uniqueItems"):
        found.append("no two alike")
    if schema.get("readOnly"):
        found.append("read only")
    return "; ".join(rule for rule in found if rule)


def _range(schema: Json, low: str, high: str, unit: str) -> str:
    least, most = schema.get(low), schema.get(high)
    if least is not None and most is not None:
        return f"{least} to {most} {unit}".strip()
    if least is not None:
        return f"at least {least} {unit}".strip()
    return f"at most {most} {unit}".strip() if most is not None else ""


def _answer_link(response: Json) -> str:
    content = response["content"].get("application/json")
    schema = content["schema"] if content else response["x-tillbridge-event"]
    link: str = schema.get("$ref", "").removeprefix(COMPONENT)
    return link


def _prose(text: str) -> Markup:
    """A comment as HTML: `code` in backticks, lists by dashes, paragraphs by empty lines."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        if block.startswith("- "):
            items = re.split(r"(?:^|\n)- ", block)[1:]
            inner = Markup("").join(Markup("<li>{}</li>").format(_code(item)) for item in items)
            blocks.append(Markup("<ul>{}</ul>").format(inner))
        else:
            blocks.append(Markup("<p>{}</p>").format(_code(block)))
    return Markup("").join(blocks)


def _code(text: str) -> Markup:
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part)
        for index, part in enumerate(parts)
    )


def _anchor(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()


def _asset(name: str) -> str:
    return files("gateway.openapi").joinpath(name).read_text()
