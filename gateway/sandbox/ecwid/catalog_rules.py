"""What must hold for a product before the store takes it, with the store's own refusals."""

from collections.abc import Iterable

from gateway.sandbox.ecwid.catalog_fields import CHOICE_TYPES
from gateway.sandbox.ecwid.store import refusal
from gateway.sandbox.values import Row

COMBINATIONS_PER_REQUEST_MAX = 200


def check_combinations(product: Row) -> None:
    """Refuses combinations that the product's options do not offer, and doubles."""
    choices = {
        option["name"]: {choice["text"] for choice in option.get("choices", [])}
        for option in product["options"]
        if option.get("type", "SELECT") in CHOICE_TYPES
    }
    seen = set()
    for combination in product["combinations"]:
        for option in combination["options"]:
            if option["name"] not in choices:
                raise refusal(
                    409,
                    "COMBINATION_CONTAINS_REMOVED_OPTION",
                    f"The product has no option '{option['name']}'",
                )
            if option["value"] not in choices[option["name"]]:
                raise refusal(
                    409,
                    "COMBINATION_CONTAINS_REMOVED_OPTION_VALUE",
                    f"The option '{option['name']}' has no value '{option['value']}'",
                )
        key = option_key(combination)
        if key in seen:
            raise refusal(409, "COMBINATION_DUPLICATED", "Two variations have the same options")
        seen.add(key)
        if combination.get("sku") == product["sku"] and _stock(combination) != _stock(product):
            raise refusal(
                400,
                "DIFFERENT_COMBINATION_STOCK",
                "A variation with the base product's SKU must have the base product's stock",
            )


def check_request_size(combinations: list[Row]) -> None:
    """Refuses more combinations than one request may carry."""
    if len(combinations) > COMBINATIONS_PER_REQUEST_MAX:
        raise refusal(
            400,
            "COMBINATION_LIMIT_PER_REQUEST_EXCEEDED",
            f"At most {COMBINATIONS_PER_REQUEST_MAX} variations per request",
        )


def check_unique(product: Row, others: Iterable[Row], *, skus: bool) -> None:
    """Refuses external ids that are taken, and SKUs too where the store wants them unique.

    Products and variations have a space of external ids each: the POS gives a family the id of
    its first variant.
    """
    own_skus = _skus(product)
    own_ids = [c["externalReferenceId"] for c in product["combinations"] if _linked(c)]
    taken_twice = len(set(own_ids)) < len(own_ids)
    for other in others:
        if other["id"] == product["id"]:
            continue
        if skus and own_skus & _skus(other):
            raise refusal(409, "SKU_ALREADY_EXISTS", "The SKU is already in use")
        same = _linked(product) and _linked(product) == _linked(other)
        taken = {_linked(c) for c in other["combinations"]} & set(own_ids)
        taken_twice = taken_twice or bool(same or taken)
    if taken_twice:
        raise refusal(409, "EXTERNAL_ID_ALREADY_USED", "The externalReferenceId is already in use")
    listed = [c["sku"] for c in product["combinations"] if c.get("sku")]
    if skus and len(set(listed)) < len(listed):
        raise refusal(409, "SKU_ALREADY_EXISTS", "Two variations have the same SKU")


def option_key(combination: Row) -> frozenset[tuple[str, str]]:
    """What tells a combination from its siblings: its options, in no order."""
    return frozenset((option["name"], option["value"]) for option in combination["options"])


def _stock(item: Row) -> object:
    return None if item["unlimited"] else item["quantity"]


def _linked(item: Row) -> str | None:
    return item.get("externalReferenceId")


def _skus(product: Row) -> set[str]:
    return {s["sku"] for s in (product, *product["combinations"]) if s.get("sku")}
