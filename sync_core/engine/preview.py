"""What a run would do, shown and not done.

Sources are read as by a run, but what is kept of them stays in memory; mailboxes are listed with the fields we own, whatever the
ledgers say. Nothing is written anywhere, so it also works where Microsoft lets us read only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import orjson

from sync_core import brakes, notes, planning
from sync_core.choices import Choice
from sync_core.engine import folders, sharing
from sync_core.engine.calendar_items import is_past
from sync_core.engine.context import Context
from sync_core.engine.difference import Difference, Hold, difference, holds_on
from sync_core.engine.material import Material, gather_material
from sync_core.engine.same_folder import SameFolder, same_folder
from sync_core.engine.scratch import Scratch
from sync_core.engine.snapshot import everybody, photo_reader, propose
from sync_core.engine.work import BATCH, open_mailboxes
from sync_core.errors import (
    InputError,
    LostPagesError,
    MailboxError,
    MailboxGoneError,
    Reason,
    SourceError,
    TenantError,
    TransientError,
)
from sync_core.fingerprints import PHOTO, Fingerprinter
from sync_core.kinds import CONTACTS, EVENTS, Kind
from sync_core.marks import key_in
from sync_core.model import Create, Delete, Folder, Held, Item, Operation, Replica, ReplicaState, SeenItem, Spent, Update
from sync_core.photos import is_owed, is_to_go
from sync_core.photos import steps as photo_steps
from sync_core.policies import NOTES, Policies
from sync_core.ports import Mailboxes, TenantKeys
from sync_core.selection import Line, explain
from sync_core.state import replicas as register
from sync_core.state.refusals import Refusals, RefusalStore
from sync_core.state.snapshots import SnapshotStore
from sync_core.state.syncs import Sync
from sync_core.state.tenants import load_tenant

UNSAVED = "_unsaved"
"""Stands for the id of a sync that has none yet; no saved one can have it."""

MOST_MAILBOXES = 20
MOST_BYTES = 3_500_000
"""Of operations in one preview, as JSON: the rest is for the next one."""

MOST_NAMES = 100

_PHOTO_TIME = timedelta(seconds=10)
"""How long photos are read that no run has read yet: what is unknown by then is not shown."""

_ITEMS_AT_ONCE = 100_000

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Which mailboxes to look at: those named, or the first `most`. `start` and `skip` are the `next` of the page before."""

    named: Sequence[str] = ()
    most: int = MOST_MAILBOXES
    start: str = ""
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """One operation. Fields before and after: of an update those that change, else those that are not empty."""

    operation: str  # "create", "update", "delete"
    key: str
    before: Fields
    after: Fields


@dataclass(slots=True)
class MailboxPreview:
    """What would be done in a mailbox.

    `outcome` is that of `MailboxResult`, "not_a_target" for one that has no part in it, or "paused" or "declined" by its user.

    `folder` is the name of ours, `folder_is_new` says that it would be made. `doubles` and `copies` are superfluous items with
    our mark, to be deleted or left to the user. `changes` may be a part of all.
    """

    mailbox: str
    outcome: str = "done"
    reason: str = ""
    detail: str = ""
    folder: str = ""
    folder_is_new: bool = False
    created: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    doubles: int = 0
    copies: int = 0
    changes: list[Change] = field(default_factory=list)


@dataclass(slots=True)
class Preview:
    """What a run of the sync would do now. When it would not begin at all, `holds` says why and the rest is empty.

    `lines` say how many people each part of the selections lets in. `removed` are keys and names of people who would go.
    """

    people: int = 0
    targets: int = 0
    difference: Difference | None = None
    holds: list[Hold] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    removed: list[tuple[str, str]] = field(default_factory=list)
    mailboxes: list[MailboxPreview] = field(default_factory=list)
    same_folder: list[SameFolder] = field(default_factory=list)
    next: tuple[str, int] | None = None  # where the next page begins: mailbox and operation
    photos: Mapping[str, int] = field(default_factory=dict)  # as in the report of a run
    spent: Spent = field(default_factory=Spent)


