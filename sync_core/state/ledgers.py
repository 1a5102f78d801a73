"""Ledgers: what we believe each replica holds, in packed buckets. A cache: rebuilt from the mailbox when it is lost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import orjson

from sync_core import buckets
from sync_core.errors import LostPagesError
from sync_core.model import Held
from sync_core.ports import Entity, Merge, Put, Scalar, Sealer, Tables, Write
from sync_core.state import pages
from sync_core.state.names import LEDGERS, READ_AT, partition
from sync_core.state.rows import grouped

_HEAD = "Head"
IN_ROW = 8
"""Buckets in a row: with 400 entries each, twice as large as they usually are, they still fit into its megabyte."""

_PART = 64_000
"""Bytes of a bucket that fit into one value, however badly they can be compressed."""

_PARTS = ("", "b", "c", "d")
Bucket = dict[str, Held]
_BUCKETS = msgspec.json.Decoder(Bucket)


@dataclass(slots=True)
class LedgerHead:
    """The state of one mailbox's ledger.

    `digests` holds per bucket the digest of the snapshot page that was applied there in full ("" when it was not). `listed_at` is
    when the mailbox was last listed in full (or the folder made): nothing in the ledger is older. `folder_seen_at` is when the
    folder was last seen in its place. `delta_fields` are those that the delta link tells of.
    """

    folder_id: str
    digests: list[str]
    listed_at: datetime
    folder_seen_at: datetime
    delta_link: str | None = None
    delta_fields: tuple[str, ...] = ()
    count: int = 0


@dataclass(slots=True)
class Ledger:
    """A ledger in memory: the head, and those buckets that were needed.

    `first` is the first row as far as it was read together with the head, `parts` in how many values each bucket is stored.
    """

    head: LedgerHead
    loaded: dict[int, Bucket] = field(default_factory=dict)
    changed: set[int] = field(default_factory=set)
    first: Entity | None = None
    parts: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, held: Mapping[str, Held], count: int, *, folder_id: str, now: datetime) -> Ledger:
        """A ledger rebuilt from a full look at the folder: nothing is known to be applied."""
        ledger = cls(LedgerHead(folder_id, [""] * count, listed_at=now, folder_seen_at=now, count=len(held)))
        ledger.loaded = {number: {} for number in range(count)}
        for key, entry in held.items():
            ledger.loaded[buckets.bucket_of(key, count)][key] = entry
        ledger.changed = set(range(count))
        return ledger

    def everything(self) -> dict[str, Held]:
        """All entries of the loaded buckets."""
        return {key: entry for bucket in self.loaded.values() for key, entry in bucket.items()}

    def bucket_of(self, key: str) -> int:
        """The bucket a key belongs to."""
        return buckets.bucket_of(key, len(self.head.digests))

    def entry(self, key: str) -> Held | None:
        """What we believe the mailbox holds for a key, as far as its bucket is loaded."""
        return self.loaded.get(self.bucket_of(key), {}).get(key)

    def put(self, key: str, entry: Held | None) -> None:
        """Change what we believe about one key; None: the mailbox does not hold it."""
        number = buckets.bucket_of(key, len(self.head.digests))
        bucket = self.loaded[number]
        self.head.count += (entry is not None) - (key in bucket)
        if entry is None:
            bucket.pop(key, None)
        else:
            bucket[key] = entry
        self.changed.add(number)

    def doubt(self, number: int) -> None:
        """Note that a bucket no longer equals the snapshot page applied to it."""
        self.head.digests[number] = ""
        self.changed.add(number)


class LedgerStore:
    """The ledgers of one sync.

    A row holds the buckets of eight numbers, each in values of its own, the first row the head, too: most ledgers are one row, of
    which a small change writes a part.
    """

    def __init__(self, tables: Tables, sealer: Sealer, tenant: str, sync: str) -> None:
        self._tables = tables
        self._sealer = sealer
        self._partition = partition(tenant, sync)

    async def open(self, mailbox: str, *, along: bool = False) -> Ledger | None:
        """The ledger with no bucket loaded; None when it is lost.

        Who is going to load buckets of the first row has them read `along` with the head: one request instead of two.
        """
        select = None if along else [_HEAD]
        entity = await self._tables.get(LEDGERS, self._partition, _row(mailbox, 0), select=select)
        if entity is None:
            return None
        try:
            state = orjson.loads(self._opened(entity, _HEAD))
        except LostPagesError:
            return None
        ledger = Ledger(
            LedgerHead(
                folder_id=state["folder"],
                digests=state["digests"],
                listed_at=datetime.fromisoformat(state["listedAt"]),
                folder_seen_at=datetime.fromisoformat(state["folderSeenAt"]),
                delta_link=state["deltaLink"],
                delta_fields=tuple(state["deltaFields"]),
                count=state["count"],
            )
        )
        if along:
            ledger.first = entity
        return ledger

    async def load(self, mailbox: str, ledger: Ledger, numbers: Collection[int] | None = None) -> None:
        """Load the buckets `numbers` (all of them by default) that are not in memory yet. Raises LostPagesError."""
        wanted = set(range(len(ledger.head.digests)) if numbers is None else numbers) - ledger.loaded.keys()
        if ledger.first is not None:
            self._take(ledger, ledger.first, 0, wanted)
        rows = {number // IN_ROW for number in wanted}
        if len(rows) == 1:
            (number,) = rows
            select = [name for bucket in wanted for name in _names(bucket)] if len(wanted) == 1 else None
            entity = await self._tables.get(LEDGERS, self._partition, _row(mailbox, number), select=select)
            if entity is not None:
                self._take(ledger, entity, number, wanted)
        elif rows:
            start, end = _row(mailbox, min(rows)), _row(mailbox, max(rows)) + "~"
            async for entity in self._tables.query(LEDGERS, self._partition, start=start, end=end):
                self._take(ledger, entity, int(entity.row.rpartition(":")[2]), wanted)
        if wanted:
            raise LostPagesError("a bucket of the ledger is gone")

    async def save(self, mailbox: str, ledger: Ledger) -> None:
        """Write the head and every changed bucket: one row and one request unless the ledger is large.

        A large one takes several transactions, and may: the replica is dirty until this has returned, and a dirty one is listed.
        """
        rows = sorted({0, *(number // IN_ROW for number in ledger.changed)})
        for group in grouped(self._written(mailbox, ledger, row) for row in rows):
            await self._tables.commit(LEDGERS, self._partition, group)
        ledger.changed.clear()

    async def remove(self, mailbox: str, *, above: int | None = None) -> None:
        """Forget a mailbox's ledger, or only the rows that `above` buckets do not need (after it was packed into so many)."""
        start = mailbox + ":" if above is None else _row(mailbox, -(-above // IN_ROW))
        found = self._tables.query(LEDGERS, self._partition, start=start, end=mailbox + ";", select=())
        await pages.remove_pages(self._tables, LEDGERS, self._partition, [entity.row async for entity in found])

    def _written(self, mailbox: str, ledger: Ledger, number: int) -> Write:
        """What makes a row hold what the ledger does. One of which every bucket has changed is replaced as a whole."""
        row, head = _row(mailbox, number), ledger.head
        numbers = range(number * IN_ROW, min((number + 1) * IN_ROW, len(head.digests)))
        changed = [bucket for bucket in numbers if bucket in ledger.changed]
        values: dict[str, Scalar] = {READ_AT: head.listed_at}
        if number == 0:
            values[_HEAD] = self._sealed(row, _HEAD, orjson.dumps(_state(head)))
        for bucket in changed:
            values |= self._values(row, ledger, bucket)
        return Put(row, values) if len(changed) == len(numbers) else Merge(row, values)

    def _values(self, row: str, ledger: Ledger, bucket: int) -> dict[str, Scalar]:
        plain = msgspec.json.encode(ledger.loaded[bucket])
        parts = [plain[at : at + _PART] for at in range(0, len(plain), _PART)]
        if len(parts) > len(_PARTS):
            raise ValueError(f"a bucket of {len(plain)} bytes: make buckets smaller")
        values: dict[str, Scalar] = {
            name: self._sealed(row, name, part) for name, part in zip(_names(bucket), parts, strict=False)
        }
        # what is merged into a row takes nothing away from it
        values |= dict.fromkeys(_names(bucket)[len(parts) : ledger.parts.get(bucket, 0)], b"")
        ledger.parts[bucket] = len(parts)
        return values

    def _take(self, ledger: Ledger, entity: Entity, number: int, wanted: set[int]) -> None:
        """Load what is wanted of a row's buckets, and call it wanted no more."""
        for bucket in [one for one in wanted if one // IN_ROW == number]:
            names = [name for name in _names(bucket) if entity.values.get(name)]
            if names:
                ledger.parts[bucket] = len(names)
                ledger.loaded[bucket] = _BUCKETS.decode(b"".join(self._opened(entity, name) for name in names))
                wanted.discard(bucket)

    def _sealed(self, row: str, name: str, plain: bytes) -> bytes:
        return self._sealer.seal(plain, place=f"{LEDGERS}|{self._partition}|{row}|{name}")

    def _opened(self, entity: Entity, name: str) -> bytes:
        sealed = entity.values.get(name)
        if not isinstance(sealed, bytes):
            raise LostPagesError("a ledger without its head")
        return self._sealer.open(sealed, place=f"{LEDGERS}|{self._partition}|{entity.row}|{name}")


def repack(ledger: Ledger, count: int) -> Ledger:
    """The same ledger (fully loaded) over another number of buckets. Its age stays."""
    packed = Ledger.of(ledger.everything(), count, folder_id=ledger.head.folder_id, now=ledger.head.listed_at)
    packed.head.folder_seen_at = ledger.head.folder_seen_at
    packed.head.delta_link, packed.head.delta_fields = ledger.head.delta_link, ledger.head.delta_fields
    return packed


def _state(head: LedgerHead) -> dict[str, Any]:
    return {
        "folder": head.folder_id,
        "digests": head.digests,
        "listedAt": head.listed_at.isoformat(),
        "folderSeenAt": head.folder_seen_at.isoformat(),
        "deltaLink": head.delta_link,
        "deltaFields": head.delta_fields,
        "count": head.count,
    }


def _row(mailbox: str, number: int) -> str:
    return f"{mailbox}:{number:05d}"


def _names(bucket: int) -> list[str]:
    """The values that a bucket may take in its row. Nearly all take one or two."""
    return [f"Bucket{bucket % IN_ROW}{part}" for part in _PARTS]
