"""Owns stock, and which outlets feed which channel.

Glossary:

- outlet: a shop or warehouse that holds stock; register: a till at one outlet.
- channel: one connection between a point of sale and one online store, with its policies.
- item: what is counted, a variant of the catalog's; known from the catalog's feed.
- level: what an outlet has of an item; on hand: what lies there, may be negative; reserved: what is
  held for orders; available: on hand less reserved, never below zero.
- movement: one row of the ledger that levels are the sum of.
- online stock: what a channel may sell of an item: the whole units of what is available at its
  connected outlets.
- reservation: stock held for an order; allocation: which outlet gives which part of a line; a hold
  is an allocation that still counts as reserved.
- count: an absolute level, told by the point of sale with a version or the time it was observed.

Quantities are integers, thousandths of a unit, everywhere but on the wire.
"""
