"""What PostgreSQL knows of tables that are young.

It plans a statement by statistics, which its autovacuum takes of a table for the first time up to a
minute after the first rows. Until then it guesses, and may read all of a table, or of a long index,
for a few rows: in a new shop's first import, of all times. So each service has the tables that
nobody has looked at yet looked at once; plans that were kept are made anew then.
"""

import asyncio

import structlog
from sqlalchemy import Connection, text

from services.chassis.database import Database
from services.chassis.errors import DomainError

LOOK_EVERY_S = 5.0
ROWS_MIN = 200
"""What has fewer is read at once, however it is planned."""

_YOUNG = text(
    "SELECT quote_ident(pg_class.relname) FROM pg_class JOIN pg_stat_user_tables ON relid = oid"
    " WHERE relnamespace = current_schema()::regnamespace"
    " AND reltuples <= 0 AND n_live_tup >= :rows_min"
)
"""Tables of which the planner knows nothing, or that nothing was there when somebody looked, such
as before the first rows were committed.
"""

log = structlog.get_logger()


async def look_at_young_tables(database: Database) -> None:
    """Takes the statistics of new tables, forever. SQLite plans without any."""
    if not database.url.startswith("postgres"):
        await asyncio.Event().wait()
    while True:
        try:
            await database.read(_look)
        except DomainError as error:  # the next time will do
            log.warning("young tables not looked at", reason=error.reason)
        await asyncio.sleep(LOOK_EVERY_S)


def _look(connection: Connection) -> None:
    for name in connection.execute(_YOUNG, {"rows_min": ROWS_MIN}).scalars().all():
        # Another process may be at it.
        connection.exec_driver_sql(f"ANALYZE (SKIP_LOCKED) {name}")
