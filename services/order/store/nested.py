"""Nested values as JSON, in a column that is never queried."""

from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")

KEPT = 1024
"""Texts of a kind whose values are remembered."""


class Nested(Generic[T]):
    """A kind of nested values.

    What is as it is by default is left out of the text. What was written or read a moment ago is
    not read again: values never change, and a run finds the same document at each of its steps.
    """

    def __init__(self, kind: Any) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)
        self._known: dict[str, T] = {}

    def text(self, value: T) -> str:
        """A value as text."""
        text = self._adapter.dump_json(value, exclude_defaults=True).decode()
        return self._keep(text, value)

    def value(self, text: str) -> T:
        """The value that a text is."""
        try:
            return self._known[text]
        except KeyError:
            self._keep(text, value := self._adapter.validate_json(text))
            return value

    def _keep(self, text: str, value: T) -> str:
        if len(self._known) >= KEPT:
            self._known.clear()
        self._known[text] = value
        return text
