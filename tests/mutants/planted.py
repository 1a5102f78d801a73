"""The planted faults: each is a mistake that somebody could make, and stands for a way to lose or double people's contacts."""

from __future__ import annotations

from dataclasses import dataclass

AUDITS = "tests/engine/test_audits.py"
INTERRUPTIONS = "tests/engine/test_interruptions.py"
LATE = f"{INTERRUPTIONS}::test_a_write_that_commits_after_its_worker_died_leaves_one_contact"
REMOVAL = "tests/engine/test_removal.py"
SHARED = "tests/engine/test_shared_folders.py"
SAFEGUARDS = "tests/engine/test_safeguards.py"
BATCHES = "tests/graph/test_batches.py"
DIRECTORY = "tests/graph/test_directory.py"
MAILBOXES = "tests/graph/test_mailboxes.py"
CALENDARS = "tests/engine/test_calendars.py"
ENCRYPTION = "tests/gdpr/test_encryption.py"
RETENTION = "tests/gdpr/test_retention.py"
PHOTOS_INTERRUPTED = "tests/engine/test_photos_interrupted.py"
SOURCE_PHOTOS = "tests/sources/test_photos.py"


@dataclass(frozen=True, slots=True)
class Edit:
    """In one file, text that stands there once, and what to write instead."""

    file: str
    search: str
    replace: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A mistake and the tests that must notice it."""

    name: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


def _fault(name: str, file: str, search: str, replace: str, *tests: str) -> Fault:
    return Fault(name, (Edit(file, search, replace),), tests)


FAULTS = (
    # --- writes whose answer is lost ---
    _fault(
        "a create is repeated without looking it up",
        "sync_core/engine/replicate.py",
        "found = await work.mailboxes.find(replica.mailbox, replica.folder_id, mark)",
        "found = []  # type: ignore",
        SAFEGUARDS,
    ),
    _fault(
        "the batch layer repeats a create",
        "cloud/graph/requests.py",
        'return _Template("POST", url, repeatable=False, body=True, brief=brief)',
        'return _Template("POST", url, repeatable=True, body=True, brief=brief)',
        BATCHES,
        MAILBOXES,
    ),
    _fault(
        "no late look after a lost answer",
        "sync_core/engine/work.py",
        "replica.look_after = work.context.now() + LATE_WRITE",
        "pass",
        SAFEGUARDS,
    ),
    _fault(
        "no late look after a worker broke off",
        "sync_core/engine/work.py",
        "replica.look_after = now + LATE_WRITE",
        "pass",
        LATE,
    ),
    # --- lost is not empty ---
    _fault(
        "a missing page of a source counts as empty",
        "sync_core/state/sources.py",
        'raise LostPagesError("a page of the source is gone")',
        "return {}",
        SAFEGUARDS,
    ),
    _fault(
        "pages of a source that a query does not bring count as empty",
        "sync_core/state/sources.py",
        'raise LostPagesError("pages of the source are gone")',
        "pass",
        SAFEGUARDS,
    ),
    _fault(
        "a missing page of a snapshot counts as empty",
        "sync_core/state/snapshots.py",
        'raise LostPagesError("a page of the snapshot is gone")',
        "return {}",
        SAFEGUARDS,
    ),
    _fault(
        "a missing bucket of a ledger counts as empty",
        "sync_core/state/ledgers.py",
        'raise LostPagesError("a bucket of the ledger is gone")',
        "ledger.loaded.update({number: {} for number in wanted})",
        SAFEGUARDS,
    ),
    _fault(
        "a source's head is trusted without its pages",
        "sync_core/state/sources.py",
        "return head if all(_row(page.generation, number) in stored for number, page in enumerate(head.pages)) else None",
        "return head",
        SAFEGUARDS,
    ),
    _fault(
        "a snapshot's head is trusted without its pages",
        "sync_core/state/snapshots.py",
        "return head if stored.issuperset(_rows_of(head)) else None",
        "return head",
        SAFEGUARDS,
    ),
    _fault(
        "a directory page without links is the last one",
        "cloud/graph/directory.py",
        'raise SourceError("a page needs one link: to the next page or for the next time")',
        "pass",
        DIRECTORY,
    ),
    _fault(
        "the delta link advances before the pages",
        "sync_core/sources/delta.py",
        "    async for number, content in store.some(known, by_page):",
        "    await flip(store, SourceHead(known.pages, known.count, known.full_at, link, known.asked), known)\n"
        "    known = await store.head() or known\n"
        "    async for number, content in store.some(known, by_page):",
        INTERRUPTIONS,
    ),
    _fault(
        "the directory's delta forgets who was removed",
        "sync_core/sources/delta.py",
        "news[gone] = [None]",
        "pass",
        SAFEGUARDS,
    ),
    # --- ages ---
    _fault(
        "a delta renews the age of the whole source",
        "sync_core/sources/delta.py",
        "return await _read_delta(store, known, generation, pages, merge)",
        "import dataclasses\n"
        "            known = dataclasses.replace(known, full_at=reading.clock.now())\n"
        "            return await _read_delta(store, known, generation, pages, merge)",
        SAFEGUARDS,
    ),
    _fault(
        "a look at the folder renews the age of the ledger",
        "sync_core/state/ledgers.py",
        "{READ_AT: head.listed_at}",
        "{READ_AT: head.folder_seen_at}",
        SAFEGUARDS,
    ),
    _fault(
        "a ledger never grows old",
        "sync_core/engine/replicate.py",
        "_RELIST_FROM_DAY = 45",
        "_RELIST_FROM_DAY = 400",
        SAFEGUARDS,
    ),
    # --- throttling ---
    _fault(
        "a batch item's 429 is final",
        "cloud/graph/batch.py",
        "pending = [index for index in pending if patience.is_worth(results[index], repeatable=requests[index].repeatable)]",
        "pending = []",
        BATCHES,
    ),
    _fault(
        "two batches of a mailbox at a time",
        "cloud/graph/batch.py",
        "return self._locks.setdefault((tenant, mailbox.lower()), asyncio.Lock())",
        "return asyncio.Lock()",
        BATCHES,
    ),
    # --- what is not ours ---
    Fault(
        "an unmarked item is adopted in place of a missing one",
        (
            Edit(
                "sync_core/engine/audit.py",
                "seen = {item.item_id: item async for page in pages for item in page if work.our_key(item) is not None}",
                "seen = {item.item_id: item async for page in pages for item in page}",
            ),
            Edit(
                "sync_core/planning.py",
                "key = key_in(item.mark, installation, sync)",
                "key = key_in(item.mark, installation, sync) or next((k for k in previous if k not in by_key), None)",
            ),
        ),
        (SAFEGUARDS,),
    ),
    _fault(
        "everything in our folder is deleted with the sync",
        "sync_core/engine/removal.py",
        "if work.our_key(item) is not None:\n                ours.append(item.item_id)",
        "if True:\n                ours.append(item.item_id)",
        SAFEGUARDS,
        REMOVAL,
    ),
    _fault(
        "a folder is deleted though something foreign is in it",
        "sync_core/engine/removal.py",
        "foreign = foreign or bool(",
        "foreign = bool(",
        SAFEGUARDS,
        REMOVAL,
    ),
    _fault(
        "a folder is deleted though another sync writes into it",
        "sync_core/engine/removal.py",
        "if await _is_shared(work, replica, folder_id, inside):",
        "if False:",
        f"{SHARED}::test_who_goes_takes_their_own_and_the_folder_stays_until_the_last_one_has_gone",
    ),
    _fault(
        "a sync that is renamed takes the folder of another one along",
        "sync_core/engine/home.py",
        "if await sharing.must_move_out(work.context, work.sync, replica, name):",
        "if False:",
        f"{SHARED}::test_who_is_renamed_moves_out_and_nobody_else_notices",
    ),
    _fault(
        "whoever comes into a folder is not noticed by who removes it",
        "sync_core/engine/home.py",
        "    await work.note(replica)\n    now = await",
        "    now = await",
        f"{SHARED}::test_one_may_go_while_another_comes",
    ),
    _fault(
        "an item that was moved keeps our mark",
        "sync_core/engine/audit.py",
        "await work.mailboxes.unmark(replica.mailbox, *moved)",
        "pass",
        AUDITS,
    ),
    _fault(
        "an item that left the folder counts as deleted unseen",
        "sync_core/engine/audit.py",
        "still_there = await look_at_missing(work, replica, left)",
        "still_there = {}",
        AUDITS,
    ),
    _fault(
        "a contact is changed wherever its user has moved it",
        "cloud/graph/mailboxes.py",
        "build.patch(self._at.item_in(mailbox, folder_id, operation.item_id), operation.body)",
        "build.patch(self._at.item(mailbox, operation.item_id), operation.body)",
        AUDITS,
    ),
    # --- brakes ---
    _fault(
        "a mailbox's deletions have no brake",
        "sync_core/engine/replicate.py",
        "if not work.released and too_many(deletions):\n        await _save(",
        "if False:\n        await _save(",
        SAFEGUARDS,
    ),
    _fault(
        "a source that shrinks has no brake",
        "sync_core/engine/difference.py",
        "if not brakes.drop(allowed, after, percent=limits.percent, at_least=limits.at_least):",
        "if True:",
        SAFEGUARDS,
    ),
    _fault(
        "a release is never used up",
        "sync_core/engine/start.py",
        "sync.released_deletions = False",
        "pass",
        SAFEGUARDS,
    ),
    _fault(
        "every run is released",
        "sync_core/engine/chunk.py",
        "released=run.released,",
        "released=True,",
        SAFEGUARDS,
    ),
    # --- claims and runs ---
    _fault(
        "a claim does not mark the replica dirty",
        "sync_core/engine/chunk.py",
        "rows = [replace(replica, dirty=True, owner=",
        "rows = [replace(replica, owner=",
        SAFEGUARDS,
    ),
    _fault(
        "a lost claim is ignored",
        "sync_core/engine/work.py",
        'raise ClaimLostError("the claim has run out")',
        "pass",
        SAFEGUARDS,
    ),
    _fault(
        "somebody else's claim is ignored",
        "sync_core/engine/chunk.py",
        "if any(one.owner and one.owned_until is not None and one.owned_until > now for one in replicas):",
        "if False:",
        SAFEGUARDS,
    ),
    _fault(
        "two plans of one run write the same chunks",
        "sync_core/engine/start.py",
        "run.plan = token_hex(4)",
        'run.plan = "plan"',
        INTERRUPTIONS,
    ),
    _fault(
        "the run that follows does not look as closely as was asked",
        "sync_core/engine/runs.py",
        "sync.rerun = closest(sync.rerun, check)",
        'sync.rerun = "due"',
        "tests/engine/test_repeated_starts.py",
    ),
    Fault(
        "a run is closed before its chunks are done",
        (
            Edit("sync_core/engine/closing.py", "if not await open_chunks(context.tables, run):", "if True:"),
            Edit("sync_core/engine/closing.py", "if len(done) < run.chunks and ", "if len(done) < 1 and "),
        ),
        (SAFEGUARDS,),
    ),
    # --- privacy ---
    _fault(
        "a purge takes the register of replicas with it",
        "sync_core/state/names.py",
        "CACHES = (SOURCES, SNAPSHOTS, LEDGERS)",
        "CACHES = (SOURCES, SNAPSHOTS, LEDGERS, REPLICAS)",
        RETENTION,
    ),
    _fault(
        "sealed bytes open anywhere within a tenant",
        "gdpr/encryption.py",
        'f"{self._tenant}|{place}".encode()',
        "self._tenant.encode()",
        ENCRYPTION,
    ),
    # --- calendars ---
    _fault(
        "an event is created under another transaction id every time",
        "cloud/graph/calendars.py",
        "operation.key, self._work",
        "operation.key, token_hex(8)",
        "tests/graph/test_calendars.py",
    ),
    _fault(
        "a look at a calendar repairs nothing",
        "sync_core/engine/audit.py",
        "ledger.put(key, held.get(key))",
        "pass",
        CALENDARS,
    ),
    _fault(
        "a calendar whose delta is silent is never read again",
        "sync_core/sources/calendar.py",
        "quiet and now - known.full_at < READ_EVERY",
        "quiet",
        "tests/sources/test_calendar.py",
    ),
    _fault(
        "events that the window leaves behind trip the brakes",
        "sync_core/engine/replicate.py",
        "deletions -= await slid_out(",
        "await slid_out(",
        CALENDARS,
    ),
    _fault(
        "what the window leaves behind is a loss of its source",
        "sync_core/engine/difference.py",
        "before = sync.sources.get(source, 0) - left.get(source, 0)",
        "before = sync.sources.get(source, 0)",
        CALENDARS,
    ),
    _fault(
        "a calendar gets the definition's colour every night",
        "sync_core/engine/home.py",
        "if color != replica.folder_color:",
        "if color:",
        CALENDARS,
    ),
    _fault(
        "the zone of an event is not read back",
        "cloud/graph/requests.py",
        "','.join((self.item_ids, *fields))",
        "','.join((self.item_ids, *(name for name in fields if 'TimeZone' not in name)))",
        CALENDARS,
    ),
    _fault(
        "an hour that clocks show twice is told in its zone",
        "sync_core/zones.py",
        "return wall.isoformat() if first == second else None",
        "return wall.isoformat()",
        "tests/sync_core/test_events.py",
    ),
    _fault(
        "private events are told in full",
        "sync_core/event_rules.py",
        'self.private == "busy" and is_private(occurrence)',
        'self.private == "never" and is_private(occurrence)',
        "tests/sync_core/test_events.py",
    ),
    # --- photos ---
    _fault(
        "a contact that is owed a photo is believed to have it",
        "sync_core/engine/photos.py",
        "        if entry is not None:\n            doubted",
        "        if entry is None:\n            doubted",
        PHOTOS_INTERRUPTED,
    ),
    _fault(
        "a contact's photo is not looked at when the contact has changed",
        "sync_core/photos.py",
        "return known.seen != portrait.seen",
        "return not known.seen",
        SOURCE_PHOTOS,
    ),
    _fault(
        "photos of people whom an upload has no more are kept",
        "sync_core/sources/kept.py",
        "    await _tidy(store)\n    return head",
        "    return head",
        SOURCE_PHOTOS,
    ),
)
