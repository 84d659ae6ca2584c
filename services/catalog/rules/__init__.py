"""What the catalog decides: pure functions over small values, by noun."""
