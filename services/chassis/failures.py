"""What it means when a database fails: whether to try again, and what to tell the caller."""

from sqlalchemy.exc import DBAPIError, IntegrityError

from services.chassis.driver import StaleError
from services.chassis.errors import DomainError

_TAKEN = "23505"
"""What PostgreSQL says of a row that is there already."""


def worth_retrying(error: Exception) -> bool:
    """Whether another process was in the way: a lost race for a row, a deadlock, a lock."""
    if isinstance(error, StaleError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if state := _sqlstate(error):
        return state in {"40001", "40P01", _TAKEN, "55P03"}
    return "locked" in str(error.orig) and not isinstance(error, IntegrityError)


def is_taken(error: Exception) -> bool:
    """Whether PostgreSQL has a row of this key already: another process was faster, or it can
    never be inserted.
    """
    return _sqlstate(error) == _TAKEN


def out_of_order(error: Exception) -> bool:
    """Whether PostgreSQL is at fault and not what it was given: its connection, its resources, or
    its limits on time.
    """
    return _sqlstate(error)[:2] in {"08", "53", "57"}


def unavailable(error: Exception) -> DomainError:
    """What a caller is told that may try again."""
    failed = DomainError(
        "SERVICE_UNAVAILABLE", "the database did not take it; retry", retry_after_ms=1000
    )
    failed.__cause__ = error
    return failed


def _sqlstate(error: Exception) -> str:
    """PostgreSQL's code of an error; empty of others."""
    return getattr(error.orig, "sqlstate", None) or "" if isinstance(error, DBAPIError) else ""
