"""Rows and values: the only SQL of the inventory."""

from services.inventory.store.tables import PLUMBING, Row

__all__ = ["PLUMBING", "Row"]
