"""How statements are planned: by what is asked for, not by reading all that a merchant has."""

import asyncio
import importlib
import pkgutil
import re
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from random import Random
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from services.chassis import statements, young
from services.chassis.database import Database
from services.chassis.engines import open_engine
from services.chassis.plumbing import batches
from services.chassis.settings import CONTEXTS, Context
from services.chassis.statements import Lookup
from services.inventory.store import online, reservations, stock
from services.inventory.store.tables import LEVELS
from services.order.store import PLUMBING
from tests.conftest import new_database
from tests.harness import eventually, migrated

FEW = {"channels", "outlets"}
"""Tables of which a merchant has so few that they are read whole."""
SUMS = {"catalog.store.held._ACTIVE", "inventory.store.held._EMPTIED"}
"""What is about all that a merchant has, or about whether there is any."""


def stored() -> Iterator[tuple[Context, str, Any]]:
    """The statements of all services that take keys, each with its context and name."""
    for context in CONTEXTS:
        store = importlib.import_module(f"services.{context}.store")
        inner = pkgutil.iter_modules(getattr(store, "__path__", []), f"{store.__name__}.")
        for name in [store.__name__, *(found.name for found in inner)]:
            module = importlib.import_module(name)
            for constant, value in vars(module).items():
                for path, one in _named(f"{name.removeprefix('services.')}.{constant}", value):
                    if path not in SUMS and "json_each" in _text(one):
                        yield context, path, one


def _named(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (Lookup, sa.Select, sa.Update, sa.Delete)):
        yield path, value
    elif type(value).__module__.startswith("services."):
        for name, inner in getattr(value, "__dict__", {}).items():
            if isinstance(inner, Lookup):
                yield f"{path}.{name}", inner


def _text(statement: Any) -> str:
    """What SQLite is asked, with `?` for what is given."""
    if isinstance(statement, Lookup):
        statement = statement.statement
    found = str(statement.compile(dialect=sqlite.dialect(paramstyle="qmark")))
    return re.sub(r"__\[POSTCOMPILE_\w+\]", "?, ?", found)


STATEMENTS = list(stored())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[Context, str]:
    """Addresses of new databases, without any statistics."""
    folder = tmp_path_factory.mktemp("plans")
    urls: dict[Context, str] = {
        context: f"sqlite:///{folder / context}.sqlite3" for context in CONTEXTS
    }
    for context, url in urls.items():
        migrated(context, url)
    return urls


def test_there_are_statements_to_look_at() -> None:
    assert {context for context, _, _ in STATEMENTS} == set(CONTEXTS)
    assert len(STATEMENTS) > 50


@pytest.mark.parametrize(
    ("context", "statement"),
    [pytest.param(context, one, id=path) for context, path, one in STATEMENTS],
)
def test_sqlite_finds_rows_by_their_keys(
    files: dict[Context, str], context: Context, statement: Any
) -> None:
    """However many keys there are, of one merchant or of several, and without statistics."""
    engine = open_engine(files[context], writing=False)
    with engine.begin() as connection:
        for text in _forms(statement):
            values = (None,) * text.count("?")
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).all()
            assert not [step for step in map(_whole, plan) if step], text
    engine.dispose()


def test_what_is_posted_is_found_among_all_that_is_reserved(files: dict[Context, str]) -> None:
    """Each change of an item's stock looks for it, and a thousand orders may hold that item."""
    engine = open_engine(files["inventory"], writing=False)
    with engine.begin() as connection:
        for text in _forms(reservations._LOAD_POSTED):  # noqa: SLF001  (what is asked)
            values = (None,) * text.count("?")
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).all()
            assert "ix_holds_posted" in str(plan), text
    engine.dispose()


