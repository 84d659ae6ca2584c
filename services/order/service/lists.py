"""Pages of lists."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message

from services.chassis.pages import key_before, page_size
from services.order.store.statements import Page


def page_of(request: Message, *kinds: type) -> Page:
    """The page that a list request asks for, and one row more, which tells whether there is one.

    Raises:
        DomainError: INVALID_PAGE_TOKEN.
    """
    return Page(page_size(request) + 1, key_before(request, *kinds))


def split(request: Message, found: Sequence[Any]) -> tuple[Sequence[Any], bool]:
    """The rows of the page, and whether there are more."""
    size = page_size(request)
    return found[:size], len(found) > size
