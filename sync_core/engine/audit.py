"""Compares ledger and mailbox: what users deleted, moved, copied or edited."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from sync_core import planning
from sync_core.engine.folders import in_its_place
from sync_core.engine.removal import release_elsewhere
from sync_core.engine.work import BATCH, Work
from sync_core.errors import DeltaExpiredError, LedgerDoubtError
from sync_core.model import Delete, Held, ItemChange, Replica, SeenItem
from sync_core.state.ledgers import Ledger
from sync_core.state.refusals import Refusals


async def audit(work: Work, replica: Replica, ledger: Ledger, refusals: Refusals | None) -> set[int]:
    """Bring the ledger up to what the mailbox holds, by delta, and `refusals` up to what the user has deleted.

    Returns the buckets that may need repair.
    """
    changes, complete = await _changes(work, replica, ledger)
    if not changes and not complete:
        return set()
    await work.ledgers.load(replica.mailbox, ledger)
    held = ledger.everything()
    findings = planning.judge_changes(changes, held, work.fingerprinter, keep_edits=work.policies.keep_edits)
    left = dict(findings.left)
    if complete:
        there = {change.item_id for change in changes if not change.removed}
        left |= {key: entry for key, entry in held.items() if entry.item_id not in there}
    if len(left) > BATCH or len(findings.unknown) > BATCH:
        raise LedgerDoubtError("too many to look at one by one")
    fields = {change.item_id: change.fields for change in changes}
    suspects: set[int] = set()
    gone: set[str] = set()
    applied = list(ledger.head.digests)

    def correct(key: str, entry: Held | None) -> None:
        ledger.put(key, entry)
        ledger.doubt(ledger.bucket_of(key))
        suspects.add(ledger.bucket_of(key))

    for key, entry in findings.edited.items():
        correct(key, entry)
    for key, entry in left.items():
        still = await _look_at_missing(work, replica, entry)
        correct(key, still)
        if still is None:
            del held[key]
            gone.add(key)
    returned: set[str] = set()
    for item_id in findings.unknown:
        seen = await work.mailboxes.item(replica.mailbox, item_id)
        mark = work.our_key(seen)
        if seen is None or mark is None or seen.folder_id != replica.folder_id:
            continue
        known = held.get(mark)
        if known is None:
            read = replace(seen, fields=fields[item_id])
            held[mark] = planning.compare_fields(read, work.fingerprinter, keep_edits=work.policies.keep_edits)
            correct(mark, held[mark])
            returned.add(mark)
        elif await work.mailboxes.item(replica.mailbox, known.item_id) is None:
            raise LedgerDoubtError("item ids have changed")
        else:
            work.check_claim(replica)
            await work.mailboxes.unmark(replica.mailbox, item_id)
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
    seen: dict[str, SeenItem] = {}
    async for page in work.mailboxes.items(replica.mailbox, replica.folder_id, fields=work.fingerprinter.fields):
        for item in page:
            if work.our_key(item) is not None:
                seen[item.item_id] = item
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
    for item_id in listing.copies:
        await work.mailboxes.unmark(replica.mailbox, item_id)
    gone = set(listing.gone)
    if len(gone) > BATCH:
        await release_elsewhere(work, replica)
    else:
        gone = {key for key, entry in listing.gone.items() if await _look_at_missing(work, replica, entry) is None}
    if refusals is not None:
        refusals.add(gone.intersection(clean))
        refusals.discard(listing.held)
    keep = work.policies.keep_edits
    return {
        key: planning.compare_fields(seen[entry.item_id], work.fingerprinter, keep_edits=keep)
        for key, entry in listing.held.items()
    }


async def _changes(work: Work, replica: Replica, ledger: Ledger) -> tuple[list[ItemChange], bool]:
    """The changes since the last audit, and whether they are in truth all items of the folder. Advances the ledger's link."""
    fields = work.fingerprinter.fields
    link = ledger.head.delta_link if ledger.head.delta_fields == fields else None
    ledger.head.delta_fields = fields
    try:
        changes, ledger.head.delta_link = await _read(work, replica, link)
    except DeltaExpiredError:
        link = None
        changes, ledger.head.delta_link = await _read(work, replica, None)
    return changes, link is None


async def _read(work: Work, replica: Replica, link: str | None) -> tuple[list[ItemChange], str | None]:
    changes: list[ItemChange] = []
    end: str | None = None
    async for page in work.mailboxes.changes(replica.mailbox, replica.folder_id, link, fields=work.fingerprinter.fields):
        changes += page.changes
        end = page.delta_link
    return changes, end


async def _is_in_place(work: Work, replica: Replica) -> bool:
    folder = await work.mailboxes.folder(replica.mailbox, replica.folder_id)
    return folder is not None and await in_its_place(work.mailboxes, replica.mailbox, folder)


async def _look_at_missing(work: Work, replica: Replica, entry: Held) -> Held | None:
    """An item of ours that is not in the folder: moved elsewhere it is the user's now, so our mark comes off; else it is gone.

    Returns the entry unchanged when the item is in the folder after all, None when we hold it no more.
    """
    seen = await work.mailboxes.item(replica.mailbox, entry.item_id)
    if seen is None or work.our_key(seen) is None:
        return None
    if seen.folder_id == replica.folder_id:
        return entry
    elsewhere = await work.mailboxes.folder(replica.mailbox, seen.folder_id)
    if elsewhere is not None and await in_its_place(work.mailboxes, replica.mailbox, elsewhere):
        await work.mailboxes.unmark(replica.mailbox, seen.item_id)
    return None
