"""The rules of stock, of allocation and of channels: pure, time and ids are passed in."""
