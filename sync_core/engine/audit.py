"""Compares ledger and mailbox: what users deleted, moved, copied or edited."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sync_core import planning
from sync_core.engine.folders import in_its_place
from sync_core.engine.removal import release_elsewhere
from sync_core.engine.sharing import is_shared
from sync_core.engine.work import BATCH, Work
from sync_core.errors import DeltaExpiredError, LedgerDoubtError, TransientError
from sync_core.model import Delete, Held, ItemChange, Replica, SeenItem
from sync_core.photos import proven
from sync_core.state.ledgers import Ledger
from sync_core.state.refusals import Refusals


async def audit(work: Work, replica: Replica, ledger: Ledger, refusals: Refusals | None) -> set[int]:
    """Bring the ledger up to what the mailbox holds, by delta, and `refusals` up to what the user has deleted.

    Returns the buckets that may need repair.
    """
    if not work.mailboxes.kind.nests:
        return await _compare_with_list(work, replica, ledger, refusals)
    changes, complete = await _changes(work, replica, ledger)
    if not changes and not complete:
        return set()
    await work.ledgers.load(replica.mailbox, ledger)
    held = ledger.everything()
    if replica.in_default_folder:
        changes = await _with_our_fields(work, replica, changes, {entry.item_id for entry in held.values()})
    findings = planning.judge_changes(changes, held, work.fingerprinter, keep_edits=work.policies.keep_edits)
    left = dict(findings.left)
    if complete:
        there = {change.item_id for change in changes if not change.removed}
        left |= {key: entry for key, entry in held.items() if entry.item_id not in there}
    unknown = findings.unknown
    if len(unknown) > BATCH and (replica.in_default_folder or await is_shared(work.context, work.sync, replica)):
        unknown = await _ours_among(work, replica, set(unknown))
    if len(left) > BATCH or len(unknown) > BATCH:
        raise LedgerDoubtError("too many to look at one by one")
    suspects: set[int] = set()
    gone: set[str] = set()
    applied = list(ledger.head.digests)

    def correct(key: str, entry: Held | None) -> None:
        ledger.put(key, entry)
        ledger.doubt(ledger.bucket_of(key))
        suspects.add(ledger.bucket_of(key))

    for key, entry in findings.edited.items():
        correct(key, entry)
    still_there = await look_at_missing(work, replica, left)
    for key in left:
        correct(key, still_there.get(key))
        if key not in still_there:
            del held[key]
            gone.add(key)
    returned: set[str] = set()
    copies: list[str] = []
    for seen in await _look_closely(work, replica, await _ours_among(work, replica, set(unknown))):
        mark = work.our_key(seen)
        if mark is None:
            continue
        known = held.get(mark)
        if known is None:
            held[mark] = planning.compare_fields(seen, work.fingerprinter, keep_edits=work.policies.keep_edits)
            correct(mark, held[mark])
            returned.add(mark)
        elif await work.mailboxes.look(replica.mailbox, [known.item_id]) == [None]:
            raise LedgerDoubtError("item ids have changed")
        else:
            copies.append(seen.item_id)
    if copies:
        work.check_claim(replica)
        await work.mailboxes.unmark(replica.mailbox, *copies)
    if refusals is not None:
        # where a page was not applied in full, a delete of ours may have been carried out without an answer
        deleted = {key for key in gone - returned if applied[ledger.bucket_of(key)]}
        if deleted and not await _is_in_place(work, replica):
            raise LedgerDoubtError("the folder was deleted")
        refusals.add(deleted)
        refusals.discard(returned)
    return suspects


async def list_folder(
    work: Work, replica: Replica, known: Mapping[str, Held], refusals: Refusals | None, clean: Collection[str]
) -> dict[str, Held]:
    """The ledger as the folder itself proves it, superfluous items dealt with. `known` is what we believed before.

    Of the keys of `clean` we know that no write of ours is under way: such an item that is gone was deleted by the user.
    """
    pages = work.mailboxes.items(replica.mailbox, replica.folder_id, fields=_fields_of_all(work, replica))
    seen = {item.item_id: item async for page in pages for item in page if work.our_key(item) is not None}
    if replica.in_default_folder:
        seen = {item.item_id: item for item in await _look_closely(work, replica, list(seen))}
    listing = planning.read_listing(
        seen.values(),
        known,
        installation=work.context.installation,
        sync=work.sync.sync,
        was_dirty=replica.dirty,
        fingerprinter=work.fingerprinter,
    )
    for start in range(0, len(listing.doubles), BATCH):
        work.check_claim(replica)
        doubles = [Delete("", item_id) for item_id in listing.doubles[start : start + BATCH]]
        for outcome in await work.mailboxes.write(replica.mailbox, replica.folder_id, doubles):
            if outcome.error is not None:
                raise outcome.error
        work.count(replica.mailbox).deleted += len(doubles)
    for start in range(0, len(listing.copies), BATCH):
        work.check_claim(replica)
        await work.mailboxes.unmark(replica.mailbox, *listing.copies[start : start + BATCH])
    gone = set(listing.gone)
    if len(gone) > BATCH:
        await release_elsewhere(work, replica)
    else:
        gone -= (await look_at_missing(work, replica, listing.gone)).keys()
    if refusals is not None:
        refusals.add(gone.intersection(clean))
        refusals.discard(listing.held)
    keep = work.policies.keep_edits
    held = {
        key: planning.compare_fields(seen[entry.item_id], work.fingerprinter, keep_edits=keep)
        for key, entry in listing.held.items()
    }
    return proven(held, known, work.fingerprinter) if replica.dirty else held


async def _compare_with_list(work: Work, replica: Replica, ledger: Ledger, refusals: Refusals | None) -> set[int]:
    """The audit of a folder that does not tell what changed in it: all of it is read."""
    await work.ledgers.load(replica.mailbox, ledger)
    known = ledger.everything()
    clean = {key for key in known if ledger.head.digests[ledger.bucket_of(key)]}
    held = await list_folder(work, replica, known, refusals, clean)
    differing = {key for key in known.keys() | held.keys() if known.get(key) != held.get(key)}
    for key in differing:
        ledger.put(key, held.get(key))
        ledger.doubt(ledger.bucket_of(key))
    return {ledger.bucket_of(key) for key in differing}


async def _changes(work: Work, replica: Replica, ledger: Ledger) -> tuple[list[ItemChange], bool]:
    """The changes since the last audit, and whether they are in truth all items of the folder. Advances the ledger's link."""
    fields = _fields_of_all(work, replica)
    link = ledger.head.delta_link if ledger.head.delta_fields == fields else None
    ledger.head.delta_fields = fields
    try:
        changes, ledger.head.delta_link = await _read(work, replica, link)
    except DeltaExpiredError:
        link = None
        try:
            changes, ledger.head.delta_link = await _read(work, replica, None)
        except DeltaExpiredError as error:
            raise TransientError("a new round of changes expired before its end") from error
    return changes, link is None


