"""Whether what happened in a run was right: what `tillbridge check-history` does.

A history has one JSON object a line: what was `asked` and `told`, who was `killed` and `ready`
again, whose `clock` was put where, what was `read` from the feeds, and in the end each `row` that
the databases hold. Nothing else is looked at. Stock is a counter per place with movements that are
each written once, so sums, uniqueness and contiguity decide, in linear time.

Whoever writes such a history sees to it that no stock runs out.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Any

QUIET_S_MAX = 30.0
"""How long after the last kill, and the end of the last order, something may still be unread."""
EXPIRE_S_MAX = 30.0
"""How late a hold may end."""
FINDINGS_MAX = 20
NANOS = 1_000_000_000

ONLINE_SALE = 8
HELD, COMMITTED, RELEASED, EXPIRED, TAKEN = 1, 3, 4, 5, 6
POSTED, CANCELED = 6, 7
"""As in the contracts: kinds of movements, states of reservations and of orders."""
FOLLOWED = {
    ("catalog", "inventory"): "tillbridge.catalog.v1.ProductChanged",
    ("catalog", "order"): "tillbridge.catalog.v1.ProductChanged",
    ("customer", "order"): "tillbridge.customer.v1.OrdersUnblocked",
}
"""What services follow: feed and consumer, and the type of event."""

Place = tuple[str, str]
"""Item and outlet."""
Facts = dict[str, Any]


@dataclass(slots=True)
class History:
    """What is written of a run."""

    run: Facts = field(default_factory=dict)
    asked: dict[tuple[str, str], Facts] = field(default_factory=dict)
    """By method and request id."""
    told: dict[tuple[str, str], list[Facts]] = field(default_factory=lambda: defaultdict(list))
    rows: dict[str, list[Facts]] = field(default_factory=lambda: defaultdict(list))
    lines: dict[str, list[Facts]] = field(default_factory=lambda: defaultdict(list))
    """All others, by what they are about."""

    def requests(self, method: str) -> Iterator[tuple[str, Facts]]:
        """The requests of a method, with their ids; each was answered, else it is a finding."""
        for (name, request_id), line in self.asked.items():
            if name == method:
                yield request_id, line["request"]

    def movements(self, by: str) -> dict[str, Counter[Place]]:
        """What was moved where, by this column of the ledger."""
        found: dict[str, Counter[Place]] = defaultdict(Counter)
        for row in self.rows["movements"]:
            found[row[by]][row["item_id"], row["outlet_id"]] += row["quantity"]
        return found


def read(path: Path) -> History:
    """A history, from its file."""
    history = History()
    with path.open() as lines:
        for line in map(json.loads, lines):
            what = line["what"]
            if what == "run":
                history.run = line
            elif what == "row":
                history.rows[line["of"]].append(line)
            elif what == "asked":
                history.asked.setdefault((line["method"], line["request_id"]), line)
            elif what == "told":
                history.told[line["method"], line["request_id"]].append(line)
            else:
                history.lines[what].append(line)
    return history


def check(history: History) -> list[str]:
    """All that is wrong with a run."""
    return [finding for look in CHECKS for finding in look(history)]


def state(history: History) -> str:
    """A digest of the state that a run ended in, but for what differs anyway: ids and times, and
    whether stock was held before it was taken.
    """
    rows, paid = history.rows, _paid(history)
    emails = {row["customer_id"]: row["email_key"] for row in rows["customers"]}
    sales = {row["sale_id"]: row["order_id"] or row["sale_id"] for row in rows["sales"]}
    parts = [
        [[row["item_id"], row["outlet_id"], row["on_hand"]] for row in rows["levels"]],
        [[row["item_id"], row["quantity"]] for row in rows["online_stock"]],
        [[row["order_id"], emails.get(row["customer_id"])] for row in rows["sales"]],
        [[row["order_id"], row["state"]] for row in rows["orders"]],
        [[name, paid[sale_id]] for sale_id, name in sales.items()],
        [[row["product_id"], row["version"]] for row in rows["products"]],
        [
            [row["cause"], COMMITTED if row["state"] == TAKEN else row["state"]]
            for row in rows["reservations"]
            if row["state"] != RELEASED
        ],
    ]
    return blake2b(json.dumps([sorted(part) for part in parts]).encode(), digest_size=8).hexdigest()


def _answers(history: History) -> Iterator[str]:
    """Whatever was asked was answered, and always alike."""
    for key, line in history.asked.items():
        answers = {told["answer"] for told in history.told.get(key, ())}
        if len(answers) != 1:
            yield f"{key} was answered in {len(answers)} ways: {line['request']}"


def _stock_calls(history: History) -> Iterator[str]:
    """Every adjustment and transfer took effect once."""
    wanted: dict[str, Counter[Place]] = {}
    for request_id, request in history.requests("AdjustStock"):
        moved = wanted.setdefault(request_id, Counter())
        for line in request["lines"]:
            moved[line["item_id"], line["outlet_id"]] += _thousandths(line["quantity"])
    for request_id, request in history.requests("TransferStock"):
        moved = wanted.setdefault(request_id, Counter())
        for line in request["lines"]:
            moved[line["item_id"], request["from_outlet_id"]] -= _thousandths(line["quantity"])
            moved[line["item_id"], request["to_outlet_id"]] += _thousandths(line["quantity"])
    yield from _differences("request", wanted, history.movements("request_id"))


def _sales_stock(history: History) -> Iterator[str]:
    """Every sale of a till took its stock once, and every order that was paid took its own."""
    wanted: dict[str, Counter[Place]] = {}
    for _, request in history.requests("RecordSale"):
        sale = request["sale"]
        taken = wanted.setdefault(f"sale {sale['sale_id']}", Counter())
        for line in sale["lines"]:
            taken[line["item_id"], sale["outlet_id"]] -= _thousandths(line["quantity"])
    found = history.movements("cause")
    yield from _differences("cause", wanted, found)
    for order_id, document in _documents(history).items():
        ordered: Counter[str] = Counter()
        if not _is_canceled(document):
            for line in document["lines"]:
                ordered[line["item_id"]] -= _thousandths(line["quantity"])
        given: Counter[str] = Counter()
        for (item_id, _), quantity in found.get(f"order {order_id}", Counter()).items():
            given[item_id] += quantity
        if ordered != given:
            yield f"order {order_id} took {dict(given)} instead of {dict(ordered)}"


def _ledger(history: History) -> Iterator[str]:
    """Every movement follows from the one before it, every level is their sum, and what it
    reserves is the sum of its holds; nothing was moved that nobody asked for.
    """
    known = {request_id for _, request_id in history.asked}
    known |= {f"order {order_id}" for order_id in _documents(history)}
    known |= {f"sale {request['sale']['sale_id']}" for _, request in history.requests("RecordSale")}
    on_hand: Counter[Place] = Counter()
    for row in history.rows["movements"]:
        place = (row["item_id"], row["outlet_id"])
        on_hand[place] += row["quantity"]
        if row["on_hand"] != on_hand[place]:
            yield f"movement {row['movement_id']} of {place} does not follow: {row}"
        if not known & {row["request_id"], row["cause"]}:
            yield f"movement {row['movement_id']} came from nowhere: {row}"
    held: Counter[Place] = Counter()
    for row in history.rows["holds"]:
        held[row["item_id"], row["outlet_id"]] += row["quantity"] if row["held"] else 0
    for row in history.rows["levels"]:
        place = (row["item_id"], row["outlet_id"])
        sums = (on_hand.pop(place, 0), held.pop(place, 0))
        if (row["on_hand"], row["reserved"]) != sums:
            yield f"{place} has and reserves {row['on_hand']}, {row['reserved']}; sums say {sums}"
    yield from (f"{place} has no level" for place in {**on_hand, **held} if on_hand[place])


def _counts(history: History) -> Iterator[str]:
    """What was counted is what the newest count said, by version or by time."""
    newest: dict[Place, tuple[tuple[int, str], int]] = {}
    for _, request in history.requests("RecordCounts"):
        for told in request["counts"]:
            place = (told["item_id"], told["outlet_id"])
            count = (int(told.get("version", 0)), told.get("observe_time", ""))
            newest[place] = max(
                newest.get(place, ((0, ""), 0)), (count, _thousandths(told["quantity"]))
            )
    levels = {(row["item_id"], row["outlet_id"]): row["on_hand"] for row in history.rows["levels"]}
    for place, (count, quantity) in newest.items():
        if levels.get(place, 0) != quantity:
            yield f"{place} is {levels.get(place)}; count {count} says {quantity}"


def _orders(history: History) -> Iterator[str]:
    """Every order ended as its last document says: with one sale, or canceled with none."""
    rows = {row["order_id"]: row for row in history.rows["orders"]}
    sales = Counter(row["order_id"] for row in history.rows["sales"])
    emails = {row["customer_id"]: row["email_key"] for row in history.rows["customers"]}
    documents = _documents(history)
    for order_id, document in documents.items():
        row, canceled = rows.get(order_id), _is_canceled(document)
        if row is None:
            yield f"order {order_id} is lost"
        elif row["waiting_reason"] or row["state"] != (CANCELED if canceled else POSTED):
            yield f"order {order_id} stands still: {row}"
        elif sales[order_id] != (0 if canceled else 1):
            yield f"order {order_id} has {sales[order_id]} sales"
        elif emails.get(row["customer_id"]) != document["email"] and not canceled:
            yield f"order {order_id} of {document['email']} is {emails.get(row['customer_id'])}'s"
    yield from (f"order {one} came from nowhere" for one in rows.keys() - documents.keys())


def _till_sales(history: History) -> Iterator[str]:
    """Every sale of a till is in the history of sales, and paid once."""
    rows = {row["sale_id"]: row for row in history.rows["sales"] if not row["order_id"]}
    paid, wanted = _paid(history), set()
    for _, request in history.requests("RecordSale"):
        sale_id, total = request["sale"]["sale_id"], request["sale"]["total"]
        wanted.add(sale_id)
        found = rows.get(sale_id)
        if not found or found["stock_pending"] or paid[sale_id] != int(total["units"]) * NANOS:
            yield f"sale {sale_id} over {total}: {found}, paid {paid[sale_id]}"
    yield from (f"sale {one} came from nowhere" for one in rows.keys() - wanted)


def _carts(history: History) -> Iterator[str]:
    """Holds end when their time is over, and not before."""
    states = defaultdict(list)
    for row in history.rows["reservations"]:
        states[row["cause"]].append(row["state"])
    quiet = history.lines["quiet"][0]
    for request_id, request in history.requests("ReserveStock"):
        key = ("ReserveStock", request_id)
        end_s = request["time_to_live_s"]
        begin_s, known_s = history.asked[key]["at_s"], history.told[key][0]["at_s"]
        may_be = {HELD} if quiet["at_s"] < known_s + end_s + EXPIRE_S_MAX else set()
        may_be |= {EXPIRED} if quiet["at_s"] > begin_s + end_s else set()
        found = states[request["cause"]]
        if len(found) != 1 or found[0] not in may_be:
            yield f"{request['cause']} for {end_s} s, held at {known_s} s, is in {found}"


def _people_and_products(history: History) -> Iterator[str]:
    """No address has two profiles, no order two buyers, and every product is its newest version."""
    for name, column in (("customers", "email_key"), ("matches", "order_id")):
        for value, number in Counter(row[column] for row in history.rows[name]).items():
            if number > 1:
                yield f"{number} {name} have {value!r}"
    newest: Counter[str] = Counter()
    for _, request in history.requests("BatchUpsertProducts"):
        for product in request["products"]:
            name = product["product_id"]
            newest[name] = max(newest[name], int(product["version"]))
    found = Counter({row["product_id"]: row["version"] for row in history.rows["products"]})
    if found != newest:
        yield f"products are {dict(found - newest or newest - found)} off"


def _online(history: History) -> Iterator[str]:
    """Online stock is what the outlets have to give; every change of it was told, in order."""
    give: Counter[str] = Counter()
    for row in history.rows["levels"]:
        give[row["item_id"]] += max(0, row["on_hand"] - row["reserved"])
    told: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row in history.rows["outbox"]:
        if row["type"].endswith(".OnlineStockChanged"):
            said = row["data"]
            told[said["item_id"]].append((int(said["version"]), int(said.get("quantity", 0))))
    for row in history.rows["online_stock"]:
        item_id, right = row["item_id"], give[row["item_id"]] // 1000
        if row["quantity"] != right:
            yield f"{item_id} shows {row['quantity']}, its outlets give {right}"
        if [version for version, _ in told[item_id]] != list(range(1, row["version"] + 1)):
            yield f"{item_id} was told as {told[item_id]}, and is at {row['version']}"
        elif told[item_id] and told[item_id][-1][1] != row["quantity"]:
            yield f"{item_id} shows {row['quantity']}, told was {told[item_id][-1]}"


def _feeds(history: History) -> Iterator[str]:
    """Every event was read, in order; nobody is behind; all was quiet soon enough."""
    written: dict[str, list[Facts]] = defaultdict(list)
    for row in history.rows["outbox"]:
        written[row["feed"]].append(row)
    for feed, rows in written.items():
        told = [
            one for line in history.lines["read"] if line["feed"] == feed for one in line["events"]
        ]
        seen = {event_id for _, event_id in told}
        lost = [row for row in rows if row["id"] not in seen]
        if lost or len(seen) != len(rows):
            yield f"feed {feed} has {len(rows)} events, {len(seen)} were read; lost: {lost[:3]}"
    for row in history.rows["consumers"]:
        kind = FOLLOWED.get((row["feed"], row["consumer"]))
        left = [one for one in written[row["feed"]] if one["cursor"] > row["cursor"]]
        if any(one["type"] == kind for one in left):
            yield f"{row['consumer']} is {len(left)} events behind in feed {row['feed']}"
    took_s = history.lines["quiet"][0]["at_s"] - history.lines["over"][0]["at_s"]
    if took_s > QUIET_S_MAX:
        yield f"it took {took_s:.0f} s after the last kill and order until all was quiet"


def _processes(history: History) -> Iterator[str]:
    """Who was killed was ready again; files are whole."""
    killed, ready = (
        Counter(line["process"] for line in history.lines[what]) for what in ("killed", "ready")
    )
    if killed != ready:
        yield f"killed were {dict(killed)}, ready again {dict(ready)}"
    for line in history.lines["integrity"]:
        if line["says"] != "ok":
            yield f"database {line['database']}: {line['says']}"


CHECKS: tuple[Callable[[History], Iterator[str]], ...] = (
    _answers,
    _stock_calls,
    _sales_stock,
    _ledger,
    _counts,
    _orders,
    _till_sales,
    _carts,
    _people_and_products,
    _online,
    _feeds,
    _processes,
)


def _thousandths(text: str) -> int:
    return int(Decimal(text) * 1000)


def _paid(history: History) -> Counter[str]:
    """What was paid for each sale, in billionths."""
    paid: Counter[str] = Counter()
    for row in history.rows["payments"]:
        paid[row["sale_id"]] += row["amount_nanos"]
    return paid


def _documents(history: History) -> dict[str, Facts]:
    """The newest document of every order."""
    found: dict[str, Facts] = {}
    for _, request in history.requests("IngestOrder"):
        document: Facts = request["document"]
        known = found.get(document["order_id"], document)
        if int(document["version"]) >= int(known["version"]):
            found[document["order_id"]] = document
    return found


def _is_canceled(document: Facts) -> bool:
    return bool(document["payment_status"] == "PAYMENT_STATUS_CANCELED")


def _differences(
    what: str, wanted: dict[str, Counter[Place]], found: dict[str, Counter[Place]]
) -> Iterator[str]:
    for name, right in wanted.items():
        if right != found.get(name, Counter()):
            yield f"{what} {name!r} did {dict(found.get(name, {}))} instead of {dict(right)}"


def summary(history: History) -> str:
    """What a run was, in one line of JSON: its seed, its counts, its times."""
    took_s = sorted(line["took_s"] for line in history.lines["ready"])
    tries = sum(line["tries"] - 1 for lines in history.told.values() for line in lines)
    over, quiet = history.lines["over"], history.lines["quiet"]
    return json.dumps(
        {name: history.run[name] for name in ("promise", "database", "seed")}
        | {
            "orders": len(_documents(history)),
            "requests": len(history.asked),
            "retries": tries,
            "movements": len(history.rows["movements"]),
            "events": len(history.rows["outbox"]),
            "kills": len(took_s),
            "ready_again_p50_s": took_s[len(took_s) // 2] if took_s else None,
            "ready_again_p99_s": took_s[-1 - len(took_s) // 100] if took_s else None,
            "clock_jumps": len(history.lines["clock"]),
            "ran_s": over[0]["at_s"],
            "quiet_after_s": round(quiet[0]["at_s"] - over[0]["at_s"], 3),
            "state": state(history),
        }
    )


def tell(path: Path, say: Callable[[str], None]) -> int:
    """Says what a run was and what is wrong with it; 0 when nothing is, else 1."""
    history = read(path)
    say(summary(history))
    findings = check(history)
    for finding in findings[:FINDINGS_MAX]:
        say(finding)
    if len(findings) > FINDINGS_MAX:
        say(f"and {len(findings) - FINDINGS_MAX} more")
    say("nothing lost, nothing doubled" if not findings else f"{len(findings)} findings")
    return 1 if findings else 0
