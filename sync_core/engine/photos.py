"""Photos in a run: giving them to contacts, and taking them away.

A contact's mark tells of a photo before the contact gets it: none must ever have one of which its mark says nothing. Until the
photo is there, the contact is owed it, and a mailbox in which something is owed stays dirty: there, marks alone prove nothing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from sync_core import notes
from sync_core.encoding import kept
from sync_core.engine.context import LATE_WRITE
from sync_core.errors import AnswerLostError, LedgerDoubtError, MailboxError, Reason
from sync_core.fingerprints import PHOTO
from sync_core.marks import FINGERPRINT_PROPERTY, item_mark
from sync_core.model import Create, Delete, Held, Item, Operation, Outcome, Replica, Update
from sync_core.photos import CARRIED, is_owed, is_to_go, remade
from sync_core.policies import NOTES
from sync_core.state.ledgers import Ledger
from sync_core.state.photos import PhotoRows

if TYPE_CHECKING:
    from sync_core.engine.work import Work

_MOST_BYTES = 8_000_000
_TRIES = 3

Step = tuple[Operation, Item | None]


@dataclass(slots=True)
class Shelf:
    """The photos that the mailboxes of a chunk get. Those last used stay in memory: all mailboxes need the same ones.

    `lying_with` opens the photos of a source by its id.
    """

    lying_with: Callable[[str], PhotoRows]
    _photos: OrderedDict[str, bytes | None] = field(default_factory=OrderedDict)
    _coming: dict[str, asyncio.Future[bytes | None]] = field(default_factory=dict)
    _bytes: int = 0

    async def photos(self, items: Iterable[Item]) -> list[bytes | None]:
        """The photo of each item; None when it is gone: it was replaced or purged since the snapshot was made."""
        return await asyncio.gather(*(self._photo(item.photo or "") for item in items))

    async def _photo(self, where: str) -> bytes | None:
        if where in self._photos:
            self._photos.move_to_end(where)
            return self._photos[where]
        # mailboxes that are served side by side need the same photo at the same time
        coming = self._coming.get(where)
        if coming is None:
            coming = self._coming[where] = asyncio.ensure_future(self._read(where))
        return await asyncio.shield(coming)

    async def _read(self, where: str) -> bytes | None:
        try:
            source, _, place = where.partition("/")
            photo = self._photos[where] = await self.lying_with(source).photo(place)
        finally:
            del self._coming[where]
        self._bytes += len(photo or b"")
        while self._bytes > _MOST_BYTES and len(self._photos) > 1:
            _, oldest = self._photos.popitem(last=False)
            self._bytes -= len(oldest or b"")
        return photo


@dataclass(frozen=True, slots=True)
class Debt:
    """A contact that is to get a photo; `before` is its fingerprint until then, "" for none."""

    item: Item
    before: str


def debts(work: Work, replica: Replica, ledger: Ledger, batch: Sequence[Step]) -> list[Debt]:
    """Which contacts of a batch are owed a photo once it is written. To be noted before."""
    found: list[Debt] = []
    for step, item in batch:
        if item is None or not item.photo:
            continue
        before = _fingerprint(ledger, step)
        if is_owed(item, before, work.fingerprinter):
            found.append(Debt(item, before))
            work.owed.setdefault(replica.mailbox, set()).add(item.key)
    return found


def doubt(work: Work, ledger: Ledger, owed: Sequence[Debt]) -> None:
    """Have the ledger say of what was written that its photo is yet to come."""
    for debt in owed:
        entry = ledger.entry(debt.item.key)
        if entry is not None:
            doubted = work.fingerprinter.doubting_photo(entry.fingerprint)
            ledger.put(debt.item.key, Held(entry.item_id, doubted, entry.kept))


async def pay(work: Work, replica: Replica, ledger: Ledger, owed: Sequence[Debt], unwritten: Collection[str]) -> None:
    """Give the contacts their photos, but for those that are `unwritten`, by key: their marks are as they were.

    A photo that is gone or that Graph refuses is left out: the mark then says so.

    Raises what concerns the whole mailbox, when the others are served.
    """
    if not owed:
        return
    work.check_lease(replica)
    written: list[tuple[Debt, Held]] = []
    for debt in owed:
        entry = ledger.entry(debt.item.key)
        if entry is None or debt.item.key in unwritten:
            work.owed[replica.mailbox].discard(debt.item.key)
        else:
            written.append((debt, entry))
    photos = await work.shelf.photos(debt.item for debt, _ in written) if work.shelf is not None else [None] * len(written)
    ready = [(debt, entry, photo) for (debt, entry), photo in zip(written, photos, strict=True) if photo is not None]
    left_out = [debt for (debt, _), photo in zip(written, photos, strict=True) if photo is None]
    outcomes = await work.mailboxes.write_photos(replica.mailbox, [(entry.item_id, photo) for _, entry, photo in ready])
    broken: Exception | None = None
    for (debt, _, _), outcome in zip(ready, outcomes, strict=True):
        if outcome.error is None:
            _settle(work, replica, ledger, debt, debt.item.fingerprint)
            work.count(replica.mailbox).photos += 1
        elif _is_refusal(outcome):
            left_out.append(debt)
        else:
            broken = broken or outcome.error
    await _take_back(work, replica, ledger, left_out)
    if broken is not None:
        raise broken


def to_remake(work: Work, ledger: Ledger, steps: Sequence[Step]) -> list[Step]:
    """Which updates are of contacts that have a photo from us and should have none."""
    return [
        (step, item)
        for step, item in steps
        if isinstance(step, Update) and is_to_go(item, _fingerprint(ledger, step), work.fingerprinter)
    ]


async def remake(work: Work, replica: Replica, ledger: Ledger, batch: Sequence[Step]) -> None:
    """Put contacts without photo in the place of at most 20 that have one, with all that these hold, the user's own included.

    The new one is written first: in whatever moment this breaks off, nothing is lost. Two items with one mark are told apart by
    the ledger, which knows the old one until the work is saved.
    """
    mailbox, mailboxes = replica.mailbox, work.mailboxes
    updates = [step for step, _ in batch if isinstance(step, Update)]
    items = {item.key: item for _, item in batch if item is not None}
    seen = await mailboxes.look(mailbox, [step.item_id for step in updates], fields=CARRIED)
    creates: list[Create] = []
    for step, there in zip(updates, seen, strict=True):
        if there is None or there.fields is None:
            raise LedgerDoubtError("an item is gone")
        body = orjson.loads(step.body)
        if NOTES in body:
            body[NOTES] = notes.with_block(there.fields.get(NOTES), body[NOTES])
        creates.append(Create(step.key, remade(there.fields, body)))
    work.owed.setdefault(mailbox, set()).update(create.key for create in creates)
    outcomes = await mailboxes.write(mailbox, replica.folder_id, creates)
    made: list[Delete] = []
    broken: Exception | None = None
    for step, create, answer in zip(updates, creates, outcomes, strict=True):
        outcome = answer
        if isinstance(answer.error, AnswerLostError):
            outcome = await _found_or_repeated(work, replica, create, step.item_id)
        if outcome.error is not None:
            if _is_refusal(outcome):
                work.owed[mailbox].discard(step.key)
            else:
                broken = broken or outcome.error
            continue
        if step.was:
            ledger.put(step.was, None)
        then = step.then or Held("", items[step.key].fingerprint)
        ledger.put(step.key, Held(outcome.item_id, then.fingerprint, then.kept))
        made.append(Delete(step.key, step.item_id))
    for delete, outcome in zip(made, await mailboxes.write(mailbox, replica.folder_id, made), strict=True):
        if outcome.error is not None:
            broken = broken or outcome.error
            continue
        work.owed[mailbox].discard(delete.key)
        work.count(mailbox).updated += 1
        work.count(mailbox).photos += 1
    if broken is not None:
        raise broken


async def _found_or_repeated(work: Work, replica: Replica, create: Create, old: str) -> Outcome:
    """A create whose answer was lost, beside an item of the same mark."""
    mark = item_mark(work.context.installation, work.sync.sync, create.key)
    replica.look_after = work.context.now() + LATE_WRITE
    for _ in range(_TRIES):
        found = [item for item in await work.mailboxes.find(replica.mailbox, replica.folder_id, mark) if item.item_id != old]
        if found:
            return Outcome(min(found, key=lambda item: (item.created, item.item_id)).item_id)
        work.check_lease(replica)
        (outcome,) = await work.mailboxes.write(replica.mailbox, replica.folder_id, [create])
        if not isinstance(outcome.error, AnswerLostError):
            return outcome
    return Outcome(error=MailboxError(Reason.MAILBOX_BUSY, "answers lost"))


async def _take_back(work: Work, replica: Replica, ledger: Ledger, left_out: Sequence[Debt]) -> None:
    """Have marks say again what the contacts had before."""
    if not left_out:
        return
    updates: list[Operation] = []
    for debt in left_out:
        entry = ledger.entry(debt.item.key)
        assert entry is not None
        fingerprint = _with_photo_of(work, debt.item.fingerprint, debt.before)
        body = kept({"singleValueExtendedProperties": [{"id": FINGERPRINT_PROPERTY, "value": fingerprint}]})
        updates.append(Update(debt.item.key, entry.item_id, body))
    outcomes = await work.mailboxes.write(replica.mailbox, replica.folder_id, updates)
    for debt, outcome in zip(left_out, outcomes, strict=True):
        if outcome.error is not None:
            raise outcome.error
        _settle(work, replica, ledger, debt, debt.before)


def _settle(work: Work, replica: Replica, ledger: Ledger, debt: Debt, photo_of: str) -> None:
    entry = ledger.entry(debt.item.key)
    assert entry is not None
    ledger.put(debt.item.key, Held(entry.item_id, _with_photo_of(work, entry.fingerprint, photo_of), entry.kept))
    work.owed[replica.mailbox].discard(debt.item.key)


def _with_photo_of(work: Work, fingerprint: str, other: str) -> str:
    known = work.fingerprinter.known(other)
    return work.fingerprinter.combined(fingerprint, other if known else work.fingerprinter.of({}), (PHOTO,))


def _fingerprint(ledger: Ledger, step: Operation) -> str:
    """What the contact of a step has now."""
    entry = ledger.entry((step.was or step.key) if isinstance(step, Update) else step.key)
    return entry.fingerprint if entry is not None else ""


def _is_refusal(outcome: Outcome) -> bool:
    return isinstance(outcome.error, MailboxError) and outcome.error.reason is Reason.REFUSED
