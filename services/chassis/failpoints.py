"""Named places where a process dies on demand, to prove that it may die at any of them.

`TILLBRIDGE_CRASH_AT=commit.done` kills the process, as SIGKILL does, when it passes that point for
the first time; `commit.done:3` for the third. Unset, a point costs one comparison. Whoever starts
the process again with the same setting has it die again: this is for tests, and for operators who
want to see it.
"""

import os
import signal
import sys
from collections.abc import Mapping
from itertools import count

VARIABLE = "TILLBRIDGE_CRASH_AT"

POINTS: Mapping[str, str] = {
    "migrate.ready": "Migrations have run, and are not committed.",
    "migrate.done": "Migrations are committed; the process does not serve yet.",
    "commit.begin": "A group of calls has its transaction; nothing is written.",
    "commit.handled": "Its calls have written; their answers are not remembered yet.",
    "commit.remembered": "Their answers are remembered; their events are not in the outbox yet.",
    "commit.ready": "All is written, the outbox too, and nothing is committed.",
    "commit.done": "All is committed; nobody has been answered, and no reader woken.",
    "answer.ready": "An RPC has its answer; nothing of it was sent.",
    "follow.read": "A follower has read events, and handled none.",
    "follow.handled": "It has handled them; the owner of the feed does not know.",
    "follow.acknowledged": "The owner knows; the next events are not asked for.",
    "forget.some": "Some of the old remembered answers are forgotten, others not.",
    "prune.some": "Some of the old events are forgotten, others not.",
    "expiry.due": "Holds whose time is up are found; none has ended.",
    "order.taken": "A run of an order is leased; nothing of it is done.",
    "order.step.due": "What a step will ask for is noted; the other service is not asked yet.",
    "order.step.done": "The other service has done it; the order does not know.",
    "sale.taken": "The stock of a till's sale is taken; the sale does not know.",
    "bridge.answered": "A service has done what was asked over HTTP; its caller has no answer.",
    "webhook.read": "A webhook is believed; its owner has not been told.",
    "webhook.taken": "Its owner has it; the platform has no answer, and will send it again.",
    "lease.taken": "The lease to write to a channel's platforms is held; no work has begun.",
    "push.stock.due": "A figure was read for a store, and is not written there.",
    "push.stock.written": "It is written there; its event is not acknowledged.",
    "push.listing.written": "A listing is in its store; the catalog does not know.",
    "push.order.fetched": "An order was read from its store; the order service has no document.",
    "push.sale.posted": "A sale is in the point of sale; the order service does not know.",
    "poll.taken": "A page of a platform's list has its owners; the place to go on is not kept.",
    "poll.kept": "The place to go on is kept; the next page is not read.",
    "import.sent": "The catalog has taken a batch of an import; the importer does not know.",
}
"""Every point, and what is true there."""


class Failpoint:
    """The point at which this process dies, if at any.

    Args:
        setting: what TILLBRIDGE_CRASH_AT says: nothing, `<point>` or `<point>:<n>`.

    Raises:
        ValueError: there is no such point.
    """

    def __init__(self, setting: str) -> None:
        self.point, _, number = setting.partition(":")
        if self.point and self.point not in POINTS:
            raise ValueError(f"{VARIABLE}: no point {self.point!r}; there are {', '.join(POINTS)}")
        self._last = int(number or 1)
        self._passes = count(1)  # its next() is atomic: several threads may pass

    def passed(self) -> None:
        """Dies, if it is time."""
        if next(self._passes) == self._last:
            sys.stderr.write(f"dying at {self.point}\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)


_failpoint = Failpoint(os.environ.get(VARIABLE, ""))


def arm(setting: str) -> None:
    """Has this process die where the setting says, from now on.

    Raises:
        ValueError: there is no such point.
    """
    global _failpoint  # noqa: PLW0603  (a process dies at one point)
    _failpoint = Failpoint(setting)


def at(point: str) -> None:
    """Says that the process is at a point; it dies here if it was told to."""
    if point == _failpoint.point:
        _failpoint.passed()
