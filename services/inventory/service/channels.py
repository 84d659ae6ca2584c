"""Outlets, registers and channels, and what the gateway has to remember about a channel."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from services.chassis import pages
from services.chassis.database import Call, Transaction
from services.chassis.errors import DomainError, invalid
from services.chassis.rpc import View, any_merchant, command_each, query
from services.chassis.sealing import Sealer
from services.inventory.rules import channels as rules
from services.inventory.rules.stock import UNIT, Online
from services.inventory.store import channels as store
from services.inventory.store import stock as stock_store
from services.inventory.wire import channels as wire
from services.inventory.wire.stock import online_stock_changed, time
from tillbridge.inventory.v1 import channels_pb2 as pb
from tillbridge.inventory.v1 import events_pb2

UPDATABLE = ("display_name", "policies.out_of_stock_label")


class ChannelService:
    """Serves `tillbridge.inventory.v1.ChannelService`."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    @command_each
    def create_outlet(
        self, transaction: Transaction, call: Call[pb.CreateOutletRequest, pb.CreateOutletResponse]
    ) -> pb.CreateOutletResponse:
        """Creates an outlet under the point of sale's id."""
        connection, told = transaction.connection, call.request.outlet
        outlet = rules.Outlet(told.outlet_id, told.display_name)
        create_time = transaction.now
        for known, known_time in store.load_outlets(connection, call.merchant):
            if known == outlet:
                create_time = known_time
                break
            if known.outlet_id == outlet.outlet_id:
                raise DomainError(
                    "OUTLET_EXISTS",
                    f"outlet {known.outlet_id!r} exists as {known.display_name!r}",
                    field="outlet.outlet_id",
                )
        else:
            store.insert_outlet(connection, call.merchant, outlet, transaction.now)
        return pb.CreateOutletResponse(outlet=wire.outlet(outlet, create_time))

    @query
    def list_outlets(self, view: View, request: pb.ListOutletsRequest) -> pb.ListOutletsResponse:
        """Lists outlets by id."""
        (after,) = pages.key_before(request, str) or ("",)
        size = pages.page_size(request)
        found = store.load_outlets(view.connection, view.merchant, after, size + 1)
        answer = pb.ListOutletsResponse(outlets=[wire.outlet(*row) for row in found[:size]])
        if len(found) > size:
            answer.next_page_token = pages.token_after(request, answer.outlets[-1].outlet_id)
        return answer

    @command_each
    def create_register(
        self,
        transaction: Transaction,
        call: Call[pb.CreateRegisterRequest, pb.CreateRegisterResponse],
    ) -> pb.CreateRegisterResponse:
        """Creates a register at an outlet."""
        connection, told = transaction.connection, call.request.register
        store.check_outlets(connection, call.merchant, [told.outlet_id])
        register = rules.Register(told.register_id, told.display_name, told.outlet_id)
        create_time = transaction.now
        for known, known_time in store.load_registers(connection, call.merchant):
            if known == register:
                create_time = known_time
                break
            if known.register_id == register.register_id:
                raise DomainError(
                    "REGISTER_EXISTS",
                    f"register {known.register_id!r} exists as {known.display_name!r} at outlet"
                    f" {known.outlet_id!r}",
                    field="register.register_id",
                )
        else:
            store.insert_register(connection, call.merchant, register, transaction.now)
        return pb.CreateRegisterResponse(register=wire.register(register, create_time))

    @query
    def list_registers(
        self, view: View, request: pb.ListRegistersRequest
    ) -> pb.ListRegistersResponse:
        """Lists registers by id."""
        (after,) = pages.key_before(request, str) or ("",)
        size = pages.page_size(request)
        found = store.load_registers(view.connection, view.merchant, after, size + 1)
        answer = pb.ListRegistersResponse(registers=[wire.register(*row) for row in found[:size]])
        if len(found) > size:
            answer.next_page_token = pages.token_after(request, answer.registers[-1].register_id)
        return answer

    @command_each
    def create_channel(
        self,
        transaction: Transaction,
        call: Call[pb.CreateChannelRequest, pb.CreateChannelResponse],
    ) -> pb.CreateChannelResponse:
        """Creates a channel with the policies of a profile."""
        request, connection = call.request, transaction.connection
        store.lock_channels(transaction, [call.merchant], shared=False)
        register = None
        if request.register_id:
            register = store.find_register(connection, call.merchant, request.register_id)
        named = [*request.connected_outlet_ids, request.primary_outlet_id]
        store.check_outlets(connection, call.merchant, filter(None, named))
        channel = rules.create(
            f"ch-{uuid4().hex[:20]}",
            request.display_name,
            rules.Profile(request.profile),
            register=register,
            primary_outlet_id=request.primary_outlet_id,
            wanted=request.connected_outlet_ids,
            external_pos=request.external_pos,
        )
        store.insert_channel(connection, call.merchant, channel, transaction.now)
        self._tell(transaction, call.merchant, channel, created=True)
        _recalculate(transaction, call.merchant, channel)
        return pb.CreateChannelResponse(channel=wire.channel(channel, transaction.now))

    @query
    def get_channel(self, view: View, request: pb.GetChannelRequest) -> pb.GetChannelResponse:
        """Returns one channel."""
        found = store.find_channel(view.connection, view.merchant, request.channel_id)
        return pb.GetChannelResponse(channel=wire.channel(*found))

    @query
    def list_channels(self, view: View, request: pb.ListChannelsRequest) -> pb.ListChannelsResponse:
        """Lists channels by id."""
        (after,) = pages.key_before(request, str) or ("",)
        size = pages.page_size(request)
        known = store.load_channels(view.connection, [view.merchant])[view.merchant]
        found = [row for row in known if row[0].channel_id > after]
        answer = pb.ListChannelsResponse(channels=[wire.channel(*row) for row in found[:size]])
        if len(found) > size:
            answer.next_page_token = pages.token_after(request, answer.channels[-1].channel_id)
        return answer

    @command_each
    def update_channel(
        self,
        transaction: Transaction,
        call: Call[pb.UpdateChannelRequest, pb.UpdateChannelResponse],
    ) -> pb.UpdateChannelResponse:
        """Changes the fields that the mask names."""
        told, paths = call.request.channel, list(call.request.update_mask.paths)
        if not paths or not set(paths) <= set(UPDATABLE):
            raise invalid("update_mask", f"name one or more of: {', '.join(UPDATABLE)}")
        channel, create_time = self._change(transaction, call.merchant, told.channel_id)
        if "display_name" in paths:
            if not told.display_name:
                raise invalid("channel.display_name", "must not be empty")
            channel = replace(channel, display_name=told.display_name)
        if "policies.out_of_stock_label" in paths:
            label = told.policies.out_of_stock_label
            policies = replace(channel.policies, out_of_stock_label=label)
            channel = replace(channel, policies=policies)
        store.update_channel(transaction.connection, call.merchant, channel)
        self._tell(transaction, call.merchant, channel)
        return pb.UpdateChannelResponse(channel=wire.channel(channel, create_time))

    @command_each
    def set_connected_outlets(
        self,
        transaction: Transaction,
        call: Call[pb.SetConnectedOutletsRequest, pb.SetConnectedOutletsResponse],
    ) -> pb.SetConnectedOutletsResponse:
        """Sets which outlets feed the channel, and recalculates all its figures."""
        request = call.request
        channel, create_time = self._change(transaction, call.merchant, request.channel_id)
        store.check_outlets(transaction.connection, call.merchant, request.outlet_ids)
        channel = rules.connect(channel, request.outlet_ids)
        changed = self._save(transaction, call.merchant, channel)
        return pb.SetConnectedOutletsResponse(
            channel=wire.channel(channel, create_time), changed_items=changed
        )

    @command_each
    def set_primary_outlet(
        self,
        transaction: Transaction,
        call: Call[pb.SetPrimaryOutletRequest, pb.SetPrimaryOutletResponse],
    ) -> pb.SetPrimaryOutletResponse:
        """Makes a connected outlet the primary one."""
        request = call.request
        channel, create_time = self._change(transaction, call.merchant, request.channel_id)
        channel = rules.set_primary(channel, request.outlet_id)
        self._save(transaction, call.merchant, channel)
        return pb.SetPrimaryOutletResponse(channel=wire.channel(channel, create_time))

    @command_each
    def set_register(
        self,
        transaction: Transaction,
        call: Call[pb.SetRegisterRequest, pb.SetRegisterResponse],
    ) -> pb.SetRegisterResponse:
        """Changes the register, and with it the locked outlet."""
        request = call.request
        channel, create_time = self._change(transaction, call.merchant, request.channel_id)
        register = store.find_register(transaction.connection, call.merchant, request.register_id)
        channel = rules.set_register(channel, register)
        changed = self._save(transaction, call.merchant, channel)
        return pb.SetRegisterResponse(
            channel=wire.channel(channel, create_time), changed_items=changed
        )

    @command_each
    def set_connection(
        self,
        transaction: Transaction,
        call: Call[pb.SetConnectionRequest, pb.SetConnectionResponse],
    ) -> pb.SetConnectionResponse:
        """Sets how the gateway reaches one side of a channel."""
        told, channel_id = call.request.connection, call.request.channel_id
        self._change(transaction, call.merchant, channel_id)
        row = wire.connection_row(call.merchant, channel_id, told, self._sealer)
        store.put_connection(transaction.connection, row)
        transaction.emit(
            call.merchant,
            f"channel/{channel_id}",
            events_pb2.ConnectionChanged(channel_id=channel_id),
            channel_id,
        )
        return pb.SetConnectionResponse(webhook_path=f"/webhooks/{told.platform}/{channel_id}")

    @any_merchant
    @query
    def list_connections(
        self, view: View, request: pb.ListConnectionsRequest
    ) -> pb.ListConnectionsResponse:
        """Lists connections with their secrets, of all merchants when the call names none."""
        rows = store.load_connections(view.connection, view.merchant, request.channel_id)
        if request.channel_id and not rows:
            raise DomainError(
                "CONNECTION_NOT_FOUND",
                f"nothing is connected as {request.channel_id!r}",
                channel_id=request.channel_id,
            )
        return pb.ListConnectionsResponse(
            connections=[wire.connection(row, self._sealer) for row in rows]
        )

    @command_each
    def acquire_lease(
        self,
        transaction: Transaction,
        call: Call[pb.AcquireLeaseRequest, pb.AcquireLeaseResponse],
    ) -> pb.AcquireLeaseResponse:
        """Takes or prolongs a lease."""
        request, connection = call.request, transaction.connection
        store.find_channel(connection, call.merchant, request.channel_id)
        now = store.database_now(connection, transaction.now)
        until = now + timedelta(milliseconds=request.duration_ms)
        held_until = store.acquire_lease(
            connection,
            call.merchant,
            request.channel_id,
            request.lease,
            request.holder,
            (now, until),
        )
        if held_until:
            raise DomainError(
                "LEASE_HELD",
                f"somebody else holds {request.lease!r} until {held_until.isoformat()}",
                lease=request.lease,
                expire_time=held_until.isoformat(),
            )
        return pb.AcquireLeaseResponse(expire_time=time(until))

    @command_each
    def set_poll_cursor(
        self,
        transaction: Transaction,
        call: Call[pb.SetPollCursorRequest, pb.SetPollCursorResponse],
    ) -> pb.SetPollCursorResponse:
        """Keeps how far polling has got."""
        request, connection = call.request, transaction.connection
        store.find_channel(connection, call.merchant, request.channel_id)
        store.put_poll_cursor(
            connection, call.merchant, request.channel_id, request.resource, request.cursor
        )
        return pb.SetPollCursorResponse()

    @query
    def get_poll_cursor(
        self, view: View, request: pb.GetPollCursorRequest
    ) -> pb.GetPollCursorResponse:
        """Returns how far polling has got."""
        store.find_channel(view.connection, view.merchant, request.channel_id)
        cursor = store.poll_cursor(
            view.connection, view.merchant, request.channel_id, request.resource
        )
        return pb.GetPollCursorResponse(cursor=cursor)

    def _change(
        self, transaction: Transaction, merchant: str, channel_id: str
    ) -> tuple[rules.Channel, Any]:
        """A channel that is about to change, held against all others."""
        store.lock_channels(transaction, [merchant], shared=False)
        return store.find_channel(transaction.connection, merchant, channel_id)

    def _save(self, transaction: Transaction, merchant: str, channel: rules.Channel) -> int:
        """Saves a channel and recalculates its figures; how many are different."""
        store.update_channel(transaction.connection, merchant, channel)
        self._tell(transaction, merchant, channel)
        return _recalculate(transaction, merchant, channel)

    def _tell(
        self,
        transaction: Transaction,
        merchant: str,
        channel: rules.Channel,
        *,
        created: bool = False,
    ) -> None:
        transaction.emit(
            merchant,
            f"channel/{channel.channel_id}",
            events_pb2.ChannelChanged(channel_id=channel.channel_id, created=created),
            channel.channel_id,
        )


