"""Calling a platform's HTTP API: within its rate limit, with retries, nothing unlimited."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import stamina
import structlog

from gateway.counters import PLATFORM_CALLS
from gateway.records import parse_json

ATTEMPTS_MAX = 4
RETRIES_S_MAX = 20.0
RETRY_AFTER_S_MAX = 15.0
"""A platform that asks for a longer pause gets it from whoever asked for the call."""

RESPONSE_BYTES_MAX = 16 * 1024 * 1024
CONNECT_S_MAX = 3.0
ANSWER_S_MAX = 15.0
CONNECTIONS_MAX = 16
RESERVED_SHARE = 0.2
"""Part of a rate limit that only urgent calls may use."""

SLOW_WAIT_S = 1.0
"""A call that has to wait longer than this for the rate limit is worth a line in the log."""

USER_AGENT = "Tillbridge/0.1 (+https://github.com/tillbridge)"

log = structlog.get_logger()

Query = Mapping[str, str | int]


class PlatformError(Exception):
    """A platform did not do what it was asked.

    Attributes:
        platform: its name.
        status: HTTP status of its answer; 0 when there was none.
        code: its own error code; empty when it gave none.
        transient: whether the same call may pass later.
        untouched: whether the call certainly had no effect, so that even a creation may be sent
            again.
        retry_after_s: how long it asked to wait; 0 when it did not.
        answer: what it said, the same of whatever it was asked; empty when it said nothing.
    """

    def __init__(
        self,
        platform: str,
        message: str,
        *,
        status: int = 0,
        code: str = "",
        transient: bool = False,
        untouched: bool = False,
        retry_after_s: float = 0,
        answer: str = "",
    ) -> None:
        super().__init__(message)
        self.platform = platform
        self.status = status
        self.code = code
        self.transient = transient
        self.untouched = untouched
        self.retry_after_s = retry_after_s
        self.answer = answer


class Bucket:
    """A token bucket: how many calls may be made now.

    Args:
        calls: how many calls fit into the window; also how many may come at once.
        window_s: the window, in seconds.
        clock: seconds, monotonic.
    """

    def __init__(
        self, calls: float, window_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._window_s = window_s
        self._clock = clock
        self._size = calls
        self._level = calls
        self._filled_s = clock()
        self._paused_until_s = 0.0

    async def take(self, *, urgent: bool = False) -> None:
        """Waits until there is room for a call. Urgent ones may use the reserve."""
        wait_s = self.wait_s(urgent=urgent)
        while wait_s > 0:
            await asyncio.sleep(wait_s)
            wait_s = self.wait_s(urgent=urgent)
        self._level -= 1

    def wait_s(self, *, urgent: bool = False) -> float:
        """How long to wait for room; 0 when there is some."""
        now = self._clock()
        rate = self._size / self._window_s
        self._level = min(self._size, self._level + (now - self._filled_s) * rate)
        self._filled_s = now
        if now < self._paused_until_s:
            return self._paused_until_s - now
        floor = 0.0 if urgent else self._size * RESERVED_SHARE
        return max(0.0, (floor + 1 - self._level) / rate)

    def pause(self, seconds: float) -> None:
        """Lets no call through for so long."""
        self._paused_until_s = max(self._paused_until_s, self._clock() + seconds)

    def resize(self, calls: float) -> None:
        """Takes over the limit that the platform told."""
        self._level += max(0.0, calls - self._size)
        self._size = calls


class PlatformClient:
    """Calls to one account of one platform.

    Args:
        platform: its name, for logs and metrics.
        base_url: where its API is.
        headers: what every call carries, such as the token.
        bucket: its rate limit.
        error_of: reads `(code, message)` out of an error body of the platform.
    """

    def __init__(
        self,
        platform: str,
        base_url: str,
        headers: Mapping[str, str],
        bucket: Bucket,
        error_of: Callable[[Any], tuple[str, str]],
    ) -> None:
        self.platform = platform
        self.bucket = bucket
        self._error_of = error_of
        # Redirects are not followed: another host must not see the token. trust_env is off so that
        # no proxy of the environment sees it either.
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={"User-Agent": USER_AGENT, "Accept": "application/json", **headers},
            timeout=httpx.Timeout(ANSWER_S_MAX, connect=CONNECT_S_MAX),
            limits=httpx.Limits(
                max_connections=CONNECTIONS_MAX,
                max_keepalive_connections=CONNECTIONS_MAX,
                keepalive_expiry=60,
            ),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def text(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        repeatable: bool = True,
        urgent: bool = False,
    ) -> str:
        """Makes a call and returns the body of its answer.

        Args:
            method: HTTP method.
            path: below the base address.
            query: parameters.
            body: sent as JSON unless None.
            repeatable: whether the call may be sent twice; else it is only sent again when it
                certainly had no effect.
            urgent: whether it may use the reserve of the rate limit.

        Raises:
            PlatformError: the platform refused, or could not be reached after several attempts.
        """

        def again(error: Exception) -> bool | float:
            if not isinstance(error, PlatformError) or not error.transient:
                return False
            if not (repeatable or error.untouched) or error.retry_after_s > RETRY_AFTER_S_MAX:
                return False
            return error.retry_after_s or True

        async for attempt in stamina.retry_context(
            on=again,
            attempts=ATTEMPTS_MAX,
            timeout=RETRIES_S_MAX,
            wait_initial=0.05,
            wait_max=2.0,
            wait_jitter=0.1,
        ):
            with attempt:
                return await self._once(method, path, query, body, urgent)
        raise AssertionError("stamina either returns or raises")

    async def json(self, method: str, path: str, **rest: Any) -> Any:
        """As `text`, with the body read as JSON with exact decimals.

        Raises:
            PlatformError: as `text`, or the body is no JSON.
        """
        body = await self.text(method, path, **rest)
        try:
            return parse_json(body) if body.strip() else None
        except ValueError as error:
            raise PlatformError(
                self.platform, f"{method} {path} answered no JSON: {error}", transient=True
            ) from error

    async def _once(
        self, method: str, path: str, query: Query | None, body: Any, urgent: bool
    ) -> str:
        wait_s = self.bucket.wait_s(urgent=urgent)
        if wait_s > SLOW_WAIT_S:
            log.warning("rate limit reached", platform=self.platform, wait_s=round(wait_s, 1))
        await self.bucket.take(urgent=urgent)
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            async with self._http.stream(
                method, path, params=query, content=content, headers=headers
            ) as response:
                text = await self._read(response)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            PLATFORM_CALLS.labels(self.platform, method, type(error).__name__).inc()
            raise PlatformError(
                self.platform,
                f"{method} {path}: {type(error).__name__}",
                transient=True,
                untouched=isinstance(error, httpx.ConnectError | httpx.ConnectTimeout),
            ) from error
        PLATFORM_CALLS.labels(self.platform, method, str(response.status_code)).inc()
        self._heed_limit(response)
        if response.is_success:
            return text
        raise self._refusal(response, method, path, text)

    async def _read(self, response: httpx.Response) -> str:
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > RESPONSE_BYTES_MAX:
                raise PlatformError(
                    self.platform,
                    f"{response.request.method} {response.request.url.path} answered more than "
                    f"{RESPONSE_BYTES_MAX} bytes",
                )
            chunks.append(chunk)
        return b"".join(chunks).decode("utf-8", errors="replace")

    def _heed_limit(self, response: httpx.Response) -> None:
        limit = response.headers.get("X-RateLimit-Limit", "")
        if limit.isascii() and limit.isdigit() and 0 < int(limit) < 10**6:
            self.bucket.resize(int(limit))

    def _refusal(
        self, response: httpx.Response, method: str, path: str, text: str
    ) -> PlatformError:
        status = response.status_code
        wait_s = retry_after_s(response.headers.get("Retry-After", ""), datetime.now(UTC))
        if status == httpx.codes.TOO_MANY_REQUESTS:
            wait_s = wait_s or 1.0
            self.bucket.pause(min(wait_s, RETRY_AFTER_S_MAX))
        try:
            code, message = self._error_of(parse_json(text))
        except ValueError:
            code, message = "", text[:200]
        answer = f"{status} {code} {message}".strip()
        return PlatformError(
            self.platform,
            f"{method} {path} answered {answer}",
            status=status,
            code=code,
            transient=status in (408, 429) or status >= httpx.codes.INTERNAL_SERVER_ERROR,
            untouched=status == httpx.codes.TOO_MANY_REQUESTS,
            retry_after_s=wait_s,
            answer=answer,
        )


def retry_after_s(value: str, now: datetime) -> float:
    """Seconds to wait by a `Retry-After` header, which is a number of seconds or an HTTP date.

    0 when there is none, or it lies in the past or is neither.
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(min(int(value), 10**6))
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
