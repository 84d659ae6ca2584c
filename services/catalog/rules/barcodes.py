"""Bar codes: whether the digits of a UPC or EAN can be right."""

LENGTHS = frozenset({8, 12, 13, 14})
"""Of GTIN-8, UPC-A, EAN-13 and GTIN-14, with their check digit."""


def warning(code: str) -> str:
    """What is wrong with a bar code; empty when nothing is, or when it is a code of the house's
    own, which may be anything.

    The value is the point of sale's and passes as it is (CAT-03).
    """
    if not code.isascii() or not code.isdigit():
        return ""
    if len(code) in LENGTHS:
        right = check_digit(code[:-1])
        if code[-1] == right:
            return ""
        return (
            f"the check digit of {code} is wrong: with these digits before it, it would be {right}"
        )
    if len(code) + 1 in LENGTHS and code[-1] == check_digit(code[:-1]):
        return f"{code} has lost its leading zero: as a bar code it reads 0{code}"
    if len(code) + 1 in LENGTHS:
        return (
            f"{code} has one digit too few for a bar code: with its check digit it would be"
            f" {code}{check_digit(code)}"
        )
    return ""


def check_digit(digits: str) -> str:
    """The check digit that GS1 puts behind these digits."""
    total = 3 * sum(map(int, digits[::-2])) + sum(map(int, digits[-2::-2]))
    return str(-total % 10)
