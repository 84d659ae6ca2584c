"""Shipping methods, carts and quotes as messages."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache
from typing import Any

from google.type.date_pb2 import Date
from google.type.timeofday_pb2 import TimeOfDay

from services.chassis.errors import invalid
from services.order.rules.checkout import Cart, CartLine, Quote, Short, Stock, Unavailable
from services.order.rules.document import NANOS, Address, FulfillmentKind
from services.order.rules.pickup import DAY_S, Hours, Opening
from services.order.rules.rates import PERCENT_PARTS, Basis, Rate, Rates, Row, Table
from services.order.rules.shipping import Method, MethodKey, Storefront, Terms
from services.order.rules.zones import Zone
from services.order.wire.scalars import (
    money,
    money_message,
    optional_money,
    quantity,
    quantity_text,
    time,
    time_message,
)
from tillbridge.inventory.v1 import channels_pb2, inventory_pb2
from tillbridge.order.v1 import events_pb2, order_pb2
from tillbridge.order.v1 import shipping_pb2 as pb

MILLIONTHS = 1_000_000


def key(merchant_id: str, channel_id: str, method_id: str) -> MethodKey:
    """Which method a request is about."""
    return MethodKey(merchant_id, channel_id, method_id)


def method(merchant_id: str, channel_id: str, message: pb.ShippingMethod) -> Method:
    """A method as its caller tells it; what is output only is left out.

    Raises:
        DomainError: INVALID_FIELD.
    """
    return Method(
        key=MethodKey(merchant_id, channel_id, message.method_id),
        name=message.name,
        kind=FulfillmentKind(message.kind),
        outlet_id=message.outlet_id,
        enabled=message.enabled,
        position=message.position,
        terms=Terms(
            zones=tuple(_zone(one) for one in message.zones),
            minimum_subtotal=optional_money(message, "minimum_subtotal", "method.minimum_subtotal"),
            rates=_rates(message),
            opening=Opening(
                hours=tuple(
                    Hours(
                        int(one.day),
                        _seconds(one.open_time, f"method.pickup_hours[{index}].open_time"),
                        _seconds(one.close_time, f"method.pickup_hours[{index}].close_time"),
                    )
                    for index, one in enumerate(message.pickup_hours)
                ),
                time_zone=message.time_zone,
                preparation_minutes=message.preparation_minutes,
                closed_dates=frozenset(
                    _date(one, f"method.closed_dates[{index}]")
                    for index, one in enumerate(message.closed_dates)
                ),
            ),
            instruction=message.instruction,
        ),
    )


_OWN = ("name", "kind", "outlet_id", "enabled", "position")
_TERMS = {
    "zones": "zones",
    "minimum_subtotal": "minimum_subtotal",
    "rate": "rates",
    "instruction": "instruction",
}
_OPENING = {
    "pickup_hours": "hours",
    "time_zone": "time_zone",
    "preparation_minutes": "preparation_minutes",
    "closed_dates": "closed_dates",
}
_FIELDS = (*_OWN, *_TERMS, *_OPENING)
"""The fields that may be changed; what they are called in the terms and in the opening."""


def check_mask(names: Collection[str]) -> None:
    """Finds that all of these fields may be changed.

    Raises:
        DomainError: INVALID_FIELD.
    """
    if not names:
        raise invalid("update_mask", f"must name what to change: {', '.join(_FIELDS)}")
    for name in names:
        if name not in _FIELDS:
            raise invalid("update_mask", f"{name!r} cannot be changed; {', '.join(_FIELDS)} can")


def changed(before: Method, told: Method, names: Collection[str]) -> Method:
    """The method with these fields as they are told."""
    own: dict[str, Any] = {name: getattr(told, name) for name in _OWN if name in names}
    terms: dict[str, Any] = {
        name: getattr(told.terms, name) for field, name in _TERMS.items() if field in names
    }
    opening: dict[str, Any] = {
        name: getattr(told.terms.opening, name)
        for field, name in _OPENING.items()
        if field in names
    }
    hours = replace(before.terms.opening, **opening)
    return replace(before, **own, terms=replace(before.terms, **terms, opening=hours))


def _zone(message: pb.Zone) -> Zone:
    return Zone(
        message.name,
        tuple(message.country_codes),
        tuple(message.region_codes),
        tuple(message.postal_codes),
    )


def _rates(message: pb.ShippingMethod) -> Rates | None:
    rate = message.rate
    if rate.HasField("flat") and rate.HasField("table"):
        raise invalid("method.rate", "must have `flat` or `table`, not both")
    if rate.HasField("flat"):
        return _rate(rate.flat, "method.rate.flat")
    if not rate.HasField("table"):
        return None
    return Table(
        Basis(rate.table.basis),
        tuple(
            Row(
                _decimal(getattr(row, "from"), NANOS),
                _decimal(row.to, NANOS) if row.to else None,
                _rate(row.rate, f"method.rate.table.rows[{index}].rate"),
            )
            for index, row in enumerate(rate.table.rows)
        ),
    )


def _rate(message: pb.Rate, field: str) -> Rate:
    return Rate(
        optional_money(message, "per_order", f"{field}.per_order"),
        _decimal(message.percent, PERCENT_PARTS),
        optional_money(message, "per_item", f"{field}.per_item"),
        optional_money(message, "per_kilogram", f"{field}.per_kilogram"),
    )


def _decimal(text: str, parts: int) -> int:
    """Decimal text in parts of one; the contract's pattern has let it through. Empty is 0."""
    whole, _, fraction = text.partition(".")
    digits = len(str(parts)) - 1
    return int(whole or 0) * parts + int(fraction.ljust(digits, "0") or 0)


