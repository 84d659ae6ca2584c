"""The house rules that a reader relies on without looking: who may import whom, what may stand
where, how long a thing may be.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from services.chassis.errors import CODES
from services.chassis.settings import CONTEXTS
from tests import rules_page

ROOT = Path(__file__).resolve().parents[1]
LINES_MAX = 500
FUNCTION_LINES_MAX = 50

CLIENT_SIDE = {
    *("auth", "client", "errors", "failpoints", "follow", "logs", "metrics", "settings", "status"),
}
"""The modules of the chassis that the gateway may use: calling, and what every process has."""

SQL = {"sqlalchemy", "sqlmodel", "alembic", "psycopg", "pysqlite3", "sqlite3"}

PROFILES_DEFINED = {
    "services/inventory/rules/channels.py",  # what each presets
    "services/inventory/rules/admission.py",  # which stores may have it
}
"""Where the names of profiles stand."""

PURE = {"idna"}
"""Libraries that rules may use: tables and functions of a standard, and nothing else in them."""

VENDOR_WORDS = (
    "X-Ecwid",
    "combinationId",
    "compareToPrice",
    "externalReferenceId",
    "fulfilmentType",
    "fulfillmentStatus",
    "outOfStockVisibilityBehaviour",
    "paymentModule",
    "register_sale",
    "retailer_id",
    "vendorOrderNumber",
    "warningLimit",
)
VENDOR_PLACES = (
    "gateway/pos/",
    "gateway/ecom/",
    "gateway/sandbox/",
    "tests/gateway/",  # their tests
    "tests/flows/",  # the story, told in the platforms' own formats
    "tests/bench/",  # figures, taken from a webhook to a store
    "tests/test_architecture.py",
)


@dataclass(frozen=True, eq=False)
class Module:
    """A source file, parsed."""

    path: str
    """Below the root, such as `services/order/wire.py`."""
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """Dotted, as it is imported."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def layer(self) -> str:
        """`rules`, `store`, `wire`, `service`, ... of a context's module."""
        return self.name.split(".")[2] if self.name.count(".") >= 2 else "__init__"

    def imports(self) -> Iterator[str]:
        """Full names of all that it imports, wherever in the file."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{self.path}: imports are absolute"
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    def source(self, node: ast.stmt | ast.expr | ast.Match) -> str:
        """The lines that a node stands in."""
        return "\n".join(self.text.splitlines()[node.lineno - 1 : node.end_lineno])


@cache
def words(module: Module) -> frozenset[str]:
    """All text constants, attributes and names of a module."""
    found = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Name):
            found.add(node.id)
    return frozenset(found)


@cache
def _below(top: str) -> tuple[Module, ...]:
    found = []
    for path in sorted((ROOT / top).rglob("*.py")):
        if not path.stem.endswith(("_pb2", "_pb2_grpc")):
            text = path.read_text()
            found.append(Module(path.relative_to(ROOT).as_posix(), text, ast.parse(text)))
    return tuple(found)


def modules(*folders: str) -> list[Module]:
    """The modules below these folders that people wrote."""
    return [
        module
        for folder in folders
        for module in _below(folder.split("/")[0])
        if module.path.startswith(f"{folder}/")
    ]


def within(name: str, *packages: str) -> bool:
    """Whether a name is one of these packages or something in them."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def of_context(context: str, *layers: str) -> list[Module]:
    """The modules of a context, or of some of its layers, without its migrations."""
    return [
        module
        for module in modules(f"services/{context}")
        if module.layer != "migrations" and (not layers or module.layer in layers)
    ]


def wrong(found: Iterator[str]) -> None:
    """Fails with everything that is wrong, not with the first only."""
    violations = sorted(set(found))
    assert not violations, "\n  ".join(["", *violations])


@pytest.mark.parametrize("context", CONTEXTS)
def test_rules_import_nothing_but_the_standard_library_and_the_one_error(context: str) -> None:
    own = f"services.{context}.rules"
    wrong(
        f"{module.path} imports {name}"
        for module in of_context(context, "rules")
        for name in module.imports()
        if name.split(".")[0] not in sys.stdlib_module_names | PURE
        and not within(name, "services.chassis.errors", "services.chassis.values", own)
    )


