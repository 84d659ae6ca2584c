"""Provenance as text: the sources as JSON, each once, with the paths of what it brought."""

import json
from datetime import datetime
from functools import lru_cache

from services.catalog.rules.provenance import Provenance, Source


def packed(provenance: Provenance) -> str:
    """To the database."""
    if len(provenance) == 1 and "" in provenance:
        return _from_one(provenance[""])
    return _packed(provenance)


@lru_cache(maxsize=256)
def _from_one(source: Source) -> str:
    """Of what came as a whole, as nearly everything does; the products of a call share it."""
    return _packed({"": source})


def _packed(provenance: Provenance) -> str:
    paths: dict[Source, list[str]] = {}
    for path, source in provenance.items():
        paths.setdefault(source, []).append(path)
    return json.dumps(
        [
            [source.cause, source.request_id, source.observe_time.isoformat(), *listed]
            for source, listed in paths.items()
        ],
        ensure_ascii=False,
        separators=(",", ":"),
    )


def unpacked(text: str) -> Provenance:
    """From the database."""
    if text == "[]":
        return {}
    return {
        path: Source(cause, request_id, datetime.fromisoformat(time))
        for cause, request_id, time, *listed in json.loads(text)
        for path in listed
    }
