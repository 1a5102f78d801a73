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


def group_people(sources: Sequence[Mapping[str, str]]) -> Iterator[list[tuple[int, str]]]:
    """Who is the same person: of each the sources that know them, in order of priority, and the key there.

    `sources` come in order of priority and say what address, as `address_of` has it, goes with each key; any other text that is
    equal where the addresses are does as well.
    """
    objects: dict[str, list[tuple[int, str]]] = {}
    for priority, source in enumerate(sources):
        for key in source:
            objects.setdefault(key, []).append((priority, key))
    by_address: dict[str, list[list[tuple[int, str]]]] = {}
    for key, told in objects.items():
        address = next(filter(None, (sources[priority][key] for priority, _ in told)), "")  # pragma: no mutate
        if address:
            by_address.setdefault(address, []).append(told)
        else:
            yield told
    for sharing in by_address.values():
        if len(sharing) == 1 or _shared_within_a_source(sharing):  # pragma: no mutate (to be alone only saves time)
            yield from sharing
        else:
            yield sorted(one for told in sharing for one in told)


def merged(told: Sequence[Person]) -> Merged:
    """One person out of what the sources tell, which come in order of priority.

    Each field is that of the first source that has it; the parts of the address are one field. Phone numbers should be in
    international form already: the country that reads those of one source may come from another.
    """
    attributes: dict[str, Any] = {}
    for person in told:
        has_address = any(map(attributes.get, _ADDRESS))
        for name, value in person.attributes.items():
            if value and not attributes.get(name) and not (has_address and name in _ADDRESS):
                attributes[name] = value
    return Merged(merged_key([person.key for person in told]), attributes)


def merged_key(keys: Iterable[str]) -> str:
    """The key of a person who has these, in order of priority: of very many only as many as a mark can hold, the first ones."""
    kept: list[str] = []
    length = 0
    for key in keys:
        if key not in kept and length + len(key) <= LONGEST_KEY:
            kept.append(key)
            length += len(key) + 1
    return "+".join(sorted(kept))


def address_of(attributes: Mapping[str, Any]) -> str:
    """What identifies a person besides the key: the primary address, to be compared without case; "" for none."""
    mail = attributes.get("mail")
    return str(mail).strip().casefold() if mail else ""


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


def _shared_within_a_source(people: list[list[tuple[int, str]]]) -> bool:
    priorities = [priority for told in people for priority, _ in told]
    return len(priorities) > len(set(priorities))
