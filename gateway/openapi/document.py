"""The OpenAPI 3.1 document of the HTTP interface, made from the contracts alone."""

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.rpc import code_pb2

from gateway import contracts
from gateway.errors import HTTP_STATUS, HTTP_STATUS_OF_REASON
from gateway.openapi.schemas import COMPONENT, ERROR_SCHEMA, Json, Schemas
from gateway.transcode import Binding, bindings_of
from gateway.transcode.bindings import WHOLE_BODY
from gateway.transcode.metadata import TIMEOUT_DEFAULT_MS, TIMEOUT_HEADER, TIMEOUT_MAX_MS
from gateway.transcode.request import IDEMPOTENCY_HEADER, REQUEST_ID_FIELD, UPDATE_MASK_FIELD
from gateway.transcode.values import dotted, has_own_json
from services.chassis.errors import CODES
from tillbridge.errors.v1 import errors_pb2
from tillbridge.options.v1 import options_pb2

ALWAYS = (
    "INVALID_FIELD",
    "TOKEN_MISSING",
    "TOKEN_INVALID",
    "ROLE_NOT_ALLOWED",
    "OVERLOADED",
    "INTERNAL",
    "SERVICE_UNAVAILABLE",
    "DEADLINE_PASSED",
)
"""Reasons with which any call may be refused."""

_BODY_ONLY = ("BODY_TOO_LARGE",)
_ERROR_PACKAGE: str = errors_pb2.DESCRIPTOR.package
_ERRORS = re.compile(r"\s*Errors:\s*(?P<reasons>[A-Z_,\s]+?)(?P<rest>\swhen\s[^.]*)?\.", re.DOTALL)

_DESCRIPTION = """\
Keeps a shop's point of sale and its online stores in step: products, stock, orders, customers.

Every operation is an RPC of the contract of the same name, and every call carries a bearer token.
Each change takes a `requestId` (or the `Idempotency-Key` header): sent again with the same one, it
is answered as the first time and changes nothing more. Unknown fields and parameters are refused.
"""


@cache
def document() -> Json:
    """The document as plain values; not to be changed."""
    writer = _Writer(contracts.load())
    return writer.document()


@cache
def document_json() -> bytes:
    """The document as JSON text."""
    return json.dumps(document(), ensure_ascii=False, indent=1).encode()


def operation_name(method: MethodDescriptor) -> str:
    """`OrderService_GetOrder`: unique, and what generated clients call the operation."""
    return f"{method.containing_service.name}_{method.name}"


