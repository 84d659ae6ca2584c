"""Prometheus metrics of a process."""

from prometheus_client import Counter, Gauge, Histogram, start_http_server

CALLS = Counter("tillbridge_calls_total", "Calls answered", ["method", "code"])
SECONDS = Histogram(
    "tillbridge_call_seconds",
    "Time from a call's arrival to its answer",
    ["method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IN_FLIGHT = Gauge("tillbridge_calls_in_flight", "Calls being answered now")
GROUP = Histogram(
    "tillbridge_group_commit_calls",
    "Calls that shared one transaction",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
DEAD_LETTERS = Gauge(
    "tillbridge_dead_letters",
    "Events that a consumer failed to handle and that wait for an operator",
    ["feed", "consumer"],
)
FOLLOW_LAG = Gauge("tillbridge_follow_lag_events", "Events not yet seen by a follower", ["feed"])


def serve(host: str, port: int) -> None:
    """Shows the metrics over HTTP, from a thread of their own."""
    start_http_server(port, addr=host)
