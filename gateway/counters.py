"""What the vendor half of the gateway counts, for Prometheus."""

from prometheus_client import Counter

WEBHOOKS = Counter(
    "tillbridge_webhooks_total", "Webhooks answered", ["platform", "type", "outcome"]
)
QUARANTINED = Counter(
    "tillbridge_quarantined_total",
    "Records of a platform that were put aside because they make no sense",
    ["platform", "record"],
)
PLATFORM_CALLS = Counter(
    "tillbridge_platform_calls_total", "Calls to a platform's API", ["platform", "method", "status"]
)
STORE_WRITES = Counter(
    "tillbridge_store_writes_total", "Writes to an online store", ["kind", "outcome"]
)
