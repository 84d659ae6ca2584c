"""Customer profiles of X-Series."""

from gateway.pos import SaleToPost
from gateway.records import Record, needed, nested, text, whole
from tillbridge.customer.v1 import customer_pb2


def customer_of(row: Record) -> customer_pb2.PosCustomer | None:
    """A profile, in its 2.0 or 0.9 shape; None for one that was deleted, since what it bought
    keeps its name here.

    Raises:
        BadRecordError: it has no id.
    """
    if row.get("deleted_at"):
        return None
    contact = nested(row, "contact")
    names = [text(row, name) or text(contact, name) for name in ("first_name", "last_name")]
    return customer_pb2.PosCustomer(
        pos_customer_id=needed(row, "id"),
        email=(text(row, "email") or text(contact, "email")).strip(),
        name=text(row, "name") or " ".join(filter(None, names)),
        phone=_phone(row) or _phone(contact),
        version=whole(row.get("version")),
    )


def _phone(row: Record) -> str:
    return text(row, "phone") or text(row, "mobile")


def new_customer(posting: SaleToPost) -> Record:
    """The body that makes a profile of an order's buyer (CUS-03); without a name the address is
    the name (CUS-04).
    """
    first_name, _, last_name = posting.buyer_name.strip().partition(" ")
    body = {
        "first_name": first_name or posting.email.strip(),
        "last_name": last_name.strip(),
        "email": posting.email.strip(),
        "phone": posting.phone.strip(),
    }
    return {name: value for name, value in body.items() if value}
