"""The kinds of items that a sync mirrors: what their fields are and how these compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sync_core import contacts, events


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of item.

    `schema` stands in every fingerprint: it names the fields, their order and canonical form. Whoever changes these takes a
    letter that no kind has; all is then rewritten once. A field that comes last changes nothing for those who do not own it.
    """

    name: str
    nests: bool  # whether its folders lie below a default folder, at any depth, and tell what changed in them
    schema: str
    fields: tuple[str, ...]
    owned: tuple[str, ...]
    canonical: Callable[[str, Any], bytes]
    read_back: Callable[[Mapping[str, Any]], dict[str, Any]]  # what was written, in the form in which it is read


CONTACTS = Kind("contacts", True, "a", contacts.FIELDS, contacts.OWNED_FIELDS, contacts.canonical, dict)
EVENTS = Kind("events", False, "f", events.FIELDS, events.OWNED_FIELDS, events.canonical, events.read_back)
