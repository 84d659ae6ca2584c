"""What people do in the back office: stock on its way, stock kept back, outlets that close."""

import asyncio
import random

from tests.simulation.people import ACTIONS as SHOP_ACTIONS
from tests.simulation.people import Doing, Scene, perhaps_twice, some
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2, transfers_pb2


async def van(scene: Scene, dice: random.Random) -> None:
    """Stock is sent to another outlet, where it arrives in part, or more of it than was sent."""
    shop = scene.shop
    if scene.pos:
        await SHOP_ACTIONS["transfer"][1](scene, dice)
        return
    item, outlets = dice.choice(shop.items), dice.sample(shop.outlets, 2)
    name = f"{dice.getrandbits(40):010x}"
    sent = await perhaps_twice(
        scene,
        shop.services.transfers.SendTransfer,
        transfers_pb2.SendTransferRequest(
            request_id=f"send {name}",
            from_outlet_id=outlets[0],
            to_outlet_id=outlets[1],
            lines=[inventory_pb2.TransferLine(item_id=item, quantity=some(dice))],
            cause=f"van {name}",
        ),
        dice,
    )
    transfer_id = sent.transfer.transfer_id
    for number in range(dice.choice((0, 1, 1, 2))):
        await asyncio.sleep(dice.random())
        await perhaps_twice(
            scene,
            shop.services.transfers.ReceiveTransfer,
            transfers_pb2.ReceiveTransferRequest(
                request_id=f"receive {name} {number}",
                transfer_id=transfer_id,
                lines=[inventory_pb2.TransferLine(item_id=item, quantity=some(dice))],
            ),
            dice,
        )
    if dice.random() < 0.6:
        await perhaps_twice(
            scene,
            shop.services.transfers.CloseTransfer,
            transfers_pb2.CloseTransferRequest(
                request_id=f"close {name}",
                transfer_id=transfer_id,
                return_rest=dice.random() < 0.5,
            ),
            dice,
        )


async def buffer(scene: Scene, dice: random.Random) -> None:
    """Some stock is kept back from a channel, or no longer."""
    shop = scene.shop
    await perhaps_twice(
        scene,
        shop.services.channels.SetBuffer,
        channels_pb2.SetBufferRequest(
            request_id=f"buffer {dice.getrandbits(40):010x}",
            channel_id=dice.choice(list(shop.channels)),
            outlet_id=dice.choice(["", *shop.outlets]),
            item_id=dice.choice(["", *shop.items]),
            quantity=dice.choice(("", "1", "2", "0.5", "0")),
        ),
        dice,
    )


async def drain(scene: Scene, dice: random.Random) -> None:
    """An outlet is disconnected gracefully, or is not to be after all."""
    shop = scene.shop
    await perhaps_twice(
        scene,
        shop.services.channels.DrainOutlet,
        channels_pb2.DrainOutletRequest(
            request_id=f"drain {dice.getrandbits(40):010x}",
            channel_id=dice.choice(list(shop.channels)),
            outlet_id=dice.choice(shop.outlets),
            draining=dice.random() < 0.7,
        ),
        dice,
    )


ACTIONS: dict[str, tuple[int, Doing]] = {
    **SHOP_ACTIONS,
    "van": (2, van),
    "buffer": (1, buffer),
    "drain": (1, drain),
}
"""Weight and deed of all that people do, by name."""
