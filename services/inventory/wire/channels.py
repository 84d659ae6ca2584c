"""Outlets, registers, channels and connections on the wire."""

from datetime import datetime
from typing import Any

from services.chassis.sealing import Sealer
from services.inventory.rules.channels import Channel, Outlet, Register
from services.inventory.wire.stock import time
from tillbridge.inventory.v1 import channels_pb2 as pb


def outlet(value: Outlet, create_time: datetime) -> pb.Outlet:
    """An outlet."""
    return pb.Outlet(
        outlet_id=value.outlet_id,
        display_name=value.display_name,
        create_time=time(create_time),
    )


def register(value: Register, create_time: datetime) -> pb.Register:
    """A register."""
    return pb.Register(
        register_id=value.register_id,
        display_name=value.display_name,
        outlet_id=value.outlet_id,
        create_time=time(create_time),
    )


def channel(value: Channel, create_time: datetime) -> pb.Channel:
    """A channel."""
    policies = value.policies
    return pb.Channel(
        channel_id=value.channel_id,
        display_name=value.display_name,
        profile=pb.Profile.ValueType(value.profile),
        policies=pb.ChannelPolicies(
            outlets=pb.OutletPolicy.ValueType(policies.outlets),
            allocation=pb.AllocationPolicy.ValueType(policies.allocation),
            posting=pb.PostingPolicy.ValueType(policies.posting),
            fulfillment=pb.FulfillmentPolicy.ValueType(policies.fulfillment),
            out_of_stock_label=policies.out_of_stock_label,
            external_pos=value.external_pos,
        ),
        register_id=value.register_id,
        register_outlet_id=value.register_outlet_id,
        primary_outlet_id=value.primary_outlet_id,
        connected_outlet_ids=value.connected_outlet_ids,
        locked_outlet_id=value.locked_outlet_id,
        create_time=time(create_time),
    )


def connection_row(
    merchant: str, channel_id: str, value: pb.Connection, sealer: Sealer
) -> dict[str, Any]:
    """A row of `connections`, its secrets sealed."""
    return {
        "merchant_id": merchant,
        "channel_id": channel_id,
        "side": value.side,
        "platform": value.platform,
        "base_url": value.base_url,
        "account": value.account,
        "access_token": sealer.seal(value.access_token),
        "webhook_secret": sealer.seal(value.webhook_secret),
    }


def connection(row: Any, sealer: Sealer) -> pb.Connection:
    """A connection with its secrets opened, for role `service` alone."""
    return pb.Connection(
        merchant_id=row.merchant_id,
        channel_id=row.channel_id,
        side=row.side,
        platform=row.platform,
        base_url=row.base_url,
        account=row.account,
        access_token=sealer.open(row.access_token),
        webhook_secret=sealer.open(row.webhook_secret),
    )
