"""Lightspeed Retail R-Series, API V3: its sales.

Every scalar is text there (`"true"`, `"4.39"`), a relation without members is `""`, one with a
single member is that object, and one with several is a list.
"""

from gateway.pos.lightspeed_r.sales import sale_of, sales_in

PLATFORM = "lightspeed-r"

__all__ = ["PLATFORM", "sale_of", "sales_in"]
