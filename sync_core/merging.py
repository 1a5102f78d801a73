"""One list out of several sources: who is the same person, and which item of a mailbox stays theirs.

Two objects of different sources are one person when they have the same key (a user who comes from the directory and from a
group), or the same primary e-mail address. Aliases do not count: old and shared addresses live on as aliases, and a contact that
is merged too little shows twice where one that is merged too much shows a person's number under another's name. For the same
reason an address that two people of any one source share (info@) identifies nobody: whoever has it stays apart, in every source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sync_core.marks import LONGEST_KEY

_ADDRESS = ("streetAddress", "city", "state", "postalCode", "country")
"""Belong together: half of one address and half of another is neither."""


class Person(NamedTuple):
    """What one source says of a person. `key` names the object ("u:" and the object id), once in each source."""

    key: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Merged:
    """A person of one or more sources. `key` is their keys, sorted and joined by "+", as marks have them."""

    key: str
    attributes: Mapping[str, Any]


class _Entry(NamedTuple):
    priority: int
    person: Person


def merge_people(sources: Sequence[Iterable[Person]]) -> Iterator[Merged]:
    """Everybody of `sources`, which come in order of priority, in the order of the merged keys.

    Each field is that of the first source that has it; the parts of the address are one field. Phone numbers should be in
    international form already: the country that reads those of one source may come from another. Of a person in very many sources
    only as many keys are kept as a mark can hold, those of the first sources.
    """
    objects: dict[str, list[_Entry]] = {}
    for priority, source in enumerate(sources):
        for person in source:
            objects.setdefault(person.key, []).append(_Entry(priority, person))
    by_address: dict[str, list[list[_Entry]]] = {}
    people: list[list[_Entry]] = []
    for entries in objects.values():
        address = _address(entries)
        if address:
            by_address.setdefault(address, []).append(entries)
        else:
            people.append(entries)
    for sharing in by_address.values():
        if _shared_within_a_source(sharing):
            people += sharing
        else:
            people.append([entry for entries in sharing for entry in entries])
    yield from sorted(map(_merged, people), key=lambda merged: merged.key)


def settle_keys(wanted: Iterable[str], held: Iterable[str]) -> dict[str, str]:
    """Which held key each wanted key goes on from: wanted -> held, either at most once.

    A key goes on from itself if it can. What is left of the held keys goes, in their order, to the wanted key that has its first
    source key, or failing that its next: on a split the item stays with the first key, on a merge the first item stays.
    """
    open_keys = set(wanted)
    remaining = set(held)
    settled = {key: key for key in open_keys & remaining}
    open_keys -= settled.keys()
    by_source_key = {part: key for key in sorted(open_keys) for part in key.split("+")}
    for key in sorted(remaining - settled.keys()):
        heirs = (by_source_key[part] for part in key.split("+") if part in by_source_key)
        heir = next((heir for heir in heirs if heir not in settled), None)
        if heir is not None:
            settled[heir] = key
    return settled


def _address(entries: list[_Entry]) -> str:
    """What identifies a person besides the key: the primary address that the first source knows, compared without case."""
    for entry in entries:
        mail = entry.person.attributes.get("mail")
        if mail:
            return str(mail).strip().casefold()
    return ""


def _shared_within_a_source(people: list[list[_Entry]]) -> bool:
    priorities = [entry.priority for entries in people for entry in entries]
    return len(priorities) > len(set(priorities))


def _merged(entries: list[_Entry]) -> Merged:
    entries.sort(key=lambda entry: entry.priority)
    attributes: dict[str, Any] = {}
    keys: list[str] = []
    length = 0
    for _, person in entries:
        has_address = any(map(attributes.get, _ADDRESS))
        for name, value in person.attributes.items():
            if value and not attributes.get(name) and not (has_address and name in _ADDRESS):
                attributes[name] = value
        if person.key not in keys and length + len(person.key) <= LONGEST_KEY:
            keys.append(person.key)
            length += len(person.key) + 1
    return Merged("+".join(sorted(keys)), attributes)
