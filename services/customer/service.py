"""The RPCs of customer: read, decide, write, tell."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import uuid4

from services.chassis import pages
from services.chassis.database import Call, Calls, Transaction
from services.chassis.plumbing import batches
from services.chassis.rpc import View, command, command_each, query
from services.chassis.run import Parts, Wiring
from services.customer import store, wire
from services.customer.rules import matches, merging, profiles
from services.customer.rules.addresses import email_key, key_if_any
from services.customer.rules.matches import Buyer, Found, Match
from services.customer.rules.profiles import Customer, Key, PosCustomer, Profiles
from tillbridge.customer.v1 import customer_pb2 as pb

CONTRACT = pb.DESCRIPTOR.services_by_name["CustomerService"]
UNBLOCKED_MAX = 500
"""Orders that one event tells of."""
CANDIDATES_MAX = 100


class CustomerService:
    """Implements `tillbridge.customer.v1.CustomerService`."""

    @command
    def match_customer(
        self,
        transaction: Transaction,
        calls: Calls[pb.MatchCustomerRequest, pb.MatchCustomerResponse],
    ) -> None:
        """Finds or creates the profile of each buyer; one, however many ask at once (CUS-05). An
        order that is refused, since several have its address, is kept as waiting (BEY-14).
        """
        asked = [(call, wire.buyer(call.request)) for call in calls]
        known = _load(transaction, {(call.merchant, key_if_any(one.email)) for call, one in asked})
        orders = {(c.merchant, one.channel_id, one.order_id) for c, one in asked if one.has_order}
        before = store.matches(transaction.connection, orders)
        kept: dict[tuple[str, str, str], Match] = {}
        for call, buyer in asked:
            with call:
                address = (call.merchant, email_key(buyer.email))
                refusal = matches.ambiguity(known.owners(address))
                found = None if refusal else _found(known, address, buyer, transaction.now)
                if buyer.has_order:
                    order = (call.merchant, buyer.channel_id, buyer.order_id)
                    last = kept.get(order) or before.get(order)
                    kept[order] = matches.record(address, buyer, found, last, transaction.now)
                if refusal:
                    raise refusal
                assert found
                call.reply(wire.matched(found))
        store.save_matches(transaction.connection, kept.values())
        _save(transaction, known)

    @command
    def batch_upsert_customers(
        self,
        transaction: Transaction,
        calls: Calls[pb.BatchUpsertCustomersRequest, pb.BatchUpsertCustomersResponse],
    ) -> None:
        """Takes in profiles of the point of sale."""
        asked = [(call, wire.pos_customers(call.request)) for call in calls]
        every = [(call.merchant, one) for call, batch in asked for one in batch]
        addresses = {(merchant, key_if_any(one.email)) for merchant, one in every}
        pos_ids = {(merchant, one.pos_customer_id) for merchant, one in every}
        known = _load(transaction, addresses, pos_ids)
        for call, batch in asked:
            with call:
                for one in batch:
                    known.put(_upserted(known, call.merchant, one, transaction.now))
                found = [known.with_pos_id(call.merchant, one.pos_customer_id) for one in batch]
                call.reply(wire.upserted(found))
        _save(transaction, known)

    @query
    def get_customer(self, view: View, request: pb.GetCustomerRequest) -> pb.GetCustomerResponse:
        """One profile."""
        return pb.GetCustomerResponse(customer=wire.customer(_get(view, request.customer_id)))

    @query
    def list_customers(
        self, view: View, request: pb.ListCustomersRequest
    ) -> pb.ListCustomersResponse:
        """Profiles by id."""
        key = email_key(request.email) if request.email else ""
        (after,) = pages.key_before(request, str) or ("",)
        size = pages.page_size(request)
        found = store.page(view.connection, view.merchant, key, after, size + 1)
        token = pages.token_after(request, found[size - 1].customer_id) if found[size:] else ""
        return wire.page(found[:size], token)

    @command_each
    def merge_customers(
        self,
        transaction: Transaction,
        call: Call[pb.MergeCustomersRequest, pb.MergeCustomersResponse],
    ) -> pb.MergeCustomersResponse:
        """Makes one customer of several profiles, or says what would become of what (BEY-14)."""
        merchant, request, connection = call.merchant, call.request, transaction.connection
        _lock_all(transaction, merchant)
        named = [(merchant, customer_id) for customer_id in request.merged_customer_ids]
        found = store.by_id(connection, {(merchant, request.customer_id), *named})
        family = {key: found[key] for key in named if key in found}
        family |= store.merged_into(connection, named)
        merge = merging.merge(
            found.get((merchant, request.customer_id)),
            [(key[1], found.get(key)) for key in named],
            family.values(),
            survivor_id=request.customer_id,
            now=transaction.now,
        )
        unblocked = _carry_out(transaction, merge, family, save=not request.validate_only)
        return wire.merged(merge, _orders(transaction, merge), unblocked)

    @command_each
    def unmerge_customers(
        self,
        transaction: Transaction,
        call: Call[pb.UnmergeCustomersRequest, pb.UnmergeCustomersResponse],
    ) -> pb.UnmergeCustomersResponse:
        """Takes a merge back, or says what would become of what (BEY-14)."""
        merchant, request, connection = call.merchant, call.request, transaction.connection
        _lock_all(transaction, merchant)
        key = (merchant, request.customer_id)
        found = store.by_id(connection, {key}).get(key)
        family = store.family(connection, found) if found else {}
        merge = merging.unmerge(
            found, list(family.values()), customer_id=request.customer_id, now=transaction.now
        )
        _carry_out(transaction, merge, family, save=not request.validate_only)
        return wire.unmerged(merge, _orders(transaction, merge))

    @query
    def explain_match(self, view: View, request: pb.ExplainMatchRequest) -> pb.ExplainMatchResponse:
        """Why an order belongs to its customer (BEY-02)."""
        order = (view.merchant, request.channel_id, request.order_id)
        match = store.matches(view.connection, {order}).get(order)
        if match is None:
            raise matches.not_found(request.channel_id, request.order_id)
        address = (view.merchant, match.email_key)
        known = Profiles.of(store.carriers(view.connection, {address}).values())
        carrier = customer = None
        if match.customer_id:
            carrier = _get(view, match.customer_id)
            customer = _get(view, carrier.survivor_key[1])
        text = matches.explanation(match, carrier, customer, len(known.owners(address)))
        return wire.explained(match, customer, known.carriers(address)[:CANDIDATES_MAX], text)

    @query
    def list_matches(self, view: View, request: pb.ListMatchesRequest) -> pb.ListMatchesResponse:
        """The orders of a customer, by channel and order."""
        customer = _get(view, request.customer_id)
        family = list(store.family(view.connection, customer).values())
        members = {one.key for one in merging.part_of(customer.customer_id, family)}
        after = pages.key_before(request, str, str) or ("", "")
        size = pages.page_size(request)
        found = store.match_page(view.connection, members, (after[0], after[1]), size + 1)
        shown, token = found[:size], ""
        if found[size:]:
            token = pages.token_after(request, shown[-1].channel_id, shown[-1].order_id)
        return wire.match_page(shown, customer.survivor_key[1], token)

    @query
    def list_attention(
        self, view: View, request: pb.ListAttentionRequest
    ) -> pb.ListAttentionResponse:
        """Addresses that several profiles carry, and what waits for them (BEY-09, BEY-14)."""
        (after,) = pages.key_before(request, str) or ("",)
        size = pages.page_size(request)
        found = store.collision_page(view.connection, view.merchant, after, size + 1)
        token = pages.token_after(request, found[size - 1].email_key) if found[size:] else ""
        groups = [
            wire.collision(
                one.email_key,
                one.since,
                profiles=one.profiles,
                examples=one.examples,
                orders=one.orders,
            )
            for one in found[:size]
        ]
        return pb.ListAttentionResponse(groups=groups, next_page_token=token)


def build(parts: Parts) -> Wiring:
    """The service, ready to serve."""
    del parts  # customer asks nobody and follows nobody
    return Wiring({CONTRACT: CustomerService()})


def _lock_all(transaction: Transaction, merchant: str) -> None:
    """Holds all of a merchant's profiles still: a merge may concern any address."""
    transaction.lock([f"customers/{merchant}"])


