"""Ecwid, REST API v3.

Choices where the platform leaves room:
    link: a product's `externalReferenceId` is our product id, a variation's is our item id. SKUs
        may change and link nothing.
    options: a listing with options has one variation per item. Its base product is kept at no
        stock, so that a combination of choices that does not exist cannot be sold.
    images: ours carry `externalId`, a digest of their address. When the point of sale has changed
        its images, all images are written anew; until then those that were added in the store stay,
        and of ours only what is missing is added (CAT-08).
    unknown: what the point of sale does not know of a product (category, weight, dimensions) is
        written as none, since it has the say; only a SKU is left to the store to make up.
    own fields: compare-to price, subtitle and low-stock threshold are written when they were set in
        Tillbridge, and with everything else when the product has to be made anew (CAT-05, CAT-11).
    units: weights and dimensions are converted to the units that the store is set to.
    statuses: one table each way (`statuses`). A status of the merchant's own, or a new one, is
        OTHER: not paid, and kept and shown in the store's word.
    discounts: those of the order count; what its items tell of discounts is how these are spread.
    tips: a surcharge whose id or description says so; other surcharges and the handling fee are
        charges too. A surcharge below zero is a discount.
    gift cards: a payment; the order's total is what it was before.
    shipping: whether its rate has its tax in it, where prices have none, is told by its net rate,
        else by which of the two makes the order add up.
    refunds: known by date, amount, source and reason, since they have no ids; what the sum of all
        refunds tells beyond them is one more.
"""

from gateway.ecom.ecwid.account import Ecwid
from gateway.ecom.ecwid.webhooks import SIGNATURE_HEADER, read_webhook

PLATFORM = "ecwid"

__all__ = ["PLATFORM", "SIGNATURE_HEADER", "Ecwid", "read_webhook"]
