"""Catalog: what is sold, and what each channel shows of it.

This context owns products as the point of sale knows them (SOR-01: only the point of sale changes
them) and their listings, one per product and channel.

Glossary:

- **Product**: what is sold, with the fields that all of its variants share.
- **Variant**: the unit that is counted, priced and sold; elsewhere called **item**. Its id is
  unique per merchant; its **SKU** may change and need not be unique.
- **Attribute**: what the variants of a product differ in, such as the size; in a listing it is an
  **option** that a buyer chooses from (CAT-03).
- **Stamp**: how new a report of a product is: the point of sale's version, and when the values were
  read there. An older report changes nothing.
- **Known**: a product as the catalog last took it in, with its stamp. A **tombstone** is what stays
  of a deleted one, so that an older report that arrives late does not bring it back.
- **Channel**: one online store. The inventory service owns channels; here it is only known that
  there is one, and its listings.
- **Shown**: what a store shows of a product, made from the product alone, and without the fields
  that never leave the point of sale (CAT-04).
- **Placement**: a product's place in a channel: whether it is sold online there, the listing's
  version, and what became of writing it to the store.
- **Listing**: placement and shown together. Its **version** grows with each change of what it
  shows or of its switch.
- **Available**: sold online, and active in the point of sale (CAT-12).
"""
