"""What the sample shop sells: product families, their variants, and the first stock count."""

from dataclasses import dataclass
from itertools import product as every_pair

IMAGES_HOST = "https://images.saltmarsh.example"


@dataclass(frozen=True)
class Variant:
    """One sellable thing of a family.

    Attributes:
        sku: unique in the shop.
        options: one value per attribute of the family.
        stock: units on hand at Main and at Harbour when the shop opens.
        barcode: without its check digit: 11 digits make a UPC, 12 an EAN.
        extra: added to the family's price, in NZD excluding GST.
    """

    sku: str
    options: tuple[str, ...]
    stock: tuple[float, float]
    barcode: str
    extra: float = 0


@dataclass(frozen=True)
class Family:
    """A product with its variants; the first variant is the family's parent in the POS.

    Attributes:
        price: retail price in NZD, excluding GST.
        supply_price: what the supplier asks, in NZD.
        weight: of one piece, in `weight_unit`.
        size: length, width and height of the parcel, in `size_unit`.
        images: file names; the first is the main image.
        active: whether it is on sale at all.
        tracked: whether the POS counts its stock.
    """

    handle: str
    name: str
    description: str
    brand: str
    supplier: str
    supplier_code: str
    category: str
    tags: tuple[str, ...]
    price: float
    supply_price: float
    weight: float
    weight_unit: str
    size: tuple[float, float, float]
    size_unit: str
    images: tuple[str, ...]
    variants: tuple[Variant, ...]
    attributes: tuple[str, ...] = ()
    active: bool = True
    tracked: bool = True


def image_url(file_name: str) -> str:
    """Where an image of the shop would be."""
    return f"{IMAGES_HOST}/{file_name}"


def barcode(stem: str) -> tuple[str, str]:
    """Type and full code of a barcode given without its check digit (GS1 modulo 10)."""
    weighted = sum(int(d) * (3 if i % 2 == 0 else 1) for i, d in enumerate(reversed(stem)))
    code = f"{stem}{-weighted % 10}"
    return ("UPC" if len(code) == 12 else "EAN"), code


def _one(sku: str, stock: tuple[float, float], code: str) -> tuple[Variant, ...]:
    return (Variant(sku, (), stock, code),)


_TEE_STOCK = ((6, 2), (4, 0), (9, 3), (7, 4), (3, 1), (0, 2))
_TEE_VARIANTS = tuple(
    Variant(f"TEE-{size}-{color.upper()}", (size, color), stock, f"941230002{n}")
    for n, ((size, color), stock) in enumerate(
        zip(every_pair(("S", "M", "L"), ("Navy", "Sand")), _TEE_STOCK, strict=True), start=10
    )
)

