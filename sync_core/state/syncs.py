"""Syncs: the definitions, and what a sync must remember beyond its caches."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date, datetime
from hashlib import blake2b

import orjson

from sync_core.definition import SyncDefinition
from sync_core.errors import NotFoundError
from sync_core.ports import AllOf, AnyOf, Compare, Entity, Insert, Remove, Replace, Row, Scalar, Tables
from sync_core.state.names import SYNCS
from sync_core.windows import Window


@dataclass(frozen=True, slots=True)
class Forecast:
    """How many events of each source the window will leave behind, day by day from the one on which it began."""

    first: date
    departures: dict[str, list[int]] = field(default_factory=dict)

    def left_behind(self, window: Window) -> dict[str, int]:
        """How many a later window has left behind."""
        return {source: window.left_behind(days, self.first) for source, days in self.departures.items()}


@dataclass(slots=True)
class Sync:
    """One sync of a tenant.

    With `deleting`, all that it wrote is removed, or with `keep_contacts` left to the users, and then the sync is forgotten.
    It has `ended` when only mailboxes are left that are gone: nobody sees it any more, but what comes back is still removed.
    `people`, `targets` and, by source, `sources` are the counts last applied: what the brakes compare with, less what by the
    `forecast` of that time the window of a sync of calendars has left behind. The `released_*`
    values are what a person let through: counts, and whether one run may go over the mailboxes' own brakes. `resolved` names the
    source content and definition for which targets were last registered. `buckets` is the page count of snapshots and ledgers.

    While it is `paused`, runs read no source: they keep mailboxes as the current snapshot says.

    `active_check` and `active_undoes` are what the active run was asked for, known before it has a row of its own. `rerun` says
    how closely the run looks that must follow it, "" when none must.
    """

    tenant: str
    sync: str
    definition: SyncDefinition
    revision: int = 1
    deleting: bool = False
    keep_contacts: bool = False
    ended: bool = False
    paused: bool = False
    next_run: datetime | None = None
    active_run: str = ""
    active_since: datetime | None = None
    active_check: str = ""
    active_undoes: str = ""
    rerun: str = ""
    held: str = ""
    people: int = 0
    targets: int = 0
    sources: dict[str, int] = field(default_factory=dict)
    forecast: Forecast | None = None
    released_people: int | None = None
    released_targets: int | None = None
    released_sources: dict[str, int] | None = None
    released_deletions: bool = False
    resolved: str = ""
    buckets: int = 0
    etag: str = ""

    @property
    def version(self) -> str:
        """Names the definition as it is: another one after every change that an admin makes to it, whatever runs do meanwhile."""
        return f"{self.revision}-{blake2b(self.definition.model_dump_json().encode(), digest_size=8).hexdigest()}"


async def load_sync(tables: Tables, tenant: str, sync: str, *, ended: bool = False) -> Sync:
    """The sync, with `ended` also one that nobody is to see any more. Raises NotFoundError."""
    entity = await tables.get(SYNCS, tenant, sync)
    found = _decode(entity) if entity is not None else None
    if found is None or (found.ended and not ended):
        raise NotFoundError("this sync does not exist")
    return found


async def syncs_of(tables: Tables, tenant: str, *, start: str = "", ended: bool = False) -> AsyncIterator[Sync]:
    """The syncs of a tenant by id, from this one on; with `ended` also those that nobody is to see any more."""
    async for entity in tables.query(SYNCS, tenant, start=start):
        sync = _decode(entity)
        if ended or not sync.ended:
            yield sync


async def insert_sync(tables: Tables, sync: Sync) -> None:
    """Write a new sync. Raises ConflictError when its id is taken."""
    (sync.etag,) = await tables.commit(SYNCS, sync.tenant, [Insert(sync.sync, _encode(sync))])


async def save_sync(tables: Tables, sync: Sync) -> None:
    """Write a changed sync back. Raises ConflictError when somebody else changed it first."""
    (sync.etag,) = await tables.commit(SYNCS, sync.tenant, [Replace(sync.sync, _encode(sync), sync.etag)])


async def remove_sync(tables: Tables, sync: Sync) -> None:
    """Forget a sync whose replicas are all cleaned."""
    await tables.commit(SYNCS, sync.tenant, [Remove(sync.sync)])


async def syncs_to_start(tables: Tables, now: datetime, silent_since: datetime) -> AsyncIterator[Sync]:
    """Syncs of all tenants that are due, and those whose active run started before `silent_since`."""
    due = AllOf((Compare("NextRun", "le", now), Compare("ActiveRun", "eq", "")))
    stuck = AllOf((Compare("ActiveSince", "le", silent_since), Compare("ActiveRun", "ne", "")))
    async for entity in tables.scan(SYNCS, where=AnyOf((due, stuck))):
        yield _decode(entity)


def _encode(sync: Sync) -> Row:
    return {
        "Definition": sync.definition.model_dump_json(),
        "Revision": sync.revision,
        "Deleting": sync.deleting,
        "KeepContacts": sync.keep_contacts,
        "Ended": sync.ended,
        "Paused": sync.paused,
        "NextRun": sync.next_run,
        "ActiveRun": sync.active_run,
        "ActiveSince": sync.active_since,
        "ActiveCheck": sync.active_check,
        "ActiveUndoes": sync.active_undoes,
        "Rerun": sync.rerun,
        "Held": sync.held,
        "People": sync.people,
        "Targets": sync.targets,
        "Sources": orjson.dumps(sync.sources).decode(),
        "Forecast": None if sync.forecast is None else orjson.dumps(sync.forecast).decode(),
        "ReleasedPeople": sync.released_people,
        "ReleasedTargets": sync.released_targets,
        "ReleasedSources": None if sync.released_sources is None else orjson.dumps(sync.released_sources).decode(),
        "ReleasedDeletions": sync.released_deletions,
        "Resolved": sync.resolved,
        "Buckets": sync.buckets,
    }


def _decode(entity: Entity) -> Sync:
    values = entity.values
    return Sync(
        tenant=entity.partition,
        sync=entity.row,
        definition=SyncDefinition.model_validate_json(str(values["Definition"])),
        revision=int(str(values["Revision"])),
        deleting=bool(values["Deleting"]),
        keep_contacts=bool(values["KeepContacts"]),
        ended=bool(values["Ended"]),
        paused=bool(values["Paused"]),
        next_run=optional_time(values.get("NextRun")),
        active_run=str(values["ActiveRun"]),
        active_since=optional_time(values.get("ActiveSince")),
        active_check=str(values["ActiveCheck"]),
        active_undoes=str(values["ActiveUndoes"]),
        rerun=str(values["Rerun"]),
        held=str(values["Held"]),
        people=int(str(values["People"])),
        targets=int(str(values["Targets"])),
        sources=orjson.loads(str(values["Sources"])),
        forecast=_forecast(values["Forecast"]) if "Forecast" in values else None,
        released_people=optional_int(values.get("ReleasedPeople")),
        released_targets=optional_int(values.get("ReleasedTargets")),
        released_sources=orjson.loads(str(values["ReleasedSources"])) if "ReleasedSources" in values else None,
        released_deletions=bool(values["ReleasedDeletions"]),
        resolved=str(values["Resolved"]),
        buckets=int(str(values["Buckets"])),
        etag=entity.etag,
    )


def _forecast(value: Scalar) -> Forecast:
    stored = orjson.loads(str(value))
    return Forecast(date.fromisoformat(stored["first"]), stored["departures"])


def optional_time(value: Scalar | None) -> datetime | None:
    """A stored time, or None."""
    return value if isinstance(value, datetime) else None


def optional_int(value: Scalar | None) -> int | None:
    """A stored whole number, or None."""
    return value if isinstance(value, int) else None
