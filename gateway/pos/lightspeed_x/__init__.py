"""Lightspeed Retail X-Series (formerly Vend), API 2.0 with the sale writes of 0.9 and 2026-07.

Choices where the platform leaves room:
    retail price: `price_including_tax` where the account's outlets display inclusive prices, else
        `price_excluding_tax`. Accounts mix rarely; the first outlet decides.
    family: products that share a parent. Its product id is the parent's id, also when the parent
        itself was deleted; its version is the highest of its rows, deleted ones included, so that
        losing a variant is a change like any other.
    register of a posted sale: the channel's, unless another outlet fills the order; then the first
        register of that outlet, since the platform takes a sale's stock at its register's outlet.
    a sale's sums: what an order's total holds beside its lines stands in `ecom_custom_charges`, a
        row each: shipping, tips, fees, discounts by name, tax that no line carries, rounding, and
        a total that the store's own figures do not explain. Together they come to the cent.
    an order that other outlets than the register's give some of: one sale, written by API 2026-07,
        whose lines each name the outlet that fulfills them. The platform takes the stock there and
        makes a fulfillment for each; all levels that include the sale are newer than its version.
    what comes back: a sale with `return_for`. The platform puts all that is returned on the shelf,
        so that what stays off it (damaged goods) is a charge and no line. It takes a return back at
        its register's outlet: what goes to several outlets is a return at each of them.
    parked and voided sales: copied as what they are; a voided one keeps its lines.
"""

from gateway.pos.lightspeed_x.account import LightspeedX
from gateway.pos.lightspeed_x.webhooks import SIGNATURE_HEADER, read_webhook

PLATFORM = "lightspeed-x"

__all__ = ["PLATFORM", "SIGNATURE_HEADER", "LightspeedX", "read_webhook"]
