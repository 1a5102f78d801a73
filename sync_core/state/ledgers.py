"""Ledgers: what we believe each replica holds, in packed buckets. A cache: rebuilt from the mailbox when it is lost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
import orjson

from sync_core import buckets
from sync_core.errors import LostPagesError
from sync_core.model import Held
from sync_core.ports import Put, Sealer, Tables, Write
from sync_core.state import pages
from sync_core.state.names import LEDGERS, partition

_MOST_BYTES = 3_500_000
_MOST_ROWS = 100
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
    """A ledger in memory: the head, and those buckets that were needed."""

    head: LedgerHead
    loaded: dict[int, Bucket] = field(default_factory=dict)
    changed: set[int] = field(default_factory=set)

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
        number = self.bucket_of(key)
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
    """The ledgers of one sync."""

    def __init__(self, tables: Tables, sealer: Sealer, tenant: str, sync: str) -> None:
        self._tables = tables
        self._sealer = sealer
        self._partition = partition(tenant, sync)

    async def open(self, mailbox: str) -> Ledger | None:
        """The ledger with no bucket loaded; None when it is lost."""
        try:
            plain = await pages.read_page(self._tables, self._sealer, LEDGERS, self._partition, _row(mailbox, "head"))
        except LostPagesError:
            return None
        if plain is None:
            return None
        state = orjson.loads(plain)
        return Ledger(
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

    async def load(self, mailbox: str, ledger: Ledger, numbers: Collection[int] | None = None) -> None:
        """Load the buckets `numbers` (all of them by default) that are not in memory yet. Raises LostPagesError."""
        wanted = set(range(len(ledger.head.digests)) if numbers is None else numbers) - ledger.loaded.keys()
        if len(wanted) == 1:
            (number,) = wanted
            plain = await pages.read_page(self._tables, self._sealer, LEDGERS, self._partition, _row(mailbox, number))
            if plain is not None:
                ledger.loaded[number] = _BUCKETS.decode(plain)
                wanted.clear()
        elif wanted:
            start, end = _row(mailbox, min(wanted)), _row(mailbox, max(wanted)) + "~"
            async for row, plain, _ in pages.read_pages(self._tables, self._sealer, LEDGERS, self._partition, start, end):
                number = int(row.rpartition(":")[2])
                if number in wanted:
                    ledger.loaded[number] = _BUCKETS.decode(plain)
                    wanted.discard(number)
        if wanted:
            raise LostPagesError("a bucket of the ledger is gone")

    async def save(self, mailbox: str, ledger: Ledger) -> None:
        """Write the head and every changed bucket: one transaction unless the ledger is very large.

        A larger one is no transaction, and need not be: the replica is dirty until this has returned, and a dirty one is listed.
        """
        head = ledger.head
        state = {
            "folder": head.folder_id,
            "digests": head.digests,
            "listedAt": head.listed_at.isoformat(),
            "folderSeenAt": head.folder_seen_at.isoformat(),
            "deltaLink": head.delta_link,
            "deltaFields": head.delta_fields,
            "count": head.count,
        }
        contents: list[tuple[str, bytes]] = [
            (_row(mailbox, number), msgspec.json.encode(ledger.loaded[number])) for number in sorted(ledger.changed)
        ]
        contents.append((_row(mailbox, "head"), orjson.dumps(state)))
        batch: list[Write] = []
        size = 0
        for row, plain in contents:
            if batch and (len(batch) == _MOST_ROWS or size + len(plain) > _MOST_BYTES):
                await self._tables.commit(LEDGERS, self._partition, batch)
                batch, size = [], 0
            values = pages.sealed_values(self._sealer, LEDGERS, self._partition, row, plain, read_at=head.listed_at)
            batch.append(Put(row, values))
            size += len(plain)
        await self._tables.commit(LEDGERS, self._partition, batch)
        ledger.changed.clear()

    async def remove(self, mailbox: str, *, above: int | None = None) -> None:
        """Forget a mailbox's ledger, or only the buckets from number `above` on (after it was packed into fewer)."""
        start = _row(mailbox, above) if above is not None else mailbox + ":"
        end = _row(mailbox, "head") if above is not None else mailbox + ";"
        rows = [
            entity.row async for entity in self._tables.query(LEDGERS, self._partition, start=start, end=end, select=["ReadAt"])
        ]
        await pages.remove_pages(self._tables, LEDGERS, self._partition, rows)


def repack(ledger: Ledger, count: int) -> Ledger:
    """The same ledger (fully loaded) over another number of buckets. Its age stays."""
    packed = Ledger.of(ledger.everything(), count, folder_id=ledger.head.folder_id, now=ledger.head.listed_at)
    packed.head.folder_seen_at = ledger.head.folder_seen_at
    packed.head.delta_link, packed.head.delta_fields = ledger.head.delta_link, ledger.head.delta_fields
    return packed


def _row(mailbox: str, part: int | str) -> str:
    return f"{mailbox}:{part:05d}" if isinstance(part, int) else f"{mailbox}:{part}"
