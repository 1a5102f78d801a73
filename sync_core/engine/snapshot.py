"""Makes a sync's snapshot and list of targets from its sources: select, merge, select again, map."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from secrets import token_hex
from typing import Any
from uuid import UUID

import orjson

from sync_core import buckets, choices
from sync_core.choices import Choice
from sync_core.contacts import item_of, with_international_phones
from sync_core.definition import SyncDefinition, TargetChoice, Targets, TenantSettings
from sync_core.directory import has_usable_mailbox
from sync_core.engine.calendar_items import items_of_calendars
from sync_core.engine.context import Context
from sync_core.engine.material import Material
from sync_core.errors import LostPagesError
from sync_core.fields import Fields
from sync_core.fingerprints import Fingerprinter
from sync_core.kinds import EVENTS
from sync_core.merging import Merged, Person, merge_people
from sync_core.model import Item, Spent
from sync_core.photos import photo_of, users_in
from sync_core.policies import Policies
from sync_core.ports import TenantKeys
from sync_core.selection import Predicate, Selection, compiled, rule_holds
from sync_core.sources.base import Reading
from sync_core.sources.photos import Album, PhotoReader
from sync_core.state.snapshots import SnapshotHead, SnapshotStore
from sync_core.state.syncs import Forecast, Sync
from sync_core.windows import Window

READING_TIME = timedelta(minutes=3)
"""How long one run reads photos; what is left is for the run that then follows at once."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the sources and the definition ask for, before any brake has been asked."""

    items: Mapping[str, Item]
    targets: Mapping[str, Choice]  # by mailbox id, sorted
    sources: Mapping[str, int]  # of how many people each source knows something
    epoch: int  # of the tenant's suppressions
    window: Window | None = None  # of a sync of calendars
    forecast: Forecast | None = None
    album: Album | None = None  # their photos, if the sync wants any
    mapped: int = 0  # how many of the items were made anew


def made_from(material: Material, sync: Sync, settings: TenantSettings) -> str:
    """Names everything that a snapshot and its targets depend on, but for photos."""
    chosen = choices.digest(material.choices)
    parts = [material.digest, str(sync.revision), settings.model_dump_json(), str(material.suppressed.epoch), chosen]
    if sync.definition.kind is EVENTS:
        parts.append(str(material.window))
    return blake2b("\n".join(parts).encode(), digest_size=12).hexdigest()


def with_photos(origin: str, album: Album | None) -> str:
    """The same, and the photos of a sync that wants them: as long as some are unknown, the people must be gone through again."""
    if album is None:
        return origin
    return f"{origin}{'?' if album.counts['unknown'] else ''}/{album.digest}"


def photo_reader(
    context: Context,
    keys: TenantKeys,
    sync: Sync,
    *,
    spent: Spent,
    time: timedelta = READING_TIME,
    everybody: bool = False,
    keep: bool = True,
) -> PhotoReader | None:
    """What reads the photos that a sync wants, for so long; None if it wants none. What it takes is added to `spent`."""
    side = sync.definition.photo_side
    if not side:
        return None
    reading = Reading(context.tables, keys, context.graph, context.clock, sync.tenant, False, spent)
    return PhotoReader(reading, side, context.now() + time, everybody, keep)


async def everybody(material: Material, definition: SyncDefinition, settings: TenantSettings) -> list[Merged]:
    """The people of all sources, merged, before the sync's own selection is asked. Raises LostPagesError."""
    return [person async for person in _merged(material, definition, settings, {})]


async def propose(
    context: Context,
    keys: TenantKeys,
    sync: Sync,
    settings: TenantSettings,
    material: Material,
    photos: PhotoReader | None = None,
    before: Mapping[str, Item] | None = None,
) -> Proposal:
    """Select, merge and map, but who is still what `before` says. Raises LostPagesError when a source is purged meanwhile."""
    is_target = await _target_rule(sync.definition.targets, material)
    targets = [user["id"] async for user in material.users() if has_usable_mailbox(user) and is_target(user)]
    fingerprinter = Fingerprinter(keys.fingerprint_key, keys.fingerprint_key_id, sync.definition.owned, sync.definition.kind)
    chosen = choices.wishes(sync.definition.self_service, sorted(targets), material.choices)
    if sync.definition.kind is EVENTS:
        events, shares, forecast = await items_of_calendars(context, sync, material, fingerprinter)
        return Proposal(events, chosen, shares, material.suppressed.epoch, material.window, forecast)
    fields = sync.definition.fields
    is_wanted = await _selection_rule(sync.definition.selection, material)
    known: dict[str, list[str]] = {}
    album: Album | None = None
    if photos is not None:
        found = [person.key async for person in _merged(material, sync.definition, settings, {}) if is_wanted(person)]
        album = await photos.bring_up_to_date([user for key in found for user in users_in(key)])
    recipe = _recipe(context, sync, settings, keys)
    before = before or {}
    items: dict[str, Item] = {}
    mapped = 0
    async for person in _merged(material, sync.definition, settings, known):
        if not is_wanted(person):
            continue
        photo = photo_of(person.key, album.names) if album is not None else ("", None)
        made_of = ingredients(recipe, person.attributes, photo)
        item = before.get(person.key)
        if item is None or item.made_of != made_of:
            mapped += 1
            item = item_of(
                person.attributes,
                key=person.key,
                installation=context.installation,
                sync=sync.sync,
                fingerprinter=fingerprinter,
                default_country=settings.default_country,
                fields=None if fields == Fields() else fields,
                photo=photo,
                made_of=made_of,
            )
        items[person.key] = item
    shares = _shares(material, known, items)
    return Proposal(items, chosen, shares, material.suppressed.epoch, album=album, mapped=mapped)


