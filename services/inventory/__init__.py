"""Owns stock, and which outlets feed which channel.

Glossary:

- outlet: a shop or warehouse that holds stock; register: a till at one outlet.
- channel: one connection between a point of sale and one online store, with its policies.
- item: what is counted, a variant of the catalog's; known from the catalog's feed.
- level: what an outlet has of an item; on hand: what lies there, may be negative; reserved: what is
  held for orders; available: on hand less reserved, never below zero.
- movement: one row of the ledger that levels are the sum of.
- online stock, or figure: what a channel may sell of an item: the whole units of what its connected
  outlets give.
- feed: a channel with what limits what its outlets give. Buffer: stock that is kept back from a
  channel for those who stand in the shop; draining: an outlet that is being disconnected and gives
  nothing new; silent: an outlet that nothing was told of for too long, and that gives little.
- to stand still: what a channel's figures do while no change of stock reaches it.
- impact: what a change of a channel does to its figures. Edit: a level that was typed in a store.
- reservation: stock held for an order; allocation: which outlet gives which part of a line; a hold
  is an allocation that still counts as reserved.
- count: an absolute level, told by the point of sale with a version or the time it was observed.

Quantities are integers, thousandths of a unit, everywhere but on the wire.
"""
