"""The RPCs of shipping methods, and what a buyer may choose at checkout."""

from collections.abc import Collection, Sequence
from functools import partial

from services.chassis.auth import Caller
from services.chassis.database import Call, Database, Transaction
from services.chassis.errors import DomainError, invalid
from services.chassis.pages import key_before, page_size, token_after
from services.chassis.rpc import View, command, query
from services.order.peers import Peers
from services.order.rules import checkout
from services.order.rules import shipping as rules
from services.order.rules.checkout import Cart
from services.order.rules.shipping import Method, MethodKey, Storefront
from services.order.service.lists import split
from services.order.service.quotes import Quotes
from services.order.service.told import tell_method
from services.order.store import shipping as store
from services.order.wire import shipping as wire
from services.order.wire.scalars import optional_time
from tillbridge.order.v1 import shipping_pb2 as pb

CREATE = "tillbridge.order.v1.ShippingService.CreateShippingMethod"
UPDATE = "tillbridge.order.v1.ShippingService.UpdateShippingMethod"

CreateCall = Call[pb.CreateShippingMethodRequest, pb.CreateShippingMethodResponse]
UpdateCall = Call[pb.UpdateShippingMethodRequest, pb.UpdateShippingMethodResponse]
DeleteCall = Call[pb.DeleteShippingMethodRequest, pb.DeleteShippingMethodResponse]


