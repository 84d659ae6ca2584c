"""A simulated Lightspeed Retail X-Series POS (formerly Vend), API 2.0 with the older 0.9 writes.

Words:
    retailer: the account; it has one ever-growing version number for all its rows.
    family: products that share a handle. Its parent is itself sellable: the first variant.
    level: units of a product on hand at an outlet; may be negative.
    sale: what a register recorded, whatever its status.
"""

from gateway.sandbox.lightspeed_x.app import LightspeedX

__all__ = ["LightspeedX"]