def _decimal_text(value: int, parts: int) -> str:
    whole, rest = divmod(value, parts)
    digits = len(str(parts)) - 1
    return f"{whole}.{rest:0{digits}}".rstrip("0").rstrip(".") if rest else str(whole)


def _seconds(message: TimeOfDay, field: str) -> int:
    hours, minutes, seconds = int(message.hours), int(message.minutes), int(message.seconds)
    if min(hours, minutes, seconds) < 0 or minutes > 59 or seconds > 59 or message.nanos:
        raise invalid(field, "must be a time of the day in whole seconds")
    found = hours * 3600 + minutes * 60 + seconds
    if found > DAY_S:
        raise invalid(field, "must be 24:00 at the latest")
    return found


def _time_of_day(seconds: int) -> TimeOfDay:
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return TimeOfDay(hours=hour, minutes=minute, seconds=second)


def _date(message: Date, field: str) -> date:
    try:
        return date(message.year, message.month, message.day)
    except ValueError as error:
        raise invalid(field, "must be a whole date") from error


def method_message(found: Method) -> pb.ShippingMethod:
    """A method as a message."""
    terms, opening = found.terms, found.terms.opening
    return pb.ShippingMethod(
        channel_id=found.key.channel_id,
        method_id=found.key.method_id,
        name=found.name,
        kind=order_pb2.FulfillmentKind.ValueType(found.kind),
        outlet_id=found.outlet_id,
        zones=[
            pb.Zone(
                name=zone.name,
                country_codes=zone.country_codes,
                region_codes=zone.region_codes,
                postal_codes=zone.postal_codes,
            )
            for zone in terms.zones
        ],
        minimum_subtotal=money_message(terms.minimum_subtotal),
        rate=_rates_message(terms.rates),
        pickup_hours=[
            pb.PickupHours(
                day=hours.day,
                open_time=_time_of_day(hours.open_s),
                close_time=_time_of_day(hours.close_s),
            )
            for hours in opening.hours
        ],
        time_zone=opening.time_zone,
        preparation_minutes=opening.preparation_minutes,
        closed_dates=[
            Date(year=one.year, month=one.month, day=one.day)
            for one in sorted(opening.closed_dates)
        ],
        instruction=terms.instruction,
        enabled=found.enabled,
        disabled_reason=found.disabled_reason,
        position=found.position,
        version=found.version,
        create_time=time_message(found.create_time),
        update_time=time_message(found.update_time),
    )


def _rates_message(rates: Rates | None) -> pb.ShippingRate | None:
    if rates is None:
        return None
    if isinstance(rates, Rate):
        return pb.ShippingRate(flat=_rate_message(rates))
    rows = []
    for row in rates.rows:
        message = pb.RateTableRow(
            to="" if row.end is None else _decimal_text(row.end, NANOS),
            rate=_rate_message(row.rate),
        )
        setattr(message, "from", _decimal_text(row.begin, NANOS))  # a keyword of Python's
        rows.append(message)
    table = pb.RateTable(basis=pb.RateTableBasis.ValueType(rates.basis), rows=rows)
    return pb.ShippingRate(table=table)


def _rate_message(rate: Rate) -> pb.Rate:
    return pb.Rate(
        per_order=money_message(rate.per_order),
        percent=_decimal_text(rate.percent_parts, PERCENT_PARTS) if rate.percent_parts else "",
        per_item=money_message(rate.per_item),
        per_kilogram=money_message(rate.per_kilogram),
    )


def method_changed(found: Method, *, deleted: bool = False) -> events_pb2.ShippingMethodChanged:
    """What the feed tells of a method."""
    return events_pb2.ShippingMethodChanged(
        channel_id=found.key.channel_id,
        method_id=found.key.method_id,
        version=found.version,
        deleted=deleted,
    )


