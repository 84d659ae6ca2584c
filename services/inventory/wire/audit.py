"""Incidents, findings, and what waits for an operator, on the wire."""

from collections.abc import Sequence

from services.inventory.rules.checks import Finding
from services.inventory.rules.incidents import Hit, Incident
from services.inventory.rules.stock import text
from services.inventory.wire.stock import time
from tillbridge.inventory.v1 import audit_pb2 as pb


def incident(value: Incident, missing: int, hits: Sequence[Hit]) -> pb.Incident:
    """An incident, with what is missing now and whom it hits."""
    return pb.Incident(
        incident_id=value.incident_id,
        item_id=value.item_id,
        outlet_id=value.outlet_id,
        missing=text(missing),
        cause=value.cause,
        orders=[
            pb.HitOrder(
                reservation_id=hit.promise.reservation_id,
                cause=hit.promise.cause,
                quantity=text(hit.quantity),
                proposals=[
                    pb.Proposal(
                        kind=pb.ProposalKind.ValueType(one.kind),
                        outlet_id=one.outlet_id,
                        text=one.text,
                    )
                    for one in hit.proposals
                ],
            )
            for hit in hits
        ],
        state=pb.IncidentState.ValueType(value.state),
        create_time=time(value.create_time),
        end_time=time(value.end_time),
    )


def finding(value: Finding, *, repaired: bool) -> pb.Finding:
    """What CheckStock has found."""
    return pb.Finding(
        kind=pb.FindingKind.ValueType(value.kind),
        item_id=value.item_id,
        outlet_id=value.outlet_id,
        channel_id=value.channel_id,
        kept=value.kept,
        expected=value.expected,
        repaired=repaired,
    )