# A layer of a context, and the layers that it may import.
@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize(
    ("layer", "may"),
    [
        ("rules", {"rules"}),
        ("store", {"store", "rules"}),
        ("wire",  {"wire", "rules"}),
    ],
)  # fmt: skip
def test_a_layer_knows_only_what_lies_below_it(context: str, layer: str, may: set[str]) -> None:
    allowed = [f"services.{context}.{one}" for one in may]
    wrong(
        f"{module.path} imports {name}"
        for module in of_context(context, layer)
        for name in module.imports()
        if within(name, f"services.{context}") and not within(name, *allowed)
    )


@pytest.mark.parametrize("context", CONTEXTS)
def test_nobody_imports_what_only_runs(context: str) -> None:
    wrong(
        f"{module.path} imports {name}"
        for module in modules("services", "gateway")
        for name in module.imports()
        if within(name, f"services.{context}.__main__")
    )


@pytest.mark.parametrize("context", CONTEXTS)
def test_contexts_never_import_each_other(context: str) -> None:
    others = [f"services.{other}" for other in CONTEXTS if other != context]
    wrong(
        f"{module.path} imports {name}"
        for module in modules(f"services/{context}")
        for name in module.imports()
        if within(name, *others, "gateway", "tests")
    )


def test_the_chassis_knows_no_context() -> None:
    contexts = [f"{top}.{context}" for context in CONTEXTS for top in ("services", "tillbridge")]
    wrong(
        f"{module.path} imports {name}"
        for module in modules("services/chassis")
        for name in module.imports()
        if within(name, *contexts, "gateway", "tests")
    )


def test_the_gateway_knows_contracts_and_the_client_side_of_the_chassis() -> None:
    client_side = [f"services.chassis.{name}" for name in CLIENT_SIDE]
    wrong(
        f"{module.path} imports {name}"
        for module in modules("gateway")
        for name in module.imports()
        if within(name, "tests") or (within(name, "services") and not within(name, *client_side))
    )


def test_the_gateway_speaks_no_sql() -> None:
    wrong(
        f"{module.path} imports {name}"
        for module in modules("gateway")
        for name in module.imports()
        if within(name, *SQL)
    )


@pytest.mark.parametrize("context", CONTEXTS)
def test_only_the_store_speaks_sql(context: str) -> None:
    wrong(
        f"{module.path} imports {name}"
        for module in of_context(context)
        if module.layer != "store"
        for name in module.imports()
        if within(name, *SQL)
    )


def test_vendor_words_stay_at_the_edge() -> None:
    wrong(
        f"{path.relative_to(ROOT)} says {word}"
        for top in ("services", "gateway", "protos", "tests")
        for path in (ROOT / top).rglob("*")
        if path.suffix in {".py", ".proto"}
        and not path.relative_to(ROOT).as_posix().startswith(VENDOR_PLACES)
        for word in VENDOR_WORDS
        if re.search(rf"\b{re.escape(word)}\b", path.read_text())
    )


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"}
    wrong(
        module.path
        for module in modules("services", "gateway", "tests")
        if drawers.intersection(module.name.split("."))
    )


def test_a_file_can_be_read_in_one_go() -> None:
    """Tests are left out: they hold tables and tell stories."""
    wrong(
        f"{module.path} has {len(module.text.splitlines())} lines"
        for module in modules("services", "gateway", "protos")
        if len(module.text.splitlines()) > LINES_MAX
    )


def test_a_function_fits_a_screen() -> None:
    """Tests are left out, since a story is told in one piece; migrations, since they are lists."""
    wrong(
        f"{module.path}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for module in modules("services", "gateway", "protos")
        if "/migrations/" not in module.path
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    )


STATEMENTS = {"select", "insert", "update", "delete"}

OF_ALL_MERCHANTS = {
    "services/order/store/statements.py: __init__",  # a pool looks for work of all merchants
    "services/order/store/statements.py: delete",  # of any table, by the whole key that is given
    "services/order/store/statements.py: save",
}
"""Functions of a store that build a statement without a merchant, and why."""