async def remembered(store: SnapshotStore, snapshot: SnapshotHead | None, material: Material) -> Mapping[str, Item]:
    """The items of the last snapshot, of which those can stay that are still made of the same.

    None of them when a source has been read in full since: so once a week everybody is mapped anew, whatever is remembered.
    """
    if snapshot is None or snapshot.read_at != material.read_at:
        return {}
    items: dict[str, Item] = {}
    try:
        for number in range(len(snapshot.digests)):
            items |= await store.page(snapshot, number)
    except LostPagesError:
        return {}
    return items


def _recipe(context: Context, sync: Sync, settings: TenantSettings, keys: TenantKeys) -> blake2b:
    """What an item is made from besides the person."""
    definition = sync.definition
    parts = (context.installation, sync.sync, keys.fingerprint_key_id, str(settings.default_country))
    return blake2b("\n".join((*parts, definition.photos, definition.fields.model_dump_json())).encode(), digest_size=8)


def ingredients(recipe: blake2b, person: Mapping[str, Any], photo: tuple[str, str | None]) -> str:
    """Names what an item is made of: equal ones make equal items."""
    digest = recipe.copy()
    digest.update(orjson.dumps((person, photo)))
    return digest.hexdigest()


async def store_snapshot(
    store: SnapshotStore, sync: Sync, proposal: Proposal, *, origin: str, read_at: datetime, previous: SnapshotHead | None
) -> SnapshotHead:
    """Make a proposal the sync's current snapshot. Raises ConflictError when another writer was first."""
    sync.buckets = buckets.bucket_count(len(proposal.items), sync.buckets or None)
    spread: list[dict[str, Item]] = [{} for _ in range(sync.buckets)]
    for key, item in proposal.items.items():
        spread[buckets.bucket_of(key, sync.buckets)][key] = item
    return await store.write(
        token_hex(8),
        spread,
        made_from=origin,
        policies=Policies.of(sync.definition).name,
        owned=sync.definition.owned,
        filled=sync.definition.fields.filled,
        read_at=read_at,
        epoch=proposal.epoch,
        previous_etag=previous.etag if previous else "",
    )


async def _people_of(material: Material, place: int) -> AsyncIterator[Person]:
    definition, source = material.sources[place]
    selects = None
    if definition.selection is not None:
        selects = compiled(definition.selection, await material.members(definition.selection.exclude_groups))
    async for key, attributes in source.people(material.heads):
        if (selects is None or selects(attributes)) and not material.suppressed.covers(key, attributes):
            yield Person(key, attributes)


async def _merged(
    material: Material, definition: SyncDefinition, settings: TenantSettings, known: dict[str, list[str]]
) -> AsyncIterator[Merged]:
    """Everybody, one at a time as long as there is nothing to merge. Of several sources, notes in `known` who tells of a key."""
    if len(material.sources) == 1:
        async for person in _people_of(material, 0):
            yield Merged(*person)
        return
    country = settings.default_country
    as_is = definition.fields.phones == "as_is"
    people: list[list[Person]] = []
    for place, (_, source) in enumerate(material.sources):
        people.append([])
        async for key, one in _people_of(material, place):
            known.setdefault(key, []).append(source.id)
            people[-1].append(Person(key, one if as_is else with_international_phones(one, country)))
    for merged in merge_people(people):
        yield merged


async def _selection_rule(selection: Selection, material: Material) -> Callable[[Merged], bool]:
    """The sync's own selection. Its lists of ids know a merged person by each of the objects."""
    members = await material.members(selection.exclude_groups)
    selects = compiled(selection, members)
    included = {str(key) for key in selection.include}
    excluded = members.union(map(str, selection.exclude))

    def is_wanted(person: Merged) -> bool:
        if "+" in person.key:
            ids = {part.partition(":")[2] for part in person.key.split("+")}
            if ids & excluded or ids & included:
                return not ids & excluded
        return selects(person.attributes)

    return is_wanted


def _shares(material: Material, known: Mapping[str, Sequence[str]], wanted: Collection[str]) -> dict[str, int]:
    ids = [source.id for _, source in material.sources]
    if len(ids) == 1:
        return {ids[0]: len(wanted)}
    counts = Counter(source for key in wanted for source in {each for part in key.split("+") for each in known[part]})
    return {source: counts[source] for source in ids}


async def _target_rule(targets: Targets, material: Material) -> Predicate:
    """Whether a user is a target. Raises LostPagesError."""
    members = {str(group): await material.members([group]) for group in targets.groups}
    included = _everybody if targets.include == "all" else _chosen(targets.include, members)
    excluded = _chosen(targets.exclude, members)
    return lambda user: included(user) and not excluded(user)


def _everybody(_user: Mapping[str, Any]) -> bool:
    return True


def _chosen(choice: Collection[UUID] | TargetChoice, members: Mapping[str, Collection[str]]) -> Predicate:
    if not isinstance(choice, TargetChoice):
        choice = TargetChoice(mailboxes=tuple(choice))
    ids = {str(mailbox) for mailbox in choice.mailboxes}.union(*(members[str(group)] for group in choice.groups))
    holds = rule_holds(choice.rule) if choice.rule is not None else None
    return lambda user: user["id"] in ids or (holds is not None and holds(user))