def _recalculate(transaction: Transaction, merchant: str, channel: rules.Channel) -> int:
    """Recalculates what the channel may sell of every item (INV-05, INV-06, INV-07)."""
    connection = transaction.connection
    sums = stock_store.sum_available(connection, merchant, channel.connected_outlet_ids)
    known = stock_store.load_online(connection, merchant, channel.channel_id, None)
    changed = _changed(channel.channel_id, sums, known, transaction)
    if not changed:
        return 0
    stock_store.save_figures(connection, [(merchant, figure) for figure in changed])
    figures = {figure.item_id: figure for figure in changed}
    items = stock_store.lock_items(connection, [(merchant, row.item_id) for row in changed])
    for (_, item_id), item in items.items():
        if item.deleted:
            continue
        transaction.emit(
            merchant,
            f"item/{item_id}",
            online_stock_changed(figures[item_id], tracked=item.tracked),
            channel.channel_id,
        )
    return len(changed)


def _changed(
    channel_id: str, sums: dict[str, int], known: dict[str, Online], transaction: Transaction
) -> Sequence[Online]:
    changed = []
    for item_id in sorted(sums.keys() | known.keys()):
        old = known.get(item_id) or Online(channel_id, item_id)
        quantity = sums.get(item_id, 0) // UNIT
        if quantity != old.quantity:
            new = Online(channel_id, item_id, quantity, old.version + 1, transaction.now)
            changed.append(new)
    return changed
