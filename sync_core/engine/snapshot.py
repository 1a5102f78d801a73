"""Makes a sync's snapshot and list of targets from its sources: select, merge, select again, map."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from secrets import token_hex

from sync_core import buckets, choices, hiding, selection
from sync_core.choices import Choice
from sync_core.contacts import item_of
from sync_core.definition import SyncDefinition, TenantSettings
from sync_core.engine.calendar_items import items_of_calendars
from sync_core.engine.census import Census, Individual
from sync_core.engine.context import Context
from sync_core.engine.material import Material
from sync_core.fields import Fields
from sync_core.fingerprints import Fingerprinter
from sync_core.hiding import CardField, Hiders
from sync_core.kinds import EVENTS
from sync_core.merging import Merged
from sync_core.model import Item, Spent
from sync_core.photos import photo_of
from sync_core.policies import Policies
from sync_core.ports import TenantKeys
from sync_core.roster import Made, Roster, decoded, digest, encoded
from sync_core.sources.base import Reading
from sync_core.sources.photos import Album, PhotoReader
from sync_core.state.photos import photo_source
from sync_core.state.snapshots import SnapshotHead, SnapshotStore
from sync_core.state.sources import USERS
from sync_core.state.syncs import Forecast, Sync
from sync_core.windows import Window

READING_TIME = timedelta(minutes=3)
"""How long one run reads photos; what is left is for the run that then follows at once."""

_NO_PHOTO: tuple[str, str | None] = ("", None)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the sources and the definition ask for, before any brake has been asked.

    `items` are all that there are to be, but those that stay as they are in the last snapshot: `kept` by key. `roster` is to be
    remembered beside the snapshot.
    """

    items: Mapping[str, Item]
    targets: Mapping[str, Choice]  # by mailbox id, sorted
    sources: Mapping[str, int]  # of how many people each source knows something
    epoch: int  # of the tenant's suppressions
    window: Window | None = None  # of a sync of calendars
    forecast: Forecast | None = None
    album: Album | None = None  # their photos, if the sync wants any
    kept: Collection[str] = ()
    dropped: Collection[str] = ()  # keys of the last snapshot that are not kept
    roster: Roster | None = None

    @property
    def people(self) -> int:
        """How many there are to be."""
        return len(self.items) + len(self.kept)


def made_from(material: Material, sync: Sync, settings: TenantSettings) -> str:
    """Names everything that a snapshot and its targets depend on, but for photos."""
    chosen = choices.digest(material.choices) + hiding.digest(hiding.allowed(material.hidden, settings.hideable))
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
    census = Census(material, definition, settings, None)
    await census.look()
    return [census.merged(person) for person in await census.people()]


async def propose(
    context: Context,
    keys: TenantKeys,
    sync: Sync,
    settings: TenantSettings,
    material: Material,
    photos: PhotoReader | None = None,
    before: Roster | None = None,
) -> Proposal:
    """Select, merge and map. With the roster of the last snapshot, only those who are not what they were then.

    Raises LostPagesError when a source is purged meanwhile.
    """
    definition = sync.definition
    hiders = await material.hiders(settings)
    recipe = _recipe(context, sync, settings, material, keys, hiders)
    if before is None or before.recipe != recipe:
        before = Roster(recipe, {}, {})
    census = Census(material, definition, settings, before)
    await census.look()
    fingerprinter = Fingerprinter(keys.fingerprint_key, keys.fingerprint_key_id, definition.owned, definition.kind)
    chosen = choices.wishes(definition.self_service, sorted(await census.targets()), material.choices)
    if definition.kind is EVENTS:
        events, shares, forecast = await items_of_calendars(context, sync, material, fingerprinter)
        return Proposal(events, chosen, shares, material.suppressed.epoch, material.window, forecast)
    people = [_hiding(person, hiders) for person in await census.people()]
    fits = await _fitting(census, definition, people, before)
    is_named = selection.named(definition.selection, await material.members(definition.selection.exclude_groups))
    wanted = {person.key: person for person in people if (fits[person.key] if (said := is_named(person.key)) is None else said)}
    album: Album | None = None
    if photos is not None:
        album = await photos.bring_up_to_date(portrait for person in wanted.values() for portrait in census.portraits(person))
    made: dict[str, Made] = {}
    stale: list[Individual] = []
    kept: set[str] = set()
    for person in people:
        key, made_of, _told = person
        is_wanted = key in wanted
        photo = _NO_PHOTO
        if CardField.PHOTO in hiders.hiding(key).fields:
            photo = ("", "")
        elif album is not None and is_wanted:
            photo = photo_of(list(census.portraits(person)), album.names, photo_source(definition.photo_side))
        made[key] = Made(made_of, fits[key], is_wanted, photo)
        if is_wanted and made[key] == before.people.get(key):
            kept.add(key)
        elif is_wanted:
            stale.append(wanted[key])
    await census.fetch(stale)
    items: dict[str, Item] = {}
    for person in stale:
        attributes = census.merged(person).attributes
        hides = hiders.hiding(person.key, attributes)
        items[person.key] = item_of(
            attributes,
            key=person.key,
            installation=context.installation,
            sync=sync.sync,
            fingerprinter=fingerprinter,
            default_country=settings.default_country,
            fields=None if definition.fields == Fields() else definition.fields,
            photo=("", "") if CardField.PHOTO in hides.fields else made[person.key].photo,
            veil=hides.veil(definition.fields.fed) if hides else None,
        )
    return Proposal(
        items,
        chosen,
        census.shares(wanted.values()),
        material.suppressed.epoch,
        album=album,
        kept=kept,
        dropped={key for key, was in before.people.items() if was.listed} - kept,
        roster=Roster(recipe, census.pages, made),
    )


