"""What people do in the back office: stock on its way, stock kept back, outlets that close or fall
silent, switches of a channel, levels typed in a store, and what tills have sold twice.
"""

import asyncio
import random

from google.protobuf.field_mask_pb2 import FieldMask

from tests.simulation.people import ACTIONS as SHOP_ACTIONS
from tests.simulation.people import Doing, Scene, lose, perhaps_twice, some
from tillbridge.inventory.v1 import audit_pb2, channels_pb2, inventory_pb2, transfers_pb2


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


async def typed(scene: Scene, dice: random.Random) -> None:
    """Somebody types a level in a store, where that is accepted or not."""
    shop, channel_id = scene.shop, dice.choice(list(scene.shop.channels))
    if not scene.pos and dice.random() < 0.5:
        accepts = dice.random() < 0.8
        if accepts:
            shop.accepting.add(channel_id)
        policies = channels_pb2.ChannelPolicies(accept_store_stock_edits=accepts)
        await _set_policies(scene, channel_id, policies, ["accept_store_stock_edits"], dice)
    await scene.stores[channel_id].type_in(
        dice.choice(shop.items), dice.randint(0, 9), f"typed {dice.getrandbits(40):010x}"
    )


async def switch(scene: Scene, dice: random.Random) -> None:
    """A merchant has the stock of a store left alone, and perhaps kept up to date again."""
    channels = scene.shop.channels
    can = [one for one in channels if channels[one] == channels_pb2.PROFILE_RETAIL_X_ECWID]
    channel_id = dice.choice(can or list(channels))
    for on in dice.choice(((False,), (False,), (False, True), (True,))):
        policies = channels_pb2.ChannelPolicies(update_inventory=on)
        await _set_policies(scene, channel_id, policies, ["update_inventory"], dice)
        await asyncio.sleep(dice.random() * 2)


async def silence(scene: Scene, dice: random.Random) -> None:
    """An operator says from when on an outlet is silent, and what it may give then."""
    policies = channels_pb2.ChannelPolicies(
        silent_after_s=dice.choice((0, 1, 2, 600)), silent_quantity=dice.choice(("", "1", "2.5"))
    )
    channel_id = dice.choice(list(scene.shop.channels))
    names = ["silent_after_s", "silent_quantity"]
    await _set_policies(scene, channel_id, policies, names, dice)


async def _set_policies(
    scene: Scene,
    channel_id: str,
    policies: channels_pb2.ChannelPolicies,
    names: list[str],
    dice: random.Random,
) -> None:
    await perhaps_twice(
        scene,
        scene.shop.services.channels.UpdateChannel,
        channels_pb2.UpdateChannelRequest(
            request_id=f"policies {dice.getrandbits(40):010x}",
            channel=channels_pb2.Channel(channel_id=channel_id, policies=policies),
            update_mask=FieldMask(paths=[f"policies.{name}" for name in names]),
        ),
        dice,
    )


async def incident(scene: Scene, dice: random.Random) -> None:
    """What is promised to somebody is stolen, and an operator looks after it."""
    shop, name = scene.shop, f"{scene.shop.merchant}-phone-{dice.getrandbits(40):010x}"
    held = await perhaps_twice(
        scene,
        shop.services.inventory.ReserveStock,
        inventory_pb2.ReserveStockRequest(
            request_id=f"hold {name}",
            channel_id=dice.choice(list(shop.channels)),
            lines=[
                inventory_pb2.ReservationLine(
                    line_id="1", item_id=dice.choice(shop.items), quantity="1"
                )
            ],
            cause=name,
        ),
        dice,
    )
    taken = held.reservation.allocations[0]
    await lose(scene, (taken.item_id, taken.outlet_id), dice.randint(1, 9), dice)
    found = await shop.book.ask(
        shop.services.audit.ListIncidents,
        audit_pb2.ListIncidentsRequest(state=audit_pb2.INCIDENT_STATE_OPEN),
    )
    for one in found.incidents:
        await _resolve(scene, one, dice)
    await asyncio.sleep(dice.random())
    if dice.random() < 0.5:
        return
    request = inventory_pb2.ReleaseReservationRequest(
        request_id=f"release {name}", reservation_id=held.reservation.reservation_id
    )
    await perhaps_twice(scene, shop.services.inventory.ReleaseReservation, request, dice)


async def _resolve(scene: Scene, found: audit_pb2.Incident, dice: random.Random) -> None:
    request = audit_pb2.ResolveIncidentRequest(
        request_id=f"incident {dice.getrandbits(40):010x}", incident_id=found.incident_id
    )
    others = [one for one in scene.shop.outlets if one != found.outlet_id]
    if found.orders and dice.random() < 0.8:
        request.reservation_id = dice.choice(list(found.orders)).reservation_id
        request.to_outlet_id = dice.choice(["", *others, *others])
    else:
        scene.shop.dealt_with = True
    await perhaps_twice(scene, scene.shop.services.audit.ResolveIncident, request, dice)


async def check(scene: Scene, dice: random.Random) -> None:
    """An operator has everything proved, and would have it repaired."""
    request = audit_pb2.CheckStockRequest(
        request_id=f"check {dice.getrandbits(40):010x}", repair=True
    )
    await perhaps_twice(scene, scene.shop.services.audit.CheckStock, request, dice)


ACTIONS: dict[str, tuple[int, Doing]] = {
    **SHOP_ACTIONS,
    "van": (2, van),
    "buffer": (1, buffer),
    "drain": (1, drain),
    "typed": (2, typed),
    "switch": (2, switch),
    "silence": (1, silence),
    "incident": (2, incident),
    "check": (1, check),
}
"""Weight and deed of all that people do, by name."""
