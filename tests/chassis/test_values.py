"""The small parts: page tokens, statuses, tokens, sealing, settings, logs."""

import json
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from cryptography.fernet import InvalidToken
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis import logs, pages, status
from services.chassis.auth import Tokens, write_key
from services.chassis.errors import CODES, DomainError, invalid
from services.chassis.plumbing import batches
from services.chassis.rpc import snake
from services.chassis.sealing import Sealer
from services.chassis.settings import Settings
from tests.chassis.counter import Served, message
from tests.harness import KEY, refused


def asked(**fields: Any) -> Any:
    return message("ListRequest", **fields)


KEY_PARTS = st.text(st.characters(codec="utf-8", exclude_characters="\0")) | st.integers(
    -(2**62), 2**62
)


@settings(deadline=None)
@given(st.lists(KEY_PARTS, min_size=1, max_size=3))
def test_a_page_token_brings_its_key_back(key: list[str | int]) -> None:
    token = pages.token_after(asked(filter="a", page_size=3), *key)
    request = asked(filter="a", page_size=9, page_token=token)
    assert pages.key_before(request, *map(type, key)) == tuple(key)


# What becomes of a token that was given out for the filter `a`.
@pytest.mark.parametrize(
    "change",
    [
        lambda token: asked(filter="b", page_token=token),
        lambda token: asked(page_token=token),
        lambda token: asked(filter="a", page_token=token[:-3]),
        lambda token: asked(filter="a", page_token="x" + token),
        lambda _: asked(filter="a", page_token=pages.token_after(asked(filter="a"), 1)),
        lambda _: asked(filter="a", page_token=pages.token_after(asked(filter="a"), "k", "l")),
        lambda _: asked(filter="a", page_token=pages.token_after(asked(filter="a"), "\0")),
        lambda _: asked(filter="a", page_token=pages.token_after(asked(filter="a"), "\ud800")),
        lambda _: asked(filter="a", page_token="!"),
        lambda _: asked(filter="a", page_token="e30"),  # {}
        lambda _: asked(filter="a", page_token="MQ"),  # 1
        lambda _: asked(filter="a", page_token="W10"),  # []
        lambda _: asked(filter="a", page_token="W251bGxd"),  # [null]
    ],
)
def test_another_token_is_refused(change: Callable[[str], Any]) -> None:
    request = change(pages.token_after(asked(filter="a"), "k"))
    with pytest.raises(DomainError) as found:
        pages.key_before(request, str)
    assert found.value.reason == "INVALID_PAGE_TOKEN"


def test_the_first_page_has_no_key_and_the_usual_size() -> None:
    assert (pages.key_before(asked()), pages.page_size(asked())) == (None, 100)
    assert pages.page_size(asked(page_size=7)) == 7


async def test_pages_hold_everything_once(service: Served) -> None:
    names = [f"n-{number}" for number in range(7)]
    for name in names:
        await service.call("Add", message("AddRequest", request_id=name, name=name, amount=1))
    seen: list[str] = []
    request = asked(page_size=3)
    while True:
        answer = await service.call("List", request)
        seen += answer.names
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert names == seen
    async with refused("INVALID_PAGE_TOKEN"):
        await service.call("List", asked(filter="other", page_token=request.page_token))


class Refusal(grpc.RpcError):
    """An error of a call, as the client's side of grpc gives it."""

    def __init__(self, code: grpc.StatusCode, details: str, metadata: Any = ()) -> None:
        super().__init__(details)
        self._answer = (code, details, metadata)

    def code(self) -> grpc.StatusCode:
        return self._answer[0]

    def details(self) -> str:
        return self._answer[1]

    def trailing_metadata(self) -> Any:
        return self._answer[2]


def over_the_wire(error: DomainError) -> DomainError:
    sent = status.to_status(error).SerializeToString()
    metadata = ((status.DETAILS_KEY, sent),)
    return status.from_rpc_error(Refusal(status.grpc_code(error), error.message, metadata))


@pytest.mark.parametrize("reason", sorted(CODES))
def test_every_reason_crosses_the_wire_unchanged(reason: str) -> None:
    found = over_the_wire(DomainError(reason, "why", item_id="mug", asked=3))
    assert (found.reason, found.message, found.code) == (reason, "why", CODES[reason])
    assert found.facts == {"item_id": "mug", "asked": "3"}


def test_a_refusal_carries_its_fields_and_when_to_retry() -> None:
    assert over_the_wire(invalid("a.b[2]", "must be")).violations == [("a.b[2]", "must be")]
    sent = status.to_status(DomainError("OVERLOADED", "why", retry_after_ms=1500))
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in sent.details)
    assert retry.retry_delay.ToMilliseconds() == 1500


