"""Rows <-> values, and the only SQL: `tables`, `statements` on any of them, `orders`, `sales`."""

from services.order.store.tables import PLUMBING, Row

__all__ = ["PLUMBING", "Row"]
