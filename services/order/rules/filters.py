"""Which orders somebody wants to see."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Filters:
    """Which orders are listed; what is empty, zero or None does not matter."""

    channel_id: str = ""
    state: int = 0
    waiting: bool = False
    query: str = ""
    """An id, how one begins, or an e-mail address."""
    customer_id: str = ""
    waiting_reason: str = ""
    begin: datetime | None = None
    end: datetime | None = None
    payment_status: int = 0
