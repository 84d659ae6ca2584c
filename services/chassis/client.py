"""Calling a service: channels, identity, deadlines."""

import json
from datetime import timedelta
from functools import cached_property

import grpc

from services.chassis.auth import MERCHANT_KEY, Tokens

TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 256 * 1024 * 1024
"""Answers come from our own services, and a page of long descriptions may exceed gRPC's 4 MiB:
whoever follows or pages would then stand still at it for good.
"""

_RETRY = {
    "methodConfig": [
        {
            # Every mutation carries a request_id and every other call only reads: a call that did
            # not reach the server may always be sent again.
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.05s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
    "loadBalancingConfig": [{"round_robin": {}}],
}

Metadata = tuple[tuple[str, str], ...]


def connect(address: str) -> grpc.aio.Channel:
    """A channel to `host:port`; it connects by itself, also when the server comes later."""
    return grpc.aio.insecure_channel(
        address,
        options=[
            ("grpc.service_config", json.dumps(_RETRY)),
            ("grpc.max_receive_message_length", ANSWER_BYTES_MAX),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.max_reconnect_backoff_ms", 1_000),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
        ],
    )


class Identity:
    """Who this process is when it calls others: role `service`, for any merchant."""

    def __init__(self, tokens: Tokens, subject: str) -> None:
        self._tokens = tokens
        self._subject = subject

    @cached_property
    def _token(self) -> str:
        return self._tokens.issue(self._subject, "", ["service"], timedelta(days=3650))

    def metadata(self, merchant: str = "") -> Metadata:
        """Metadata of a call for `merchant`; without one, for the calls that need none."""
        base = (("authorization", f"Bearer {self._token}"),)
        return (*base, (MERCHANT_KEY, merchant)) if merchant else base
