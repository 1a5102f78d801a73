"""A sync's current snapshot, and the one before it, to which a run can be undone: pages of items, and heads that name them.

A cache: the current one is made again from the sources when it is lost.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from secrets import token_hex

import orjson

from sync_core import buckets
from sync_core.errors import LostPagesError
from sync_core.model import Item
from sync_core.ports import Insert, Put, Replace, Row, Sealer, Tables, Write
from sync_core.state import pages
from sync_core.state.names import SNAPSHOTS, partition

_HEAD = "head"
_PREVIOUS = "previous"
_PAGES_IN_MEMORY = 64
_PAGES_AT_ONCE = 64
_ROSTER_PART = 900_000
"""Bytes in one row. Digests and ids cannot be packed much."""


@dataclass(frozen=True, slots=True)
class SnapshotHead:
    """Names a snapshot.

    `made_from` tells from which source content, definition and settings it was made, `epoch` in which epoch of the tenant's
    suppressions: nobody who was suppressed until then is in it. `owned` are the fields that its items write, `filled` those that
    they write only where they are blank, `fed` those that were fed with an attribute of the definition's choice, and which: the
    definition may say otherwise by now, when an undo brought the snapshot back.
    """

    generation: str
    pages: tuple[str, ...]  # the generation that each page was written in
    digests: tuple[str, ...]
    count: int
    made_from: str
    read_at: datetime
    owned: tuple[str, ...]
    filled: frozenset[str]
    epoch: int = 0
    roster: int = 0  # of how many rows
    fed: Mapping[str, str] = field(default_factory=dict)
    etag: str = ""

    @property
    def digest(self) -> str:
        """Names the content: a replica that has applied it needs nothing."""
        return buckets.combined(self.digests)


class SnapshotStore:
    """The snapshots of one sync. Keeps the pages last used in memory: a chunk's mailboxes all need the same ones."""

    def __init__(self, tables: Tables, sealer: Sealer, tenant: str, sync: str) -> None:
        self._tables = tables
        self._sealer = sealer
        self._partition = partition(tenant, sync)
        self._pages: OrderedDict[tuple[str, int], Mapping[str, Item]] = OrderedDict()
        self._reading = asyncio.Lock()

    async def head(self) -> SnapshotHead | None:
        """The current head, or None when there is none or a page it names is gone."""
        return await self._complete(_HEAD)

    async def previous(self) -> SnapshotHead | None:
        """The head of the snapshot before the current one, which had other content; None when it is lost."""
        return await self._complete(_PREVIOUS)

    async def restore(self, digest: str, epoch: int) -> SnapshotHead | None:
        """Make the snapshot of this content current, and the current one the previous; None when it is not kept any more.

        One of another epoch counts as not kept. Repeatable. Raises ConflictError when another writer was first.
        """
        head = await self.head()
        if head is None or (head.digest == digest and head.epoch == epoch):
            return head
        previous = await self.previous()
        if previous is None or previous.digest != digest or previous.epoch != epoch:
            return None
        writes: list[Write] = [
            Replace(_HEAD, self._sealed(_HEAD, previous), head.etag),
            Put(_PREVIOUS, self._sealed(_PREVIOUS, head)),
        ]
        etag, _ = await self._tables.commit(SNAPSHOTS, self._partition, writes)
        return replace(previous, etag=etag)

    async def _complete(self, row: str) -> SnapshotHead | None:
        head = await self._stored(row)
        if head is None:
            return None
        stored = {row async for row in self._rows()}
        return head if stored.issuperset(_rows_of(head)) else None

    async def _stored(self, row: str) -> SnapshotHead | None:
        entity = await self._tables.get(SNAPSHOTS, self._partition, row)
        if entity is None:
            return None
        try:
            state = orjson.loads(pages.open_values(self._sealer, SNAPSHOTS, entity))
        except LostPagesError:
            return None
        return SnapshotHead(
            generation=state["generation"],
            pages=tuple(state["pages"]),
            digests=tuple(state["digests"]),
            count=state["count"],
            made_from=state["madeFrom"],
            read_at=datetime.fromisoformat(state["readAt"]),
            owned=tuple(state["owned"]),
            filled=frozenset(state["filled"]),
            epoch=state["epoch"],
            roster=state["roster"],
            fed=state.get("fed", {}),
            etag=entity.etag,
        )

    def _sealed(self, row: str, head: SnapshotHead) -> Row:
        state = {
            "generation": head.generation,
            "pages": head.pages,
            "digests": head.digests,
            "count": head.count,
            "madeFrom": head.made_from,
            "readAt": head.read_at.isoformat(),
            "owned": head.owned,
            "filled": sorted(head.filled),
            "epoch": head.epoch,
            "roster": head.roster,
            "fed": head.fed,
        }
        return pages.sealed_values(self._sealer, SNAPSHOTS, self._partition, row, orjson.dumps(state), read_at=head.read_at)

    async def page(self, head: SnapshotHead, number: int) -> Mapping[str, Item]:
        """The items of one page by key. Raises LostPagesError."""
        async with self._reading:  # mailboxes served side by side ask for the same page at the same time
            place = (head.pages[number], number)
            page = self._pages.get(place)
            if page is None:
                page = self._pages[place] = await self._read(head, number)
                if len(self._pages) > _PAGES_IN_MEMORY:
                    self._pages.popitem(last=False)
            else:
                self._pages.move_to_end(place)
            return page

    async def _read(self, head: SnapshotHead, number: int) -> dict[str, Item]:
        row = _row(head.pages[number], number)
        plain = await pages.read_page(self._tables, self._sealer, SNAPSHOTS, self._partition, row)
        if plain is None:
            raise LostPagesError("a page of the snapshot is gone")
        return {key: Item(key, fingerprint, body.encode(), *more) for key, fingerprint, body, *more in orjson.loads(plain)}

    async def roster(self, head: SnapshotHead) -> bytes:
        """What is remembered beside a snapshot of all who were gone through for it; nothing when it is lost or too old."""
        parts: list[bytes] = []
        with suppress(LostPagesError):
            for number in range(head.roster):
                row = _roster_row(head.generation, number)
                parts.append(await pages.read_page(self._tables, self._sealer, SNAPSHOTS, self._partition, row) or b"")
        return b"".join(parts) if len(parts) == head.roster and all(parts) else b""

    async def write(
        self,
        generation: str,
        spread: Mapping[int, Mapping[str, Item]],
        *,
        base: SnapshotHead | None = None,
        count: int,
        made_from: str,
        policies: str = "",
        owned: Sequence[str],
        filled: Collection[str] = (),
        fed: Mapping[str, str] | None = None,
        read_at: datetime,
        epoch: int = 0,
        roster: bytes = b"",
        previous_etag: str,
    ) -> SnapshotHead:
        """Write pages by number, then make them current. Those that are not in `spread` are the pages of `base`.

        The snapshot before is kept until the content changes again. The same items under other `policies` are another snapshot:
        who has applied the one has not applied the other. Raises ConflictError when another writer was first.
        """
        digests = dict(enumerate(base.digests)) if base is not None else {}
        digests |= {number: _digest(page.values(), policies) for number, page in spread.items()}
        parts = [roster[at : at + _ROSTER_PART] for at in range(0, len(roster), _ROSTER_PART)]
        head = SnapshotHead(
            generation=generation,
            pages=tuple(generation if base is None or number in spread else base.pages[number] for number in range(len(digests))),
            digests=tuple(digests[number] for number in range(len(digests))),
            count=count,
            made_from=made_from,
            read_at=read_at,
            owned=tuple(owned),
            filled=frozenset(filled),
            epoch=epoch,
            roster=len(parts),
            fed=fed or {},
        )
        for numbers in _slices(spread):
            await self._write_pages({_row(generation, number): _plain(spread[number].values()) for number in numbers}, read_at)
        await self._write_pages({_roster_row(generation, number): part for number, part in enumerate(parts)}, read_at)
        before = await self._stored(_HEAD) if previous_etag else None
        values = self._sealed(_HEAD, head)
        writes: list[Write] = [Replace(_HEAD, values, previous_etag) if previous_etag else Insert(_HEAD, values)]
        if before is not None and before.digest != head.digest:
            writes.append(Put(_PREVIOUS, self._sealed(_PREVIOUS, before)))
        else:
            before = await self._stored(_PREVIOUS)
        await self._tables.commit(SNAPSHOTS, self._partition, writes)
        keep = {*_rows_of(head), *(_rows_of(before) if before is not None else ())}
        keep.update(_roster_row(generation, number) for number in range(len(parts)))
        await self._remove([row async for row in self._rows() if row not in keep])
        return head

    async def strip(self, left_of: Callable[[Item], Item | None], *, epoch: int, policies: str) -> int:
        """Put in the place of each item of the snapshots that are kept what is left of it, and let them count as made in `epoch`.

        Returns how many are others now, or gone. Repeatable.

        Pages are written over, so that a worker which knows an older head does not read the items either. Of a snapshot that is
        incomplete nothing is kept. Raises ConflictError when a run makes another snapshot at the same time.
        """
        stripped = 0
        for row in (_HEAD, _PREVIOUS):
            head = await self._stored(row)
            if head is None or head.epoch >= epoch:
                continue
            await self._remove([_roster_row(head.generation, number) for number in range(head.roster)])
            digests: list[str] = []
            count = 0
            try:
                for number in range(len(head.digests)):
                    page = await self._read(head, number)
                    kept = {key: left for key, item in page.items() if (left := left_of(item)) is not None}
                    if changed := sum(kept.get(key) is not item for key, item in page.items()):
                        await self._write_pages({_row(head.pages[number], number): _plain(kept.values())}, head.read_at)
                    stripped += changed
                    count += len(kept)
                    # of every page: an attempt before this one may have died between page and head
                    digests.append(_digest(kept.values(), policies))
            except LostPagesError:
                await self._remove([row])
                continue
            fresh = replace(head, digests=tuple(digests), count=count, epoch=epoch, roster=0)
            await self._tables.commit(SNAPSHOTS, self._partition, [Replace(row, self._sealed(row, fresh), head.etag)])
        return stripped

    async def revise(self, head: SnapshotHead, change: Callable[[Item], Item], *, made_from: str, policies: str) -> SnapshotHead:
        """Change items of the current snapshot, which then counts as `made_from` that, and of which nothing is remembered.

        Nothing is written where none changes. Repeatable. Raises LostPagesError, ConflictError when another writer was first.
        """
        generation = token_hex(8)
        digests, generations = list(head.digests), list(head.pages)
        for number in range(len(digests)):
            before = await self.page(head, number)
            after = {key: change(item) for key, item in before.items()}
            if after != before:
                await self._write_pages({_row(generation, number): _plain(after.values())}, head.read_at)
                digests[number], generations[number] = _digest(after.values(), policies), generation
        if generation not in generations:
            return head
        fresh = replace(
            head, generation=generation, pages=tuple(generations), digests=tuple(digests), made_from=made_from, roster=0
        )
        write = Replace(_HEAD, self._sealed(_HEAD, fresh), head.etag)
        (etag,) = await self._tables.commit(SNAPSHOTS, self._partition, [write])
        previous = await self._stored(_PREVIOUS)
        keep = {*_rows_of(fresh), *(_rows_of(previous) if previous is not None else ())}
        await self._remove([row async for row in self._rows() if row not in keep])
        return replace(fresh, etag=etag)

    async def discard_head(self) -> None:
        """Forget a head whose pages are gone."""
        await self._remove([_HEAD])

    async def _write_pages(self, plain: Mapping[str, bytes], read_at: datetime) -> None:
        await pages.write_pages(self._tables, self._sealer, SNAPSHOTS, self._partition, plain, read_at=read_at)

    async def _remove(self, rows: Iterable[str]) -> None:
        await pages.remove_pages(self._tables, SNAPSHOTS, self._partition, rows)

    async def _rows(self) -> AsyncIterator[str]:
        """The rows of all pages and rosters."""
        async for entity in self._tables.query(SNAPSHOTS, self._partition, start="p:", end="p;", select=["ReadAt"]):
            yield entity.row


