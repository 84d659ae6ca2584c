"""Transfers that take their time, on both databases."""

from typing import TYPE_CHECKING

import pytest

from tests.harness import metadata, refused
from tests.inventory.conftest import HARBOUR, MAIN, Shop, request_id
from tillbridge.inventory.v1 import inventory_pb2
from tillbridge.inventory.v1 import transfers_pb2 as pb
from tillbridge.inventory.v1.transfers_pb2_grpc import TransferServiceStub

if TYPE_CHECKING:
    from tillbridge.inventory.v1.transfers_pb2_grpc import TransferServiceAsyncStub

pytestmark = pytest.mark.asyncio


class Transfers:
    """Transfers of a shop, as its tills send and receive them."""

    def __init__(self, shop: Shop) -> None:
        self.stub: TransferServiceAsyncStub = TransferServiceStub(shop.service.channel)

    async def send(
        self, *lines: tuple[str, str], outlets: tuple[str, str] = (MAIN, HARBOUR)
    ) -> pb.Transfer:
        answer = await self.stub.SendTransfer(
            pb.SendTransferRequest(
                request_id=request_id(),
                from_outlet_id=outlets[0],
                to_outlet_id=outlets[1],
                lines=_lines(lines),
            ),
            metadata=metadata(),
        )
        return answer.transfer

    async def receive(self, transfer_id: str, *lines: tuple[str, str]) -> pb.Transfer:
        answer = await self.stub.ReceiveTransfer(
            pb.ReceiveTransferRequest(
                request_id=request_id(), transfer_id=transfer_id, lines=_lines(lines)
            ),
            metadata=metadata(),
        )
        return answer.transfer

    async def close(self, transfer_id: str, *, return_rest: bool) -> pb.Transfer:
        answer = await self.stub.CloseTransfer(
            pb.CloseTransferRequest(
                request_id=request_id(), transfer_id=transfer_id, return_rest=return_rest
            ),
            metadata=metadata(),
        )
        return answer.transfer


def _lines(lines: tuple[tuple[str, str], ...]) -> list[inventory_pb2.TransferLine]:
    return [
        inventory_pb2.TransferLine(item_id=item_id, quantity=quantity)
        for item_id, quantity in lines
    ]


async def there(shop: Shop, outlet_id: str) -> tuple[str, str, str]:
    """On hand, in transit and available of mugs."""
    level = await shop.level("mug", outlet_id)
    return level.on_hand, level.in_transit, level.available


@pytest.mark.rule("INV-02")
async def test_what_is_on_its_way_is_promised_to_nobody(shop: Shop) -> None:
    channel = await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "5")
    sent = await Transfers(shop).send(("mug", "3"))
    assert sent.state == pb.TRANSFER_STATE_SENT
    assert (await there(shop, MAIN), await there(shop, HARBOUR)) == (
        ("2", "0", "2"),
        ("0", "3", "0"),
    )
    assert (await shop.online(channel.channel_id, "mug")).quantity == 2
    async with refused("INSUFFICIENT_STOCK"):
        await shop.reserve(channel.channel_id, ("mug", "3"))

    received = await Transfers(shop).receive(sent.transfer_id, ("mug", "3"))
    assert received.state == pb.TRANSFER_STATE_CLOSED
    assert await there(shop, HARBOUR) == ("3", "0", "3")
    assert (await shop.online(channel.channel_id, "mug")).quantity == 5


