"""PostgreSQL databases for a run, one for each service."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import psycopg

from tests.chaos.plan import SERVICES

_names = count(1)


@contextmanager
def service_databases(server: str) -> Iterator[str]:
    """A fresh database on the server for each service; their address, with `{service}` in it."""
    prefix = f"chaos_{next(_names)}"
    with psycopg.connect(server, autocommit=True) as connection:
        for service in SERVICES:
            connection.execute(f"CREATE DATABASE {prefix}_{service}".encode())
    yield server.replace("/postgres?", f"/{prefix}_{{service}}?")
    with psycopg.connect(server, autocommit=True) as connection:
        for service in SERVICES:
            connection.execute(f"DROP DATABASE {prefix}_{service} WITH (FORCE)".encode())
