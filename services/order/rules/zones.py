"""Where a shipping method goes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from services.chassis.errors import invalid
from services.order.rules.document import Address

_RANGE = re.compile(r"([0-9]+)-([0-9]+)")


@dataclass(frozen=True, slots=True)
class Zone:
    """Part of the world. An address is in it when it matches each list that is not empty."""

    name: str = ""
    country_codes: tuple[str, ...] = ()
    region_codes: tuple[str, ...] = ()
    postal_codes: tuple[str, ...] = ()
    """Patterns: `*` stands for any characters, `?` for one, `0150-0199` for a range of numbers of
    one length.
    """


class Destination(NamedTuple):
    """An address as zones compare it."""

    country_code: str
    region: str
    postal_code: str
    number: int | None
    """The postal code where it is a number."""


def destination(address: Address) -> Destination:
    """An address as zones compare it."""
    code = _squeezed(address.postal_code)
    return Destination(
        address.country_code,
        address.region_code.strip().casefold(),
        code,
        int(code) if code.isascii() and code.isdecimal() else None,
    )


class Reach:
    """Where a method with these zones goes, ready to be asked often."""

    def __init__(self, zones: Sequence[Zone]) -> None:
        self._areas = [_area(zone) for zone in zones]

    def has(self, place: Destination | None) -> bool:
        """Whether it goes there; no zones mean everywhere, and a place that is not known yet is not
        looked at.
        """
        areas = self._areas
        return not areas or place is None or any(_is_in(area, place) for area in areas)


class _Area(NamedTuple):
    """A zone as places are compared with it."""

    country_codes: frozenset[str]
    regions: frozenset[str]
    any_code: bool
    pattern: re.Pattern[str] | None
    """One expression for all patterns that are no ranges."""
    ranges: Sequence[tuple[int, int, int]]
    """Length, first and last."""


def _is_in(area: _Area, place: Destination) -> bool:
    if area.country_codes and place.country_code not in area.country_codes:
        return False
    if area.regions and place.region not in area.regions:
        return False
    if area.any_code or (area.pattern and area.pattern.fullmatch(place.postal_code)):
        return True
    number = place.number
    if number is None:
        return False
    digits = len(place.postal_code)
    return any(digits == length and first <= number <= last for length, first, last in area.ranges)


def check_zone(zone: Zone, field: str) -> None:
    """Finds a zone's patterns well formed.

    Raises:
        DomainError: INVALID_FIELD.
    """
    for index, code in enumerate(zone.postal_codes):
        found = _range(_squeezed(code))
        if not _squeezed(code):
            raise invalid(f"{field}.postal_codes[{index}]", "must not be blank")
        if found and found[1] > found[2]:
            raise invalid(
                f"{field}.postal_codes[{index}]", "a range must begin with the lower number"
            )


def _squeezed(code: str) -> str:
    return "".join(code.split()).upper()


def _range(code: str) -> tuple[int, int, int] | None:
    """Length, first and last of a range of numbers; None for what is none."""
    found = _RANGE.fullmatch(code)
    if not found or len(found[1]) != len(found[2]):
        return None
    return len(found[1]), int(found[1]), int(found[2])


def _area(zone: Zone) -> _Area:
    ranges, others = [], []
    for code in map(_squeezed, zone.postal_codes):
        found = _range(code)
        if found:
            ranges.append(found)
        else:
            escaped = re.escape(code)
            others.append(escaped.replace(r"\*", ".*").replace(r"\?", "."))
    return _Area(
        frozenset(zone.country_codes),
        frozenset(code.strip().casefold() for code in zone.region_codes),
        not zone.postal_codes,
        re.compile("|".join(others)) if others else None,
        ranges,
    )
