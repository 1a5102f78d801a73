"""Finds people in what is stored: sources (uploads and pushed items too) and every snapshot that is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from gdpr.named_events import NAMED_KEY, events_naming, hashes_of
from sync_core.engine.context import Context
from sync_core.errors import LostPagesError
from sync_core.model import Item
from sync_core.ports import TenantKeys
from sync_core.state.names import SOURCES, SYNCS, partitions_of
from sync_core.state.photos import PHOTOS, PhotoRows, PhotoStore
from sync_core.state.snapshots import SnapshotStore, kept_items
from sync_core.state.sources import OF_TARGETS, SourceStore, source_key
from sync_core.state.syncs import Sync, load_sync
from sync_core.suppression import addresses, by_key, by_mail, identifiers


@dataclass(slots=True)
class Match:
    """A person whom identifiers led to. `places` are "source/<id>" and "snapshot/<sync>"; `person` is as the first has them."""

    key: str
    person: Mapping[str, Any]
    places: list[str] = field(default_factory=list)


async def find_people(context: Context, tenant: str, wanted: Collection[str]) -> dict[str, Match]:
    """Everybody who has one of these identifiers, by the key of a source object.

    Who stands in a snapshot under several keys is found under each. A user of whom only the object id is left is not a match.
    Who is named in events under one of these addresses, or one of those found, is a match of their own for each.
    """
    keys = await context.keyring.keys(tenant)
    found: dict[str, Match] = {}
    known = set(wanted)
    async for sync in syncs_of(context, tenant):
        store = SnapshotStore(context.tables, keys.sealer, tenant, sync.sync)
        async for item in kept_items(store):
            person = person_in(item)
            if known.isdisjoint(identifiers(item.key, person)):
                continue
            for part in item.key.split("+"):
                known.add(by_key(part))
                _note(found, part, person, f"snapshot/{sync.sync}")
    async for source, stored, value in stored_objects(context, keys, tenant):
        key = source_key(source, stored, value)
        if not known.isdisjoint(identifiers(key, value)) and not value.keys() <= OF_TARGETS:
            _note(found, key, value, f"source/{source}")
    known |= {by_mail(address) for match in found.values() for address in addresses(match.person)}
    hashes = hashes_of(known, keys)
    sources = await sources_of(context, tenant)
    async for source, _, _, grounds in events_naming(context, keys, tenant, sources, hashes):
        for _, hash_, name in grounds:
            person = {"displayName": name, "mail": hashes[hash_].removeprefix(by_mail(""))} if name else {}
            _note(found, f"{NAMED_KEY}{hash_}", person, f"source/{source}")
    return found


async def stored_objects(context: Context, keys: TenantKeys, tenant: str) -> AsyncIterator[tuple[str, str, dict[str, Any]]]:
    """Every object of every source: source, stored key, properties. What cannot be read is as good as gone."""
    for source in await sources_of(context, tenant):
        if source.startswith(PHOTOS):
            continue
        store = SourceStore(context.tables, keys, tenant, source)
        head = await store.head()
        if head is None:
            continue
        try:
            async for stored, value in store.objects(head):
                yield source, stored, value
        except LostPagesError:
            continue


async def sources_of(context: Context, tenant: str) -> list[str]:
    """The sources of which something is stored."""
    start, end = partitions_of(tenant)
    rows = context.tables.scan(SOURCES, partitions_from=start, partitions_to=end, select=())
    return sorted({entity.partition.partition(":")[2] async for entity in rows})


async def photos_of(context: Context, keys: TenantKeys, tenant: str) -> AsyncIterator[tuple[str, PhotoRows]]:
    """The photos that lie with each source, by the source's id: those read from Microsoft, and those that were handed to us."""
    for source in await sources_of(context, tenant):
        if source.startswith(PHOTOS):
            yield source, PhotoStore(context.tables, keys, tenant, int(source.removeprefix(PHOTOS)))
        else:
            yield source, PhotoRows(context.tables, keys, tenant, source)


async def syncs_of(context: Context, tenant: str) -> AsyncIterator[Sync]:
    """A tenant's syncs."""
    for row in [entity.row async for entity in context.tables.query(SYNCS, tenant, select=())]:
        yield await load_sync(context.tables, tenant, row)


def person_in(item: Item) -> dict[str, Any]:
    """A contact that is ready to be written, in the properties of a user."""
    body = orjson.loads(item.body)
    addresses = [entry["address"] for entry in body.get("emailAddresses") or () if entry.get("address")]
    return {
        **{name: value for name, value in body.items() if isinstance(value, str)},
        "mail": next(iter(addresses), None),
        "otherMails": addresses[1:],
        "mobilePhone": body.get("mobilePhone"),
        "businessPhones": body.get("businessPhones") or [],
    }


def concerns(keys: Collection[str], item_key: str) -> bool:
    """Whether an item stands for one of these people."""
    return not set(keys).isdisjoint(item_key.split("+"))


def _note(found: dict[str, Match], key: str, person: Mapping[str, Any], place: str) -> None:
    match = found.setdefault(key, Match(key, person))
    if place not in match.places:
        match.places.append(place)


def shown(match: Match) -> dict[str, Iterable[str] | str | None]:
    """What tells a compliance officer whether it is the right person."""
    person = match.person
    return {
        "key": match.key,
        "name": person.get("displayName"),
        "email": person.get("mail"),
        "places": match.places,
    }