async def _read(work: Work, replica: Replica, link: str | None) -> tuple[list[ItemChange], str | None]:
    changes: list[ItemChange] = []
    end: str | None = None
    async for page in work.mailboxes.changes(replica.mailbox, replica.folder_id, link, fields=_fields_of_all(work, replica)):
        changes += page.changes
        end = page.delta_link
    return changes, end


async def _is_in_place(work: Work, replica: Replica) -> bool:
    folder = await work.mailboxes.folder(replica.mailbox, replica.folder_id)
    return folder is not None and await in_its_place(work.mailboxes, replica.mailbox, folder)


def _fields_of_all(work: Work, replica: Replica) -> tuple[str, ...]:
    """What may be read of every item of the folder: nothing where the user's own contacts are."""
    return () if replica.in_default_folder else work.fingerprinter.fields


async def _with_our_fields(work: Work, replica: Replica, changes: list[ItemChange], ours: set[str]) -> list[ItemChange]:
    """The changes of a default folder, told by ids alone, with the fields of our items: nothing else is read there."""
    last = {change.item_id: change for change in changes}
    wanted = [item_id for item_id, change in last.items() if item_id in ours and not change.removed]
    seen = {item.item_id: item for item in await _look_closely(work, replica, wanted)}
    for item_id in wanted:
        found = seen.get(item_id)
        last[item_id] = ItemChange(item_id, True) if found is None else ItemChange(item_id, False, found.fields or {})
    return list(last.values())


async def _ours_among(work: Work, replica: Replica, item_ids: set[str]) -> list[str]:
    """Which of these items carry our mark: looked at one by one, or in a list of the folder if they are many."""
    found: list[SeenItem | None] = []
    if len(item_ids) <= BATCH:
        found += await work.mailboxes.look(replica.mailbox, sorted(item_ids))
    else:
        async for page in work.mailboxes.items(replica.mailbox, replica.folder_id):
            found += [item for item in page if item.item_id in item_ids]
    return [item.item_id for item in found if item is not None and work.our_key(item) is not None]


async def _look_closely(work: Work, replica: Replica, item_ids: Sequence[str]) -> list[SeenItem]:
    """Those of our items that are in the replica's folder, with their fields."""
    found: list[SeenItem | None] = []
    for start in range(0, len(item_ids), BATCH):
        found += await work.mailboxes.look(replica.mailbox, item_ids[start : start + BATCH], fields=work.fingerprinter.fields)
    return [item for item in found if item is not None and item.folder_id == replica.folder_id]


async def look_at_missing(work: Work, replica: Replica, missing: Mapping[str, Held]) -> dict[str, Held]:
    """At most 20 items of ours that are not in the folder: moved elsewhere they are the user's now, and our marks come off.

    Returns those that are in the folder after all.
    """
    item_ids = [entry.item_id for entry in missing.values()]
    looked = await work.mailboxes.look(replica.mailbox, item_ids, fields=work.fingerprinter.fields)
    there: dict[str, Held] = {}
    moved: list[str] = []
    for (key, entry), seen in zip(missing.items(), looked, strict=True):
        if seen is None or work.our_key(seen) is None:
            continue
        if seen.folder_id == replica.folder_id:
            there[key] = entry
            continue
        elsewhere = await work.mailboxes.folder(replica.mailbox, seen.folder_id)
        if elsewhere is not None and await in_its_place(work.mailboxes, replica.mailbox, elsewhere):
            moved.append(seen.item_id)
    if moved:
        await work.mailboxes.unmark(replica.mailbox, *moved)
    return there
