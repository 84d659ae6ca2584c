"""Whether stock is what its ledger says: what `tillbridge check` does."""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from uuid import uuid4

import grpc

from services.chassis.auth import Tokens
from services.chassis.settings import Settings
from tillbridge.inventory.v1 import audit_pb2
from tillbridge.inventory.v1.audit_pb2_grpc import AuditServiceStub

TIMEOUT_S = 60.0

_WHAT = {
    audit_pb2.FINDING_KIND_LEVEL: "on hand",
    audit_pb2.FINDING_KIND_RESERVED: "reserved",
    audit_pb2.FINDING_KIND_ONLINE_STOCK: "online stock",
    audit_pb2.FINDING_KIND_IN_TRANSIT: "in transit",
}


def check_stock(settings: Settings, merchant: str, *, repair: bool) -> Iterator[audit_pb2.Finding]:
    """What is wrong with a merchant's stock, by item; with `repair` it is set right meanwhile.

    Raises:
        grpc.RpcError: the inventory service cannot be reached.
    """
    issuer = Tokens(settings.signing_key)
    token = issuer.issue("check", merchant, ["operator"], timedelta(hours=1))
    metadata = (("authorization", f"Bearer {token}"),)
    with grpc.insecure_channel(settings.address("inventory")) as channel:
        stub = AuditServiceStub(channel)
        page = audit_pb2.CheckStockRequest(repair=repair)
        while True:
            page.request_id = uuid4().hex
            answer = stub.CheckStock(page, metadata=metadata, timeout=TIMEOUT_S)
            yield from answer.findings
            if not answer.next_page_token:
                return
            page.page_token = answer.next_page_token


def line(finding: audit_pb2.Finding) -> str:
    """A finding in words."""
    where = f"at {finding.outlet_id}" if finding.outlet_id else f"in channel {finding.channel_id}"
    done = "now" if finding.repaired else "should be"
    return (
        f"{finding.item_id} {where}: {_WHAT[finding.kind]} is {finding.kept}, {done}"
        f" {finding.expected}"
    )


def run(
    settings: Settings,
    merchant: str,
    *,
    repair: bool,
    agree: Callable[[int], bool],
    say: Callable[[str], None],
) -> bool:
    """Checks, and repairs once `agree` says yes to so many findings; tells whether all is right."""
    found = _tell(check_stock(settings, merchant, repair=False), say)
    if not found:
        say("stock is what its ledger says")
        return True
    say(f"{found} differ")
    if not repair or not agree(found):
        return False
    say(f"{_tell(check_stock(settings, merchant, repair=True), say)} were set right")
    return True


def _tell(findings: Iterable[audit_pb2.Finding], say: Callable[[str], None]) -> int:
    count = 0
    for finding in findings:
        say(line(finding))
        count += 1
    return count
