"""The query options Graph understands: $select, $expand of extended properties, and a modest part of $filter.

graph/query-parameters, graph/filter-query-parameter, graph/api/singlevaluelegacyextendedproperty-get.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from local.m365 import schema
from local.m365.wire import GraphError

Predicate = Callable[[Mapping[str, Any]], bool]
EXTENDED = "singleValueExtendedProperties"

_TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|([(),:])|([A-Za-z0-9_./@-]+))")
_PROPERTY_ID = re.compile(
    r"^(String|Integer|Boolean|Double|SystemTime|CLSID|Long|Short|Float|Currency|Binary|ApplicationTime) "
    r"(?:\{([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})\} (?:(Name) (\S.*)|(Id) (0x[0-9A-Fa-f]+))|(0x[0-9A-Fa-f]+))$",
    re.IGNORECASE,
)


def allow(query: Mapping[str, str], *names: str) -> None:
    """Refuse query options that the resource does not know."""
    for name in query:
        if name not in names:
            raise GraphError(400, "BadRequest", f"The query parameter '{name}' is not supported.")


def next_options(query: dict[str, str], changed: dict[str, str]) -> str:
    """The query of a next link: the same options, encoded, some of them changed."""
    return "&".join(f"{quote(name)}={quote(value, safe='')}" for name, value in {**query, **changed}.items())


def whole_number(query: Mapping[str, str], name: str, low: int, high: int, default: int) -> int:
    """A numeric option within its bounds (graph/query-parameters#top)."""
    text = query.get(name)
    if text is None:
        return default
    if not text.isdigit() or not low <= int(text) <= high:
        raise GraphError(
            400, "BadRequest", f"Invalid value '{text}' for {name} query option found. It must be from {low} to {high}."
        )
    return int(text)


def select(query: Mapping[str, str], kind: str, extra: frozenset[str] = frozenset()) -> tuple[str, ...] | None:
    """The selected properties, or None for the default set. Raises GraphError for unknown ones."""
    text = query.get("$select")
    if text is None:
        return None
    return read_select(text, kind, extra)


@lru_cache(maxsize=1024)
def read_select(text: str, kind: str, extra: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Read a $select list."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in schema.properties(kind) and name not in extra:
            raise GraphError(
                400,
                "BadRequest",
                f"Parsing OData Select and Expand failed: Could not find a property named '{name}' on type '{kind}'.",
            )
    return names


@lru_cache(maxsize=4096)
def property_id(text: str) -> str:
    """An extended property's id in one spelling: the name keeps its case, nothing else does.

    See graph/api/resources/extended-properties-overview.
    """
    match = _PROPERTY_ID.match(text)
    if not match:
        raise GraphError(400, "ErrorInvalidArgument", f"The property id '{text}' of the extended property is not valid.")
    kind, guid, _, name, _, number, tag = match.groups()
    kind = kind[0].upper() + kind[1:]
    if tag:
        return f"{kind} {tag.lower()}"
    place = f"Name {name}" if name else f"Id {number.lower()}"
    return f"{kind} {{{guid.lower()}}} {place}"


@lru_cache(maxsize=256)
def expand_extended(text: str) -> frozenset[str]:
    """The extended properties that $expand asks for. Raises GraphError for any other expansion."""
    match = re.fullmatch(rf"\s*{EXTENDED}\s*\(\s*\$filter\s*=\s*(.+)\)\s*", text, re.IGNORECASE | re.DOTALL)
    if not match:
        raise GraphError(400, "ErrorInvalidUrlQuery", f"Only {EXTENDED} with a $filter on id can be expanded here.")
    wanted = []
    for condition in re.split(r"\s+or\s+(?=id\s)", match[1].strip()):
        equal = re.fullmatch(r"id\s+eq\s+'((?:[^']|'')*)'", condition.strip())
        if not equal:
            raise GraphError(
                400, "ErrorInvalidUrlQueryFilter", "The filter of an expanded extended property must compare its id."
            )
        wanted.append(property_id(equal[1].replace("''", "'")))
    return frozenset(wanted)


@dataclass(slots=True)
class _Tokens:
    items: list[tuple[str, str]]  # (kind, text): "text", "sign" or "word"
    at: int = 0

    def peek(self) -> str:
        return self.items[self.at][1].lower() if self.at < len(self.items) and self.items[self.at][0] != "text" else ""

    def take(self, kind: str = "") -> str:
        if self.at >= len(self.items) or (kind and self.items[self.at][0] != kind):
            raise _bad_filter()
        self.at += 1
        return self.items[self.at - 1][1]

    def expect(self, sign: str) -> None:
        if self.take().lower() != sign:
            raise _bad_filter()


def _bad_filter() -> GraphError:
    return GraphError(400, "BadRequest", "Invalid filter clause: Syntax error or unsupported function or operator.")


@lru_cache(maxsize=256)
def read_filter(text: str, kind: str) -> Predicate:
    """Compile `eq`, `in`, `startswith`, `and`, `or`, brackets and `any` over extended properties. Raises GraphError."""
    items: list[tuple[str, str]] = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise _bad_filter()
        string, sign, word = match.groups()
        items.append(
            ("text", string[1:-1].replace("''", "'")) if string is not None else ("sign", sign) if sign else ("word", word)
        )
        at = match.end()
    tokens = _Tokens(items)
    predicate = _either(tokens, kind)
    if tokens.at != len(items):
        raise _bad_filter()
    return predicate


def _either(tokens: _Tokens, kind: str) -> Predicate:
    parts = [_both(tokens, kind)]
    while tokens.peek() == "or":
        tokens.take()
        parts.append(_both(tokens, kind))
    return parts[0] if len(parts) == 1 else lambda item: any(part(item) for part in parts)


def _both(tokens: _Tokens, kind: str) -> Predicate:
    parts = [_single(tokens, kind)]
    while tokens.peek() == "and":
        tokens.take()
        parts.append(_single(tokens, kind))
    return parts[0] if len(parts) == 1 else lambda item: all(part(item) for part in parts)


def _single(tokens: _Tokens, kind: str) -> Predicate:
    if tokens.peek() == "(":
        tokens.take()
        inner = _either(tokens, kind)
        tokens.expect(")")
        return inner
    name = tokens.take("word")
    if name.lower() == "startswith":
        tokens.expect("(")
        name = _known(tokens.take("word"), kind)
        tokens.expect(",")
        start = tokens.take("text").casefold()
        tokens.expect(")")
        return lambda item: str(item.get(name) or "").casefold().startswith(start)
    if name.lower() == f"{EXTENDED}/any".lower():
        return _any_extended(tokens)
    name = _known(name, kind)
    operator = tokens.take("word").lower()
    if operator == "eq":
        value = _literal(tokens)
        return lambda item: _same(item.get(name), value)
    if operator == "in":
        tokens.expect("(")
        values = [_literal(tokens)]
        while tokens.peek() == ",":
            tokens.take()
            values.append(_literal(tokens))
        tokens.expect(")")
        return lambda item: any(_same(item.get(name), value) for value in values)
    # graph/aad-advanced-queries: `ne`, `not`, `endsWith` need ConsistencyLevel: eventual, which this stand-in does not serve.
    raise GraphError(
        400, "Request_UnsupportedQuery", f"Unsupported or invalid query filter clause specified for property '{name}'."
    )


def _any_extended(tokens: _Tokens) -> Predicate:
    """`singleValueExtendedProperties/Any(ep: ep/id eq '..' and ep/value eq '..')`: both, and nothing else."""
    tokens.expect("(")
    variable = tokens.take("word")
    tokens.expect(":")
    found: dict[str, str] = {}
    for position in range(2):
        if position:
            tokens.expect("and")
        path = tokens.take("word")
        tokens.expect("eq")
        found[path] = tokens.take("text")
    tokens.expect(")")
    try:
        wanted, value = property_id(found[f"{variable}/id"]), found[f"{variable}/value"].casefold()
    except KeyError:
        raise _bad_filter() from None
    # Exchange compares strings without regard to case.
    return lambda item: str(item[EXTENDED].get(wanted, "\0")).casefold() == value


def _known(name: str, kind: str) -> str:
    if name not in schema.properties(kind):
        raise GraphError(
            400,
            "BadRequest",
            f"Invalid filter clause: Could not find a property named '{name}' on type 'microsoft.graph.{kind}'.",
        )
    return name


def _literal(tokens: _Tokens) -> Any:
    if tokens.at < len(tokens.items) and tokens.items[tokens.at][0] == "text":
        return tokens.take()
    word = tokens.take("word").lower()
    try:
        return {"true": True, "false": False, "null": None}[word]
    except KeyError:
        raise _bad_filter() from None


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(value, str) and isinstance(wanted, str):
        return value.casefold() == wanted.casefold()
    return type(value) is type(wanted) and bool(value == wanted)
