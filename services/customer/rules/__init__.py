"""What customer decides: pure functions over small values, by noun."""