class _Writer:
    def __init__(self, known: contracts.Contracts) -> None:
        self._contracts = known
        self._schemas = Schemas(known.comments)
        self._reasons = {
            reason: known.comments[f"{_ERROR_PACKAGE}.ERROR_REASON_{reason}"] for reason in CODES
        }
        self._responses: dict[str, Json] = {}

    def document(self) -> Json:
        paths: dict[str, Json] = {}
        for binding in bindings_of(self._contracts.services):
            path = _path(binding)
            paths.setdefault(path, {})[binding.http_method.lower()] = self._operation(binding)
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Tillbridge",
                "version": _version(),
                "description": _DESCRIPTION,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "security": [{"bearer": []}],
            "tags": [
                {"name": service.name, "description": self._comment(service.full_name)}
                for service in self._contracts.services
            ],
            "paths": dict(sorted(paths.items())),
            "components": {
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
                },
                "responses": dict(sorted(self._responses.items())),
                "schemas": {"Error": ERROR_SCHEMA} | self._schemas.components(),
            },
            "x-tillbridge-reasons": {
                reason: {
                    "description": self._reasons[reason],
                    "httpStatus": http_status_of(reason),
                    "status": _status_name(CODES[reason]),
                }
                for reason in CODES
            },
        }

    def _operation(self, binding: Binding) -> Json:
        method = binding.method
        text, reasons = split_errors(self._comment(method.full_name))
        roles = roles_of(method)
        operation: Json = {
            "operationId": operation_name(method),
            "tags": [method.containing_service.name],
            "summary": _first_sentence(text),
            "description": f"{text}\n\nRoles: {', '.join(f'`{role}`' for role in roles)}.",
            "x-tillbridge-rpc": method.full_name,
            "x-tillbridge-roles": roles,
            "x-tillbridge-errors": reasons,
            "parameters": list(self._parameters(binding)),
            "responses": self._answers(binding, reasons),
        }
        if binding.body:
            operation["requestBody"] = self._request_body(binding)
        return operation

    def _parameters(self, binding: Binding) -> Iterator[Json]:
        for name, fields in binding.variables.items():
            yield self._parameter(_json_path(name), "path", fields[-1], required=True)
        request = binding.method.input_type
        if binding.body != WHOLE_BODY:
            yield from self._query(binding, request, (), frozenset({request.full_name}))
        if REQUEST_ID_FIELD in request.fields_by_name:
            yield {
                "name": IDEMPOTENCY_HEADER,
                "in": "header",
                "description": "The `requestId`, for clients that send it as a header. "
                "One of the two is needed; if both are sent they must agree.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 128},
            }
        yield {
            "name": TIMEOUT_HEADER,
            "in": "header",
            "description": f"How long to wait at most, in milliseconds; {TIMEOUT_DEFAULT_MS} when"
            " left out (a stream: 600000).",
            "schema": {"type": "integer", "minimum": 1, "maximum": TIMEOUT_MAX_MS},
        }

    def _query(
        self,
        binding: Binding,
        message: Descriptor,
        above: tuple[FieldDescriptor, ...],
        seen: frozenset[str],
    ) -> Iterator[Json]:
        """Every field that is neither in the path nor in the body, down to single values."""
        for field in message.fields:
            fields = (*above, field)
            path = dotted(fields)
            if path in binding.variables or path == binding.body:
                continue
            inner = field.message_type
            if inner is None or (has_own_json(inner) and not field.is_repeated):
                required = self._schemas.required(field) and not above
                if path in (REQUEST_ID_FIELD, UPDATE_MASK_FIELD):
                    required = False  # the header may say it; the body's fields imply it
                yield self._parameter(_json_path(path), "query", field, required=required)
            elif not field.is_repeated and inner.full_name not in seen:
                yield from self._query(binding, inner, fields, seen | {inner.full_name})

    def _parameter(self, name: str, where: str, field: FieldDescriptor, *, required: bool) -> Json:
        schema = self._schemas.of_field(field)
        description = schema.pop("description", "")
        parameter: Json = {"name": name, "in": where, "description": description, "schema": schema}
        if required:
            parameter["required"] = True
        return parameter

    def _request_body(self, binding: Binding) -> Json:
        request = binding.method.input_type
        if binding.body == WHOLE_BODY:
            omitted = frozenset(name for name in binding.variables if "." not in name)
            schema = self._schemas.of_request(request, omitted, optional={REQUEST_ID_FIELD})
        else:
            field = request.fields_by_name[binding.body]
            assert field.message_type is not None, "bindings_of takes no other body field"
            prefix = f"{binding.body}."
            omitted = frozenset(
                name.removeprefix(prefix) for name in binding.variables if name.startswith(prefix)
            )
            schema = self._schemas.of_request(field.message_type, omitted, optional=None)
        content = {"application/json": {"schema": schema}}
        return {"required": "required" in schema, "content": content}

    def _answers(self, binding: Binding, reasons: list[str]) -> Json:
        method = binding.method
        schema = self._schemas.of_message(method.output_type)
        if binding.response_body:
            schema = self._schemas.of_field(
                method.output_type.fields_by_name[binding.response_body]
            )
        description = self._comment(method.output_type.full_name)
        if method.server_streaming:
            text = f"{description} Each `data:` line holds one as JSON."
            content: Json = {"text/event-stream": {"schema": {"type": "string"}}}
            ok = {"description": text, "content": content, "x-tillbridge-event": schema}
        else:
            ok = {
                "description": description,
                "content": {"application/json": {"schema": schema}},
            }
        possible = [*reasons, *ALWAYS, *(_BODY_ONLY if binding.body else ())]
        return {"200": ok} | self._refusals(possible)

    def _refusals(self, reasons: list[str]) -> Json:
        """A response per HTTP status, which names the reasons that lead to it."""
        by_status: dict[int, list[str]] = {}
        for reason in CODES:
            if reason in reasons:
                by_status.setdefault(http_status_of(reason), []).append(reason)
        refusals = {
            str(status): self._refusal(
                f"{status}.{'.'.join(named)}",
                "\n".join(f"- `{reason}`: {_one_line(self._reasons[reason])}" for reason in named),
            )
            for status, named in sorted(by_status.items())
        }
        return refusals | {"default": self._refusal("Refusal", "Any other refusal.")}

    def _refusal(self, name: str, description: str) -> Json:
        """A reference to a response with an error body, which many operations share."""
        content = {"application/json": {"schema": {"$ref": COMPONENT + "Error"}}}
        self._responses[name] = {"description": description, "content": content}
        return {"$ref": f"#/components/responses/{name}"}

    def _comment(self, name: str) -> str:
        return self._contracts.comments.get(name, "")


def roles_of(method: MethodDescriptor) -> list[str]:
    """The roles that may call an RPC, in lower case as in tokens."""
    numbers = method.GetOptions().Extensions[options_pb2.roles]
    return [options_pb2.Role.Name(number).removeprefix("ROLE_").lower() for number in numbers]


def split_errors(comment: str) -> tuple[str, list[str]]:
    """An RPC's comment without its `Errors:` sentence, and the reasons that this lists."""
    found = _ERRORS.search(comment)
    if found is None:
        return comment, []
    text = (comment[: found.start()] + comment[found.end() :]).strip()
    return text, [reason for reason in re.split(r"[,\s]+", found["reasons"]) if reason in CODES]


def http_status_of(reason: str) -> int:
    """The HTTP status of an error with this reason."""
    return HTTP_STATUS_OF_REASON.get(reason) or HTTP_STATUS[CODES[reason]]


def _path(binding: Binding) -> str:
    """The path with its variables as clients of the JSON form know them."""
    return re.sub(
        r"\{([^{}=]+)(=[^{}]*)?\}",
        lambda found: "{" + _json_path(found[1]) + "}",
        binding.template.text,
    )


def _json_path(dotted_name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), dotted_name)


def _first_sentence(text: str) -> str:
    return _one_line(re.split(r"(?<=\.)\s", text, maxsplit=1)[0])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _status_name(code: int) -> str:
    name: str = code_pb2.Code.Name(code_pb2.Code.ValueType(code))
    return name


def _version() -> str:
    try:
        return version("tillbridge")
    except PackageNotFoundError:
        return "0"