def cart(request: pb.QuoteCheckoutRequest, item_ids: Mapping[int, str]) -> Cart:
    """What somebody wants to buy; `item_ids` are those of lines that name only a SKU.

    Raises:
        DomainError: INVALID_FIELD.
    """
    return Cart(
        tuple(
            _cart_line(line, f"lines[{index}]", item_ids.get(index, ""))
            for index, line in enumerate(request.lines)
        ),
        _address(request.address) if request.HasField("address") else None,
        optional_money(request, "discount", "discount"),
    )


def _cart_line(line: pb.CartLine, field: str, found: str) -> CartLine:
    item_id, weight = line.item_id, line.weight_kg
    return CartLine(
        item_id or found,
        line.sku or item_id,
        quantity(line.quantity, f"{field}.quantity"),
        money(line.unit_price, f"{field}.unit_price"),
        _decimal(weight, MILLIONTHS) if weight else 0,
    )


def _address(message: order_pb2.Address) -> Address:
    return Address(
        postal_code=message.postal_code,
        region_code=message.region_code,
        country_code=message.country_code,
    )


def storefront(message: channels_pb2.Channel) -> Storefront:
    """What a channel says of its methods."""
    policies = message.policies
    modes = {
        FulfillmentKind.SHIPPING: policies.shipping_availability,
        FulfillmentKind.DELIVERY: policies.delivery_availability,
        FulfillmentKind.PICKUP: policies.pickup_availability,
    }
    disables = policies.disconnected_methods == channels_pb2.DISCONNECTED_METHODS_DISABLE
    return Storefront(
        frozenset(message.connected_outlet_ids),
        disables,
        frozenset(
            k for k, mode in modes.items() if mode == channels_pb2.AVAILABILITY_MODE_RESTRICT
        ),
    )


def availability(
    channel_id: str, item_ids: Collection[str], outlet_ids: Collection[str]
) -> inventory_pb2.GetAvailabilityRequest:
    """Asks what outlets could give of these items."""
    return inventory_pb2.GetAvailabilityRequest(
        channel_id=channel_id, item_ids=item_ids, outlet_ids=outlet_ids
    )


def stock(answer: inventory_pb2.GetAvailabilityResponse, item_ids: Sequence[str]) -> Stock:
    """What outlets could give of these items, which were asked for in this order."""
    return Stock(
        outlets={
            one.outlet_id: dict(zip(item_ids, map(_thousandths, one.quantities), strict=True))
            for one in answer.outlets
        },
        connected=frozenset(one.outlet_id for one in answer.outlets if one.connected),
        untracked=frozenset(answer.untracked_item_ids),
        default_outlet_id=answer.default_outlet_id,
        read_time=time(answer.read_time, "read_time"),
    )


@lru_cache(maxsize=10_000)
def _thousandths(text: str) -> int:
    """Kept, since stocks are mostly what they were at the last quote, or like each other."""
    return _decimal(text, 1000)


def quote_message(found: Quote, stock: Stock) -> pb.QuoteCheckoutResponse:
    """What a buyer may choose, and what not."""
    message = pb.QuoteCheckoutResponse(
        unavailable=[_unavailable(one) for one in found.unavailable],
        stock_time=time_message(stock.read_time),
    )
    # Many methods need the same time.
    times = {moment: time_message(moment) for moment in {one.ready_time for one in found.options}}
    for method, outlet_id, price, ready_time in found.options:
        option = message.options.add(
            method_id=method.key.method_id,
            name=method.name,
            kind=order_pb2.FulfillmentKind.ValueType(method.kind),
            outlet_id=outlet_id,
            instruction=method.terms.instruction,
        )
        # In place: a message that is handed over is copied.
        option.ready_time.CopyFrom(times[ready_time])
        cost = option.price
        cost.currency_code = price.currency_code
        cost.units, cost.nanos = divmod(price.amount_nanos, NANOS)
    return message


def _unavailable(found: Unavailable) -> pb.UnavailableOption:
    return pb.UnavailableOption(
        method_id=found.method.key.method_id,
        name=found.method.name,
        kind=order_pb2.FulfillmentKind.ValueType(found.method.kind),
        outlet_id=found.outlet_id,
        reason=pb.UnavailableReason.ValueType(found.reason),
        message=found.message,
        help=found.help,
        short_items=[_short(one) for one in found.short],
        outlets_with_all=found.outlets_with_all,
        methods_instead=found.methods_instead,
    )


def _short(found: Short) -> pb.ShortItem:
    return pb.ShortItem(
        item_id=found.item_id,
        asked=quantity_text(found.asked),
        available=quantity_text(found.available),
    )
