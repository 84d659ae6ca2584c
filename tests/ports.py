"""Ports for processes that are told theirs before they start.

They lie below those that Linux hands out by itself (`ip_local_port_range`), and each worker of
pytest-xdist has its own: until a process has bound the port that it was told, no other test's
server can come by it, and be taken for it.
"""

import os
import socket
from collections.abc import Iterable, Iterator
from itertools import cycle

_FIRST = 10_000
_EACH = 4_000
"""How many a worker has: five workers reach up to 30,000."""


def _of_this_worker() -> Iterator[int]:
    """A worker's ports, one after the other, so that one is given anew as late as can be."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    start = _FIRST + worker % 5 * _EACH
    turn = os.getpid() % _EACH  # what runs beside a suite, such as a benchmark, begins elsewhere
    return cycle([*range(start + turn, start + _EACH), *range(start, start + turn)])


_PORTS = _of_this_worker()


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    return next(port for port in _PORTS if is_free(port))


def is_free(port: int) -> bool:
    """Whether nobody listens on a port of this machine."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(names: Iterable[str]) -> dict[str, int]:
    """A free port of this machine for each name."""
    return {name: free_port() for name in names}
