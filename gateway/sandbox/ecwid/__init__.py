"""A simulated Ecwid store, REST API v3.

Words:
    store: one online shop; its API lies below `/api/v3/{storeId}/`.
    combination: a variation of a product, with its own SKU, price and stock.
    unlimited: stock is not tracked; `quantity` is then absent.
    order id: the public text, such as `XJ12H`; events carry the internal number as well.
"""

from gateway.sandbox.ecwid.app import Ecwid

__all__ = ["Ecwid"]
