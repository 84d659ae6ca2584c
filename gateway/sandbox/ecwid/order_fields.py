"""What may be written about an order, field by field."""

from gateway.sandbox.values import (
    Kind,
    Row,
    flag,
    list_of,
    mapping,
    nullable,
    number,
    one_of,
    record_of,
    text,
    whole,
)

PAYMENT_STATUSES = (
    "AWAITING_PAYMENT",
    "PAID",
    "CANCELLED",
    "REFUNDED",
    "PARTIALLY_REFUNDED",
    "INCOMPLETE",
    "CUSTOM_PAYMENT_STATUS_1",
    "CUSTOM_PAYMENT_STATUS_2",
    "CUSTOM_PAYMENT_STATUS_3",
)

FULFILLMENT_STATUSES = (
    "AWAITING_PROCESSING",
    "PROCESSING",
    "SHIPPED",
    "DELIVERED",
    "WILL_NOT_DELIVER",
    "RETURNED",
    "READY_FOR_PICKUP",
    "OUT_FOR_DELIVERY",
    "CUSTOM_FULFILLMENT_STATUS_1",
    "CUSTOM_FULFILLMENT_STATUS_2",
    "CUSTOM_FULFILLMENT_STATUS_3",
)

_ITEM: dict[str, Kind] = {
    "id": whole,
    "productId": whole,
    "combinationId": whole,
    "categoryId": whole,
    "sku": text,
    "name": text,
    "quantity": whole,
    "price": number,
    "priceWithoutTax": number,
    "productPrice": number,
    "costPrice": number,
    "tax": number,
    "taxes": list_of(mapping),
    "shipping": number,
    "weight": number,
    "selectedOptions": list_of(mapping),
    "discounts": list_of(mapping),
    "isShippingRequired": flag,
    "isPreorder": flag,
    "shortDescription": text,
    "externalReferenceId": text,
}

_NUMBERS = (
    "subtotal",
    "subtotalWithoutTax",
    "total",
    "totalWithoutTax",
    "tax",
    "discount",
    "couponDiscount",
    "volumeDiscount",
    "membershipBasedDiscount",
    "totalAndMembershipBasedDiscount",
    "refundedAmount",
    "giftCardRedemption",
    "totalBeforeGiftCardRedemption",
)

_TEXTS = (
    "paymentMethod",
    "paymentModule",
    "paymentMessage",
    "ipAddress",
    "refererUrl",
    "refererId",
    "globalReferer",
    "orderComments",
    "privateAdminNotes",
    "trackingNumber",
    "externalTransactionId",
    "externalOrderId",
    "customerTaxId",
    "customerGroup",
    "pickupTime",
    "b2b_b2c",
    "lang",
)

_OBJECTS = (
    "billingPerson",
    "shippingPerson",
    "handlingFee",
    "discountCoupon",
    "extraFields",
    "additionalInfo",
    "paymentParams",
    "externalOrderData",
)

_LISTS = (
    "discountInfo",
    "customSurcharges",
    "taxesOnShipping",
    "refunds",
    "orderExtraFields",
    "utmDataSets",
)

_FLAGS = (
    "pricesIncludeTax",
    "hidden",
    "acceptMarketing",
    "externalFulfillment",
    "disableAllCustomerNotifications",
    "customerTaxExempt",
)

_SHIPPING = record_of(
    {
        "shippingMethodId": text,
        "shippingMethodName": text,
        "shippingCarrierName": text,
        "shippingRate": number,
        "shippingRateWithoutTax": number,
        "estimatedTransitTime": text,
        "fulfillmentType": one_of("SHIPPING", "PICKUP", "DELIVERY"),
        "isPickup": flag,
        "isShippingLimit": flag,
        "pickupInstruction": text,
        "locationId": text,
    }
)

FIELDS: dict[str, Kind] = {
    "email": text,
    "customerId": whole,
    "customerGroupId": whole,
    "paymentStatus": one_of(*PAYMENT_STATUSES),
    "fulfillmentStatus": one_of(*FULFILLMENT_STATUSES),
    "items": list_of(record_of(_ITEM)),
    "shippingOption": _SHIPPING,
    "createDate": text,
    "customDiscount": list_of(number),
    **dict.fromkeys(_NUMBERS, number),
    **{name: nullable(text) for name in _TEXTS},
    **dict.fromkeys(_OBJECTS, mapping),
    **dict.fromkeys(_LISTS, list_of(mapping)),
    **{name: nullable(flag) for name in _FLAGS},
}
"""What may be written about an order."""

NEW_ORDER: Row = {
    "paymentStatus": "AWAITING_PAYMENT",
    "fulfillmentStatus": "AWAITING_PROCESSING",
    "refundedAmount": 0,
    "tax": 0,
    "discount": 0,
    "couponDiscount": 0,
    "volumeDiscount": 0,
    "membershipBasedDiscount": 0,
    "totalAndMembershipBasedDiscount": 0,
    "customDiscount": [],
    "customSurcharges": [],
    "items": [],
    "refunds": [],
    "taxesOnShipping": [],
    "additionalInfo": {},
    "paymentParams": {},
    "extraFields": {},
    "utmDataSets": [],
    "invoices": [],
    "pricesIncludeTax": True,
    "hidden": False,
    "externalFulfillment": False,
    "disableAllCustomerNotifications": False,
    "customerTaxExempt": False,
    "b2b_b2c": "b2c",
}
"""What an order is before anything is said about it."""
