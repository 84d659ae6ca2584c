"""`/profile`: the store's settings, shipping options and order statuses."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.sandbox import shop
from gateway.sandbox.ecwid.listing import answer
from gateway.sandbox.ecwid.order_fields import FULFILLMENT_STATUSES, PAYMENT_STATUSES
from gateway.sandbox.ecwid.store import Store, date_text, refusal
from gateway.sandbox.values import (
    Kind,
    Row,
    flag,
    json_object,
    list_of,
    mapping,
    nullable,
    number,
    one_of,
    read,
    record_of,
    text,
    whole,
)

SHIPPING_FIELDS: dict[str, Kind] = {
    "title": text,
    "titleTranslated": mapping,
    "description": text,
    "enabled": flag,
    "orderby": whole,
    "fulfilmentType": one_of("pickup", "delivery", "shipping"),
    "locationId": nullable(text),
    "minimumOrderSubtotal": number,
    "destinationZone": mapping,
    "deliveryTimeDays": text,
    "carrier": text,
    "carrierMethods": list_of(mapping),
    "ratesCalculationType": one_of("carrier-calculated", "table", "flat", "app"),
    "flatRate": record_of({"rateType": one_of("ABSOLUTE", "PERCENT"), "rate": number}),
    "ratesTable": mapping,
    "pickupInstruction": text,
    "scheduledPickup": flag,
    "pickupPreparationTimeHours": whole,
    "pickupPrecisionType": one_of("DATE", "DATE_AND_TIME_SLOT"),
    "businessHours": text,
    "fulfillmentTimeInMinutes": whole,
    "availabilityPeriod": text,
    "blackoutDates": list_of(mapping),
}
"""What may be written about a shipping option."""

SAMPLE_SHIPPING: tuple[Row, ...] = (
    {
        "id": "1003-1700000000001",
        "title": "Courier",
        "fulfilmentType": "shipping",
        "ratesCalculationType": "flat",
        "flatRate": {"rateType": "ABSOLUTE", "rate": 7.5},
    },
    {
        "id": "1003-1700000000002",
        "title": "Pickup at Main",
        "fulfilmentType": "pickup",
        "locationId": shop.OUTLET_MAIN_ID,
        "pickupInstruction": "Ring the bell at the side door.",
    },
    {
        "id": "1003-1700000000003",
        "title": "Pickup at Harbour",
        "fulfilmentType": "pickup",
        "locationId": shop.OUTLET_HARBOUR_ID,
        "pickupInstruction": "Next to the ferry ramp.",
    },
    {
        "id": "1003-1700000000004",
        "title": "Bicycle delivery",
        "fulfilmentType": "delivery",
        "ratesCalculationType": "flat",
        "flatRate": {"rateType": "ABSOLUTE", "rate": 4},
    },
)
"""The shipping options a new store starts with."""


class Profile:
    """The profile over HTTP.

    Args:
        store: the state.
        store_id: the store's number.
    """

    def __init__(self, store: Store, store_id: int) -> None:
        self._store = store
        self._store_id = store_id

    def routes(self) -> list[BaseRoute]:
        """Paths below the store's base."""
        one = "/profile/shippingOptions/{option_id}"
        return [
            Route("/profile", self._get, methods=["GET"]),
            Route("/profile", self._update, methods=["PUT"]),
            Route("/profile/order_statuses", self._statuses, methods=["GET"]),
            Route("/profile/shippingOptions", self._list_shipping, methods=["GET"]),
            Route("/profile/shippingOptions", self._create_shipping, methods=["POST"]),
            Route(one, self._get_shipping, methods=["GET"]),
            Route(one, self._update_shipping, methods=["PUT"]),
            Route(one, self._delete_shipping, methods=["DELETE"]),
        ]

    def seed(self) -> None:
        """Gives the store its first shipping options."""
        for index, option in enumerate(SAMPLE_SHIPPING):
            self._store.add("shipping_options", _complete({**option, "orderby": 10 * index}))

    async def _get(self, request: Request) -> Response:
        return answer(request, self._view())

    async def _update(self, request: Request) -> Response:
        body = await json_object(request)
        kinds = dict.fromkeys(
            ("generalInfo", "account", "settings", "company", "formatsAndUnits", "taxSettings"),
            mapping,
        )
        self._store.profile = merged(self._store.profile, read(body, kinds))
        self._changed()
        return JSONResponse({"updateCount": 1})

    async def _statuses(self, request: Request) -> Response:
        rows = [("PAYMENT_STATUS", status) for status in PAYMENT_STATUSES]
        rows += [("FULFILLMENT_STATUS", status) for status in FULFILLMENT_STATUSES]
        defaults = ("AWAITING_PAYMENT", "AWAITING_PROCESSING")
        items = [
            {
                "statusId": status,
                "orderStatusType": kind,
                "defaultStatus": status in defaults,
                "enabled": not status.startswith("CUSTOM"),
                "name": status.replace("_", " ").capitalize(),
                "sendNotificationWhenStatusIsAssigned": False,
            }
            for kind, status in rows
            if status != "INCOMPLETE"
        ]
        return answer(request, {"items": items})

    async def _list_shipping(self, request: Request) -> Response:
        return answer(request, self._shipping())

    async def _create_shipping(self, request: Request) -> Response:
        fields = await _shipping_fields(request)
        if not fields.get("title"):
            raise refusal(400, "SHIPPING_OPTION_TITLE_REQUIRED", "The title is required")
        option = _complete({"id": f"{self._store_id}-{self._store.next_id()}", **fields})
        self._store.add("shipping_options", option)
        self._changed()
        return JSONResponse({"id": option["id"]})

    async def _get_shipping(self, request: Request) -> Response:
        return answer(request, _shown(self._option(request)))

    async def _update_shipping(self, request: Request) -> Response:
        option = self._option(request)
        fields = await _shipping_fields(request)
        if fields.get("title") == "":
            raise refusal(400, "SHIPPING_OPTION_TITLE_REQUIRED", "The title is required")
        changed = {**option, **fields}
        kept = {name: value for name, value in changed.items() if value is not None}
        self._store.put("shipping_options", kept)
        self._changed()
        return JSONResponse({"updateCount": 1})

    async def _delete_shipping(self, request: Request) -> Response:
        self._store.remove("shipping_options", self._option(request))
        self._changed()
        return JSONResponse({"deleteCount": 1})

    def _option(self, request: Request) -> Row:
        return self._store.get("shipping_options", request.path_params["option_id"])

    def _shipping(self) -> list[Row]:
        rows = sorted(self._store.rows("shipping_options"), key=lambda row: row["orderby"])
        return [_shown(row) for row in rows]

    def _changed(self) -> None:
        self._store.fire("profile.updated", self._store_id)

    def _view(self) -> Row:
        return merged(
            {**_profile(self._store_id), "shippingOptions": self._shipping()},
            {**self._store.profile, "shipping": {"shippingOptions": self._shipping()}},
        )


