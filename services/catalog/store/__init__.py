"""Rows of the catalog, and the only SQL."""

from services.catalog.store.tables import PLUMBING, Key, Row

__all__ = ["PLUMBING", "Key", "Row"]
