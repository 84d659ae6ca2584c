"""docker-compose.yml without Docker: checked against the specification, interpolated, in order."""

import re
from collections.abc import Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from compose_spec import PyOptions

from tests.flows.stack import KEY

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
SECRETS = {"TILLBRIDGE_TOKEN_KEY": KEY, "TILLBRIDGE_DATABASE_PASSWORD": "d4t4b4se"}
"""What it cannot do without."""
_REFERENCE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?::(?P<sign>[-?])(?P<text>[^}]*))?\}")

Service = Mapping[str, Any]


def interpolated(text: str, environment: Mapping[str, str]) -> str:
    """The file with its `${NAME:-default}` and `${NAME:?message}` filled in, as Compose does.

    Raises:
        ValueError: a required one is missing; says the file's own message.
    """

    def fill(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        value = environment.get(found["name"], "")
        if not value and found["sign"] == "?":
            raise ValueError(f"{found['name']}: {found['text']}")
        return value or found["text"] or ""

    return _REFERENCE.sub(fill, text)


def load(environment: Mapping[str, str], text: str | None = None) -> dict[str, Any]:
    """What the file says, its merges and references resolved.

    Raises:
        ValueError: it is not what the Compose specification allows, or a reference is missing.
    """
    text = FILE.read_text() if text is None else text
    parsed = PyOptions(apply_merge=True).from_yaml(interpolated(text, environment))
    found: dict[str, Any] = parsed.to_dict()
    return found


def start_order(services: Mapping[str, Service]) -> list[str]:
    """The names of all services, each after those it depends on."""
    waits_for = {name: sorted(service.get("depends_on", {})) for name, service in services.items()}
    return list(TopologicalSorter(waits_for).static_order())
