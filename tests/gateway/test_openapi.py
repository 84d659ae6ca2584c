"""The OpenAPI document is valid and says what the contracts say; the page shows it."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway import contracts
from gateway.openapi.docs import docs_page
from gateway.openapi.document import document, split_errors
from services.chassis.errors import CODES


def operation(method: str, path: str) -> Any:
    return document()["paths"][path][method]


def parameters(method: str, path: str) -> dict[str, Any]:
    return {one["name"]: one for one in operation(method, path)["parameters"]}


def body(method: str, path: str) -> Any:
    return operation(method, path)["requestBody"]["content"]["application/json"]["schema"]


def schema(name: str) -> Any:
    return document()["components"]["schemas"][name]


def operations() -> dict[str, Any]:
    return {
        one["x-tillbridge-rpc"]: one
        for item in document()["paths"].values()
        for one in item.values()
    }


def test_the_document_is_valid_openapi_31() -> None:
    OpenAPIV31SpecValidator(document()).validate()


def test_every_rpc_is_there_once_with_roles_and_words() -> None:
    rpcs = {method.full_name for service in contracts.load().services for method in service.methods}
    found = operations()
    assert rpcs == set(found)
    assert len(rpcs) == len({one["operationId"] for one in found.values()})
    assert all(one["x-tillbridge-roles"] and one["summary"] for one in found.values())


def test_every_field_is_described() -> None:
    undescribed = [
        f"{name}.{field}"
        for name, one in document()["components"]["schemas"].items()
        for field, inner in one.get("properties", {}).items()
        if name != "Error" and not inner.get("description")
    ]
    assert undescribed == []


def test_every_documented_reason_exists() -> None:
    comments = contracts.load().comments
    for rpc in operations():
        named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", comments[rpc].partition("Errors:")[2]))
        assert named <= set(CODES), rpc
        assert named == set(split_errors(comments[rpc])[1]), rpc


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("Does. Errors: LEASE_HELD.", ("Does.", ["LEASE_HELD"])),
        (
            "Does.\nErrors: ITEM_NOT_FOUND,\nLEASE_HELD.",
            ("Does.", ["ITEM_NOT_FOUND", "LEASE_HELD"]),
        ),
        ("Does. Errors: LEASE_HELD when it is so.", ("Does.", ["LEASE_HELD"])),
        ("Does.", ("Does.", [])),
    ],
)
def test_errors_are_read_out_of_comments(comment: str, expected: tuple[str, list[str]]) -> None:
    assert expected == split_errors(comment)


class TestParameters:
    def test_path_and_query(self) -> None:
        found = parameters("get", "/v1/channels/{channelId}/onlineStock")
        assert list(found) == ["channelId", "itemIds", "pageSize", "pageToken", "X-Timeout-Ms"]
        assert (found["channelId"]["in"], found["channelId"]["required"]) == ("path", True)
        assert found["pageSize"]["schema"] == {
            "type": "integer", "format": "int32", "minimum": 0, "maximum": 1000,
        }  # fmt: skip
        assert found["itemIds"]["schema"] == {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 128},
            "maxItems": 1000,
        }

    def test_nested_fields_are_dotted(self) -> None:
        assert "startDate.year" in parameters("get", "/v1/paymentReport")

    def test_a_required_one_says_so(self) -> None:
        found = parameters("get", "/v1/feeds/{feed}/events")
        assert (found["consumer"]["required"], found["after"].get("required")) == (True, None)

    def test_a_change_takes_an_idempotency_key(self) -> None:
        assert "Idempotency-Key" in parameters("post", "/v1/stock:adjust")
        assert "Idempotency-Key" not in parameters("get", "/v1/stock")

    def test_an_update_mask_may_be_left_out(self) -> None:
        found = parameters("patch", "/v1/channels/{channel.channelId}")
        assert "required" not in found["updateMask"]


class TestBodies:
    def test_what_the_path_says_is_not_in_the_body(self) -> None:
        found = body("post", "/v1/channels/{channelId}:setRegister")
        assert (
            list(found["properties"]), found["required"], found["additionalProperties"],
        ) == (["requestId", "registerId", "validateOnly"], ["registerId"], False)  # fmt: skip

    def test_constraints_are_those_of_the_contract(self) -> None:
        found = body("post", "/v1/stock:adjust")["properties"]
        assert found["lines"]["minItems"] == 1
        assert found["kind"]["enum"][0] == "MOVEMENT_KIND_ADJUSTMENT"
        quantity = schema("inventory.v1.Adjustment")["properties"]["quantity"]
        assert quantity["pattern"] == r"^-?[0-9]{1,9}(\.[0-9]{1,3})?$"
        assert quantity["not"] == {"enum": ["0", "-0"]}

    def test_int64_is_text(self) -> None:
        version = schema("inventory.v1.Count")["properties"]["version"]
        assert (version["type"], version["format"], version["x-minimum"]) == ("string", "int64", 0)
        assert re.search(version["pattern"], "9223372036854775807")
        assert not re.search(version["pattern"], "-1")

    def test_output_only_fields_are_read_only(self) -> None:
        assert schema("inventory.v1.Outlet")["properties"]["createTime"]["readOnly"]

    def test_enums_are_names_with_meanings(self) -> None:
        kind = schema("inventory.v1.MovementKind")
        assert kind["enum"][1] == "MOVEMENT_KIND_COUNT"
        assert "`MOVEMENT_KIND_RECEIPT`: Received from a supplier." in kind["description"]


class TestResponses:
    def test_refusals_stand_under_their_status(self) -> None:
        found = operation("post", "/v1/reservations/{reservationId}:commit")["responses"]
        assert {
            "200", "400", "401", "403", "404", "409", "413", "429", "500", "503", "504", "default",
        } == set(found)  # fmt: skip
        name = found["404"]["$ref"].rpartition("/")[2]
        assert name == "404.RESERVATION_NOT_FOUND"
        assert "No such reservation" in document()["components"]["responses"][name]["description"]

    def test_a_stream_is_server_sent_events(self) -> None:
        ok = operation("get", "/v1/feeds/{feed}/events:watch")["responses"]["200"]
        assert list(ok["content"]) == ["text/event-stream"]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.targets: set[str] = set()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            assert name not in ("style", "onclick", "src"), "the policy forbids it"
            if name == "id":
                self.ids.append(value or "")
            if name == "href" and (value or "").startswith("#"):
                self.targets.add((value or "").removeprefix("#"))


def test_the_page_holds_together() -> None:
    page = _Links()
    page.feed(docs_page())
    assert len(page.ids) == len(set(page.ids))
    assert page.targets <= set(page.ids)
    assert not page.tags & {"script", "style", "img", "iframe"}


def test_the_page_shows_every_path_and_reason() -> None:
    text = docs_page()
    assert all(path in text for path in document()["paths"])
    assert all(reason in text for reason in CODES)
