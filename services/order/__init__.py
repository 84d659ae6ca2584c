"""Orders on their way into the point of sale, the sales history and fulfillments.

This context owns every online order from the store's document to the posted sale: that it is kept,
that it goes on by itself, and that it becomes one sale whatever comes twice, late or out of order.
It asks the catalog for items, customers for the buyer and inventory for stock, and decides none of
what is theirs. `run` is how an order goes on; `rules.progress` decides its steps.

Words:
- *document*: an order as the store has it; its version grows with every change there.
- *run*: an order going from step to step. It may be broken off anywhere and begun again.
- *step*: one thing to find out or to do elsewhere, under a request id derived from the order.
- *hold*: what inventory was asked to set aside; a *reservation* once it has.
- *waiting*: an order that cannot go on, with the reason and what would let it.
- *posted*: the order's sale exists here. With an outside point of sale the gateway writes it there
  and reports back.
- *sale*: a line in the sales history, made at a till or online; its *revision* grows with every
  change.
- *worth*: what the parts of an order come to: goods, shipping, charges, tax, less what is off. What
  is missing to the store's total is *rounding* as far as rounding the parts explains it, else the
  sale's *difference*; the total holds.
- *refused*: a sale of the outside point of sale that could not be copied.
- *mirrored*: a sale copied from an outside point of sale, whose stock levels carry its effect.
- *fulfillment*: what one outlet has to hand over for one order; it is *picked*, *packed* and
  *fulfilled* line by line.
- *account*: what became of one line of an order: ordered, canceled, fulfilled, returned, restocked.
- *refund*: money given back, goods taken back, or both, at one time; made *here* by RefundOrder,
  told by the store, or rung up in the outside point of sale. A *return sale* is what it becomes, or
  is there, in the sales history.
- *cancellation*: what was not handed over is taken back; the sale is *void* where nothing else came
  of it, else it has a return sale.
- *case*: an order with all that has become of it here.
- *store update*: what the store should show of an order and does not.
- *due*: when a run goes on. A process that has taken a run holds its *lease* meanwhile.
"""