class ShippingService:
    """Implements `tillbridge.order.v1.ShippingService`."""

    def __init__(self, database: Database, peers: Peers) -> None:
        self._database = database
        self._peers = peers
        self._quotes = Quotes(database, peers)

    async def create_shipping_method(
        self, caller: Caller, request: pb.CreateShippingMethodRequest
    ) -> pb.CreateShippingMethodResponse:
        """Creates a method (SHP-01)."""
        storefront = await self._storefront(caller.merchant, request.channel_id)
        call: CreateCall = Call(caller, request)
        create = partial(self._create, storefront)
        return pb.CreateShippingMethodResponse.FromString(
            await self._database.write(CREATE, create, call)
        )

    async def _storefront(self, merchant_id: str, channel_id: str) -> Storefront | DomainError:
        """What the channel says now, or why it says nothing. A repeat is answered as before even
        then, so whoever needs it raises that.
        """
        try:
            return (await self._peers.channel_now(merchant_id, channel_id)).storefront
        except DomainError as error:
            return error

    def _create(
        self,
        storefront: Storefront | DomainError,
        transaction: Transaction,
        calls: Sequence[CreateCall],
    ) -> None:
        for call in calls:
            with call:
                request = call.request
                if request.method.channel_id not in {"", request.channel_id}:
                    raise invalid("method.channel_id", "must be the channel of the call")
                told = wire.method(call.merchant, request.channel_id, request.method)
                if store.methods(transaction.connection, [told.key]):
                    raise rules.method_exists(told.key)
                made = rules.created(told, _known(storefront), transaction.now)
                store.save_methods(transaction.connection, [made], ())
                tell_method(transaction, made)
                answer = pb.CreateShippingMethodResponse(method=wire.method_message(made))
                call.reply(answer)

    async def update_shipping_method(
        self, caller: Caller, request: pb.UpdateShippingMethodRequest
    ) -> pb.UpdateShippingMethodResponse:
        """Changes what the mask names; `enabled` switches it on again by hand (SHP-05)."""
        names = set(request.update_mask.paths)
        storefront = None
        if rules.needs_storefront(names):
            storefront = await self._storefront(caller.merchant, request.method.channel_id)
        call: UpdateCall = Call(caller, request)
        update = partial(self._update, storefront)
        return pb.UpdateShippingMethodResponse.FromString(
            await self._database.write(UPDATE, update, call)
        )

    def _update(
        self,
        storefront: Storefront | DomainError | None,
        transaction: Transaction,
        calls: Sequence[UpdateCall],
    ) -> None:
        for call in calls:
            with call:
                request, names = call.request, set(call.request.update_mask.paths)
                wire.check_mask(names)
                told = wire.method(call.merchant, request.method.channel_id, request.method)
                before = self._locked(transaction, told.key)
                rules.check_version(before, request.version)
                after = wire.changed(before, told, names)
                known = None if storefront is None else _known(storefront)
                saved = rules.updated(before, after, known, transaction.now)
                store.save_methods(transaction.connection, [saved], [saved.key])
                tell_method(transaction, saved)
                answer = pb.UpdateShippingMethodResponse(method=wire.method_message(saved))
                call.reply(answer)

    @command
    def delete_shipping_method(self, transaction: Transaction, calls: Sequence[DeleteCall]) -> None:
        """Deletes methods; orders that were placed with them stay as they are."""
        for call in calls:
            with call:
                request = call.request
                key = MethodKey(call.merchant, request.channel_id, request.method_id)
                gone = self._locked(transaction, key)
                store.delete_methods(transaction.connection, [key])
                tell_method(transaction, gone, deleted=True)
                call.reply(pb.DeleteShippingMethodResponse())

    def _locked(self, transaction: Transaction, key: MethodKey) -> Method:
        found = store.methods(transaction.connection, [key], lock=True).get(key)
        if found is None:
            raise rules.no_method(key)
        return found

    @query
    def list_shipping_methods(
        self, view: View, request: pb.ListShippingMethodsRequest
    ) -> pb.ListShippingMethodsResponse:
        """A channel's methods by position."""
        found = store.list_methods(
            view.connection,
            view.merchant,
            request.channel_id,
            request.outlet_id,
            key_before(request, int, str),
            page_size(request) + 1,
        )
        shown, more = split(request, found)
        last = (shown[-1].position, shown[-1].key.method_id) if more else ()
        return pb.ListShippingMethodsResponse(
            methods=[wire.method_message(one) for one in shown],
            next_page_token=token_after(request, *last) if more else "",
        )

    async def preview_shipping_methods(
        self, caller: Caller, request: pb.PreviewShippingMethodsRequest
    ) -> pb.PreviewShippingMethodsResponse:
        """What would become of a channel's methods if these outlets fed it (BEY-03)."""
        key = (caller.merchant, request.channel_id)
        storefront = (await self._peers.channel_now(*key)).storefront
        methods = await self._database.read(
            lambda connection: store.channel_methods(connection, *key)
        )
        now = self._database.clock()
        found = rules.preview(methods, storefront, request.connected_outlet_ids, now)
        return pb.PreviewShippingMethodsResponse(
            disabled=[wire.method_message(one) for one in found.disabled],
            kept=[wire.method_message(one) for one in found.kept],
        )

    async def quote_checkout(
        self, caller: Caller, request: pb.QuoteCheckoutRequest
    ) -> pb.QuoteCheckoutResponse:
        """What may be chosen for a cart, and of the rest why not (SHP-03, SHP-06)."""
        merchant, channel_id = caller.merchant, request.channel_id
        channel = await self._peers.channel(merchant, channel_id)
        cart = await self._cart(merchant, request)
        now = optional_time(request, "quote_time", "quote_time") or self._database.clock()
        offers, stock = await self._quotes.ask(merchant, channel_id, cart)
        found = checkout.quote(cart, offers, stock, channel.storefront.restricted, now)
        return wire.quote_message(found, stock)

    async def _cart(self, merchant: str, request: pb.QuoteCheckoutRequest) -> Cart:
        """The cart; the catalog is only asked for lines that name no item.

        Raises:
            DomainError: ITEM_NOT_FOUND, SKU_AMBIGUOUS, INVALID_FIELD.
        """
        missing = [index for index, line in enumerate(request.lines) if not line.item_id]
        item_ids: dict[int, str] = {}
        if missing:
            skus = [request.lines[index].sku for index in missing]
            found = await self._resolved(merchant, missing, skus)
            item_ids = dict(zip(missing, found, strict=True))
        cart = wire.cart(request, item_ids)
        checkout.check_cart(cart)
        return cart

    async def _resolved(
        self, merchant: str, places: Collection[int], skus: Sequence[str]
    ) -> list[str]:
        """The items with these SKUs, which stand at these places."""
        for index, sku in zip(places, skus, strict=True):
            if not sku.strip():
                raise invalid(f"lines[{index}].item_id", "must name the item, or `sku` its SKU")
        answers = await self._peers.resolve_skus(merchant, skus)
        for index, sku, answer in zip(places, skus, answers, strict=True):
            if not answer.item_id:
                raise checkout.no_item(f"lines[{index}].sku", sku, answer.reason)
        return [answer.item_id for answer in answers]


def _known(storefront: Storefront | DomainError) -> Storefront:
    if isinstance(storefront, DomainError):
        raise storefront
    return storefront