# What is received one after the other, how it is closed, and then: on hand at Main and at Harbour,
# and (received, returned, lost) of the 3 of 5 that were sent.
@pytest.mark.parametrize(
    ("parts", "close", "expected"),
    [
        (["1", "1.5", "0.5"], "",         ("2", "3", ("3", "0", "0"))),
        (["2"],               "lost",     ("2", "2", ("2", "0", "1"))),
        (["2"],               "returned", ("3", "2", ("2", "1", "0"))),
        ([],                  "lost",     ("2", "0", ("0", "0", "3"))),
        ([],                  "returned", ("5", "0", ("0", "3", "0"))),
        (["4"],               "",         ("2", "4", ("4", "0", "0"))),   # more than was sent
        (["3"],               "lost",     ("2", "3", ("3", "0", "0"))),   # closed already
    ],
)  # fmt: skip
async def test_what_was_sent_is_received_returned_or_lost(
    shop: Shop, parts: list[str], close: str, expected: tuple[str, str, tuple[str, str, str]]
) -> None:
    await shop.open()
    await shop.learn("mug")
    await shop.count("mug", MAIN, "5")
    transfers = Transfers(shop)
    transfer = await transfers.send(("mug", "3"))
    for part in parts:
        transfer = await transfers.receive(transfer.transfer_id, ("mug", part))
    for _ in range(2 if close else 0):
        transfer = await transfers.close(transfer.transfer_id, return_rest=close == "returned")
    (line,) = transfer.lines
    assert transfer.state == pb.TRANSFER_STATE_CLOSED
    assert line.in_transit == "0"
    assert (await there(shop, HARBOUR))[1] == "0"
    assert expected == (
        (await there(shop, MAIN))[0],
        (await there(shop, HARBOUR))[0],
        (line.received, line.returned, line.lost),
    )
    async with refused("TRANSFER_ENDED"):
        await transfers.receive(transfer.transfer_id, ("mug", "1"))


async def test_a_transfer_is_sent_as_a_whole_or_not_at_all(shop: Shop) -> None:
    await shop.open()
    await shop.learn("mug", "pot")
    transfers = Transfers(shop)
    async with refused("ITEM_NOT_FOUND"):
        await transfers.send(("mug", "1"), ("no such item", "1"))
    async with refused("OUTLET_NOT_FOUND"):
        await transfers.send(("mug", "1"), outlets=(MAIN, "nowhere"))
    async with refused("INVALID_FIELD"):
        await transfers.send(("mug", "1"), outlets=(MAIN, MAIN))
    async with refused("INVALID_FIELD"):
        await transfers.send(("mug", "1"), ("mug", "1"))
    async with refused("INVALID_FIELD"):
        await transfers.send(("mug", "0.0"))
    assert await there(shop, MAIN) == ("0", "0", "0")
    sent = await transfers.send(("mug", "1"))
    async with refused("INVALID_FIELD"):
        await transfers.receive(sent.transfer_id, ("pot", "1"))
    async with refused("INVALID_FIELD"):
        await transfers.receive(sent.transfer_id, ("mug", "1"), ("mug", "1"))
    for call in (
        transfers.receive("tr-nobody", ("mug", "1")),
        transfers.close("tr-nobody", return_rest=True),
        transfers.stub.GetTransfer(
            pb.GetTransferRequest(transfer_id="tr-nobody"), metadata=metadata()
        ),
        transfers.stub.GetTransfer(
            pb.GetTransferRequest(transfer_id=sent.transfer_id), metadata=metadata("other-shop")
        ),
    ):
        async with refused("TRANSFER_NOT_FOUND"):
            await call


async def test_transfers_are_listed_the_latest_first(shop: Shop) -> None:
    await shop.open()
    await shop.learn("mug")
    transfers = Transfers(shop)
    sent = [(await transfers.send(("mug", "1"))).transfer_id for _ in range(5)]
    await transfers.receive(sent[0], ("mug", "1"))
    request = pb.ListTransfersRequest(page_size=2, outlet_id=HARBOUR, state=pb.TRANSFER_STATE_SENT)
    seen = []
    while True:
        answer = await transfers.stub.ListTransfers(request, metadata=metadata())
        seen += [one.transfer_id for one in answer.transfers]
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert seen == sent[:0:-1]
    got = await transfers.stub.GetTransfer(
        pb.GetTransferRequest(transfer_id=sent[0]), metadata=metadata()
    )
    assert [(one.received, one.in_transit) for one in got.transfer.lines] == [("1", "0")]
