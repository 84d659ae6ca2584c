"""Ecwid, REST API v3.

Choices where the platform leaves room:
    link: a product's `externalReferenceId` is our product id, a variation's is our item id. SKUs
        may change and link nothing.
    options: a listing with options has one variation per item. Its base product is kept at no
        stock, so that a combination of choices that does not exist cannot be sold.
    images: ours carry `externalId`, a digest of their address. Only when that list is different
        are the images written anew, all of them; until then images added in the store stay.
    units: weights and dimensions are converted to the units that the store is set to.
"""

from gateway.ecom.ecwid.account import Ecwid
from gateway.ecom.ecwid.webhooks import SIGNATURE_HEADER, read_webhook

PLATFORM = "ecwid"

__all__ = ["PLATFORM", "SIGNATURE_HEADER", "Ecwid", "read_webhook"]