async def roster_of(store: SnapshotStore, snapshot: SnapshotHead | None) -> Roster | None:
    """What is remembered beside a snapshot."""
    kept = await store.roster(snapshot) if snapshot is not None else b""
    return decoded(kept)


async def _fitting(
    census: Census, definition: SyncDefinition, people: Sequence[Individual], before: Roster
) -> Mapping[str, bool]:
    """Whom the sync's own selection lets in by attributes: only those are looked at who are not what they were."""
    known = before.people
    fits: dict[str, bool] = {}
    fresh: list[Individual] = []
    for person in people:
        was = known.get(person.key)
        if was is not None and was.made_of == person.made_of:
            fits[person.key] = was.fits
        else:
            fresh.append(person)
    await census.fetch(fresh)
    lets_in = selection.fitting(definition.selection)
    return fits | {person.key: lets_in(census.merged(person).attributes) for person in fresh}


def _hiding(person: Individual, hiders: Hiders) -> Individual:
    """The person, made of what they hide too."""
    hides = hiders.hiding(person.key)
    return person._replace(made_of=f"{person.made_of}/{hides.digest}") if hides else person


def _recipe(context: Context, sync: Sync, settings: TenantSettings, material: Material, keys: TenantKeys, hiders: Hiders) -> str:
    """Names what the people of a snapshot depend on besides what the sources tell of each.

    A full reading makes another: so once a week everybody is selected and mapped anew, whatever is remembered. So does what
    somebody hides, where it may come in from elsewhere than the directory: there they are known by their addresses only.
    """
    suppressed = material.suppressed
    elsewhere = any(source.stored_as != USERS for _, source in material.sources)
    parts = (
        context.installation,
        sync.sync,
        keys.fingerprint_key_id,
        sync.definition.model_dump_json(),
        str(settings.default_country),
        material.read_at.isoformat(),
        f"{suppressed.epoch} {sorted(suppressed.grounds)}",
        hiders.digest if elsewhere else "",
    )
    return digest("\n".join(parts).encode())


async def store_snapshot(
    store: SnapshotStore, sync: Sync, proposal: Proposal, *, origin: str, read_at: datetime, previous: SnapshotHead | None
) -> SnapshotHead:
    """Make a proposal the sync's current snapshot. Pages of `previous` on which nobody has changed stay as they are.

    Raises ConflictError when another writer was first, and LostPagesError.
    """
    count = sync.buckets = buckets.bucket_count(proposal.people, sync.buckets or None)
    base: SnapshotHead | None = None
    if previous is not None and proposal.kept and len(previous.digests) == count:
        base = previous
        touched = {buckets.bucket_of(key, count) for key in (*proposal.items, *proposal.dropped)}
    else:
        touched = set(range(count))
    spread: dict[int, dict[str, Item]] = {number: {} for number in sorted(touched)}
    if previous is not None and proposal.kept:
        for number in spread if base is not None else range(len(previous.digests)):
            for key, item in (await store.page(previous, number)).items():
                if key in proposal.kept:
                    spread[buckets.bucket_of(key, count)][key] = item
    for key, item in proposal.items.items():
        spread[buckets.bucket_of(key, count)][key] = item
    return await store.write(
        token_hex(8),
        spread,
        base=base,
        count=proposal.people,
        made_from=origin,
        policies=Policies.of(sync.definition).name,
        owned=sync.definition.owned,
        filled=sync.definition.fields.filled,
        fed=sync.definition.fields.fed,
        read_at=read_at,
        epoch=proposal.epoch,
        roster=encoded(proposal.roster) if proposal.roster is not None else b"",
        previous_etag=previous.etag if previous else "",
    )
