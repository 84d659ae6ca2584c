"""From an HTTP request to an RPC's request message: path, query, body, field mask, headers."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from google.protobuf.message import Message
from starlette.requests import Request

from gateway.errors import HttpError
from gateway.transcode import values
from gateway.transcode.bindings import WHOLE_BODY, Binding, FieldPath, resolve
from gateway.transcode.strict_json import parse_object
from gateway.transcode.values import Tree, Violations
from services.chassis.errors import DomainError, invalid

IDEMPOTENCY_HEADER = "Idempotency-Key"
REQUEST_ID_FIELD = "request_id"
UPDATE_MASK_FIELD = "update_mask"
QUERY_PARAMETERS_MAX = 1100
"""A little more than the longest list that a contract takes."""


async def read_request(binding: Binding, variables: Mapping[str, str], request: Request) -> Message:
    """The RPC's request as the HTTP request says it.

    Args:
        binding: the route that was found.
        variables: decoded text of the path's variables.
        request: the HTTP request; its body is read here.

    Raises:
        DomainError: something does not fit; every bad field is named.
    """
    bad: Violations = []
    tree = _read_body(binding, await request.body(), request, bad)
    implied = _implied_mask(binding, tree) if not bad else []
    for name, text in variables.items():
        fields = binding.variables[name]
        values.place(tree, fields, values.read_text(text, fields[-1], name, bad), bad)
    _read_query(binding, request.scope["query_string"], tree, bad)
    _read_idempotency_key(binding, request, tree, bad)
    message = binding.request_class()
    if not bad:
        values.to_message(tree, message, bad)
    if bad:
        raise _refusal(bad)
    if implied and UPDATE_MASK_FIELD not in tree:
        getattr(message, UPDATE_MASK_FIELD).paths.extend(implied)
    return message


def _refusal(bad: Violations) -> DomainError:
    message = "; ".join(f"{path}: {text}" if path else text for path, text in bad[:5])
    more = f"; and {len(bad) - 5} more" if len(bad) > 5 else ""
    return DomainError("INVALID_FIELD", message + more, violations=bad[:100])


def _read_body(binding: Binding, body: bytes, request: Request, bad: Violations) -> Tree:
    """The part of the request that comes in the body, at its place."""
    if not binding.body:
        if body:
            raise invalid("body", f"{binding.http_method} takes no body here")
        return {}
    value: dict[str, Any] = {}
    if body:
        _require_json(request)
        try:
            value = parse_object(body)
        except ValueError as error:
            raise DomainError("INVALID_FIELD", str(error), field="body") from None
    message = binding.method.input_type
    if binding.body == WHOLE_BODY:
        return values.read_message(value, message, "", bad) or {}
    field = message.fields_by_name[binding.body]
    if not body:
        return {}
    assert field.message_type is not None, "bindings_of takes no other body field"
    return {field.name: values.read_message(value, field.message_type, field.name, bad)}


def _require_json(request: Request) -> None:
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if media_type.strip().lower() != "application/json" or charset not in ("", "charset=utf-8"):
        message = "the body must be sent with Content-Type: application/json, in UTF-8"
        raise HttpError(415, "INVALID_FIELD", message, field="Content-Type")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        message = "the body must be sent without Content-Encoding"
        raise HttpError(415, "INVALID_FIELD", message, field="Content-Encoding")


def _implied_mask(binding: Binding, tree: Tree) -> list[str]:
    """The update mask that a PATCH body stands for; the path's own fields are not in it."""
    message = binding.method.input_type
    if binding.http_method != "PATCH" or UPDATE_MASK_FIELD not in message.fields_by_name:
        return []
    body = tree.get(binding.body)
    if not isinstance(body, dict):
        return []
    inner = message.fields_by_name[binding.body].message_type
    assert inner is not None, "bindings_of takes no other body field"
    in_path = {name.removeprefix(f"{binding.body}.") for name in binding.variables}
    return [path for path in values.mask_paths(body, inner) if path not in in_path]


def _read_query(binding: Binding, query: bytes, tree: Tree, bad: Violations) -> None:
    """Fields that are neither in the path nor in the body."""
    for name, text in _query_pairs(query):
        fields = resolve(binding.method.input_type, name)
        if fields is None or not _takes_text(fields):
            bad.append((name, "no such query parameter"))
            continue
        path = values.dotted(fields)
        if path in binding.variables:
            bad.append((path, "comes from the path; leave it out of the query"))
        elif binding.body in (WHOLE_BODY, fields[0].name):
            bad.append((path, "belongs in the body, not in the query"))
        elif not fields[-1].is_repeated and _present(tree, fields):
            bad.append((path, "given more than once"))
        else:
            values.place(tree, fields, values.read_text(text, fields[-1], path, bad), bad)


def _query_pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=QUERY_PARAMETERS_MAX,
        )
    except UnicodeDecodeError:
        raise invalid("query", "must be percent-encoded UTF-8") from None
    except ValueError:
        raise invalid("query", f"takes at most {QUERY_PARAMETERS_MAX} parameters") from None


def _takes_text(fields: FieldPath) -> bool:
    message = fields[-1].message_type
    if message is None:
        return True
    return values.has_own_json(message) and not fields[-1].is_repeated


def _present(tree: Tree, fields: FieldPath) -> bool:
    for field in fields[:-1]:
        tree = tree.get(field.name) or {}
    return fields[-1].name in tree


def _read_idempotency_key(binding: Binding, request: Request, tree: Tree, bad: Violations) -> None:
    """The header is the `request_id` of requests that have one; said twice, it must agree."""
    keys = request.headers.getlist(IDEMPOTENCY_HEADER)
    if not keys or REQUEST_ID_FIELD not in binding.method.input_type.fields_by_name:
        return
    given = tree.get(REQUEST_ID_FIELD)
    if len(set(keys)) > 1 or (given and given != keys[0]):
        text = f"the {IDEMPOTENCY_HEADER} header and {REQUEST_ID_FIELD} differ; send one of them"
        bad.append((REQUEST_ID_FIELD, text))
        bad.append((IDEMPOTENCY_HEADER, text))
    else:
        tree[REQUEST_ID_FIELD] = keys[0]