def defined(module: Module) -> dict[str, ast.stmt]:
    """The functions and values of a module and of its classes, by name."""
    classes = [node for node in module.tree.body if isinstance(node, ast.ClassDef)]
    found: dict[str, ast.stmt] = {}
    for node in [*module.tree.body, *(inner for outer in classes for inner in outer.body)]:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            found |= {one.id: node for one in node.targets if isinstance(one, ast.Name)}
    return found


def called(node: ast.AST) -> set[str]:
    """The names that a piece of code calls or uses."""
    return {
        inner.id if isinstance(inner, ast.Name) else inner.attr
        for inner in ast.walk(node)
        if isinstance(inner, ast.Name | ast.Attribute)
    }


@pytest.mark.parametrize("context", CONTEXTS)
def test_every_query_carries_the_merchant(context: str) -> None:
    """A light check: whatever builds a statement names the merchant, or uses something of its
    module that does.
    """
    carried = re.compile(r"merchant|select\(func\.now\(\)\)")

    def carries(module: Module, name: str, seen: frozenset[str]) -> bool:
        node = defined(module)[name]
        beside = called(node) & defined(module).keys() - seen
        return bool(carried.search(module.source(node))) or any(
            carries(module, other, seen | {other}) for other in beside
        )

    wrong(
        f"{module.path}: {name} builds a statement and names no merchant"
        for module in of_context(context, "store")
        for name, node in defined(module).items()
        if called(node) & STATEMENTS
        and f"{module.path}: {name}" not in OF_ALL_MERCHANTS
        and not carries(module, name, frozenset({name}))
    )


def test_no_rule_asks_for_the_profile() -> None:
    """A profile is a set of defaults: its names stand where they are defined and nowhere else."""
    wrong(
        f"{module.path} names a profile"
        for module in modules("services", "gateway")
        if module.path not in PROFILES_DEFINED
        and not module.path.startswith("gateway/sandbox/")  # a shop connects itself as one
        and "RETAIL_" in module.text
        and re.search(r"RETAIL_(R|X)_EC", module.text)
    )


def test_no_code_branches_on_the_profile() -> None:
    wrong(
        f"{module.path}:{node.lineno} compares a profile"
        for module in modules(*(f"services/{context}" for context in CONTEXTS))
        if not module.path.startswith("services/customer/")  # there it is a person's
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Compare | ast.Match)
        and re.search(r"\bprofile\b", module.source(node))
    )


def says(module: Module, reason: str) -> bool:
    """Whether a module names a reason, as text or as the enum's value."""
    return not words(module).isdisjoint({reason, f"ERROR_REASON_{reason}"})


def raised() -> Iterator[str]:
    """The reasons that an error is made with, wherever the name comes from."""
    for module in modules("services", "gateway"):
        if module.name != "services.chassis.errors":
            yield from (reason for reason in CODES if says(module, reason))
        elif "invalid" in module.text:
            yield "INVALID_FIELD"


def test_every_reason_of_the_contract_is_raised_somewhere() -> None:
    known = set(raised())
    wrong(f"{reason} is raised nowhere" for reason in CODES if reason not in known)


def test_every_reason_of_the_contract_is_expected_in_a_test() -> None:
    tests = [module for module in modules("tests") if "test_" in module.path]
    wrong(
        f"{reason} is expected in no test"
        for reason in CODES
        if not any(says(module, reason) for module in tests)
    )


def test_every_mark_names_a_rule_of_the_rulebook() -> None:
    known = {cells[0] for cells in rules_page.rows(rules_page.PAGE.read_text())}
    assert len(known) > 50
    wrong(
        f"{rule}, marked in {', '.join(files)}, is no rule"
        for rule, files in rules_page.marked().items()
        if rule not in known
    )


def test_the_page_of_rules_says_which_tests_prove_them() -> None:
    """`python -m tests.rules_page` brings it up to date."""
    text = rules_page.PAGE.read_text()
    assert text == rules_page.filled(text)


def test_a_rule_that_holds_is_proven() -> None:
    wrong(
        f"{rule} holds, says the page, and no test carries its mark"
        for rule, _, _, _, state, tests in rules_page.rows(rules_page.PAGE.read_text())
        if state == "holds" and not tests
    )