def _load(
    transaction: Transaction, addresses: Iterable[Key], pos_ids: Iterable[Key] = ()
) -> Profiles:
    """All profiles that carry these addresses, or that the point of sale knows by these ids, and
    all that carry what those carry now, once no other process can create or change one.
    """
    connection = transaction.connection
    addresses, pos_ids = set(addresses), set(pos_ids)
    merchants = {merchant for merchant, _ in addresses | pos_ids}
    transaction.lock((f"customers/{merchant}" for merchant in merchants), shared=True)
    known: Mapping[Key, Customer] = {}
    if pos_ids:
        transaction.lock(f"customer-pos-id/{merchant}/{pos_id}" for merchant, pos_id in pos_ids)
        known = store.by_pos_id(connection, pos_ids)
        addresses |= {(one.merchant_id, one.email_key) for one in known.values()}
    addresses = {(merchant, key) for merchant, key in addresses if key}
    transaction.lock(f"customer/{merchant}/{key}" for merchant, key in addresses)
    return Profiles.of({**known, **store.carriers(connection, addresses)}.values())


def _found(known: Profiles, address: Key, buyer: Buyer, now: datetime) -> Found:
    """The customer whom an address belongs to, made of the buyer where there is none."""
    if found := matches.find(known, address):
        return found
    created = matches.from_order(address[0], uuid4().hex, buyer, now)
    known.put(created)
    return Found(created, created, created=True)