def _digest(items: Iterable[Item], policies: str) -> str:
    return buckets.digest(map(_content, items), policies)


def _content(item: Item) -> tuple[str, str]:
    """An item for the digest. To have no photo, and to leave photos alone, is not the same."""
    return item.key, f"{item.fingerprint}-" if item.photo == "" else item.fingerprint


def _plain(items: Iterable[Item]) -> bytes:
    return orjson.dumps([_stored(item) for item in items])


def _stored(item: Item) -> tuple[object, ...]:
    stored = (item.key, item.fingerprint, item.body.decode())
    if item.named or item.hides:
        return (*stored, item.photo, item.named, item.hides)
    return (*stored, item.photo) if item.photo is not None else stored


def _slices(numbers: Iterable[int]) -> Iterator[list[int]]:
    rest = iter(numbers)
    while some := list(islice(rest, _PAGES_AT_ONCE)):
        yield some


def _rows_of(head: SnapshotHead) -> list[str]:
    return [_row(generation, number) for number, generation in enumerate(head.pages)]


def _row(generation: str, number: int) -> str:
    return f"p:{generation}:{number:05d}"


def _roster_row(generation: str, number: int) -> str:
    return f"p:{generation}:roster{number:03d}"


async def kept_items(store: SnapshotStore) -> AsyncIterator[Item]:
    """The items of a sync's current snapshot and the one before."""
    for head in (await store.head(), await store.previous()):
        for number in range(len(head.digests) if head is not None else 0):
            assert head is not None
            try:
                page = await store.page(head, number)
            except LostPagesError:
                break
            for item in page.values():
                yield item
