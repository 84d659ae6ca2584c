"""The RPCs of transfers that take their time."""

from typing import Any

from services.chassis import pages
from services.chassis.database import Calls, Transaction
from services.chassis.errors import DomainError
from services.chassis.rpc import View, command, query
from services.inventory.rules import transfers
from services.inventory.rules.transfers import Transfer
from services.inventory.service.work import Work
from services.inventory.store import transfers as transfer_store
from services.inventory.wire import transfers as wire
from services.inventory.wire.stock import page_key, page_time
from tillbridge.inventory.v1 import transfers_pb2 as pb


class TransferWork(Work):
    """A group of calls that take transfers further."""

    def __init__(self, transaction: Transaction, calls: Calls[Any, Any]) -> None:
        wanted = [(call.merchant, call.request.transfer_id) for call in calls]
        named = transfer_store.load_transfers(transaction.connection, wanted)
        items = {
            key[1]: [line.item_id for line in transfer.lines] for key, transfer in named.items()
        }
        super().__init__(transaction, calls, lambda request: items.get(request.transfer_id, ()))
        # What was sent never changes; how far it has got may have, before its items were locked.
        self._transfers = transfer_store.load_transfers(transaction.connection, wanted)
        self._changed: dict[transfer_store.TransferKey, Transfer] = {}

    def find(self, merchant: str, transfer_id: str) -> Transfer:
        """A transfer, as the calls before have left it.

        Raises:
            DomainError: TRANSFER_NOT_FOUND.
        """
        return _found(self._transfers.get((merchant, transfer_id)), transfer_id)

    def keep_transfer(self, merchant: str, transfer: Transfer) -> None:
        """Saves a transfer with the rest."""
        key = (merchant, transfer.transfer_id)
        self._transfers[key] = self._changed[key] = transfer

    def save(self) -> None:
        """Saves everything."""
        transfer_store.save_transfers(self._transaction.connection, self._changed)
        super().save()


class TransferService:
    """Serves `tillbridge.inventory.v1.TransferService`."""

    @command
    def send_transfer(
        self,
        transaction: Transaction,
        calls: Calls[pb.SendTransferRequest, pb.SendTransferResponse],
    ) -> None:
        """Sends stock: it leaves the one outlet, and is in transit to the other."""
        work = Work(transaction, calls, lambda request: (line.item_id for line in request.lines))
        sent = {}
        for call in calls:
            with call:
                draft, now = work.draft(call), transaction.now
                transfer = wire.sent(call.request, now)
                transfers.send(draft, transfer, now)
                work.accept(call, draft, transfer.cause or f"transfer {transfer.transfer_id}")
                work.hear(call.merchant, [transfer.from_outlet_id])
                sent[call.merchant, transfer.transfer_id] = transfer
                call.reply(pb.SendTransferResponse(transfer=wire.transfer(transfer)))
        transfer_store.save_transfers(transaction.connection, sent)
        work.save()

    @command
    def receive_transfer(
        self,
        transaction: Transaction,
        calls: Calls[pb.ReceiveTransferRequest, pb.ReceiveTransferResponse],
    ) -> None:
        """Receives what has arrived."""
        work = TransferWork(transaction, calls)
        for call in calls:
            with call:
                draft, transfer_id = work.draft(call), call.request.transfer_id
                transfer = work.find(call.merchant, transfer_id)
                arrived = wire.quantities(call.request.lines)
                after = transfers.receive(draft, transfer, arrived, transaction.now)
                work.accept(call, draft, transfer.cause or f"transfer {transfer_id}")
                work.hear(call.merchant, [transfer.to_outlet_id])
                work.keep_transfer(call.merchant, after)
                call.reply(pb.ReceiveTransferResponse(transfer=wire.transfer(after)))
        work.save()

    @command
    def close_transfer(
        self,
        transaction: Transaction,
        calls: Calls[pb.CloseTransferRequest, pb.CloseTransferResponse],
    ) -> None:
        """Ends transfers of which not all has arrived."""
        work = TransferWork(transaction, calls)
        for call in calls:
            with call:
                draft, request = work.draft(call), call.request
                transfer = work.find(call.merchant, request.transfer_id)
                after = transfers.close(
                    draft, transfer, transaction.now, return_rest=request.return_rest
                )
                work.accept(call, draft, transfer.cause or f"transfer {request.transfer_id}")
                if after is not transfer:
                    work.keep_transfer(call.merchant, after)
                call.reply(pb.CloseTransferResponse(transfer=wire.transfer(after)))
        work.save()

    @query
    def get_transfer(self, view: View, request: pb.GetTransferRequest) -> pb.GetTransferResponse:
        """Returns one transfer."""
        key = (view.merchant, request.transfer_id)
        found = transfer_store.load_transfers(view.connection, [key]).get(key)
        return pb.GetTransferResponse(transfer=wire.transfer(_found(found, request.transfer_id)))

    @query
    def list_transfers(
        self, view: View, request: pb.ListTransfersRequest
    ) -> pb.ListTransfersResponse:
        """Lists transfers, the latest first."""
        key, size = pages.key_before(request, int, str), pages.page_size(request)
        before = (page_time(key[0]), key[1]) if key else None
        filters = (request.outlet_id, int(request.state))
        found = transfer_store.list_transfers(
            view.connection, view.merchant, filters, before, size + 1
        )
        answer = pb.ListTransfersResponse(transfers=map(wire.transfer, found[:size]))
        if len(found) > size:
            last = found[size - 1]
            answer.next_page_token = pages.token_after(
                request, page_key(last.create_time), last.transfer_id
            )
        return answer


def _found(transfer: Transfer | None, transfer_id: str) -> Transfer:
    if transfer is None:
        raise DomainError(
            "TRANSFER_NOT_FOUND", f"there is no transfer {transfer_id!r}", transfer_id=transfer_id
        )
    return transfer
