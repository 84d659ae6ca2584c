"""Outlets, registers and channels, and what the gateway has to remember about a channel."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from services.chassis import pages
from services.chassis.database import Call, Transaction
from services.chassis.errors import DomainError, invalid
from services.chassis.rpc import View, any_merchant, command_each, query
from services.chassis.sealing import Sealer
from services.inventory.rules import channels as rules
from services.inventory.rules.admission import admit
from services.inventory.service.buffers import BufferRpcs, hold_channel
from services.inventory.service.figures import change_channel, tell_channel
from services.inventory.store import channels as store
from services.inventory.wire import channels as wire
from services.inventory.wire import online as online_wire
from services.inventory.wire.stock import time
from tillbridge.inventory.v1 import channels_pb2 as pb
from tillbridge.inventory.v1 import events_pb2

UPDATABLE = ("display_name", *(f"policies.{name}" for name in wire.POLICIES))


class ChannelService(BufferRpcs):
    """Serves `tillbridge.inventory.v1.ChannelService`."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    @command_each
    def create_outlet(
        self, transaction: Transaction, call: Call[pb.CreateOutletRequest, pb.CreateOutletResponse]
    ) -> pb.CreateOutletResponse:
        """Creates an outlet under the point of sale's id, or notes that it was told of again."""
        told = call.request.outlet
        outlet = rules.Outlet(told.outlet_id, told.display_name)
        before = store.find_outlet(transaction.connection, call.merchant, outlet.outlet_id)
        known = rules.told_again(outlet, before, call.request.cause, transaction.now)
        store.save_outlet(transaction.connection, call.merchant, known)
        if call.request.cause:
            heard = [(call.merchant, outlet.outlet_id)]
            store.save_heard(transaction.connection, heard, transaction.now)
        return pb.CreateOutletResponse(outlet=wire.outlet(known))

    @query
    def list_outlets(self, view: View, request: pb.ListOutletsRequest) -> pb.ListOutletsResponse:
        """Lists outlets by id."""
        (after,) = pages.key_before(request, str) or ("",)
        size = pages.page_size(request)
        found = store.load_outlets(view.connection, view.merchant, after, size + 1)
        answer = pb.ListOutletsResponse(outlets=[wire.outlet(row) for row in found[:size]])
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
        admit(rules.Profile(request.profile), wire.store_terms(request))
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
        tell_channel(transaction, call.merchant, channel, created=True)
        change_channel(transaction, call.merchant, channel, channel)
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
        request, told = call.request, call.request.channel
        paths = list(request.update_mask.paths)
        if not paths or not set(paths) <= set(UPDATABLE):
            raise invalid("update_mask", f"name one or more of: {', '.join(UPDATABLE)}")
        before, create_time = hold_channel(transaction, call.merchant, told.channel_id)
        after = before
        if "display_name" in paths:
            if not told.display_name:
                raise invalid("channel.display_name", "must not be empty")
            after = replace(after, display_name=told.display_name)
        policies = {
            name: read(told.policies)
            for name, read in wire.POLICIES.items()
            if f"policies.{name}" in paths
        }
        if policies:
            after = rules.set_policies(after, policies)
        after, impact = change_channel(
            transaction, call.merchant, before, after, validate_only=request.validate_only
        )
        return pb.UpdateChannelResponse(
            channel=wire.channel(after, create_time), impact=online_wire.impact(impact)
        )

    @command_each
    def set_connected_outlets(
        self,
        transaction: Transaction,
        call: Call[pb.SetConnectedOutletsRequest, pb.SetConnectedOutletsResponse],
    ) -> pb.SetConnectedOutletsResponse:
        """Sets which outlets feed the channel, and recalculates all its figures."""
        request = call.request
        before, create_time = hold_channel(transaction, call.merchant, request.channel_id)
        store.check_outlets(transaction.connection, call.merchant, request.outlet_ids)
        after, impact = change_channel(
            transaction,
            call.merchant,
            before,
            rules.connect(before, request.outlet_ids),
            validate_only=request.validate_only,
        )
        return pb.SetConnectedOutletsResponse(
            channel=wire.channel(after, create_time),
            changed_items=len(impact.changes),
            impact=online_wire.impact(impact),
        )

    @command_each
    def set_primary_outlet(
        self,
        transaction: Transaction,
        call: Call[pb.SetPrimaryOutletRequest, pb.SetPrimaryOutletResponse],
    ) -> pb.SetPrimaryOutletResponse:
        """Makes a connected outlet the primary one."""
        request = call.request
        before, create_time = hold_channel(transaction, call.merchant, request.channel_id)
        after, impact = change_channel(
            transaction,
            call.merchant,
            before,
            rules.set_primary(before, request.outlet_id),
            validate_only=request.validate_only,
        )
        return pb.SetPrimaryOutletResponse(
            channel=wire.channel(after, create_time), impact=online_wire.impact(impact)
        )

    @command_each
    def set_register(
        self,
        transaction: Transaction,
        call: Call[pb.SetRegisterRequest, pb.SetRegisterResponse],
    ) -> pb.SetRegisterResponse:
        """Changes the register, and with it the locked outlet."""
        request = call.request
        before, create_time = hold_channel(transaction, call.merchant, request.channel_id)
        register = store.find_register(transaction.connection, call.merchant, request.register_id)
        after, impact = change_channel(
            transaction,
            call.merchant,
            before,
            rules.set_register(before, register),
            validate_only=request.validate_only,
        )
        return pb.SetRegisterResponse(
            channel=wire.channel(after, create_time),
            changed_items=len(impact.changes),
            impact=online_wire.impact(impact),
        )

    @command_each
    def set_connection(
        self,
        transaction: Transaction,
        call: Call[pb.SetConnectionRequest, pb.SetConnectionResponse],
    ) -> pb.SetConnectionResponse:
        """Sets how the gateway reaches one side of a channel."""
        told, channel_id = call.request.connection, call.request.channel_id
        hold_channel(transaction, call.merchant, channel_id)
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
        until = transaction.now + timedelta(milliseconds=request.duration_ms)
        held_until = store.acquire_lease(
            connection,
            call.merchant,
            request.channel_id,
            request.lease,
            request.holder,
            (transaction.now, until),
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