async def preview(context: Context, sync: Sync, page: Page) -> Preview:
    """Plan a run of `sync`, saved or not, and show it.

    Raises NotFoundError for an unknown tenant, InputError for a sync that is being deleted, TransientError when Microsoft 365
    does not answer.
    """
    if sync.deleting:
        raise InputError("sync", "is being deleted")
    context = replace(context, tables=Scratch(context.tables))
    result = Preview()
    try:
        await _preview(context, sync, page, result)
    except TenantError as error:
        result.holds.append(Hold(error.reason, error.detail))
    except SourceError as error:
        result.holds.append(Hold(Reason.SOURCE_UNREADABLE, error.detail))
    except LostPagesError:
        raise TransientError("the caches were purged meanwhile") from None
    return result


async def _preview(context: Context, sync: Sync, page: Page, result: Preview) -> None:
    tenant = await load_tenant(context.tables, sync.tenant)
    keys = await context.keyring.keys(sync.tenant)
    material = await gather_material(context, keys, sync, in_full=False, spent=result.spent)
    photos = photo_reader(context, keys, sync, spent=result.spent, time=_PHOTO_TIME, keep=False)
    proposal = await propose(context, keys, sync, tenant.settings, material, photos)
    result.photos = proposal.album.counts if proposal.album is not None else {}
    result.people, result.targets = proposal.people, len(proposal.targets)
    if sync.definition.kind is CONTACTS:
        people = [person.attributes for person in await everybody(material, sync.definition, tenant.settings)]
        result.lines = await _lines(material, sync, people)
    store = SnapshotStore(context.tables, keys.sealer, sync.tenant, sync.sync)
    snapshot = await store.head()
    result.holds = holds_on(sync, proposal)
    result.difference = await difference(context, store, snapshot, sync, proposal)
    result.same_folder = [other async for other in same_folder(context, keys, sync, proposal)]
    if result.difference.people is not None:
        result.removed = [(item.key, _name(item)) for item in result.difference.people.removed[:MOST_NAMES]]
    mailboxes = open_mailboxes(context, sync)
    looker = _Looker(context, sync, keys, mailboxes, proposal.items, proposal.targets)
    try:
        await _look_at(looker, page, result)
    finally:
        result.spent.add(mailboxes.spent)


async def _lines(material: Material, sync: Sync, people: list[Mapping[str, Any]]) -> list[Line]:
    lines: list[Line] = []
    for number, (definition, source) in enumerate(material.sources):
        if definition.selection is not None:
            told = [attributes async for _, attributes in source.people(material.heads)]
            lines += [
                Line(f"sources.{number}.selection{'.' if path else ''}{path}", words, lets_in)
                for path, words, lets_in in explain(
                    definition.selection, told, await material.members(definition.selection.exclude_groups)
                )
            ]
    selection = sync.definition.selection
    _whole, *parts = explain(selection, people, await material.members(selection.exclude_groups))
    return lines + [Line(f"selection.{path}", words, lets_in) for path, words, lets_in in parts]