def merged(base: Row, changes: Row) -> Row:
    """`base` with `changes` put in, object by object."""
    result = dict(base)
    for name, value in changes.items():
        old = result.get(name)
        both_objects = isinstance(value, dict) and isinstance(old, dict)
        result[name] = merged(old, value) if both_objects and old is not None else value
    return result


async def _shipping_fields(request: Request) -> Row:
    body = await json_object(request)
    # The documentation writes `orderby`, the official client `orderBy`: both are taken.
    if "orderBy" in body:
        body.setdefault("orderby", body["orderBy"])
    return read(body, SHIPPING_FIELDS)


def _complete(option: Row) -> Row:
    zone = {"id": "WORLD", "name": "WORLD"}
    defaults: Row = {
        "enabled": True,
        "orderby": 0,
        "fulfilmentType": "shipping",
        "minimumOrderSubtotal": 0,
        "destinationZone": zone,
    }
    given = {name: value for name, value in option.items() if value is not None}
    return {**defaults, "titleTranslated": {"en": option["title"]}, **given}


def _shown(option: Row) -> Row:
    return {k: v for k, v in option.items() if not k.endswith("Timestamp")}


def _profile(store_id: int) -> Row:
    main = shop.OUTLETS[0]
    return {
        "generalInfo": {
            "storeId": store_id,
            "storeUrl": f"https://store{store_id}.company.site/products",
            "websitePlatform": "instantsite",
        },
        "account": {
            "accountName": shop.SHOP_NAME,
            "accountEmail": main.email,
            "suspended": False,
            "paid": True,
            "registrationDate": date_text(1_650_000_000),
            "availableFeatures": ["COMBINATIONS", "INVENTORY_TRACKING"],
            "limitsAndRestrictions": {"maxProductLimit": 2500},
        },
        "settings": {
            "closed": False,
            "storeName": shop.SHOP_NAME,
            "hideOutOfStockProductsInStorefront": False,
            "allowPreordersForOutOfStockProducts": False,
        },
        "company": {
            "companyName": shop.SHOP_NAME,
            "email": main.email,
            "street": main.street,
            "city": main.city,
            "countryCode": "NZ",
            "postalCode": main.postcode,
            "stateOrProvinceCode": "WGN",
        },
        "formatsAndUnits": _formats(),
        "languages": {"enabledLanguages": ["en"], "defaultLanguage": "en"},
        "taxSettings": {
            "automaticTaxEnabled": False,
            "pricesIncludeTax": True,
            "taxes": [_gst()],
        },
        "featureToggles": [],
    }


def _formats() -> Row:
    return {
        "currency": shop.CURRENCY,
        "currencyPrefix": shop.CURRENCY_SYMBOL,
        "currencySuffix": "",
        "currencyPrecision": 2,
        "weightUnit": "KILOGRAM",
        "dimensionsUnit": "CM",
        "volumeUnit": "ML",
        "timezone": shop.TIME_ZONE,
        "orderNumberPrefix": "",
        "orderNumberSuffix": "",
    }


def _gst() -> Row:
    return {
        "id": 15,
        "name": "GST",
        "enabled": True,
        "includeInPrice": True,
        "useShippingAddress": True,
        "taxShipping": True,
        "appliedByDefault": True,
        "defaultTax": shop.GST_RATE * 100,
        "rules": [],
    }
