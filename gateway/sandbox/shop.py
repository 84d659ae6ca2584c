"""The sample shop: Saltmarsh & Co., a New Zealand homeware shop with two outlets.

Ids are constants (or derived from names and SKUs by `shop_id`), so that tests, settings and the
two simulators agree on them without asking one another. Money is in NZD; prices exclude GST.
"""

from dataclasses import dataclass
from uuid import UUID, uuid5

SHOP_NAME = "Saltmarsh & Co."
DOMAIN_PREFIX = "saltmarsh"
CURRENCY = "NZD"
CURRENCY_SYMBOL = "$"
TIME_ZONE = "Pacific/Auckland"

_NAMESPACE = UUID("5a17ab1e-0000-4000-8000-000000000000")

RETAILER_ID = "5a17ab1e-0000-4000-8000-000000000001"
USER_ID = "5a17ab1e-0000-4000-8000-000000000002"

OUTLET_MAIN_ID = "5a17ab1e-0001-4000-8000-000000000001"
OUTLET_HARBOUR_ID = "5a17ab1e-0001-4000-8000-000000000002"

REGISTER_MAIN_ID = "5a17ab1e-0002-4000-8000-000000000001"
REGISTER_HARBOUR_ID = "5a17ab1e-0002-4000-8000-000000000002"
REGISTER_ONLINE_ID = "5a17ab1e-0002-4000-8000-000000000003"

TAX_GST_ID = "5a17ab1e-0003-4000-8000-000000000001"
TAX_GST_RATE_ID = "5a17ab1e-0003-4000-8000-000000000011"
TAX_NONE_ID = "5a17ab1e-0003-4000-8000-000000000002"
TAX_NONE_RATE_ID = "5a17ab1e-0003-4000-8000-000000000012"

PAYMENT_CASH_ID = "5a17ab1e-0004-4000-8000-000000000001"
PAYMENT_CARD_ID = "5a17ab1e-0004-4000-8000-000000000002"
PAYMENT_ECOMMERCE_ID = "5a17ab1e-0004-4000-8000-000000000003"

CUSTOMER_GROUP_ID = "5a17ab1e-0005-4000-8000-000000000001"
CUSTOMER_MERE_ID = "5a17ab1e-0006-4000-8000-000000000001"
CUSTOMER_TOM_ID = "5a17ab1e-0006-4000-8000-000000000002"
CUSTOMER_WALK_IN_ID = "5a17ab1e-0006-4000-8000-000000000003"

GST_RATE = 0.15


def shop_id(kind: str, name: str) -> str:
    """The UUID of a thing of the sample shop, such as `shop_id("product", "MUG")`."""
    return str(uuid5(_NAMESPACE, f"{kind}/{name}"))


def product_id(sku: str) -> str:
    """The POS product id of a SKU of the sample shop."""
    return shop_id("product", sku)


@dataclass(frozen=True)
class Outlet:
    """A place that holds stock."""

    id: str
    name: str
    street: str
    suburb: str
    city: str
    postcode: str
    email: str


@dataclass(frozen=True)
class Register:
    """A till; its sales take stock from its outlet."""

    id: str
    name: str
    outlet_id: str
    invoice_prefix: str


@dataclass(frozen=True)
class PaymentType:
    """A way to pay; `type_id` is the platform's number for the kind."""

    id: str
    name: str
    type_id: int


@dataclass(frozen=True)
class Customer:
    """A customer profile that the POS knows from the start."""

    id: str
    code: str
    first_name: str | None
    last_name: str | None
    email: str | None
    phone: str | None
    street: str
    city: str
    postcode: str


OUTLETS = (
    Outlet(
        OUTLET_MAIN_ID,
        "Main",
        "14 Tory Street",
        "Te Aro",
        "Wellington",
        "6011",
        "main@saltmarsh.example",
    ),
    Outlet(
        OUTLET_HARBOUR_ID,
        "Harbour",
        "3 Ferry Road",
        "Days Bay",
        "Lower Hutt",
        "5013",
        "harbour@saltmarsh.example",
    ),
)

REGISTERS = (
    Register(REGISTER_MAIN_ID, "Main till", OUTLET_MAIN_ID, "M-"),
    Register(REGISTER_HARBOUR_ID, "Harbour till", OUTLET_HARBOUR_ID, "H-"),
    Register(REGISTER_ONLINE_ID, "Online", OUTLET_MAIN_ID, "WEB-"),
)

PAYMENT_TYPES = (
    PaymentType(PAYMENT_CASH_ID, "Cash", 1),
    PaymentType(PAYMENT_CARD_ID, "Credit Card", 3),
    PaymentType(PAYMENT_ECOMMERCE_ID, "Ecwid Payments", 5),
)

CUSTOMERS = (
    Customer(
        CUSTOMER_MERE_ID,
        "MERE-4K2T",
        "Mere",
        "Walker",
        "mere.walker@example.com",
        "+64 21 555 0101",
        "8 Karaka Bay Road",
        "Wellington",
        "6022",
    ),
    Customer(
        CUSTOMER_TOM_ID,
        "TOM-9QX1",
        "Tom",
        "Okafor",
        "Tom.Okafor@Example.com",
        "+64 21 555 0102",
        "27 Marine Drive",
        "Lower Hutt",
        "5013",
    ),
    # Named by the platform itself, because the till took no name.
    Customer(CUSTOMER_WALK_IN_ID, "UNNAMED-669D", None, None, None, "+64 21 555 0199", "", "", ""),
)
