"""The checker finds what it is there to find: planted, one at a time, where all was right."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services import history
from services.cli import app
from services.history import History
from tests.chaos.plan import Plan
from tests.chaos.run import run

pytestmark = pytest.mark.long

Row = dict[str, Any]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plan = Plan("P1", seed=2, orders=100, kills=2)
    return asyncio.run(run(plan, tmp_path_factory.mktemp("small")))


def _row(found: History, of: str, **where: Any) -> Row:
    return next(_rows(found, of, **where))


def _rows(found: History, of: str, **where: Any) -> Iterator[Row]:
    for row in found.rows[of]:
        if all(row[name] == value for name, value in where.items()):
            yield row


def _drop(found: History, of: str, **where: Any) -> None:
    found.rows[of].remove(_row(found, of, **where))


def _double(found: History, of: str, **where: Any) -> None:
    found.rows[of].append(dict(_row(found, of, **where)))


def _lose_a_movement(found: History) -> None:
    _drop(found, "movements", request_id="found 3")


def _double_a_movement(found: History) -> None:
    _double(found, "movements", request_id="transfer 1")


def _lose_a_sale_of_a_till(found: History) -> None:
    _drop(found, "sales", sale_id="sale-2")


def _pay_twice(found: History) -> None:
    _double(found, "payments", sale_id="sale-2")


def _lose_an_order(found: History) -> None:
    _drop(found, "orders", order_id="order-7")


def _sell_an_order_twice(found: History) -> None:
    _double(found, "sales", order_id=_posted(found))


def _leave_an_order_waiting(found: History) -> None:
    _row(found, "orders", order_id="order-7")["waiting_reason"] = "INTERNAL"


def _take_no_stock_for_an_order(found: History) -> None:
    _drop(found, "movements", cause=f"order {_posted(found)}")


def _give_an_order_to_another_buyer(found: History) -> None:
    order = _row(found, "orders", order_id=_posted(found))
    order["customer_id"] = next(
        row["customer_id"]
        for row in found.rows["customers"]
        if row["customer_id"] != order["customer_id"]
    )


def _get_a_level_wrong(found: History) -> None:
    _row(found, "levels", item_id="cup-11", outlet_id="harbor")["on_hand"] += 1000


def _keep_a_hold(found: History) -> None:
    _row(found, "holds", held=False)["held"] = True


def _believe_an_old_count(found: History) -> None:
    _row(found, "levels", item_id="seed-1")["on_hand"] += 1000


def _end_a_cart_too_soon(found: History) -> None:
    _row(found, "reservations", cause="long cart 1")["state"] = history.EXPIRED


def _split_a_customer(found: History) -> None:
    _double(found, "customers")


def _forget_a_product(found: History) -> None:
    _row(found, "products", product_id="product-cup-00")["version"] -= 1


def _show_the_wrong_stock(found: History) -> None:
    _row(found, "online_stock", item_id="cup-11")["quantity"] += 1


def _skip_an_event(found: History) -> None:
    lines = [line for line in found.lines["read"] if line["feed"] == "order"]
    skipped = lines[0]["events"][0]
    for line in lines:  # an event may have been read more than once
        line["events"] = [event for event in line["events"] if event != skipped]


def _skip_a_version(found: History) -> None:
    _drop(found, "outbox", type="tillbridge.inventory.v1.OnlineStockChanged")


def _fall_behind(found: History) -> None:
    _row(found, "consumers", feed="catalog", consumer="inventory")["cursor"] = 0


def _answer_otherwise(found: History) -> None:
    found.told["AdjustStock", "found 3"].append({"answer": "another", "tries": 1, "at_s": 0.0})


def _never_answer(found: History) -> None:
    del found.told["AdjustStock", "found 3"]


def _be_busy_for_long(found: History) -> None:
    found.lines["quiet"][0]["at_s"] += 31


def _stay_down(found: History) -> None:
    found.lines["ready"].pop()


def _break_a_file(found: History) -> None:
    found.lines["integrity"][0]["says"] = "row 3 missing from index"


def _posted(found: History) -> str:
    return str(_row(found, "orders", state=history.POSTED)["order_id"])


PLANTED: list[tuple[Callable[[History], None], str]] = [
    (_lose_a_movement, "request 'found 3' did {}"),
    (_double_a_movement, "request 'transfer 1' did"),
    (_lose_a_sale_of_a_till, "sale sale-2 over"),
    (_pay_twice, "sale sale-2 over"),
    (_lose_an_order, "order order-7 is lost"),
    (_sell_an_order_twice, "has 2 sales"),
    (_leave_an_order_waiting, "order order-7 stands still"),
    (_take_no_stock_for_an_order, "instead of"),
    (_give_an_order_to_another_buyer, "'s"),
    (_get_a_level_wrong, "sums say"),
    (_keep_a_hold, "sums say"),
    (_believe_an_old_count, "count (2, '') says"),
    (_end_a_cart_too_soon, "long cart 1 for 3600 s"),
    (_split_a_customer, "2 customers have"),
    (_forget_a_product, "products are"),
    (_show_the_wrong_stock, "its outlets give"),
    (_skip_an_event, "were read; lost"),
    (_skip_a_version, "was told as"),
    (_fall_behind, "events behind in feed catalog"),
    (_answer_otherwise, "was answered in 2 ways"),
    (_never_answer, "was answered in 0 ways"),
    (_be_busy_for_long, "until all was quiet"),
    (_stay_down, "killed were"),
    (_break_a_file, "row 3 missing"),
]


@pytest.mark.parametrize(("plant", "finding"), PLANTED)
def test_what_is_planted_is_found(
    path: Path, plant: Callable[[History], None], finding: str
) -> None:
    found = history.read(path)
    plant(found)
    findings = history.check(found)
    assert any(finding in one for one in findings), findings


def test_the_command_says_what_a_run_was_and_that_it_is_right(path: Path) -> None:
    told = CliRunner().invoke(app, ["check-history", str(path)])
    assert told.exit_code == 0
    first, last = told.stdout.splitlines()
    assert (json.loads(first)["seed"], json.loads(first)["orders"]) == (2, 100)
    assert last == "nothing lost, nothing doubled"


def test_the_command_says_what_is_wrong(path: Path, tmp_path: Path) -> None:
    broken = tmp_path / "history.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [
        line for line in lines if (line["what"], line.get("request_id")) != ("asked", "found 3")
    ]
    broken.write_text("".join(f"{json.dumps(line)}\n" for line in kept))
    told = CliRunner().invoke(app, ["check-history", str(broken)])
    assert told.exit_code == 1
    assert "came from nowhere" in told.stdout