def test_a_disconnection_finds_what_its_outlet_holds(files: dict[Context, str]) -> None:
    """Not all that is reserved of the merchant's."""
    engine, asked = open_engine(files["inventory"], writing=False), []

    @sa.event.listens_for(engine, "before_cursor_execute")
    def note(*event: Any) -> None:
        asked.append((event[2], event[3]))

    with engine.begin() as connection:
        online.outlets_holding(connection, "shop", "web", ["harbour"])
        online.open_reservations(connection, "shop", "web", ["harbour"])
        questions = [one for one in asked if "FROM holds" in one[0]]
        assert len(questions) == 3
        for text, values in questions:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).all()
            assert "ix_holds_held_outlet" in str(plan), text
    engine.dispose()


def _forms(statement: Any) -> list[str]:
    """How it is written for many keys, and a lookup also for few of them, whatever they share."""
    forms = [_text(statement)]
    if isinstance(statement, Lookup):
        shared = range(forms[0].count("value ->>"))
        listing = partial(statements._listing, forms[0])  # noqa: SLF001  (what the driver gets)
        forms += [listing(same, count) for same in shared for count in (0, 16)]
    return forms


def _whole(row: Any) -> str:
    """A step that reads all of a table, or all that a merchant has in it; empty for any other."""
    step = str(row.detail)
    found = re.match(r"(?:SCAN|SEARCH) (\w+)(?: USING (?:COVERING )?INDEX \w+ (.*))?$", step)
    if not found or found[1] in FEW | {"json_each"} or found[1].startswith("anon"):
        return ""
    return step if found[2] in {None, "(merchant_id=?)"} else ""


ROWS = 300
"""About as many as a table has when it is first looked at: see `young`."""


@pytest.fixture(scope="module")
def servers(postgres: str) -> Iterator[dict[Context, str]]:
    """Addresses of databases on PostgreSQL whose tables have some rows, and were looked at."""
    with ExitStack() as stack:
        urls: dict[Context, str] = {
            context: stack.enter_context(new_database(postgres)) for context in CONTEXTS
        }
        for context, url in urls.items():
            migrated(context, url)
            _fill(url)
        yield urls


def _fill(url: str) -> None:
    """Gives each table rows that one merchant may have."""
    engine = open_engine(url, writing=True)
    with engine.begin() as connection:
        tables = sa.MetaData()
        tables.reflect(connection)
        number = sa.func.generate_series(1, ROWS).table_valued("number").render_derived().c.number
        for table in tables.tables.values():
            values = {column.name: _value(column, number) for column in table.columns}
            values |= dict(_in_partial_indexes(table))
            connection.execute(
                sa.insert(table).from_select(list(values), sa.select(*values.values()))
            )
        connection.exec_driver_sql("ANALYZE")
    engine.dispose()


def _value(column: sa.Column[Any], number: sa.ColumnElement[int]) -> sa.ColumnElement[Any]:
    """One that each row has of its own, but for what many have in common."""
    if column.name == "merchant_id":
        return sa.literal("shop")
    kind = column.type
    if isinstance(kind, sa.Boolean):
        return sa.true()
    if isinstance(kind, sa.LargeBinary):
        return sa.cast(sa.literal("x"), sa.Text).op("::")(sa.text("bytea"))
    if isinstance(kind, sa.String):
        return sa.cast(number, sa.Text)
    return number if isinstance(kind, sa.BigInteger) or column.primary_key else sa.literal(1)


@pytest.mark.parametrize(
    ("context", "statement"),
    [pytest.param(context, one, id=path) for context, path, one in STATEMENTS],
)
def test_postgresql_keeps_plans_that_find_rows_by_their_keys(
    servers: dict[Context, str], context: Context, statement: Any
) -> None:
    """As they are made when the tables are looked at for the first time, whatever is asked for."""
    engine = open_engine(servers[context], writing=True)
    with engine.begin() as connection:
        for text in _postgres_forms(statement, connection):
            (plan,) = connection.exec_driver_sql(
                f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {text}"
            ).scalar_one()
            assert not [step for step in map(_reads_whole, _steps(plan["Plan"])) if step], text
    engine.dispose()


