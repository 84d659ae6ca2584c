"""When an order is ready, and when somebody can come for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.chassis.errors import invalid

DAY_S = 86_400
DAYS_MAX = 366
"""So far ahead a day is looked for on which somebody can come."""


@dataclass(frozen=True, slots=True)
class Hours:
    """When buyers may come on a day of the week, in seconds since midnight by the clock there."""

    day: int
    """1 is Monday, 7 Sunday, as in the contract and in ISO 8601."""
    open_s: int
    close_s: int
    """Not included; 86400 is the end of the day."""


@dataclass(frozen=True, slots=True)
class Opening:
    """When buyers may come."""

    hours: tuple[Hours, ...] = ()
    """None: at any time."""
    time_zone: str = ""
    """IANA name; empty is UTC."""
    preparation_minutes: int = 0
    closed_dates: frozenset[date] = frozenset()


_Stretch = tuple[datetime, datetime]


class Schedule:
    """When orders are ready, by a method's opening. Made to be asked often: it keeps the stretch of
    time that it found last, since hardly ever is it another one.
    """

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._preparation = timedelta(minutes=opening.preparation_minutes)
        self._always = not opening.hours and not opening.closed_dates
        self._from = datetime.max.replace(tzinfo=UTC)
        self._open: _Stretch = (self._from, self._from)
        """What is the next stretch for all that is ready after `_from` and before it ends."""

    def ready_time(self, now: datetime) -> datetime | None:
        """When an order that is placed now is ready at the earliest and somebody can come for it;
        None when nobody can within a year.

        Preparation takes as long as it takes, whatever the clock on the wall does meanwhile. Hours
        are by that clock: one that does not exist on a day (it is put forward) is as long after
        midnight as it seems; of one that comes twice (it is put back) opening is the first and
        closing the second.
        """
        earliest = now + self._preparation
        if self._always:
            return earliest
        begin, end = self._open
        if self._from <= earliest < end:
            return max(begin, earliest)
        found = _next_open(self._opening, earliest)
        if found is None:
            return None
        self._from, self._open = earliest, found
        return max(found[0], earliest)


def _next_open(opening: Opening, earliest: datetime) -> _Stretch | None:
    """The first stretch that is not over yet; None when there is none within a year."""
    zone = _zone(opening.time_zone)
    first = earliest.astimezone(zone).date()
    for ahead in range(DAYS_MAX + 1):
        day = first + timedelta(days=ahead)
        if day not in opening.closed_dates:
            for begin, end in _open(opening.hours, zone, day):
                if earliest < end:
                    return begin, end
    return None


def check_opening(opening: Opening) -> None:
    """Finds hours well formed.

    Raises:
        DomainError: INVALID_FIELD.
    """
    try:
        _zone(opening.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise invalid(
            "method.time_zone", "must be a name of the IANA database, such as `Europe/Oslo`"
        ) from error
    for index, hours in enumerate(opening.hours):
        if hours.close_s <= hours.open_s:
            raise invalid(f"method.pickup_hours[{index}].close_time", "must be after open_time")


@lru_cache(maxsize=10_000)
def _open(hours: tuple[Hours, ...], zone: ZoneInfo, day: date) -> Sequence[_Stretch]:
    """From when till when somebody can come on a day, in the order of opening."""
    weekday = day.isoweekday()
    today = [(one.open_s, one.close_s) for one in hours if one.day == weekday]
    return [
        # Of two closing times the later: it may come twice, or not exist.
        (_moment(zone, day, open_s, 0), max(_moment(zone, day, close_s, fold) for fold in (0, 1)))
        for open_s, close_s in (sorted(today) if hours else [(0, DAY_S)])
    ]


def _moment(zone: ZoneInfo, day: date, seconds: int, fold: int) -> datetime:
    """A time of the clock on the wall there as a moment."""
    wall = datetime.combine(day, time()) + timedelta(seconds=seconds)
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name or "UTC")
