"""Customer: who buys, and which profile an order belongs to.

This context owns the customer profiles of a merchant. A profile comes from the point of sale, which
may change it at any time, or from an online order of an address that nobody knew (CUS-03); that one
becomes the point of sale's as soon as the point of sale has it.

Glossary:

- **Profile** (customer): a person as the point of sale knows them. Its id is given here; the point
  of sale's own id stands beside it once there is one.
- **Address**: an e-mail address as somebody typed it. Its **key** is what is left when case,
  surrounding space and the two spellings of a domain are taken off: two addresses are the same when
  their keys are (CUS-01). Nothing else is guessed: `a+b@c` is not `a@c`.
- **Buyer**: what an order tells of who bought: an address, perhaps a name and a telephone number.
- **Match**: the one profile with the buyer's address, never changed by the order (CUS-02).
- **Adopt**: the point of sale reports a profile whose address an order had brought here; it becomes
  that profile instead of a second one.
- **Collision**: several profiles with one address. Both stay, and a match is refused rather than
  guessed (BEY-14).
- **Version**: the point of sale's own count of a profile's changes; an older one changes nothing.
"""