@pytest.mark.parametrize("items", [85, 235, 570, 1000])
def test_postgresql_finds_the_levels_of_items_by_their_key(shared: str, items: int) -> None:
    """However few there are: all of the index by outlet would be looked through for 32 of 700."""
    migrated("inventory", shared)
    engine = open_engine(shared, writing=True)
    with engine.begin() as connection:
        places = [(f"i-{number:04}", outlet) for number in range(items) for outlet in "abc"]
        Random(items).shuffle(places)
        for some in batches(places, 25):
            rows = [("shop", item_id, outlet_id, 1, 0, 0) for item_id, outlet_id in some]
            columns = ("merchant_id", "item_id", "outlet_id", "on_hand", "reserved", "version")
            statements.append(connection, LEVELS, rows, columns)
        connection.exec_driver_sql("ANALYZE levels")
        for text in _postgres_forms(stock._LOAD_LEVELS, connection):  # noqa: SLF001  (as above)
            plan = connection.exec_driver_sql(f"EXPLAIN (GENERIC_PLAN) {text}").scalars().all()
            assert "using pk_levels" in "".join(plan), text
    engine.dispose()


def _postgres_forms(statement: Any, connection: sa.Connection) -> list[str]:
    """How it is written for PostgreSQL, with $1, $2 and so on for what is given."""
    if isinstance(statement, Lookup):
        ask = statements._ask(statement.statement, connection.dialect)  # noqa: SLF001  (as above)
        forms = [form for form in (ask.text, ask.last) if form]
    else:
        compiled = statement.compile(dialect=connection.dialect)
        forms = [re.sub(r"\(__\[POSTCOMPILE_(\w+)\]\)", r"(%(\1)s)", str(compiled))]
    return [_numbered(form) for form in forms]


def _numbered(text: str) -> str:
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
    return re.sub(r"%\((\w+)\)s", lambda name: f"${names.index(name[1]) + 1}", text)


def _in_partial_indexes(table: sa.Table) -> Iterator[tuple[str, sa.ColumnElement[Any]]]:
    """What rows have in these columns that are in an index of some rows only."""
    for index in table.indexes:
        condition = str(index.dialect_options["postgresql"]["where"])
        for name, text in re.findall(r"(\w+)\)?(?:::text)? = '(\w+)'", condition):
            yield name, sa.literal(text)


def _steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _steps(inner)


def _reads_whole(step: dict[str, Any]) -> str:
    """A step that reads all of a table, or all that a merchant has in it; empty for any other."""
    table, by = step.get("Relation Name", step.get("Index Name", "")), step.get("Index Cond", "")
    kind = step["Node Type"]
    if not re.search(r"Seq Scan|Index.* Scan", kind) or table.removeprefix("pk_") in FEW:
        return ""
    columns = set(re.findall(r"\(*(\w+)\)*(?:::text)? (?:=|<|>)", by))
    return "" if columns - {"merchant_id"} else f"{kind} {table} {by}"


async def test_postgresql_looks_at_tables_before_its_autovacuum_does(
    shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(young, "LOOK_EVERY_S", 0.05)
    migrated("order", shared)
    database = Database(shared, PLUMBING)
    looking = asyncio.ensure_future(young.look_at_young_tables(database))
    try:
        assert _rows_known(shared, "outbox") == -1
        events = [(str(n), "m", "", "kind", "it", database.clock(), bytes(100)) for n in range(999)]
        await database.apply("fill", lambda t: PLUMBING.append(t.connection, events))

        async def known() -> bool:
            # PostgreSQL counts what a session has written when that writes again, or is idle.
            await database.apply("write again", lambda t: t.connection.execute(sa.text("SELECT 1")))
            return _rows_known(shared, "outbox") == 999

        await eventually(known, within_s=20)
        assert _rows_known(shared, "requests") == -1, "an empty one is not looked at"
    finally:
        looking.cancel()
        await database.close()


def _rows_known(url: str, table: str) -> float:
    """How many rows the planner believes a table to have; -1 where it has no idea."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT reltuples FROM pg_class WHERE relname = %s", [table])
        return float(next(found)[0])
