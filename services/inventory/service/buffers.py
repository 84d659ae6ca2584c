"""The RPCs of what is kept back from a channel, and of outlets that leave it bit by bit."""

from typing import Any

from services.chassis import pages
from services.chassis.database import Call, Transaction
from services.chassis.rpc import View, command_each, query
from services.inventory.rules import channels as rules
from services.inventory.rules.online import KeptBack
from services.inventory.service.figures import change_channel
from services.inventory.service.online import find_item
from services.inventory.store import buffers as buffer_store
from services.inventory.store import channels as store
from services.inventory.wire import channels as wire
from services.inventory.wire import online as online_wire
from services.inventory.wire.stock import quantity
from tillbridge.inventory.v1 import channels_pb2 as pb


class BufferRpcs:
    """The RPCs of `ChannelService` that limit what an outlet gives."""

    @command_each
    def drain_outlet(
        self, transaction: Transaction, call: Call[pb.DrainOutletRequest, pb.DrainOutletResponse]
    ) -> pb.DrainOutletResponse:
        """Begins the graceful disconnection of an outlet, or takes it back (BEY-06).

        With the last hold there the outlet is disconnected, by `service.watch`.
        """
        request = call.request
        before, create_time = hold_channel(transaction, call.merchant, request.channel_id)
        store.check_outlets(transaction.connection, call.merchant, [request.outlet_id])
        after = rules.drain(before, request.outlet_id, draining=request.draining)
        after, impact = change_channel(
            transaction, call.merchant, before, after, validate_only=request.validate_only
        )
        return pb.DrainOutletResponse(
            channel=wire.channel(after, create_time), impact=online_wire.impact(impact)
        )

    @command_each
    def set_buffer(
        self, transaction: Transaction, call: Call[pb.SetBufferRequest, pb.SetBufferResponse]
    ) -> pb.SetBufferResponse:
        """Sets what is kept back from a channel, or removes that (BEY-05)."""
        request, connection, merchant = call.request, transaction.connection, call.merchant
        channel, _ = hold_channel(transaction, merchant, request.channel_id)
        if request.outlet_id:
            store.check_outlets(connection, merchant, [request.outlet_id])
        if request.item_id:
            find_item(View(connection, merchant), request.item_id)
        with connection.begin_nested() as rehearsal:
            if request.quantity:
                buffer = KeptBack(
                    channel.channel_id,
                    request.outlet_id,
                    request.item_id,
                    quantity(request.quantity),
                    transaction.now,
                )
                buffer_store.put_buffer(connection, merchant, buffer)
            else:
                key = (request.outlet_id, request.item_id)
                buffer_store.remove_buffer(connection, merchant, channel.channel_id, key)
            _, impact = change_channel(
                transaction,
                merchant,
                channel,
                channel,
                validate_only=request.validate_only,
                item_id=request.item_id,
            )
            if request.validate_only:
                rehearsal.rollback()
        return pb.SetBufferResponse(impact=online_wire.impact(impact))

    @query
    def list_buffers(self, view: View, request: pb.ListBuffersRequest) -> pb.ListBuffersResponse:
        """Lists a channel's buffers by outlet, then item."""
        after = pages.key_before(request, str, str) or ()
        size = pages.page_size(request)
        channel, _ = store.find_channel(view.connection, view.merchant, request.channel_id)
        found = buffer_store.list_buffers(
            view.connection, view.merchant, channel.channel_id, after, size + 1
        )
        answer = pb.ListBuffersResponse(buffers=[online_wire.buffer(one) for one in found[:size]])
        if len(found) > size:
            last = found[size - 1]
            answer.next_page_token = pages.token_after(request, last.outlet_id, last.item_id)
        return answer


def hold_channel(
    transaction: Transaction, merchant: str, channel_id: str
) -> tuple[rules.Channel, Any]:
    """A channel that is about to change, held against all others, with its time of creation.

    Raises:
        DomainError: CHANNEL_NOT_FOUND.
    """
    store.lock_channels(transaction, [merchant], shared=False)
    return store.find_channel(transaction.connection, merchant, channel_id)