# What another server, or nobody, answers, and what it is to us.
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE,        "SERVICE_UNAVAILABLE"),
        (grpc.StatusCode.CANCELLED,          "SERVICE_UNAVAILABLE"),
        (grpc.StatusCode.DEADLINE_EXCEEDED,  "DEADLINE_PASSED"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
        (grpc.StatusCode.UNIMPLEMENTED,      "METHOD_NOT_FOUND"),
        (grpc.StatusCode.UNKNOWN,            "INTERNAL"),
        (grpc.StatusCode.NOT_FOUND,          "INTERNAL"),
    ],
)  # fmt: skip
def test_an_answer_that_is_not_ours_gets_a_reason(code: grpc.StatusCode, expected: str) -> None:
    assert status.from_rpc_error(Refusal(code, "?")).reason == expected


def test_a_stranger_cannot_bring_a_reason_of_ours() -> None:
    info = error_details_pb2.ErrorInfo(reason="ITEM_NOT_FOUND", domain="example.com")
    sent = status_pb2.Status(code=5, message="why")
    sent.details.add().Pack(info)
    metadata = ((status.DETAILS_KEY, sent.SerializeToString()),)
    found = status.from_rpc_error(Refusal(grpc.StatusCode.NOT_FOUND, "why", metadata))
    assert found.reason == "INTERNAL"


def test_a_reason_that_is_not_documented_cannot_be_raised() -> None:
    with pytest.raises(KeyError):
        DomainError("NO_SUCH_REASON", "why")


def test_a_token_is_for_known_roles_only() -> None:
    with pytest.raises(ValueError, match="unknown roles"):
        Tokens(KEY).issue("till", "m", ["owner"], timedelta(hours=1))


def test_a_key_is_written_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "token.key"
    write_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_text().strip()) >= 48
    with pytest.raises(FileExistsError):
        write_key(path)


@settings(deadline=None)
@given(st.text())
def test_what_is_sealed_can_be_opened(text: str) -> None:
    sealed = Sealer(KEY).seal(text)
    assert Sealer(KEY).open(sealed) == text


def test_what_is_sealed_is_opened_by_its_key_alone() -> None:
    sealed = Sealer(KEY).seal("secret_token")
    assert b"secret" not in sealed
    assert sealed != Sealer(KEY).seal("secret_token")
    for sealer, given_bytes in (
        (Sealer(KEY + "x"), sealed),
        (Sealer(KEY), sealed[:-1] + bytes([sealed[-1] ^ 1])),
    ):
        with pytest.raises(InvalidToken):
            sealer.open(given_bytes)


def test_settings_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {
        "DATA_DIR": str(tmp_path),
        "INVENTORY_PORT": "6000",
        "ORDER_ADDRESS": "orders:1",
        "TOKEN_KEY": KEY,
    }.items():
        monkeypatch.setenv(f"TILLBRIDGE_{name}", value)
    found = Settings()
    assert (found.port("inventory"), found.port("catalog")) == (6000, 50051)
    assert (found.address("inventory"), found.address("order")) == ("127.0.0.1:6000", "orders:1")
    assert found.database("order") == f"sqlite:///{tmp_path}/order.sqlite3"
    assert found.host == "127.0.0.1"  # loopback unless told otherwise
    assert found.signing_key == KEY
    monkeypatch.setenv("TILLBRIDGE_DATABASE_URL", "postgresql://db/{service}")
    assert Settings().database("order") == "postgresql://db/order"


def test_the_key_is_read_from_the_data_dir(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="tillbridge key"):
        _ = Settings(data_dir=tmp_path).signing_key
    write_key(tmp_path / "token.key")
    expected = (tmp_path / "token.key").read_text().strip()
    assert expected == Settings(data_dir=tmp_path).signing_key


# A name in a log line, and whether its value is shown.
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("token",          False),
        ("access_token",   False),
        ("Authorization",  False),
        ("webhook_secret", False),
        ("password",       False),
        ("email",          False),
        ("customer_email", False),
        ("token_key",      False),
        ("merchant",       True),
        ("method",         True),
    ],
)  # fmt: skip
def test_secrets_do_not_reach_the_log(
    name: str, shown: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    before = structlog.get_config()
    try:
        logs.configure("counter", "info")
        structlog.get_logger("fresh").info("call", **{name: "v-4711"})
        line = json.loads(capfd.readouterr().err.splitlines()[-1])
    finally:
        structlog.configure(**before)
        structlog.contextvars.clear_contextvars()
    assert (line["service"], line["event"], line["level"]) == ("counter", "call", "info")
    assert line[name] == ("v-4711" if shown else "[redacted]")


@given(st.lists(st.integers(), max_size=50), st.integers(1, 9))
def test_batches_hold_everything_in_order(rows: list[int], size: int) -> None:
    found = [*batches(rows, size)]
    assert [row for batch in found for row in batch] == rows
    assert all(0 < len(batch) <= size for batch in found)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("RecordCounts", "record_counts"),
        ("GetOnlineStock", "get_online_stock"),
        ("Add", "add"),
    ],
)
def test_an_rpc_is_found_by_its_name(name: str, expected: str) -> None:
    assert snake(name) == expected
