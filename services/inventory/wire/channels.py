"""Outlets, registers, channels and connections on the wire."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from services.chassis.errors import invalid
from services.chassis.sealing import Sealer
from services.inventory.rules.admission import StoreTerms
from services.inventory.rules.channels import (
    AllocationPolicy,
    AvailabilityMode,
    Channel,
    KnownOutlet,
    Register,
)
from services.inventory.rules.stock import text
from services.inventory.wire.stock import quantity, time
from tillbridge.inventory.v1 import channels_pb2 as pb


def outlet(known: KnownOutlet) -> pb.Outlet:
    """An outlet."""
    return pb.Outlet(
        outlet_id=known.outlet.outlet_id,
        display_name=known.outlet.display_name,
        create_time=time(known.create_time),
        cause=known.cause,
        sync_time=time(known.sync_time),
    )


def register(value: Register, create_time: datetime) -> pb.Register:
    """A register."""
    return pb.Register(
        register_id=value.register_id,
        display_name=value.display_name,
        outlet_id=value.outlet_id,
        create_time=time(create_time),
    )


def _allocation(told: pb.ChannelPolicies) -> AllocationPolicy:
    try:
        return AllocationPolicy(told.allocation)
    except ValueError as error:
        raise invalid("channel.policies.allocation", "must be a known policy") from error


def _mode(told: pb.AvailabilityMode.ValueType) -> AvailabilityMode:
    return AvailabilityMode(told or AvailabilityMode.ALLOW_ALL)


def _mode_told(mode: AvailabilityMode) -> pb.AvailabilityMode.ValueType:
    return pb.AvailabilityMode.ValueType(mode)


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
            update_inventory=policies.update_inventory,
            accept_store_stock_edits=policies.accept_store_stock_edits,
            silent_after_s=policies.silent_after_s,
            silent_quantity=text(policies.silent_quantity),
            post_sales=policies.post_sales,
            shipping_availability=_mode_told(policies.shipping_availability),
            delivery_availability=_mode_told(policies.delivery_availability),
            pickup_availability=_mode_told(policies.pickup_availability),
            disconnected_methods=pb.DisconnectedMethods.ValueType(policies.disconnected_methods),
        ),
        register_id=value.register_id,
        register_outlet_id=value.register_outlet_id,
        primary_outlet_id=value.primary_outlet_id,
        connected_outlet_ids=value.connected_outlet_ids,
        locked_outlet_id=value.locked_outlet_id,
        create_time=time(create_time),
        draining_outlet_ids=value.draining_outlet_ids,
        silent_outlet_ids=value.silent_outlet_ids,
    )


POLICIES: Mapping[str, Callable[[pb.ChannelPolicies], Any]] = {
    "out_of_stock_label": lambda told: told.out_of_stock_label,
    "allocation": _allocation,
    "update_inventory": lambda told: told.update_inventory,
    "accept_store_stock_edits": lambda told: told.accept_store_stock_edits,
    "silent_after_s": lambda told: told.silent_after_s,
    "silent_quantity": lambda told: quantity(told.silent_quantity or "0"),
    "post_sales": lambda told: told.post_sales,
    "shipping_availability": lambda told: _mode(told.shipping_availability),
    "delivery_availability": lambda told: _mode(told.delivery_availability),
    "pickup_availability": lambda told: _mode(told.pickup_availability),
}
"""The policies that may change, and how each is read."""


def store_terms(request: pb.CreateChannelRequest) -> StoreTerms:
    """What the caller knows of the store's plan and origin."""
    known, told = request.HasField("plan_includes_ecom"), request.HasField("store_create_time")
    return StoreTerms(
        plan=request.plan,
        includes_ecom=request.plan_includes_ecom if known else None,
        by_ecom_app=request.store_created_by_ecom_app,
        create_time=request.store_create_time.ToDatetime(UTC) if told else None,
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
