"""The decision table, as functions: what a snapshot wants and a mailbox holds -> what to do.

Nothing here knows a mailbox, a clock or a policy. Items are known by key; a ledger (`held`) maps keys to what a mailbox holds for
them. An item without our mark gets no further than `read_listing` and `judge_changes`: the first drops it, the second only says
that its id is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sync_core.errors import AnswerLostError
from sync_core.fingerprints import Fingerprinter
from sync_core.marks import key_in
from sync_core.merging import settle_keys
from sync_core.model import Counts, Create, Delete, Held, Item, ItemChange, Operation, Outcome, SeenItem, Update


def plan(wanted: Mapping[str, Item], held: Mapping[str, Held]) -> list[Operation]:
    """What makes a mailbox that holds `held` hold `wanted`; both cover the same buckets.

    Creates come first, then updates, then deletes: a person who returns under a new key is never missing in between, however
    early the work breaks off. Within each kind the order is that of the keys, so that a repeated plan repeats its order.
    """
    creates: list[Operation] = [Create(key, wanted[key].body) for key in sorted(wanted.keys() - held.keys())]
    updates: list[Operation] = [
        Update(key, held[key].item_id, wanted[key].body)
        for key in sorted(wanted.keys() & held.keys())
        if wanted[key].fingerprint != held[key].fingerprint or held[key].kept
    ]
    deletes: list[Operation] = [Delete(key, held[key].item_id) for key in sorted(held.keys() - wanted.keys())]
    return creates + updates + deletes


def in_place(operations: Sequence[Operation]) -> list[Operation]:
    """The same operations, except that a person whose keys changed keeps their item: one update instead of delete and create.

    Keys change when sources merge or part, and with them the bucket: give it the plans of all buckets together. The new mark is
    in the body, as in every update.
    """
    deletes = {operation.key: operation for operation in operations if isinstance(operation, Delete)}
    if not deletes:
        return list(operations)
    settled = settle_keys((operation.key for operation in operations if isinstance(operation, Create)), deletes)
    kept = set(settled.values())
    result: list[Operation] = []
    for operation in operations:
        match operation:
            case Create(key, body) if key in settled:
                result.append(Update(key, deletes[settled[key]].item_id, body, was=settled[key]))
            case Delete(key) if key in kept:
                pass
            case _:
                result.append(operation)
    return result


@dataclass(slots=True)
class Listing:
    """What a look at a whole folder says.

    `held` is the ledger as the mailbox proves it. `gone` is what the previous ledger had and the folder has not: deleted, or
    moved elsewhere. Of two items with one mark, `held` has one; the id of the other is in `doubles` (ours, written twice: delete
    it) or in `copies` (the user's: take the mark off).
    """

    held: dict[str, Held] = field(default_factory=dict)
    gone: dict[str, Held] = field(default_factory=dict)
    doubles: list[str] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)


def read_listing(
    seen: Iterable[SeenItem],
    previous: Mapping[str, Held],
    *,
    installation: str,
    sync: str,
    was_dirty: bool,
    fingerprinter: Fingerprinter,
) -> Listing:
    """Rebuild a ledger from all items of a folder. `previous` may be empty: the cache is lost, or the folder is new to us.

    Of several items with one mark the one that the ledger knows stays, else the oldest. The others are our own doing when the
    replica `was_dirty` (a create was repeated while its first answer was lost) and the user's copies when it was clean.
    A fingerprint that says nothing (missing, or made under another key) becomes "": see `compare_fields`.
    """
    by_key: dict[str, dict[str, SeenItem]] = {}
    for item in seen:
        key = key_in(item.mark, installation, sync)
        if key is not None:
            # By id, since a folder that changes under a listing can show an item twice
            by_key.setdefault(key, {})[item.item_id] = item
    listing = Listing(gone={key: held for key, held in previous.items() if key not in by_key})
    superfluous = listing.doubles if was_dirty else listing.copies
    for key, items in by_key.items():
        known = items.get(previous[key].item_id) if key in previous else None
        stays = known or min(items.values(), key=lambda item: (item.created, item.item_id))
        listing.held[key] = Held(stays.item_id, _usable(stays.fingerprint, fingerprinter))
        superfluous.extend(item_id for item_id in items if item_id != stays.item_id)
    return listing


def compare_fields(item: SeenItem, fingerprinter: Fingerprinter, *, keep_edits: bool = False) -> Held:
    """What an item really holds: of unknown content when its fields were not read.

    With `keep_edits`, those fields are kept that differ from what the item's own fingerprint says we wrote.
    """
    if item.fields is None:
        return Held(item.item_id, "")
    found = fingerprinter.found(item.fields, written=item.fingerprint)
    return Held(item.item_id, found, fingerprinter.edited(item.fingerprint, found) if keep_edits else ())


@dataclass(slots=True)
class AuditFindings:
    """What the changes since the last look say about our items.

    `edited` maps keys to what the mailbox holds instead of what we wrote. `left` are our items that are no longer in the folder:
    look at each to learn whether it was deleted or moved. `unknown` are ids of items in the folder that the ledger does not know:
    the user's own, or ours and not yet in the ledger; their marks tell.
    """

    edited: dict[str, Held] = field(default_factory=dict)
    left: dict[str, Held] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


def judge_changes(
    changes: Iterable[ItemChange], held: Mapping[str, Held], fingerprinter: Fingerprinter, *, keep_edits: bool = False
) -> AuditFindings:
    """Judge a folder's changes against its ledger. With `keep_edits`, the fields that the user has changed are kept from now on.

    Changes come repeatedly and are replayed: the last one of each item counts. Our own writes come back in them too, and Exchange
    reports changes that nobody made: an item whose fields are as we wrote them is no finding.
    """
    keys = {entry.item_id: key for key, entry in held.items()}
    findings = AuditFindings()
    for item_id, change in {change.item_id: change for change in changes}.items():
        key = keys.get(item_id)
        if key is None:
            if not change.removed:
                findings.unknown.append(item_id)
        elif change.removed:
            findings.left[key] = held[key]
        else:
            fingerprint = fingerprinter.found(change.fields, written=held[key].fingerprint)
            if fingerprint != held[key].fingerprint:
                edited = {*held[key].kept, *fingerprinter.edited(held[key].fingerprint, fingerprint)} if keep_edits else ()
                findings.edited[key] = Held(item_id, fingerprint, tuple(sorted(edited)))
    return findings


@dataclass(slots=True)
class Aftermath:
    """What operations made of a ledger.

    `in_doubt` are the keys of creates whose answer was lost: look each up by its mark before anything is created again. `failed`
    are all operations that met an error, those included.
    """

    held: dict[str, Held]
    counts: Counts = field(default_factory=Counts)
    in_doubt: list[str] = field(default_factory=list)
    failed: list[tuple[Operation, Exception]] = field(default_factory=list)


def after(
    held: Mapping[str, Held], operations: Sequence[Operation], outcomes: Sequence[Outcome], wanted: Mapping[str, Item]
) -> Aftermath:
    """The ledger after `operations`, planned from `wanted`, had these outcomes, in the same order.

    What met an error stays as it was: the next plan repeats it.
    """
    result = Aftermath(dict(held))
    for operation, outcome in zip(operations, outcomes, strict=True):
        if outcome.error is not None:
            result.failed.append((operation, outcome.error))
            if isinstance(operation, Create) and isinstance(outcome.error, AnswerLostError):
                result.in_doubt.append(operation.key)
            continue
        match operation:
            case Create(key):
                result.held[key] = Held(outcome.item_id, wanted[key].fingerprint)
                result.counts.created += 1
            case Update(key, item_id):
                result.held.pop(operation.was, None)
                result.held[key] = operation.then or Held(outcome.item_id or item_id, wanted[key].fingerprint)
                result.counts.updated += 1
            case Delete(key):
                result.held.pop(key, None)
                result.counts.deleted += 1
    return result


def _usable(fingerprint: str | None, fingerprinter: Fingerprinter) -> str:
    return fingerprint if fingerprint and fingerprinter.known(fingerprint) else ""
