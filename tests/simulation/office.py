"""What people do in the back office: stock on its way, stock kept back, outlets that close or fall
silent, switches of a channel, levels typed in a store, what tills have sold twice, and orders that
are handed over, canceled, and taken back.
"""

import asyncio
import random
from typing import Any, cast

from google.protobuf.field_mask_pb2 import FieldMask

from tests.simulation.accounts import STALE_S
from tests.simulation.people import ACTIONS as SHOP_ACTIONS
from tests.simulation.people import PAID, Doing, Scene, buy, lose, perhaps_twice, some
from tests.simulation.shop import Placed, euros
from tillbridge.inventory.v1 import audit_pb2, channels_pb2, inventory_pb2, transfers_pb2
from tillbridge.order.v1 import fulfillment_pb2, order_pb2


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


async def keep_back(scene: Scene, dice: random.Random) -> None:
    """A merchant has orders kept back from the point of sale, and perhaps posted again (ORD-09)."""
    channels = scene.shop.channels
    can = [one for one in channels if channels[one] == channels_pb2.PROFILE_RETAIL_X_ECWID]
    channel_id = dice.choice(can or list(channels))
    for on in dice.choice(((False,), (False, True), (False, True))):
        policies = channels_pb2.ChannelPolicies(post_sales=on)
        await _set_policies(scene, channel_id, policies, ["post_sales"], dice)
        if not on:
            await asyncio.sleep(dice.choice((0, STALE_S + 1)))
            await buy(scene, channel_id, dice)
        await asyncio.sleep(dice.random() * 3)


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


async def _placed(scene: Scene, dice: random.Random, profile: int = 0) -> tuple[str, Placed]:
    """An order that somebody has placed, of a channel with this profile if there is one; often one
    that is paid, and that was placed just now.
    """
    shop = scene.shop
    channels = [one for one in shop.channels if shop.channels[one] == profile]
    orders = {
        number: placed
        for number, placed in shop.orders.items()
        if placed.channel_id in (channels or shop.channels)
    }
    if not orders or dice.random() < 0.4:
        number = await buy(scene, dice.choice(channels or list(shop.channels)), dice)
        await asyncio.sleep(dice.random() * 3)
        return number, shop.orders[number]
    paid = [number for number, placed in orders.items() if placed.latest.payment_status == PAID]
    number = dice.choice(paid or list(orders))
    return number, orders[number]


async def _until_posted(scene: Scene, number: str, placed: Placed, dice: random.Random) -> None:
    """Waits a while for an order's sale, or not at all."""
    request = order_pb2.GetOrderRequest(channel_id=placed.channel_id, order_id=number)
    for _ in range(dice.choice((0, 4, 4))):
        found = await scene.shop.book.ask(scene.shop.services.orders.GetOrder, request)
        if found.order.sale_id:
            return
        await asyncio.sleep(0.7)


async def cancel(scene: Scene, dice: random.Random) -> None:
    """An operator cancels an order, whatever its store says (ORD-13)."""
    number, placed = await _placed(scene, dice)
    request = order_pb2.CancelOrderRequest(
        request_id=f"cancel {dice.getrandbits(40):010x}",
        channel_id=placed.channel_id,
        order_id=number,
        reason="by phone",
    )
    await perhaps_twice(scene, scene.shop.services.orders.CancelOrder, request, dice)


async def refund(scene: Scene, dice: random.Random) -> None:
    """A buyer brings things back, or gets money back, or asks for more than that; at times somebody
    else notes the same refund once more (BEY-13).
    """
    number, placed = await _placed(scene, dice)
    await _until_posted(scene, number, placed, dice)
    for _ in range(dice.choice((1, 1, 2))):
        await _refund(scene, number, placed, dice)


async def _refund(scene: Scene, number: str, placed: Placed, dice: random.Random) -> None:
    shop, name = scene.shop, f"{dice.getrandbits(40):010x}"
    request = order_pb2.RefundOrderRequest(
        request_id=f"refund {name}",
        channel_id=placed.channel_id,
        order_id=number,
        refund_id=name,
        outlet_id=dice.choice(["", *shop.outlets]),
    )
    for line in placed.latest.lines:
        if dice.random() < 0.6:
            quantity = dice.randint(1, int(line.quantity))
            broken = dice.choice((0, 0, quantity))
            request.lines.add(
                line_id=line.line_id, quantity=str(quantity), not_restocked=str(broken)
            )
    if not request.lines or dice.random() < 0.6:
        request.amount.CopyFrom(euros(dice.choice((1, 5, 10, 20))))
    await perhaps_twice(scene, shop.services.orders.RefundOrder, request, dice)
    if dice.random() < 0.5:
        again = order_pb2.RefundOrderRequest()
        again.CopyFrom(request)
        again.request_id += " again"
        if dice.random() < 0.3:
            again.amount.CopyFrom(euros(2))
        await perhaps_twice(scene, shop.services.orders.RefundOrder, again, dice)


async def hand_over(scene: Scene, dice: random.Random) -> None:
    """Somebody picks, packs and hands over what an outlet owes a buyer, some of it or all."""
    shop = scene.shop
    number, placed = await _placed(scene, dice, channels_pb2.PROFILE_RETAIL_X_ECOM)
    await _until_posted(scene, number, placed, dice)
    found = await shop.book.ask(
        shop.services.fulfillments.ListFulfillments,
        fulfillment_pb2.ListFulfillmentsRequest(order_id=number),
    )
    steps = dice.choice((("complete",), ("pick", "complete"), ("pick", "pack", "complete")))
    for one in found.fulfillments:
        for step in steps:
            await _handle(scene, one, step, dice)
            await asyncio.sleep(dice.random() * 0.5)


async def _handle(
    scene: Scene, found: fulfillment_pb2.Fulfillment, step: str, dice: random.Random
) -> None:
    services = scene.shop.services.fulfillments
    method, kind = {
        "pick": (services.PickFulfillment, fulfillment_pb2.PickFulfillmentRequest),
        "pack": (services.PackFulfillment, fulfillment_pb2.PackFulfillmentRequest),
        "complete": (services.CompleteFulfillment, fulfillment_pb2.CompleteFulfillmentRequest),
    }[step]
    request: Any = kind(
        request_id=f"{step} {dice.getrandbits(40):010x}",
        fulfillment_id=found.fulfillment_id,
        version=found.version if dice.random() < 0.2 else 0,
    )
    for line in found.lines:
        quantity = int(float(line.quantity))
        if quantity and (dice.random() < 0.8 or len(found.lines) == 1):
            some_of_it = dice.choice((quantity, quantity, dice.randint(1, quantity)))
            request.lines.add(line_id=line.line_id, quantity=str(some_of_it))
    if request.lines:
        await perhaps_twice(scene, cast("Any", method), request, dice)


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
    "keep back": (3, keep_back),
    "cancel": (2, cancel),
    "refund": (4, refund),
    "hand over": (4, hand_over),
}
"""Weight and deed of all that people do, by name."""
