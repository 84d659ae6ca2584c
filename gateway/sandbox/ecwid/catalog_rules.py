"""What must hold for a product before the store takes it, with the store's own refusals."""

from collections.abc import Iterable

from gateway.sandbox.ecwid.catalog_fields import CHOICE_TYPES
from gateway.sandbox.ecwid.store import refusal
from gateway.sandbox.values import Row

COMBINATIONS_PER_REQUEST_MAX = 200

Claim = tuple[str, str]
"""A kind of name, one of those in `_TAKEN`, and the name."""

_TAKEN = {
    "sku": ("SKU_ALREADY_EXISTS", "SKU"),
    "product": ("EXTERNAL_ID_ALREADY_USED", "externalReferenceId"),
    "variation": ("EXTERNAL_ID_ALREADY_USED", "externalReferenceId"),
}


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


class Claims:
    """Which product holds which SKU and external id, so that none is held twice.

    Products and variations have a space of external ids each: the POS gives a family the id of
    its first variant. A variation may share the SKU of its own base product.

    Args:
        unique_skus: whether SKUs are watched too.
    """

    def __init__(self, *, unique_skus: bool) -> None:
        self._unique_skus = unique_skus
        self._holders: dict[Claim, int] = {}

    def replace(self, products: Iterable[Row]) -> None:
        """Learns all products anew."""
        self._holders = {claim: p["id"] for p in products for claim in self._claims(p)}

    def check(self, product: Row) -> None:
        """Refuses a draft that claims what is held already.

        Raises:
            ApiError: 409 SKU_ALREADY_EXISTS or EXTERNAL_ID_ALREADY_USED.
        """
        seen: set[Claim] = set()
        for claim in self._claims(product):
            if claim in seen or self._holders.get(claim, product["id"]) != product["id"]:
                code, what = _TAKEN[claim[0]]
                raise refusal(409, code, f"The {what} '{claim[1]}' is already in use")
            seen.add(claim)

    def move(self, before: Row | None, after: Row | None) -> None:
        """Follows a product that was written or deleted."""
        for claim in self._claims(before) if before else ():
            self._holders.pop(claim, None)
        if after:
            holder: int = after["id"]
            claims: dict[Claim, int] = dict.fromkeys(self._claims(after), holder)
            self._holders.update(claims)

    def _claims(self, product: Row) -> list[Claim]:
        claims = [("product", product.get("externalReferenceId"))]
        skus = [product["sku"]]
        for combination in product["combinations"]:
            claims.append(("variation", combination.get("externalReferenceId")))
            if combination.get("sku") != product["sku"]:
                skus.append(combination.get("sku"))
        if self._unique_skus:
            claims += [("sku", sku) for sku in skus]
        return [(kind, value) for kind, value in claims if value]


def option_key(combination: Row) -> frozenset[tuple[str, str]]:
    """What tells a combination from its siblings: its options, in no order."""
    return frozenset((option["name"], option["value"]) for option in combination["options"])


def _stock(item: Row) -> object:
    return None if item["unlimited"] else item["quantity"]
