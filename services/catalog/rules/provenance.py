"""Provenance: which call brought which value of a product or a listing, and when (SOR-04)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Source:
    """The call that brought a value."""

    cause: str
    """What made it, for people; empty when it did not say."""
    request_id: str
    observe_time: datetime
    """When the value was read there."""


Provenance = Mapping[str, Source]
"""Sources by the path of what they brought, such as `name`, `variants[sku-1]` or
`variants[sku-1].retail_price`; "" is where everything else came from.
"""


def carried(before: Provenance, changed_paths: Iterable[str], source: Source) -> Provenance:
    """The provenance after `source` has changed what is at these paths.

    What it brought as a whole takes the place of what was noted of its parts.
    """
    paths = set(changed_paths)
    kept = {
        path: found
        for path, found in before.items()
        if not any(upper in paths for upper in _upwards(path))
    }
    return kept | dict.fromkeys(sorted(paths), source)


def source_of(provenance: Provenance, path: str) -> Source | None:
    """Where the value at a path came from, by the longest path that it lies below; None when that
    was not noted.
    """
    return next((provenance[upper] for upper in _upwards(path) if upper in provenance), None)


def _upwards(path: str) -> Iterable[str]:
    """A path and what it is part of: `variants[sku-1].sku`, `variants[sku-1]`, ""."""
    yield path
    variant, bracket, field = path.rpartition("]")
    if bracket and field:
        yield variant + bracket
    if path:
        yield ""
