"""Shopify: its product CSV, for merchants who come from there; no platform to keep in step."""
