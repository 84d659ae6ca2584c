"""Messages <-> values, and the only message building."""
