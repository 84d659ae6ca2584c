"""Where a shipping method goes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

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

    def has(self, address: Address) -> bool:
        """Whether an address is in it."""
        if self.country_codes and address.country_code not in self.country_codes:
            return False
        if self.region_codes:
            region = address.region_code.strip().casefold()
            if not any(region == one.strip().casefold() for one in self.region_codes):
                return False
        if not self.postal_codes:
            return True
        numbers, pattern = _patterns(self.postal_codes)
        code = _squeezed(address.postal_code)
        if pattern and pattern.fullmatch(code):
            return True
        if not (code.isascii() and code.isdecimal()):
            return False
        return any(
            len(code) == length and first <= int(code) <= last for length, first, last in numbers
        )


def goes_to(zones: Sequence[Zone], address: Address | None) -> bool:
    """Whether a method with these zones goes to an address; none means everywhere, and an address
    that is not known yet is not looked at.
    """
    return not zones or address is None or any(zone.has(address) for zone in zones)


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


@lru_cache(maxsize=4096)
def _patterns(
    codes: tuple[str, ...],
) -> tuple[Sequence[tuple[int, int, int]], re.Pattern[str] | None]:
    """The ranges among patterns, and one expression for all others."""
    ranges, others = [], []
    for code in map(_squeezed, codes):
        found = _range(code)
        if found:
            ranges.append(found)
        else:
            escaped = re.escape(code)
            others.append(escaped.replace(r"\*", ".*").replace(r"\?", "."))
    return ranges, re.compile("|".join(others)) if others else None
