"""Values that many are made of at a time.

`@value(frozen=True, slots=True)` is `@dataclass(frozen=True, slots=True)` to whoever reads it and
to the type checker, which sees to it that nobody changes one. At run time it does not watch over
that too: to make a frozen instance takes 15 times as long, which was a fifth of the time of a
change of stock. `replace` is that of `dataclasses`, for such values, in a quarter of the time.
"""

from typing import TYPE_CHECKING

__all__ = ["replace", "value"]

if TYPE_CHECKING:
    from dataclasses import dataclass as value
    from dataclasses import replace
else:
    from dataclasses import dataclass, fields
    from functools import cache
    from operator import attrgetter

    def value(*, frozen: bool, slots: bool) -> type:
        """A dataclass that is compared and hashed by its fields."""
        assert frozen
        return dataclass(slots=slots, unsafe_hash=True)

    @cache
    def _all_of(kind: type) -> attrgetter:
        names = [field.name for field in fields(kind)]
        return attrgetter(*names, names[0])  # a tuple, however few there are

    def replace(known: object, /, **changes: object) -> object:
        """A value like this one but for these fields."""
        kind = type(known)
        made = kind(*_all_of(kind)(known)[:-1])
        for name, change in changes.items():
            setattr(made, name, change)
        return made
