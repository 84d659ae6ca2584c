"""Whose name a sale carries to the point of sale."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.pos import SaleToPost
from gateway.push.sales import SalePosting
from tillbridge.customer.v1 import customer_pb2
from tillbridge.inventory.v1 import channels_pb2
from tillbridge.order.v1 import order_pb2


class Owners:
    """The services, as far as a posting asks them."""

    def __init__(self, customer_id: str, profiles: dict[str, customer_pb2.Customer]) -> None:
        channel = channels_pb2.Channel(policies=channels_pb2.ChannelPolicies(external_pos=True))
        sale = order_pb2.Sale(
            sale_id="s",
            origin=order_pb2.SALE_ORIGIN_ONLINE,
            channel_id="ch",
            revision=1,
            customer_id=customer_id,
        )
        document = order_pb2.OrderDocument(email="of-the-order@x.com", buyer_name="Of the order")
        self.channels = SimpleNamespace(
            GetChannel=lambda _: channels_pb2.GetChannelResponse(channel=channel)
        )
        self.orders = SimpleNamespace(
            GetSale=lambda _: order_pb2.GetSaleResponse(sale=sale),
            GetOrder=lambda _: order_pb2.GetOrderResponse(order=order_pb2.Order(document=document)),
            ReportSalePosted=lambda _: order_pb2.ReportSalePostedResponse(),
        )
        self.customers = SimpleNamespace(
            GetCustomer=lambda request: customer_pb2.GetCustomerResponse(
                customer=profiles[request.customer_id]
            )
        )

    async def call(self, method: Any, request: Any) -> Any:
        return method(request)


@dataclass
class Till:
    """A point of sale that keeps what it is given."""

    posted: list[SaleToPost] = field(default_factory=list)

    async def post_sale(self, posting: SaleToPost) -> int:
        self.posted.append(posting)
        return 1


def profile(pos_customer_id: str, name: str, merged_into: str = "") -> customer_pb2.Customer:
    return customer_pb2.Customer(
        pos_customer_id=pos_customer_id, name=name, email=f"{name}@x.com", merged_into=merged_into
    )


# The sale's profile, all profiles -> the id, the name and the address in the point of sale.
@pytest.mark.rule("BEY-14")
@pytest.mark.parametrize(
    ("customer_id", "profiles", "expected"),
    [
        ("", {}, ("", "Of the order", "of-the-order@x.com")),
        ("a", {"a": profile("p-a", "Ann")}, ("p-a", "Ann", "Ann@x.com")),
        (
            "b",
            {"a": profile("p-a", "Ann"), "b": profile("p-b", "Bob", "a")},
            ("p-a", "Ann", "Ann@x.com"),
        ),
        (
            "c",
            {
                "a": profile("p-a", "Ann"),
                "b": profile("p-b", "Bob", "a"),
                "c": profile("", "Cid", "b"),
            },
            ("p-a", "Ann", "Ann@x.com"),
        ),
        (
            "b",
            {"a": profile("", "Ann"), "b": profile("p-b", "Bob", "a")},
            ("p-b", "Ann", "Ann@x.com"),
        ),
    ],
)
async def test_a_sale_is_posted_for_the_profile_that_stays(
    customer_id: str,
    profiles: dict[str, customer_pb2.Customer],
    expected: tuple[str, str, str],
) -> None:
    till = Till()
    posting: Any = SalePosting("ch", Owners(customer_id, profiles), till)  # type: ignore[arg-type]
    assert await posting.do(["s"]) == {}
    (posted,) = till.posted
    assert expected == (posted.pos_customer_id, posted.buyer_name, posted.email)
