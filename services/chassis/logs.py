"""One JSON line per call, with secrets taken out last."""

import json
import logging
import sys
from functools import lru_cache
from typing import Any

import structlog

_SECRET = ("token", "secret", "authorization", "password", "email", "key")


def _redact(_logger: object, _method: str, event: structlog.typing.EventDict) -> Any:
    """Hides values whose name says that they are secret or personal."""
    for name in event:
        if _is_secret(name):
            event[name] = "[redacted]"
    return event


@lru_cache(maxsize=1000)
def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET)


_encode = json.JSONEncoder(default=repr).encode


def _json(event: structlog.typing.EventDict, **_options: Any) -> str:
    """The event as JSON; json.dumps would build an encoder for every line."""
    return _encode(event)


def configure(service: str, level: str) -> None:
    """Sends this process's log to standard error as JSON lines, each naming the service."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _redact,
            structlog.processors.JSONRenderer(_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
