"""Makes one mailbox equal to the snapshot: know what it holds, plan, write, save.

What it holds is known from the ledger; from the mailbox itself when the ledger is lost or the replica is dirty; and from both
when an audit is due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from zlib import crc32

import orjson
from msgspec.structs import replace

from sync_core import brakes, notes, planning, policies
from sync_core.engine import folders, photos
from sync_core.engine.audit import audit, list_folder, look_at_missing
from sync_core.engine.calendar_items import slid_out
from sync_core.engine.context import AUDIT_EVERY
from sync_core.engine.home import find_or_make, follow_color, follow_name
from sync_core.engine.removal import leave_old_folder, release_elsewhere
from sync_core.engine.work import BATCH, Work, expect_late_write, must_look
from sync_core.errors import (
    AnswerLostError,
    ClaimLostError,
    LedgerDoubtError,
    LostPagesError,
    MailboxError,
    Reason,
)
from sync_core.marks import item_mark
from sync_core.model import Create, Delete, Held, Item, MailboxResult, Operation, Replica, Update
from sync_core.photos import steps as photo_steps
from sync_core.policies import NOTES
from sync_core.state.ledgers import IN_ROW, Ledger, repack
from sync_core.state.refusals import Refusals
from sync_core.state.runs import Check
from sync_core.state.snapshots import SnapshotHead

_RELIST_FROM_DAY = 45
_RELIST_SPREAD_DAYS = 13
_FOLDER_CHECK_DAYS = 7
_ITEMS_PER_FIRST_AUDIT = 400
_LONGEST_WAIT_FOR_AUDIT = 7
_LOOKUPS = 3
_DOUBTS = 2
"""One about what the mailbox holds, one about which folder it is."""

Step = tuple[Operation, Item | None]


async def replicate(work: Work, snapshot: SnapshotHead, replica: Replica) -> MailboxResult:
    """Serve one active replica and note in it what is now true. Its ledger is saved; its row is for the caller to save.

    Raises MailboxError and its kin, TenantError, TransientError, OutOfTimeError and ClaimLostError. `replica.dirty` tells in any
    case whether the mailbox must be listed before the next create.
    """
    must_list = must_look(replica, work.context.now())
    for _ in range(_DOUBTS):
        try:
            return await _replicate(work, snapshot, replica, must_list=must_list)
        except LedgerDoubtError:
            must_list = True
    return await _replicate(work, snapshot, replica, must_list=True)


async def _replicate(work: Work, snapshot: SnapshotHead, replica: Replica, *, must_list: bool) -> MailboxResult:
    await work.check_epoch(snapshot)
    now = work.context.now()
    check = work.check_of(replica.mailbox)
    due = check is not Check.DUE or replica.due is None or replica.due <= now
    due = due or (work.policies.look_first and replica.applied != snapshot.digest)
    refusals = await work.refusals.load(replica.mailbox) if work.policies.respect_deletions else None
    ledger = None
    if replica.folder_id and not must_list:
        along = replica.applied != snapshot.digest and len(snapshot.digests) <= IN_ROW
        ledger = await work.ledgers.open(replica.mailbox, along=along)
    if ledger is not None and ledger.head.folder_id != replica.folder_id:
        ledger = None
    if ledger is not None and due and not await _still_good(work, replica, ledger, now):
        ledger = None
    suspects: set[int] = set()
    if ledger is not None:
        try:
            if due:
                suspects = await audit(work, replica, ledger, refusals)
            ledger = await _with_buckets(work, replica, ledger, len(snapshot.digests))
            operations = await _plan(work, snapshot, ledger, replica, suspects, refusals)
        except LostPagesError:
            ledger = None
    if ledger is None:
        ledger = await _rebuild(work, replica, len(snapshot.digests), refusals)
        operations = await _plan(work, snapshot, ledger, replica, suspects, refusals)
    if refusals is not None:
        # before the ledger forgets what was there
        await work.refusals.save(replica.mailbox, refusals)
    await follow_name(work, replica)
    await follow_color(work, replica)
    if check is Check.EVERYTHING:
        await release_elsewhere(work, replica)
    if due:
        replica.due = next_audit(replica.mailbox, now, unread=0 if ledger.head.delta_link else snapshot.count)
    work.so_far(replica.mailbox).looked = True
    deletions = sum(isinstance(step, Delete) for step, _ in operations)
    limits = work.sync.definition.brakes
    too_many = partial(brakes.deletions, held=ledger.head.count, percent=limits.percent, at_least=limits.at_least)
    if not work.released and too_many(deletions):
        deletions -= await slid_out(work, replica, [step for step, _ in operations])
    if not work.released and too_many(deletions):
        await _save(work, replica, ledger)
        replica.applied = ""  # whatever it holds too much: the next run, released or not, must plan it again
        return MailboxResult(replica.mailbox, "held", Reason.DELETIONS_HELD, f"{deletions} of {ledger.head.count}")
    await _carry_out(work, snapshot, replica, ledger, operations)
    await leave_old_folder(work, replica)
    replica.applied = snapshot.digest
    return MailboxResult(replica.mailbox, "done")


def next_audit(mailbox: str, now: datetime, *, unread: int) -> datetime:
    """When to audit a mailbox next. `unread` is how many items the first reading of its changes will tell, 0 after it.

    That reading takes a request for every 200 items (a contacts delta page holds no more), every later one a single request:
    large first audits are spread over as many nights as keep each below three times an ordinary one, but over at most a week.
    """
    nights = min(-(-unread // _ITEMS_PER_FIRST_AUDIT), _LONGEST_WAIT_FOR_AUDIT) or 1
    return now + AUDIT_EVERY + timedelta(days=crc32(mailbox.encode()) % nights)


async def _still_good(work: Work, replica: Replica, ledger: Ledger, now: datetime) -> bool:
    """Whether the ledger may be relied on: not when it grows old, nor when our folder has gone (looked at once a week)."""
    spread = crc32(replica.mailbox.encode())
    age = now - ledger.head.listed_at
    if work.check_of(replica.mailbox) is Check.EVERYTHING or age >= timedelta(
        days=_RELIST_FROM_DAY + spread % _RELIST_SPREAD_DAYS
    ):
        return False
    if not replica.in_default_folder and now - ledger.head.folder_seen_at >= timedelta(days=_FOLDER_CHECK_DAYS - spread % 3):
        folder = await work.mailboxes.folder(replica.mailbox, replica.folder_id)
        if folder is None or not await folders.in_its_place(work.mailboxes, replica.mailbox, folder):
            return False
        ledger.head.folder_seen_at = now
    return True


async def _rebuild(work: Work, replica: Replica, buckets: int, refusals: Refusals | None) -> Ledger:
    """Find or make the folder, and list it by mark."""
    mailbox, now = replica.mailbox, work.context.now()
    folder, made = await find_or_make(work, replica)
    known: Mapping[str, Held] = {}
    clean: Collection[str] = ()
    served_before = replica.folder_id != "" or replica.left_folders != ()
    previous = await work.ledgers.open(mailbox, along=True) if served_before else None
    if previous is not None and folder.folder_id == previous.head.folder_id:
        try:
            await work.ledgers.load(mailbox, previous)
            known = previous.everything()
            if not replica.dirty:
                clean = {key for key in known if previous.head.digests[previous.bucket_of(key)]}
        except LostPagesError:
            previous = None
    else:
        previous = None
    folders.move_in(replica, folder.folder_id)
    held = {} if made else await list_folder(work, replica, known, refusals, clean)
    ledger = Ledger.of(held, buckets, folder_id=folder.folder_id, now=now)
    if previous is not None:
        ledger.head.delta_link, ledger.head.delta_fields = previous.head.delta_link, previous.head.delta_fields
    if served_before:
        await work.ledgers.remove(mailbox, above=buckets)
    replica.dirty = replica.look_after is not None
    return ledger


async def _with_buckets(work: Work, replica: Replica, ledger: Ledger, buckets: int) -> Ledger:
    """The ledger over as many buckets as the snapshot has pages."""
    before = len(ledger.head.digests)
    if before == buckets:
        return ledger
    await work.ledgers.load(replica.mailbox, ledger)
    if before > buckets:
        await work.ledgers.remove(replica.mailbox, above=buckets)
    return repack(ledger, buckets)


async def _plan(
    work: Work, snapshot: SnapshotHead, ledger: Ledger, replica: Replica, suspects: set[int], refusals: Refusals | None
) -> list[Step]:
    """All operations. Only buckets that differ from the page last applied to them are looked at."""
    behind = {number for number, digest in enumerate(snapshot.digests) if ledger.head.digests[number] != digest}
    await work.ledgers.load(replica.mailbox, ledger, behind | suspects)
    wanted: dict[str, Item] = {}
    held: dict[str, Held] = {}
    operations: list[Operation] = []
    for number in sorted(behind | suspects):
        ledger.doubt(number)
        page = work.policies.shown_to(replica.mailbox, await work.snapshots.page(snapshot, number))
        operations += planning.plan(page, ledger.loaded[number])
        wanted |= page
        held |= ledger.loaded[number]
    if refusals is not None:
        refusals.discard(held)
    operations, rewritten = photo_steps(planning.in_place(operations), wanted, held, work.fingerprinter)
    wanted |= rewritten
    if refusals is not None:
        # whoever merges with a refused person is refused under all keys, when they part again too
        refusals.add([step.key for step in operations if isinstance(step, Create) and step.key in refusals])
    steps = work.policies.applied(operations, wanted, held, work.fingerprinter, refusals)
    if work.emptied:
        steps = policies.emptied(steps, work.emptied, wanted, held)
    return [(step, wanted.get(step.key)) for step in steps]


async def _carry_out(work: Work, snapshot: SnapshotHead, replica: Replica, ledger: Ledger, operations: Sequence[Step]) -> None:
    """Write in batches and save. What is done stands in the ledger even when a later batch fails."""
    refused: Exception | None = None
    replica.dirty = replica.dirty or bool(operations)
    remakes = photos.to_remake(work, ledger, operations)
    if remakes:
        apart = {step.key for step, _ in remakes}
        operations = [(step, item) for step, item in operations if step.key not in apart]
    try:
        for start in range(0, len(operations), BATCH):
            work.check_claim(replica)
            await work.check_epoch(snapshot)
            refused = await _write(work, replica, ledger, operations[start : start + BATCH]) or refused
        for start in range(0, len(remakes), BATCH):
            work.check_claim(replica)
            await photos.remake(work, replica, ledger, remakes[start : start + BATCH])
    except (ClaimLostError, LedgerDoubtError):
        raise
    except BaseException:
        await _save(work, replica, ledger)
        raise
    if refused is None:
        for number in ledger.changed:
            ledger.head.digests[number] = snapshot.digests[number]
    await _save(work, replica, ledger)
    if refused is not None:
        raise refused


async def _save(work: Work, replica: Replica, ledger: Ledger) -> None:
    await work.ledgers.save(replica.mailbox, ledger)
    replica.dirty = replica.look_after is not None or bool(work.owed.get(replica.mailbox))


async def _write(work: Work, replica: Replica, ledger: Ledger, batch: Sequence[Step]) -> Exception | None:
    """Write one batch. Returns the error of an item that Graph refused; raises what concerns the whole mailbox."""
    steps = [step for step, _ in batch]
    if work.policies.notes:
        steps = await asyncio.gather(*(_with_their_notes(work, replica, step) for step in steps))
    wanted = {item.key: item for _, item in batch if item is not None}
    owed = photos.debts(work, replica, ledger, batch)
    outcomes = await work.mailboxes.write(replica.mailbox, replica.folder_id, steps)
    # answered "not found" although it was carried out, or the user has moved it just now: then it is theirs
    pairs = zip(steps, outcomes, strict=True)
    missing = {step.key: Held(step.item_id, "") for step, outcome in pairs if isinstance(step, Delete) and outcome.missing}
    if missing:
        await look_at_missing(work, replica, missing)
    aftermath = planning.after({}, steps, outcomes, wanted)
    failed = {step.key for step, _ in aftermath.failed}
    for step in steps:
        if step.key not in failed:
            if isinstance(step, Update) and step.was:
                ledger.put(step.was, None)
            ledger.put(step.key, aftermath.held.get(step.key))
    photos.doubt(work, ledger, [debt for debt in owed if debt.item.key not in failed])
    work.count(replica.mailbox).add(aftermath.counts)
    if aftermath.in_doubt:
        expect_late_write(work, replica)
    refused: Exception | None = None
    for _, error in aftermath.failed:
        if isinstance(error, MailboxError) and error.reason is Reason.REFUSED:
            refused = error
        elif not isinstance(error, AnswerLostError):
            raise error
    for key in aftermath.in_doubt:
        await _settle(work, replica, ledger, wanted[key])
        photos.doubt(work, ledger, [debt for debt in owed if debt.item.key == key])
    await photos.pay(work, replica, ledger, owed, failed - set(aftermath.in_doubt))
    return refused


async def _with_their_notes(work: Work, replica: Replica, step: Operation) -> Operation:
    """An update of our block in an item's notes keeps what the user has written around it: read now, just before."""
    if not isinstance(step, Update):
        return step
    body = orjson.loads(step.body)
    if NOTES not in body:
        return step
    seen = await work.mailboxes.item(replica.mailbox, step.item_id, fields=(NOTES,))
    there = seen.fields.get(NOTES) if seen is not None and seen.fields is not None else None
    body[NOTES] = notes.with_block(there, body[NOTES])
    return replace(step, body=orjson.dumps(body))


async def _settle(work: Work, replica: Replica, ledger: Ledger, item: Item) -> None:
    """A create whose answer was lost: look it up by its mark before it is repeated."""
    mark = item_mark(work.context.installation, work.sync.sync, item.key)
    for _ in range(_LOOKUPS):
        found = await work.mailboxes.find(replica.mailbox, replica.folder_id, mark)
        if found:
            oldest = min(found, key=lambda seen: (seen.created, seen.item_id))
            ledger.put(item.key, Held(oldest.item_id, item.fingerprint))
        else:
            work.check_claim(replica)
            (outcome,) = await work.mailboxes.write(replica.mailbox, replica.folder_id, [Create(item.key, item.body)])
            if isinstance(outcome.error, AnswerLostError):
                continue
            if outcome.error is not None:
                raise outcome.error
            ledger.put(item.key, Held(outcome.item_id, item.fingerprint))
        work.count(replica.mailbox).created += 1
        return
    raise MailboxError(Reason.MAILBOX_BUSY, "answers lost")
