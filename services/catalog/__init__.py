"""Catalog: what is sold, and what each channel shows of it.

This context owns products as the point of sale knows them (SOR-01: only the point of sale changes
them) and their listings, one per product and channel.

Where to begin: `rules.products` says what a product is, and `rules.shelf` what a report makes of
it; `rules.mapping` is what a store shows of it, `rules.listings` its place there, `rules.drift`
where a store shows something else. `service.intake` is the one way in for all reports, whether by
an RPC, an import or an operator's yes, and `service.upkeep` what follows from every change: rows,
events, listings. Whole catalogs come by `service.imports`; what waits for people is
`service.attention`.

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
- **Placement**: a product's place in a channel: whether it is sold online there (its **switch**),
  the listing's version, and what became of writing it to the store.
- **Own** fields: what a store has of a listing that no product has (CAT-05); they are kept here and
  written to the store only when they were set here.
- **Listing**: placement and shown together. Its **version** grows with each change that its store
  has to be told of.
- **Drift**: a difference between a listing and what its store shows; open until the store shows the
  right value again. An **edit** is what was done there, or asked for here and refused.
- **Available**: sold online, and active in the point of sale (CAT-12).
- **Report**: what a point of sale says of a product, or that it was deleted; with the call that
  brought it, an **arrival**. A **step** is what a report would make of its product.
- **Provenance**: which call brought which value of a product or listing, and when (SOR-04). What
  made the call is its **cause**.
- **Held report**: one that was refused, or that is one deactivation too many; it waits as it came
  until something as new is taken in, or an operator decides (BEY-09).
- **Breaker**: how much of a catalog one cause has deleted or deactivated lately (BEY-10). What it
  stops is held until an operator decides.
- **Attention**: what waits for an operator, in groups of the same cause and key (BEY-09).
"""
