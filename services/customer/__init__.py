"""Customer: who buys, and which profile an order belongs to.

This context owns the customer profiles of a merchant. A profile comes from the point of sale, which
may change it at any time, or from an online order of an address that nobody knew (CUS-03); that one
becomes the point of sale's as soon as the point of sale has it.

Glossary:

- **Profile** (customer): a person as the point of sale knows them. Its id is given here; the point
  of sale's own id stands beside it once there is one.
- **Address**: an e-mail address as somebody typed it. Its **key** is what is left when case,
  surrounding space, Unicode form and the two spellings of a domain are taken off: two addresses are
  the same when their keys are (CUS-01). Nothing else is guessed: `a+b@c` is not `a@c`.
- **Carrier**: a profile with an address; **owner**: whom the address belongs to, the carrier or the
  one that it was merged into.
- **Buyer**: what an order tells of who bought: an address, perhaps a name and a telephone number.
- **Match**: the one owner of the buyer's address, never changed by the order (CUS-02). It is kept
  with the order: which profile carried the address then, and why it was this one (BEY-02).
- **Adopt**: the point of sale reports a profile whose address an order had brought here; it becomes
  that profile instead of a second one, unless others own the address too.
- **Collision**: an address with several owners. All stay, and a match is refused rather than
  guessed; the order waits until the collision ends (BEY-14).
- **Merge**: several profiles become one customer. The merged ones keep their values and their own
  matches and only point to the **survivor**, so that taking a merge back gives everything back. All
  that belong to one survivor are a **family**.
- **Version**: the point of sale's own count of a profile's changes; an older one changes nothing.
"""
