"""Tombstones, `GET /{products|orders|customers}/deleted`, and `GET /latest-stats`."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.sandbox.ecwid.listing import Filter, answer, listing, timestamp
from gateway.sandbox.ecwid.store import Store, date_text
from gateway.sandbox.values import Row

TABLES = ("products", "orders", "customers")

FILTERS: dict[str, Filter] = {
    "from_date": lambda row, text: bool(timestamp(row["date"]) >= timestamp(text)),
    "to_date": lambda row, text: bool(timestamp(row["date"]) <= timestamp(text)),
}


class Deletions:
    """What a poller asks first: what has gone, and whether anything has changed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[BaseRoute]:
        """Paths below the store's base; they must stand before those with ids."""
        deleted = "/{table:str}/deleted"
        return [
            Route("/latest-stats", self._stats, methods=["GET"]),
            *(Route(deleted.replace("{table:str}", table), self._list) for table in TABLES),
        ]

    async def _list(self, request: Request) -> Response:
        table = request.url.path.split("/")[-2]
        return listing(request, self._store.deleted[table], FILTERS)

    async def _stats(self, request: Request) -> Response:
        return answer(request, {f"{table}Updated": self._latest(table) for table in TABLES})

    def _latest(self, table: str) -> str:
        rows: list[Row] = list(self._store.rows(table))
        moments = [row["updateTimestamp"] for row in rows]
        moments += [timestamp(row["date"]) for row in self._store.deleted[table]]
        return date_text(max(moments, default=0))