FAMILIES: tuple[Family, ...] = (
    Family(
        handle="mug",
        name="Mug",
        description="<p>Stoneware, thrown by hand, big enough for a second cup.</p>",
        brand="Tidewater Pottery",
        supplier="Tidewater Pottery",
        supplier_code="TW-101",
        category="Kitchen",
        tags=("gift", "stoneware"),
        price=20,
        supply_price=8.5,
        weight=350,
        weight_unit="G",
        size=(12, 9, 10),
        size_unit="CM",
        images=("mug-front.jpg", "mug-shelf.jpg"),
        variants=_one("MUG", (12, 5), "94123000101"),
    ),
    Family(
        handle="harbour-tee",
        name="Harbour tee",
        description="<p>Heavy cotton that softens with every wash.</p>",
        brand="Saltmarsh",
        supplier="Southern Knits",
        supplier_code="SK-TEE",
        category="Clothing",
        tags=("summer", "cotton"),
        price=30,
        supply_price=11,
        weight=0.18,
        weight_unit="KG",
        size=(30, 24, 2),
        size_unit="CM",
        images=("tee-navy.jpg", "tee-sand.jpg"),
        attributes=("Size", "Color"),
        variants=_TEE_VARIANTS,
    ),
    Family(
        handle="squall-jacket",
        name="Squall jacket",
        description="<p>Waxed shell, storm cuffs, and pockets that drain.</p>",
        brand="Northerly",
        supplier="Northerly Outfitters",
        supplier_code="NO-SQ",
        category="Clothing",
        tags=("rain", "winter"),
        price=160,
        supply_price=74,
        weight=2.4,
        weight_unit="LB",
        size=(16, 12, 4),
        size_unit="IN",
        images=("jacket-front.jpg", "jacket-back.jpg", "jacket-cuff.jpg"),
        attributes=("Size", "Color", "Fit"),
        variants=(
            Variant("JKT-S-OLV-REG", ("S", "Olive", "Regular"), (2, 1), "94123000301"),
            Variant("JKT-M-OLV-REG", ("M", "Olive", "Regular"), (3, 2), "94123000302"),
            Variant("JKT-M-OLV-LNG", ("M", "Olive", "Long"), (1, 0), "94123000303", extra=10),
            Variant("JKT-L-INK-REG", ("L", "Ink", "Regular"), (2, 2), "94123000304"),
            Variant("JKT-L-INK-LNG", ("L", "Ink", "Long"), (0, 1), "94123000305", extra=10),
        ),
    ),
    Family(
        handle="wool-socks",
        name="Wool socks",
        description="<p>Merino with a cushioned heel. Sold by the pair.</p>",
        brand="Southern Knits",
        supplier="Southern Knits",
        supplier_code="SK-SOX",
        category="Clothing",
        tags=("merino", "winter"),
        price=15,
        supply_price=6,
        weight=3.2,
        weight_unit="OZ",
        size=(9, 4, 1.5),
        size_unit="IN",
        images=("socks.jpg",),
        attributes=("Size",),
        variants=(
            Variant("SOX-SM", ("36-40",), (14, 8), "94123000401"),
            Variant("SOX-LG", ("41-46",), (11, 6), "94123000402"),
        ),
    ),
    Family(
        handle="canvas-tote",
        name="Canvas tote",
        description="<p>Carries a week of groceries, folds to nothing.</p>",
        brand="Saltmarsh",
        supplier="Loft & Loom",
        supplier_code="LL-T1",
        category="Bags",
        tags=("gift", "cotton"),
        price=25,
        supply_price=9,
        weight=9.5,
        weight_unit="OZ",
        size=(15, 14, 1),
        size_unit="IN",
        images=("tote.jpg",),
        variants=_one("TOTE", (20, 10), "94123000501"),
    ),
    Family(
        handle="enamel-kettle",
        name="Enamel kettle",
        description="<p>Two litres, whistles politely, works on any hob.</p>",
        brand="Hearth",
        supplier="Hearth Imports",
        supplier_code="HI-K2",
        category="Kitchen",
        tags=("enamel",),
        price=60,
        supply_price=27.5,
        weight=2.6,
        weight_unit="LB",
        size=(10, 9, 9),
        size_unit="IN",
        images=("kettle.jpg", "kettle-lid.jpg"),
        variants=_one("KETTLE", (4, 3), "94123000601"),
    ),
    Family(
        handle="beeswax-candle",
        name="Beeswax candle",
        description="<p>Forty hours of light from Wairarapa hives.</p>",
        brand="Hive & Wick",
        supplier="Hive & Wick",
        supplier_code="HW-C",
        category="Home",
        tags=("gift",),
        price=18,
        supply_price=7,
        weight=8,
        weight_unit="OZ",
        size=(8, 8, 10),
        size_unit="CM",
        images=("candle.jpg",),
        attributes=("Scent",),
        variants=(
            Variant("CND-PLAIN", ("Plain",), (10, 6), "941230000701"),
            # Below zero on purpose: Harbour sold one that nobody had counted in.
            Variant("CND-MANUKA", ("Manuka",), (5, -1), "941230000702"),
        ),
    ),
    Family(
        handle="pocket-notebook",
        name="Pocket notebook",
        description="<p>Stitched, 96 pages, lies flat from the first page.</p>",
        brand="Inkwell",
        supplier="Paper Trade",
        supplier_code="PT-N96",
        category="Stationery",
        tags=("gift", "paper"),
        price=10,
        supply_price=3.8,
        weight=120,
        weight_unit="G",
        size=(148, 105, 9),
        size_unit="MM",
        images=("notebook.jpg",),
        attributes=("Ruling",),
        variants=(
            Variant("NB-PLAIN", ("Plain",), (30, 12), "941230000801"),
            Variant("NB-LINED", ("Lined",), (26, 9), "941230000802"),
            Variant("NB-DOTTED", ("Dotted",), (0, 0), "941230000803"),
        ),
    ),
    Family(
        handle="breakwater-coffee",
        name="Breakwater coffee",
        description="<p>Dark enough for a southerly, roasted on Tuesdays.</p>",
        brand="Breakwater",
        supplier="Breakwater Roasters",
        supplier_code="BR-01",
        category="Pantry",
        tags=("coffee",),
        price=16,
        supply_price=8,
        weight=0.28,
        weight_unit="KG",
        size=(18, 9, 6),
        size_unit="CM",
        images=("coffee.jpg",),
        attributes=("Size", "Grind"),
        variants=(
            Variant("COF-250-BEAN", ("250 g", "Whole bean"), (18, 7), "94123000901"),
            Variant("COF-250-PLNG", ("250 g", "Plunger"), (9, 4), "94123000902"),
            Variant("COF-1KG-BEAN", ("1 kg", "Whole bean"), (5, 2), "94123000903", extra=36),
        ),
    ),
    Family(
        handle="tea-tin",
        name="Breakfast tea tin",
        description="<p>Loose leaf in a tin worth keeping.</p>",
        brand="Breakwater",
        supplier="Breakwater Roasters",
        supplier_code="BR-T5",
        category="Pantry",
        tags=("tea", "gift"),
        price=14,
        supply_price=5.2,
        weight=200,
        weight_unit="G",
        size=(9, 9, 12),
        size_unit="CM",
        images=("tea.jpg",),
        variants=_one("TEA", (15, 8), "94123001001"),
    ),
    Family(
        handle="lambswool-throw",
        name="Lambswool throw",
        description="<p>Woven in one piece; wide enough for two.</p>",
        brand="Loft & Loom",
        supplier="Loft & Loom",
        supplier_code="LL-TH",
        category="Home",
        tags=("winter", "gift"),
        price=120,
        supply_price=55,
        weight=2.9,
        weight_unit="LB",
        size=(14, 11, 5),
        size_unit="IN",
        images=("throw-oat.jpg", "throw-slate.jpg"),
        attributes=("Color",),
        variants=(
            Variant("THR-OAT", ("Oat",), (3, 2), "94123001101"),
            Variant("THR-SLATE", ("Slate",), (1, 0), "94123001102"),
        ),
    ),
    Family(
        handle="iron-skillet",
        name="Iron skillet",
        description="<p>Seasoned at the foundry. Heavier than it looks.</p>",
        brand="Hearth",
        supplier="Hearth Imports",
        supplier_code="HI-S10",
        category="Kitchen",
        tags=("cast iron",),
        price=80,
        supply_price=38,
        weight=5.3,
        weight_unit="LB",
        size=(17, 11, 2.5),
        size_unit="IN",
        images=("skillet.jpg",),
        variants=_one("SKILLET", (6, 1), "94123001201"),
    ),
    Family(
        handle="oilskin-hat",
        name="Oilskin hat",
        description="<p>A wide brim with a wire in it, for weather with opinions.</p>",
        brand="Northerly",
        supplier="Northerly Outfitters",
        supplier_code="NO-HAT",
        category="Clothing",
        tags=("rain",),
        price=50,
        supply_price=21,
        weight=170,
        weight_unit="G",
        size=(38, 34, 12),
        size_unit="CM",
        images=("hat.jpg",),
        attributes=("Size",),
        variants=(
            Variant("HAT-M", ("M",), (4, 3), "94123001301"),
            Variant("HAT-L", ("L",), (2, 2), "94123001302"),
        ),
    ),
    Family(
        handle="bay-chart",
        name="Bay chart print",
        description="<p>The 1902 soundings of the bay, printed on cotton rag.</p>",
        brand="Inkwell",
        supplier="Paper Trade",
        supplier_code="PT-CH",
        category="Home",
        tags=("paper", "local"),
        price=40,
        supply_price=14,
        weight=0.4,
        weight_unit="KG",
        size=(70, 8, 8),
        size_unit="CM",
        images=("chart.jpg",),
        # Only Harbour stocks it: its neighbours are the ones who can read it.
        variants=_one("CHART", (0, 9), "94123001401"),
    ),
    Family(
        handle="manila-rope",
        name="Manila rope",
        description="<p>Three-strand, 12 mm, cut to length. Priced by the metre.</p>",
        brand="Northerly",
        supplier="Northerly Outfitters",
        supplier_code="NO-R12",
        category="Hardware",
        tags=("marine",),
        price=5,
        supply_price=1.9,
        weight=110,
        weight_unit="G",
        size=(20, 20, 5),
        size_unit="CM",
        images=("rope.jpg",),
        # Sold by the metre, so stock has a fraction.
        variants=_one("ROPE", (37.5, 62.25), "94123001501"),
    ),
    Family(
        handle="gift-wrapping",
        name="Gift wrapping",
        description="<p>Brown paper, real string, a sprig of something green.</p>",
        brand="Saltmarsh",
        supplier="Paper Trade",
        supplier_code="PT-W",
        category="Services",
        tags=("gift",),
        price=4,
        supply_price=0.6,
        weight=0,
        weight_unit="G",
        size=(0, 0, 0),
        size_unit="CM",
        images=(),
        variants=_one("WRAP", (0, 0), "94123001601"),
        tracked=False,
    ),
    Family(
        handle="ferry-model",
        name="Ferry model kit",
        description="<p>The old Days Bay ferry in 84 pieces. Out of print.</p>",
        brand="Inkwell",
        supplier="Paper Trade",
        supplier_code="PT-FM",
        category="Toys",
        tags=("local",),
        price=45,
        supply_price=17,
        weight=1.1,
        weight_unit="LB",
        size=(13, 9, 2),
        size_unit="IN",
        images=("ferry.jpg",),
        variants=_one("FERRY", (3, 1), "94123001701"),
        active=False,
    ),
)
