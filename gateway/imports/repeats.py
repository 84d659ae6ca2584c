"""What stands in a file more than once, found in memory that does not grow with the file."""

from collections import Counter

BITS = 26
_MASK = (1 << BITS) - 1


class Repeats:
    """A Bloom filter of texts, and the few that it has seen before, or seems to have.

    Seen once, in a first pass, all texts may be looked up; those that seem to repeat are counted
    exactly, in a second one.
    """

    def __init__(self) -> None:
        self._bits = bytearray(1 << (BITS - 3))
        self._suspects: set[int] = set()
        self._counts: Counter[str] = Counter()

    def see(self, text: str) -> None:
        """Notes a text, in the first pass."""
        number = hash(text)
        if self._mark(number):
            self._suspects.add(number)

    def note(self, text: str) -> None:
        """Notes a text that may be looked up, and may repeat."""
        self._mark(hash(text))

    def count(self, text: str) -> None:
        """Counts a text, in the second pass."""
        if hash(text) in self._suspects:
            self._counts[text] += 1

    def seems_known(self, text: str) -> bool:
        """Whether a text was seen; one of a million that were not seems so."""
        number = hash(text)
        one, other = number & _MASK, (number >> BITS) & _MASK
        return bool(
            self._bits[one >> 3] >> (one & 7) & 1 and self._bits[other >> 3] >> (other & 7) & 1
        )

    @property
    def suspicious(self) -> bool:
        """Whether a second pass is needed."""
        return bool(self._suspects)

    def found(self) -> frozenset[str]:
        """The texts that were seen more than once, after the second pass."""
        return frozenset(text for text, times in self._counts.items() if times > 1)

    def _mark(self, number: int) -> bool:
        """Sets the bits of a text; tells whether they were set."""
        one, other = number & _MASK, (number >> BITS) & _MASK
        first, second = 1 << (one & 7), 1 << (other & 7)
        bits = self._bits
        known = bool(bits[one >> 3] & first and bits[other >> 3] & second)
        bits[one >> 3] |= first
        bits[other >> 3] |= second
        return known
