"""Goes through the people of a sync's sources. Of pages that have not changed it knows what it saw the last time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from sync_core.contacts import with_international_phones
from sync_core.definition import SyncDefinition, TargetChoice, TenantSettings
from sync_core.directory import has_usable_mailbox
from sync_core.encoding import kept
from sync_core.engine.material import Material
from sync_core.kinds import CONTACTS
from sync_core.merging import Merged, Person, address_of, group_people, merged, merged_key
from sync_core.model import Portrait
from sync_core.photos import PHOTO
from sync_core.roster import Entry, Pages, Roster, digest
from sync_core.selection import Predicate, fitting, named, rule_holds
from sync_core.state.sources import USERS

_MAILBOX, _INCLUDED, _EXCLUDED, _SUPPRESSED, _FITS = 1, 2, 4, 8, 16
"""What is remembered of an object: what it is as a target, and from _FITS on which sources' own selections let it in."""


class Individual(NamedTuple):
    """A person by key. `told` are the objects that are this person, each with the place of its source, in order of priority."""

    key: str
    made_of: str
    told: Sequence[tuple[int, Entry]]


class Census:
    """One look at all sources."""

    def __init__(self, material: Material, definition: SyncDefinition, settings: TenantSettings, before: Roster | None) -> None:
        self.pages: Pages = {}
        self._material = material
        self._targets = definition.targets
        self._before: Pages = before.pages if before is not None else {}
        self._told: dict[tuple[str, str], bytes] = {}  # by source and key: the attributes of whoever was read, as JSON
        self._sources = material.sources if definition.kind is CONTACTS else ()
        self._several = len(self._sources) > 1
        self._country = settings.default_country
        self._phones_as_is = not self._several or definition.fields.phones == "as_is"
        self._tests: dict[str, list[tuple[int, Predicate]]] = {USERS: [(_MAILBOX, has_usable_mailbox)]}
        for bit, choice in ((_INCLUDED, self._targets.include), (_EXCLUDED, self._targets.exclude)):
            if isinstance(choice, TargetChoice) and choice.rule is not None:
                self._tests[USERS].append((bit, rule_holds(choice.rule)))
        for place, (source, opened) in enumerate(self._sources):
            tests = self._tests.setdefault(opened.stored_as, [])
            if source.selection is not None:
                tests.append((_FITS << place, fitting(source.selection)))

    async def look(self) -> None:
        """Read the pages that have changed. Raises LostPagesError."""
        for stored in self._tests:
            head, known = self._material.heads[stored], self._before.get(stored, {})
            pages = self.pages[stored] = {page.digest: known.get(page.digest, []) for page in head.pages}
            changed = [number for number, page in enumerate(head.pages) if page.digest not in known]
            async for number, people in self._material.people_on(stored, changed):
                pages[head.pages[number].digest] = [self._entry(stored, *person) for person in people]

    async def targets(self) -> list[str]:
        """The mailboxes that the definition names, by user id. Raises LostPagesError."""
        ids = [await self._ids(choice) for choice in (self._targets.include, self._targets.exclude)]
        return [
            entry.key.removeprefix("u:")
            for entry in _entries(self.pages[USERS])
            if entry.flags & _MAILBOX and _is_chosen(entry, _INCLUDED, ids[0]) and not _is_chosen(entry, _EXCLUDED, ids[1])
        ]

    async def people(self) -> list[Individual]:
        """Everybody whom the sources' own selections let in, merged. Raises LostPagesError."""
        admitted = [await self._admitted(place) for place in range(len(self._sources))]
        if not self._several:
            return [Individual(key, entry.digest, ((0, entry),)) for key, entry in admitted[0].items()]
        addresses = [{key: entry.address for key, entry in source.items()} for source in admitted]
        people: list[Individual] = []
        for group in group_people(addresses):
            told = [(place, admitted[place][key]) for place, key in group]
            made_of = "+".join(entry.digest for _, entry in told)
            people.append(Individual(merged_key(entry.key for _, entry in told), made_of, told))
        return people

    async def fetch(self, people: Iterable[Individual]) -> None:
        """Read what `merged` needs of these people. Raises LostPagesError."""
        missing: dict[str, set[str]] = {}
        for _, _, told in people:
            for place, entry in told:
                stored = self._sources[place][1].stored_as
                if (stored, entry.key) not in self._told:
                    missing.setdefault(stored, set()).add(entry.key)
        for stored, keys in missing.items():
            pages = self._material.heads[stored].pages
            known = self.pages[stored]
            numbers = [at for at, page in enumerate(pages) if any(entry.key in keys for entry in known[page.digest])]
            async for _, found in self._material.people_on(stored, numbers):
                for key, attributes in found:
                    if key in keys:
                        attributes.pop(PHOTO, None)
                        self._told[stored, key] = kept(attributes)

    def merged(self, person: Individual) -> Merged:
        """What all sources tell of a person who was fetched."""
        people = [self._person(self._sources[place][1].stored_as, entry.key) for place, entry in person.told]
        return merged(people) if self._several else Merged(*people[0])

    def portraits(self, person: Individual) -> Iterator[Portrait]:
        """What the sources tell of a person's photo."""
        for place, entry in person.told:
            portrait = self._sources[place][1].portrait(entry.key, entry.photo)
            if portrait is not None:
                yield portrait

    def shares(self, people: Collection[Individual]) -> dict[str, int]:
        """How many of these people each source knows."""
        ids = [source.id for _, source in self._sources]
        if not self._several:
            return {ids[0]: len(people)}
        counts = Counter(place for person in people for place in {place for place, _ in person.told})
        return {source: counts[place] for place, source in enumerate(ids)}

    def _entry(self, stored: str, key: str, attributes: dict[str, Any]) -> Entry:
        photo = attributes.pop(PHOTO, "")
        told = self._told[stored, key] = kept(attributes)
        address = address_of(attributes) if self._several else ""
        flags = sum(bit for bit, holds in self._tests[stored] if holds(attributes))
        if self._material.suppressed.covers(key, attributes):
            flags |= _SUPPRESSED
        return Entry(key, digest(told), digest(address.encode()) if address else "", flags, photo)

    async def _admitted(self, place: int) -> dict[str, Entry]:
        definition, source = self._sources[place]
        members = await source.members(self._material.heads)
        entries = (entry for entry in _entries(self.pages[source.stored_as]) if not entry.flags & _SUPPRESSED)
        if members is not None:
            entries = (entry for entry in entries if entry.key in members)
        if definition.selection is None:
            return {entry.key: entry for entry in entries}
        is_named = named(definition.selection, await self._material.members(definition.selection.exclude_groups))
        fits = _FITS << place
        return {entry.key: entry for entry in entries if (entry.flags & fits if (said := is_named(entry.key)) is None else said)}

    async def _ids(self, choice: Collection[UUID] | TargetChoice | str) -> set[str] | None:
        """The ids of users who are chosen by id or group; None for everybody."""
        if isinstance(choice, str):
            return None
        if not isinstance(choice, TargetChoice):
            return set(map(str, choice))
        return {*map(str, choice.mailboxes), *await self._material.members(choice.groups)}

    def _person(self, stored: str, key: str) -> Person:
        attributes = orjson.loads(self._told[stored, key])
        return Person(key, attributes if self._phones_as_is else with_international_phones(attributes, self._country))


def _entries(pages: Mapping[str, Sequence[Entry]]) -> Iterator[Entry]:
    return (entry for page in pages.values() for entry in page)


def _is_chosen(entry: Entry, bit: int, ids: Collection[str] | None) -> bool:
    return ids is None or bool(entry.flags & bit) or entry.key.removeprefix("u:") in ids
