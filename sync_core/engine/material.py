"""The sources of one sync, brought up to date for a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sync_core.buckets import bucket_of
from sync_core.choices import Choice, choices_in
from sync_core.definition import FromCalendar, SourceDefinition, TenantSettings
from sync_core.engine.context import Context
from sync_core.errors import MailboxError, ParkedError, Reason, SourceError, TenantError, TransientError
from sync_core.hiding import Chosen, Hiders, allowed
from sync_core.model import Spent
from sync_core.ports import TenantKeys
from sync_core.sources.base import Person, Reading, Source, person_of
from sync_core.sources.calendar import CalendarEvents
from sync_core.sources.directory import DirectoryUsers
from sync_core.sources.group import GroupMembers
from sync_core.sources.registry import open_source
from sync_core.state.choices import load_choices, load_hidden
from sync_core.state.sources import USERS, SourceHead, SourceStore
from sync_core.state.suppressions import Suppressions, load_suppressions
from sync_core.state.syncs import Sync
from sync_core.windows import Window

_OWNER_SUPPRESSED = "whose calendar it is must not be shown to others (privacy request): take it out of the sync"


@dataclass(frozen=True, slots=True)
class Material:
    """What the sources say now. The directory is always among the heads: it tells the targets."""

    reading: Reading
    sources: Sequence[tuple[SourceDefinition, Source]]  # in order of priority
    groups: Mapping[str, GroupMembers]  # those that targets and selections name, by id
    heads: Mapping[str, SourceHead]
    suppressed: Suppressions
    choices: Mapping[str, Choice]  # of employees, by mailbox
    hidden: Chosen  # by employees of their own cards
    window: Window  # of a sync of calendars
    unreadable: Sequence[str] = ()  # calendars of which this is only what they last said, and why

    @property
    def digest(self) -> str:
        """Names what all sources say."""
        return ",".join(f"{source}={head.digest}" for source, head in sorted(self.heads.items()))

    @property
    def read_at(self) -> datetime:
        """When the oldest of it was read."""
        return min(head.full_at for head in self.heads.values())

    async def members(self, groups: Iterable[UUID]) -> set[str]:
        """The object ids of the people in these groups, live or not. Raises LostPagesError."""
        return {member for group in groups for member in await self.groups[str(group)].ids(self.heads)}

    async def people_on(self, stored: str, numbers: Collection[int]) -> AsyncIterator[tuple[int, list[Person]]]:
        """Who is on these pages of a source, in any order of the pages. Raises LostPagesError."""
        async for number, objects in self.reading.store(stored).some(self.heads[stored], numbers):
            yield number, [person_of(stored, key, value) for key, value in objects.items()]

    async def hiders(self, settings: TenantSettings) -> Hiders:
        """Who hides something that the settings let them. Raises LostPagesError."""
        return await hiders_in(self.reading.store(USERS), self.heads[USERS], allowed(self.hidden, settings.hideable))


async def gather_material(context: Context, keys: TenantKeys, sync: Sync, *, in_full: bool, spent: Spent) -> Material:
    """Bring each source up to date. What it took of Graph is added to `spent`.

    Raises SourceError that names the source which cannot be read: then nothing has changed in that one. Of several calendars, it
    is enough that one can be read. One whose owner is suppressed counts as empty.
    """
    reading = Reading(context.tables, keys, context.graph, context.clock, sync.tenant, in_full, spent)
    # before anything is read: whoever is suppressed meanwhile makes this material too old to be served
    suppressed = await load_suppressions(context.tables, keys.suppression_key, sync.tenant)
    directory = DirectoryUsers(reading)
    rules = sync.definition.event_rules
    sources = [(definition, open_source(definition, rules, reading)) for definition in sync.definition.sources]
    groups = {str(group): GroupMembers(reading, str(group)) for group in sorted(sync.definition.groups)}
    heads = {directory.id: await _refreshed(directory)}
    unreadable: list[str] = []
    for definition, source in sources:
        if isinstance(definition, FromCalendar) and suppressed.covers(f"u:{definition.mailbox}", {}):
            heads[source.id] = SourceHead((), 0, heads[directory.id].full_at)
            unreadable.append(f"{source.id}: {_OWNER_SUPPRESSED}")
    for source in (*(source for _, source in sources), *groups.values()):
        if source.id in heads:
            continue
        try:
            heads[source.id] = await _refreshed(source)
        except SourceError as error:
            unreadable.append(error.detail)
            known = await _as_it_was(reading, source, sync) if len(unreadable) < len(sources) else None
            if known is None:
                raise
            heads[source.id] = known
    chosen, window = await _choices(context, sync), rules.window(context.now())
    hidden = await load_hidden(context.tables, sync.tenant)
    return Material(reading, sources, groups, heads, suppressed, chosen, hidden, window, unreadable)


async def hiders_in(directory: SourceStore, head: SourceHead | None, chosen: Chosen) -> Hiders:
    """Those who hide something, known by all that the directory tells of them, if it is there. Raises LostPagesError."""
    users: list[Mapping[str, Any]] = []
    if chosen and head is not None:
        numbers = {bucket_of(user, len(head.pages)) for user in chosen}
        async for _, objects in directory.some(head, numbers):
            users += [user for key, user in objects.items() if key.lower() in chosen]
    return Hiders.of(chosen, users)


async def _as_it_was(reading: Reading, source: Source, sync: Sync) -> SourceHead | None:
    """What a calendar last said, so that one of several which cannot be read does not hold up the others.

    Nothing, where it never said anything that was mirrored; None where that was purged: then only its silence would be left.
    """
    if not isinstance(source, CalendarEvents):
        return None
    known = await reading.store(source.id).head()
    if known is not None or sync.sources.get(source.id):
        return known
    return SourceHead((), 0, reading.clock.now())


async def _choices(context: Context, sync: Sync) -> Mapping[str, Choice]:
    if len(choices_in(sync.definition.self_service)) == 1:
        return {}
    return await load_choices(context.tables, sync.tenant, sync.sync)


async def _refreshed(source: Source) -> SourceHead:
    try:
        return await source.refresh()
    except ParkedError:
        raise
    except SourceError as error:
        raise SourceError(f"{source.id}: {error.detail}") from None
    except MailboxError as error:
        raise SourceError(f"{source.id}: {error}") from None
    except TransientError as error:
        raise SourceError(f"{source.id}: {type(error).__name__}") from None
    except TenantError as error:
        if error.reason is not Reason.CONSENT_MISSING or isinstance(source, DirectoryUsers):
            raise
        # the directory can be read, so it is only the permission for this source that is missing
        raise SourceError(f"{source.id}: {error}") from None
