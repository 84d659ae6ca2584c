"""Path templates of `google.api.http`, and the table that finds the one a path fits.

Template = "/" Segments [ ":" Verb ]
Segment  = "*" | "**" | Literal | "{" FieldPath [ "=" Segments ] "}"
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import unquote_to_bytes

_T = TypeVar("_T")

_WHOLE = re.compile(r"(?P<path>/.*?)(?::(?P<verb>[^/{}:]+))?")
_SEGMENT = re.compile(r"\{(?P<field>[^{}=]+)(?:=(?P<pattern>[^{}]+))?\}|(?P<plain>[^/{}]+)")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENCODED_SLASH = re.compile(r"(%2[Ff])")


class Variable(NamedTuple):
    """A field that is filled from the path segments `start` up to `end` (`None`: to the last)."""

    field_path: str
    start: int
    end: int | None

    def value(self, segments: list[str]) -> str:
        """The field's text, decoded. In a value of several segments `%2F` stays as it is.

        Raises:
            ValueError: the percent-encoding is broken, or what it encodes is not UTF-8.
        """
        found = segments[self.start : self.end]
        if self.end is not None and self.end - self.start == 1:
            return _decode(found[0])
        parts = _ENCODED_SLASH.split("/".join(found))
        return "".join(part if _ENCODED_SLASH.fullmatch(part) else _decode(part) for part in parts)


@dataclass(frozen=True)
class Template:
    """A parsed path template."""

    text: str
    segments: tuple[str, ...]
    variables: tuple[Variable, ...]
    verb: str

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Reads a template.

        Raises:
            ValueError: it does not follow the grammar.
        """
        whole = _WHOLE.fullmatch(text)
        if whole is None:
            raise ValueError(f"{text}: a path template starts with a slash")
        segments: list[str] = []
        variables: list[Variable] = []
        for found in _SEGMENT.finditer(whole["path"]):
            if found["plain"]:
                segments.append(found["plain"])
                continue
            pattern = (found["pattern"] or "*").split("/")
            start, end = len(segments), len(segments) + len(pattern)
            segments.extend(pattern)
            variables.append(Variable(found["field"], start, None if "**" in pattern else end))
        if "**" in segments[:-1]:
            raise ValueError(f"{text}: nothing may follow `**` but a verb")
        return cls(text, tuple(segments), tuple(variables), whole["verb"] or "")


class Match(NamedTuple, Generic[_T]):
    """A target whose template a path fits, and the decoded text of its variables."""

    target: _T
    variables: Mapping[str, str]


class PathUnknownError(Exception):
    """No template fits the path."""


class MethodUnknownError(Exception):
    """Templates fit the path, but none with this HTTP method; `allowed` lists theirs."""

    def __init__(self, allowed: list[str]) -> None:
        super().__init__(", ".join(allowed))
        self.allowed = allowed


class _Entry(NamedTuple, Generic[_T]):
    template: Template
    target: _T


_Ends = dict[str, dict[str, _Entry[_T]]]
"""By verb, then HTTP method."""


@dataclass(slots=True)
class _Node(Generic[_T]):
    children: dict[str, "_Node[_T]"] = field(default_factory=dict)
    ends: _Ends[_T] = field(default_factory=dict)


class RouteTable(Generic[_T]):
    """Finds the target of a request: a literal beats a variable, a verb beats plain text."""

    def __init__(self) -> None:
        self._root: _Node[_T] = _Node()
        self._verbs: set[str] = set()

    def add(self, method: str, template: Template, target: _T) -> None:
        """Enters a target.

        Raises:
            ValueError: another one has the same method and a template that fits the same paths.
        """
        node = self._root
        for segment in template.segments:
            node = node.children.setdefault(segment, _Node())
        by_method = node.ends.setdefault(template.verb, {})
        if method in by_method:
            other = by_method[method].template.text
            raise ValueError(f"{method} {template.text} and {method} {other} are the same route")
        by_method[method] = _Entry(template, target)
        self._verbs.add(template.verb)

    def match(self, method: str, raw_path: str) -> Match[_T]:
        """Finds the target of a request by its path, still percent-encoded.

        Raises:
            PathUnknownError: no template fits.
            MethodUnknownError: some fit, but with other methods.
            ValueError: the path's percent-encoding is broken.
        """
        allowed: set[str] = set()
        for segments, by_method in self._candidates(raw_path):
            entry = by_method.get(method)
            if entry is not None:
                values = {v.field_path: v.value(segments) for v in entry.template.variables}
                return Match(entry.target, values)
            allowed.update(by_method)
        if allowed:
            raise MethodUnknownError(sorted(allowed))
        raise PathUnknownError

    def _candidates(self, raw_path: str) -> Iterator[tuple[list[str], dict[str, _Entry[_T]]]]:
        """What fits the path, the most specific first, with the segments that it fits."""
        segments = raw_path.removeprefix("/").split("/")
        name, colon, verb = segments[-1].rpartition(":")
        if colon and verb in self._verbs:
            without_verb = [*segments[:-1], name]
            for ends in _walk(self._root, without_verb, 0):
                if verb in ends:
                    yield without_verb, ends[verb]
        for ends in _walk(self._root, segments, 0):
            if "" in ends:
                yield segments, ends[""]


def _walk(node: _Node[_T], segments: list[str], depth: int) -> Iterator[_Ends[_T]]:
    """Where the segments from `depth` on lead; an empty segment fits no variable."""
    if depth == len(segments):
        yield node.ends
        return
    segment = segments[depth]
    if segment not in ("*", "**") and (child := node.children.get(segment)):
        yield from _walk(child, segments, depth + 1)
    if segment and (child := node.children.get("*")):
        yield from _walk(child, segments, depth + 1)
    if child := node.children.get("**"):
        yield child.ends


def _decode(text: str) -> str:
    if "%" not in text:
        return text
    if _STRAY_PERCENT.search(text):
        raise ValueError("the path holds a `%` that is not followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise ValueError("the path is not UTF-8 after percent-decoding") from None
