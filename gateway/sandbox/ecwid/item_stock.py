"""The stock of one sellable thing: a product or a combination.

Stock is either unlimited, and then there is no `quantity`; or tracked, and then there is one. A
thing may also be told its stock by location, and then `quantity` is the sum.
"""

from gateway.sandbox.values import Row


def set_stock(item: Row, fields: Row) -> None:
    """Applies what a write says about stock, and takes it out of `fields`."""
    unlimited = fields.pop("unlimited", None)
    quantity = fields.pop("quantity", None)
    locations = fields.pop("locationInventory", None)
    if unlimited:
        _track_nothing(item)
    elif locations is not None:
        item.update(unlimited=False, locationInventory=locations, quantity=sum(locations.values()))
    elif quantity is not None:
        item.update(unlimited=False, quantity=quantity)
        item.pop("locationInventory", None)
    elif unlimited is False:
        item["unlimited"] = False
        item.setdefault("quantity", 0)
    elif "unlimited" not in item:
        _track_nothing(item)


def change_stock(item: Row, delta: int, location_id: str | None = None) -> bool:
    """Adds units to a tracked thing, possibly below zero; False when stock is unlimited.

    Where stock is known by location, the units go to or come from `location_id`, else the
    location that has most.
    """
    if item["unlimited"]:
        return False
    item["quantity"] += delta
    locations = item.get("locationInventory")
    if locations:
        if location_id not in locations:
            location_id = max(locations, key=lambda name: int(locations[name]))
        locations[location_id] += delta
    return True


def has_stock(item: Row) -> bool:
    """Whether one could be bought."""
    return bool(item["unlimited"] or item["quantity"] > 0)


def _track_nothing(item: Row) -> None:
    item["unlimited"] = True
    item.pop("quantity", None)
    item.pop("locationInventory", None)
