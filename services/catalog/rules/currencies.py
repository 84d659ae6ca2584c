"""Currencies: with how many decimals a price is shown (ISO 4217)."""

from services.catalog.rules.products import Money

DECIMALS_DEFAULT = 2

_WITHOUT = {
    *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"),
    *("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"),
}
_THREE = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}
_FOUR = {"CLF", "UYW"}

DECIMALS = dict.fromkeys(_WITHOUT, 0) | dict.fromkeys(_THREE, 3) | dict.fromkeys(_FOUR, 4)
"""Decimals of the currencies that do not have two."""

_NANO_DIGITS = 9


def decimals(currency_code: str) -> int:
    """How many decimals amounts in this currency have."""
    return DECIMALS.get(currency_code, DECIMALS_DEFAULT)


def rounded(money: Money | None) -> Money | None:
    """An amount, rounded half up (away from zero) to the decimals of its currency (CAT-03)."""
    if money is None:
        return None
    step = 10 ** (_NANO_DIGITS - decimals(money.currency_code))
    if money.amount_nanos % step == 0:
        return money
    size = (abs(money.amount_nanos) + step // 2) // step * step
    return Money(money.currency_code, size if money.amount_nanos > 0 else -size)
