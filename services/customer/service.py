"""The RPCs of customer: read, decide, write, tell."""

from datetime import datetime
from uuid import uuid4

from services.chassis import pages
from services.chassis.database import Calls, Transaction
from services.chassis.errors import DomainError
from services.chassis.rpc import View, command, query
from services.chassis.run import Parts, Wiring
from services.customer import rules, store, wire
from services.customer.rules import Customer, PosCustomer, Profiles
from tillbridge.customer.v1 import customer_pb2 as pb

CONTRACT = pb.DESCRIPTOR.services_by_name["CustomerService"]


class CustomerService:
    """Implements `tillbridge.customer.v1.CustomerService`."""

    @command
    def match_customer(
        self,
        transaction: Transaction,
        calls: Calls[pb.MatchCustomerRequest, pb.MatchCustomerResponse],
    ) -> None:
        """Finds or creates the profile of each buyer; one, however many ask at once (CUS-05)."""
        keys = {(call.merchant, rules.key_if_any(call.request.email)) for call in calls}
        profiles = _load(transaction, keys, set())
        for call in calls:
            with call:
                key = rules.email_key(call.request.email)
                found = rules.match(profiles.with_key(call.merchant, key))
                buyer = wire.buyer(call.request)
                customer = found or rules.from_order(
                    call.merchant, uuid4().hex, buyer, transaction.now
                )
                profiles.put(customer)
                call.reply(wire.matched(customer, created=not found))
        _save(transaction, profiles)

    @command
    def batch_upsert_customers(
        self,
        transaction: Transaction,
        calls: Calls[pb.BatchUpsertCustomersRequest, pb.BatchUpsertCustomersResponse],
    ) -> None:
        """Takes in profiles of the point of sale."""
        batches = [(call, wire.pos_customers(call.request)) for call in calls]
        every = [(call.merchant, one) for call, batch in batches for one in batch]
        keys = {(merchant, rules.key_if_any(one.email)) for merchant, one in every}
        pos_ids = {(merchant, one.pos_customer_id) for merchant, one in every}
        profiles = _load(transaction, keys, pos_ids)
        for call, batch in batches:
            with call:
                for one in batch:
                    profiles.put(_upserted(profiles, call.merchant, one, transaction.now))
                known = [profiles.with_pos_id(call.merchant, one.pos_customer_id) for one in batch]
                call.reply(wire.upserted(known))
        _save(transaction, profiles)

    @query
    def get_customer(self, view: View, request: pb.GetCustomerRequest) -> pb.GetCustomerResponse:
        """One profile."""
        customer = store.get(view.connection, view.merchant, request.customer_id)
        if customer is None:
            raise DomainError(
                "CUSTOMER_NOT_FOUND",
                f"no customer {request.customer_id!r}; ListCustomers shows those that there are",
                field="customer_id",
                customer_id=request.customer_id,
            )
        return pb.GetCustomerResponse(customer=wire.customer(customer))

    @query
    def list_customers(
        self, view: View, request: pb.ListCustomersRequest
    ) -> pb.ListCustomersResponse:
        """Profiles by id."""
        key = rules.email_key(request.email) if request.email else ""
        (after,) = pages.key_before(request, str) or ("",)
        size = pages.page_size(request)
        found = store.page(view.connection, view.merchant, key, after, size + 1)
        token = pages.token_after(request, found[size - 1].customer_id) if found[size:] else ""
        return wire.page(found[:size], token)


def build(parts: Parts) -> Wiring:
    """The service, ready to serve."""
    del parts  # customer asks nobody and follows nobody
    return Wiring({CONTRACT: CustomerService()})


def _load(transaction: Transaction, keys: set[store.Key], pos_ids: set[store.Key]) -> Profiles:
    """All profiles with these addresses or ids of the point of sale, once no other process can
    create or change one.
    """
    keys = {(merchant, key) for merchant, key in keys if key}
    transaction.lock(f"customer/{merchant}/{key}" for merchant, key in keys)
    transaction.lock(f"customer-pos-id/{merchant}/{pos_id}" for merchant, pos_id in pos_ids)
    return Profiles.of(store.by_address_or_pos_id(transaction.connection, keys, pos_ids))


def _upserted(profiles: Profiles, merchant: str, reported: PosCustomer, now: datetime) -> Customer:
    """The profile that a report of the point of sale is about, as it is afterwards: the one it
    knows, else one that an order brought, else a new one.
    """
    key = rules.key_if_any(reported.email)
    known = profiles.with_pos_id(merchant, reported.pos_customer_id) or rules.adoptable(
        profiles.with_key(merchant, key)
    )
    if known:
        return rules.updated(known, reported, now)
    return rules.from_pos(merchant, uuid4().hex, reported, now)


def _save(transaction: Transaction, profiles: Profiles) -> None:
    store.save(transaction.connection, profiles.created, profiles.written)
    for customer in profiles.news:
        transaction.emit(
            customer.merchant_id,
            f"customer/{customer.customer_id}",
            wire.customer_changed(customer),
        )
