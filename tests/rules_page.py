"""Which tests prove which rule: `python -m tests.rules_page` writes it into docs/rules.md."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parent / "docs/rules.md"


def marked() -> Mapping[str, list[str]]:
    """The test files that carry the mark of each rule."""
    found: dict[str, set[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for rule in _marks(ast.parse(path.read_text())):
            found.setdefault(rule, set()).add(path.relative_to(TESTS).as_posix())
    return {rule: sorted(files) for rule, files in found.items()}


def _marks(tree: ast.AST) -> Iterator[str]:
    """The ids in every `pytest.mark.rule("…")`."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "rule"
        ):
            for argument in node.args:
                assert isinstance(argument, ast.Constant), "a rule's id is written out in its mark"
                yield str(argument.value)


def rows(text: str) -> Iterator[list[str]]:
    """The cells of each rule's row."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and cells[0][3:4] == "-" and cells[0][:3].isupper():
            yield cells


def filled(text: str) -> str:
    """The page with the column of tests as the marks say."""
    files = marked()
    lines = []
    for line in text.splitlines():
        for cells in rows(line):
            cells[5] = ", ".join(f"`{name}`" for name in files.get(cells[0], []))
            line = "| " + " | ".join(cells) + " |"  # noqa: PLW2901  (the line as it shall be)
        lines.append(line)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
