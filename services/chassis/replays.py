"""Calls that were answered before, which get the same answer again and do nothing.

On PostgreSQL, to look for the calls of a group takes a twentieth of the time of all that is done
for them, and hardly any came before. So nobody looks: where an answer is to be remembered that is
there already, or a call is refused, it turns out. Where some came again, more are likely to, and
for a while all are looked for before anything is decided.
"""

import time
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from services.chassis.errors import DomainError
from services.chassis.plumbing import Plumbing
from services.chassis.queue import Job

EXPECTED_GROUPS = 100
"""For so many groups behind one in which a call came again, all are looked for."""


class RepeatedError(Exception):
    """A call that was decided was answered before: nothing of its group may stay."""


class Replays:
    """Answers that one service remembers."""

    def __init__(self, plumbing: Plumbing) -> None:
        self._plumbing = plumbing
        self._expected = 0

    def expected(self) -> bool:
        """Whether to look for calls that were answered before, before anything is decided. Asked
        once for each group.
        """
        expected = self._expected > 0
        self._expected -= expected
        return expected

    def answer(
        self, connection: Connection, jobs: Iterable[Job], repeats: dict[Job, Job]
    ) -> set[Job]:
        """Answers those of these calls that were answered before, and takes `repeats` of them out,
        answered too; returns the calls.
        """
        asked = {job.key: job for job in jobs if job.digest}
        known = self._plumbing.answers(connection, list(asked)) if asked else {}
        if known:
            self._expected = EXPECTED_GROUPS
        found = {asked[key] for key in known}
        again = {job for job in repeats if job.key in known}
        for job in found | again:
            _settle(job, *known[job.key])
        for job in again:
            del repeats[job]
        return found

    def remember(self, connection: Connection, jobs: Iterable[Job], now: datetime) -> None:
        """Remembers the answers of calls that have one.

        Raises:
            IntegrityError: one is remembered already; where this is `together` with more, it is
                raised at the end of that.
        """
        rows = [
            (*job.key, job.digest, job.call.answer, now)
            for job in jobs
            if job.digest and job.call.answer is not None
        ]
        if rows:
            self._plumbing.remember(connection, rows)


def begun(jobs: Sequence[Job]) -> tuple[list[Job], dict[Job, Job]]:
    """The calls of a group that are to be decided, anew; those that came too late have their error.
    Then those that repeat one of these, each with the one that it repeats.
    """
    first: dict[tuple[str, str, str], Job] = {}
    found, repeats = [], {}
    now = time.monotonic()
    for job in jobs:
        job.call.answer = job.call.error = None
        if job.call.deadline_s < now:
            job.call.error = DomainError("DEADLINE_PASSED", "not begun before its deadline")
        elif job.digest and (earlier := first.setdefault(job.key, job)) is not job:
            repeats[job] = earlier
        else:
            found.append(job)
    return found, repeats


def repeat(job: Job, first: Job) -> None:
    """Answers a call as the one of its group that it repeats."""
    if first.call.answer is None and first.digest == job.digest:
        job.call.error = first.call.error
    else:
        _settle(job, first.digest, first.call.answer or b"")


def _settle(job: Job, digest: bytes, answer: bytes) -> None:
    """Answers a call as its request id was answered before, if it is the same call."""
    if digest == job.digest:
        job.call.answer, job.call.error = answer, None
        return
    job.call.error = DomainError(
        "REQUEST_ID_REUSED",
        f"request_id {job.call.request_id!r} came before with another body; use a new id for a new"
        " change",
        field="request_id",
        request_id=job.call.request_id,
    )