def _upserted(known: Profiles, merchant: str, reported: PosCustomer, now: datetime) -> Customer:
    """The profile that a report of the point of sale is about, as it is afterwards: the one it
    knows, else one that an order brought, else a new one.
    """
    carriers = known.carriers((merchant, key_if_any(reported.email)))
    found = known.with_pos_id(merchant, reported.pos_customer_id) or profiles.adoptable(carriers)
    if found:
        return profiles.updated(found, reported, now)
    return profiles.from_pos(merchant, uuid4().hex, reported, now)


def _carry_out(
    transaction: Transaction,
    merge: merging.Merge,
    family: Mapping[Key, Customer],
    *,
    save: bool,
) -> int:
    """Does what a merge comes to, or only looks at it; returns how many orders may go on."""
    connection = transaction.connection
    addresses = {(one.merchant_id, one.email_key) for one in merge.moved if one.email_key}
    known = Profiles.of({**family, **store.carriers(connection, addresses)}.values())
    for one in merge.moved:
        known.put(one)
    unblocked = len(store.waiting(connection, known.cleared))
    if save:
        _save(transaction, known)
        _tell(transaction, merge.survivor)
    return unblocked


def _orders(transaction: Transaction, merge: merging.Merge) -> int:
    return store.count_matches(transaction.connection, {one.key for one in merge.moved})


def _get(view: View, customer_id: str) -> Customer:
    key = (view.merchant, customer_id)
    found = store.by_id(view.connection, {key}).get(key)
    if found is None:
        raise merging.not_found(customer_id)
    return found


def _save(transaction: Transaction, known: Profiles) -> None:
    connection = transaction.connection
    store.save(connection, known.created, known.written)
    cleared = known.cleared
    store.save_collisions(connection, known.collided, cleared, transaction.now)
    _unblock(transaction, cleared)
    for customer in known.news:
        _tell(transaction, customer)


def _unblock(transaction: Transaction, addresses: Iterable[Key]) -> None:
    """Tells that the orders that wait for these addresses may go on (BEY-14)."""
    waiting: defaultdict[Key, list[str]] = defaultdict(list)
    for merchant, channel_id, order_id in store.waiting(transaction.connection, set(addresses)):
        waiting[merchant, channel_id].append(order_id)
    for (merchant, channel_id), order_ids in waiting.items():
        for part in batches(order_ids, UNBLOCKED_MAX):
            message = wire.orders_unblocked(channel_id, part)
            transaction.emit(merchant, f"matches/{channel_id}", message, channel_id)


def _tell(transaction: Transaction, customer: Customer) -> None:
    subject = f"customer/{customer.customer_id}"
    transaction.emit(customer.merchant_id, subject, wire.customer_changed(customer))