async def _look_at(looker: _Looker, page: Page, result: Preview) -> None:
    """Fill the page: as many mailboxes as it may have, as many operations as one answer holds."""
    known = {
        replica.mailbox async for replica in register.all_replicas(looker.context.tables, looker.sync.tenant, looker.sync.sync)
    }
    waiting = list(page.named) or sorted(looker.targets.keys() | known)
    if page.start:
        waiting = [mailbox for mailbox in waiting if mailbox >= page.start] if not page.named else _from(waiting, page.start)
    most = min(page.most, MOST_MAILBOXES)
    side_by_side = max(1, min(most, _ITEMS_AT_ONCE // max(len(looker.wanted), 1)))
    left = MOST_BYTES
    skip = page.skip
    for start in range(0, min(most, len(waiting)), side_by_side):
        group = waiting[start : min(start + side_by_side, most)]
        for one in await asyncio.gather(*(looker.look(mailbox) for mailbox in group)):
            shown, left = _fitting(one.changes[skip:], left)
            complete = skip + len(shown) >= len(one.changes)
            result.mailboxes.append(replace(one, changes=shown))
            if not complete:
                result.next = (one.mailbox, skip + len(shown))
                return
            skip = 0
    if len(waiting) > most:
        result.next = (waiting[most], 0)


def _from(named: list[str], start: str) -> list[str]:
    return named[named.index(start) :] if start in named else []


def _fitting(changes: list[Change], left: int) -> tuple[list[Change], int]:
    for number, change in enumerate(changes):
        left -= len(orjson.dumps(change)) + 1
        if left < 0:
            return changes[:number], 0
    return changes, left


@dataclass(frozen=True, slots=True)
class _Looker:
    """Plans single mailboxes."""

    context: Context
    sync: Sync
    keys: TenantKeys
    mailboxes: Mailboxes
    wanted: Mapping[str, Item]
    targets: Mapping[str, Choice]

    async def look(self, mailbox: str) -> MailboxPreview:
        """What would be done in one mailbox, whatever stands in the way of looking."""
        with self.mailboxes.sharing():
            try:
                return await self._look(mailbox)
            except MailboxError as error:
                if isinstance(error, MailboxGoneError) and self.targets.get(mailbox) is not Choice.ON:
                    return MailboxPreview(mailbox, "removed")
                return MailboxPreview(mailbox, "set_aside", error.reason, error.detail)
            except TransientError:
                return MailboxPreview(mailbox, "failed", Reason.MAILBOX_BUSY)

    async def _look(self, mailbox: str) -> MailboxPreview:
        tables, installation, sync = self.context.tables, self.context.installation, self.sync.sync
        replica = await register.load_replica(tables, self.sync.tenant, sync, mailbox)
        choice = self.targets.get(mailbox)
        if choice is Choice.PAUSED:
            return MailboxPreview(mailbox, "paused")
        leaving = choice is not Choice.ON
        if leaving and (replica is None or replica.state is ReplicaState.DECLINED):
            return MailboxPreview(mailbox, "not_a_target" if choice is None else "declined")
        definition = self.sync.definition
        replica = replica or Replica(mailbox, folder_name=definition.folder or "")
        if not leaving:
            folders.relocate(replica, definition.folder)
        folder, names = await self._folder(replica, leaving=leaving)
        left = "kept" if definition.targets.leavers == "keep" else "removed"
        result = MailboxPreview(mailbox, left if leaving else "done")
        policies = Policies.of(self.sync.definition)
        fingerprinter = Fingerprinter(self.keys.fingerprint_key, self.keys.fingerprint_key_id, definition.owned, definition.kind)
        seen: dict[str, SeenItem] = {}
        if folder is not None:
            result.folder = folder.name
            seen = await self._ours(replica, folder.folder_id, fingerprinter.fields)
        elif not leaving:
            result.folder, result.folder_is_new = folders.free_name(definition.folder or replica.folder_name, names), True
        listing = planning.read_listing(
            seen.values(),
            {},
            installation=installation,
            sync=sync,
            was_dirty=replica.dirty,
            fingerprinter=fingerprinter,
        )
        held = {
            key: planning.compare_fields(seen[entry.item_id], fingerprinter, keep_edits=policies.keep_edits)
            for key, entry in listing.held.items()
        }
        operations: Sequence[Operation] = []
        if result.outcome != "kept":
            operations = planning.in_place(planning.plan({} if leaving else policies.shown_to(mailbox, self.wanted), held))
        wanted = self.wanted
        if not leaving:
            operations, rewritten = photo_steps(operations, wanted, held, fingerprinter)
            wanted = {**wanted, **rewritten} if rewritten else wanted
            refused = await self._refused(mailbox, held) if policies.respect_deletions else None
            operations = policies.applied(operations, wanted, held, fingerprinter, refused)
        self._account(result, operations, held, seen, leaving=leaving)
        result.changes = [
            _with_photo(change, operation, wanted, held, fingerprinter)
            for change, operation in zip(result.changes, operations, strict=True)
        ]
        result.doubles, result.copies = len(listing.doubles), len(listing.copies)
        return result

    async def _folder(self, replica: Replica, *, leaving: bool) -> tuple[Folder | None, set[str]]:
        """Where the replica is or will be, None when the folder has yet to be made, and the names that are taken."""
        installation, name = self.context.installation, self.sync.definition.folder
        located = await folders.locate(self.mailboxes, replica, installation=installation, sync=self.sync.sync)
        if leaving or name is None:
            return located.folder, located.names
        if located.folder is not None:
            if name == replica.folder_name or not await sharing.must_move_out(self.context, self.sync, replica, name):
                return located.folder, located.names
            folders.move_out(replica, name)
        place = await sharing.place_for(self.context, self.sync, self.mailboxes, replica, name, located.beside)
        return place[0] if place is not None else None, located.names

    async def _ours(self, replica: Replica, folder_id: str, fields: Sequence[str]) -> dict[str, SeenItem]:
        """Our items in a folder; in the default folder nothing else is read."""
        everything = () if replica.in_default_folder else fields
        pages = self.mailboxes.items(replica.mailbox, folder_id, fields=everything)
        installation, sync = self.context.installation, self.sync.sync
        seen = {item.item_id: item async for page in pages for item in page if key_in(item.mark, installation, sync) is not None}
        if not replica.in_default_folder:
            return seen
        ids = list(seen)
        looks = [
            await self.mailboxes.look(replica.mailbox, ids[at : at + BATCH], fields=fields) for at in range(0, len(ids), BATCH)
        ]
        return {item.item_id: item for look in looks for item in look if item is not None}

    async def _refused(self, mailbox: str, held: Mapping[str, Held]) -> Refusals:
        store = RefusalStore(self.context.tables, self.keys.fingerprint_key, self.sync.tenant, self.sync.sync)
        refusals = await store.load(mailbox)
        refusals.discard(held)
        return refusals

    def _account(
        self,
        result: MailboxPreview,
        operations: Sequence[Operation],
        held: Mapping[str, Held],
        seen: Mapping[str, SeenItem],
        *,
        leaving: bool,
    ) -> None:
        result.created = sum(isinstance(operation, Create) for operation in operations)
        result.updated = sum(isinstance(operation, Update) for operation in operations)
        result.deleted = sum(isinstance(operation, Delete) for operation in operations)
        result.unchanged = len(held) - result.updated - result.deleted
        result.changes = [_change(self.sync.definition.kind, operation, seen) for operation in operations]
        limits, deletions = self.sync.definition.brakes, result.deleted
        if self.sync.definition.kind is EVENTS:
            window = self.sync.definition.event_rules.window(self.context.now())
            ids = [operation.item_id for operation in operations if isinstance(operation, Delete)]
            deletions -= sum(is_past(window, seen[item_id].fields or {}) for item_id in ids)
        if not leaving and brakes.deletions(deletions, len(held), percent=limits.percent, at_least=limits.at_least):
            result.outcome, result.reason = "held", Reason.DELETIONS_HELD
            result.detail = f"{deletions} of {len(held)}"


def _change(kind: Kind, operation: Operation, seen: Mapping[str, SeenItem]) -> Change:
    match operation:
        case Create(key, body):
            return Change("create", key, {}, _filled(kind, kind.read_back(orjson.loads(body))))
        case Delete(key, item_id):
            return Change("delete", key, _filled(kind, seen[item_id].fields or {}), {})
        case Update(key, item_id, body):
            before, after = seen[item_id].fields or {}, kind.read_back(orjson.loads(body))
            if NOTES in after:
                after[NOTES] = notes.with_block(before.get(NOTES), after[NOTES])
            names = [
                name
                for name in kind.fields
                if name in after and kind.canonical(name, before.get(name)) != kind.canonical(name, after[name])
            ]
            return Change("update", key, {name: before.get(name) for name in names}, {name: after[name] for name in names})


def _with_photo(
    change: Change, operation: Operation, wanted: Mapping[str, Item], held: Mapping[str, Held], fingerprinter: Fingerprinter
) -> Change:
    """The change with what becomes of the photo, if anything does: "ours" and "new" stand for pictures."""
    was = operation.was if isinstance(operation, Update) and operation.was else operation.key
    before = held[was].fingerprint if was in held else ""
    ours = "ours" if fingerprinter.has_photo(before) else None
    item = wanted.get(operation.key)
    if isinstance(operation, Delete):
        return replace(change, before={**change.before, PHOTO: ours}) if ours else change
    if is_owed(item, before, fingerprinter):
        return replace(change, before={**change.before, PHOTO: ours} if before else {}, after={**change.after, PHOTO: "new"})
    if is_to_go(item, before, fingerprinter):
        return replace(change, before={**change.before, PHOTO: ours}, after={**change.after, PHOTO: None})
    return change


def _filled(kind: Kind, fields: Mapping[str, Any]) -> Fields:
    return {name: fields[name] for name in kind.fields if name in fields and kind.canonical(name, fields[name])}


def _name(item: Item) -> str:
    body = orjson.loads(item.body)
    return str(body.get("displayName") or body.get("subject") or "")
