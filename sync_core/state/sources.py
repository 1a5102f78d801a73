"""What a source last said: encrypted pages of its objects, and a head that names them. A cache, shared by a tenant's syncs.

Pages are written first, under a generation of their own; then the head is flipped by a conditional write. A head whose pages are
gone counts as lost, never as empty.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any

import orjson

from sync_core import buckets
from sync_core.errors import ConflictError, LostPagesError
from sync_core.named import without
from sync_core.ports import Insert, Remove, Replace, Row, Tables, TenantKeys
from sync_core.state import pages
from sync_core.state.names import SOURCES, partition
from sync_core.state.photos import PhotoRows, row_of
from sync_core.state.rows import MOST_WRITES
from sync_core.state.suppressions import Suppressions, add_identifiers, current_epoch, load_suppressions
from sync_core.suppression import by_key

FILE, PUSH = "file-", "push-"
"""How the ids of sources begin that people are handed to: nobody else has what is in them."""

CALENDAR = "calendar-"
"""How the ids of calendars begin: the mailbox follows, then a hash."""

USERS, ORG_CONTACTS = "users", "orgcontacts"
"""The sources that the directory has: they are stored by object id."""

_HEAD = "head"
OF_TARGETS = frozenset({"id", "accountEnabled", "userType", "mailbox"})
"""What is kept of a user who was erased: it tells whether there is a mailbox to be served."""
PAGES_AT_ONCE = 16
"""In memory, of those that are read or written together."""

_FEW_OF = 4
"""Of so many pages, one is asked for by itself; a query costs about as much as it brings pages."""


@dataclass(frozen=True, slots=True)
class PageRef:
    """Where a page is stored and a keyed digest of what it holds."""

    generation: str
    digest: str


@dataclass(frozen=True, slots=True)
class SourceHead:
    """The state of a source.

    `full_at` is when it was last read in full; nothing in it is older. `asked` names the question that `delta_link` goes on with:
    a source that asks for more than then must be read in full.
    """

    pages: tuple[PageRef, ...]
    count: int
    full_at: datetime
    delta_link: str = ""
    asked: str = ""
    etag: str = ""

    @property
    def digest(self) -> str:
        """Names the content: equal exactly when the source said the same."""
        return buckets.combined([page.digest for page in self.pages])


class SourceStore:
    """One source of one tenant."""

    def __init__(self, tables: Tables, keys: TenantKeys, tenant: str, source: str) -> None:
        self._tables = tables
        self._keys = keys
        self._tenant, self._source = tenant, source
        self._partition = partition(tenant, source)
        self._erased: Suppressions | None = None

    async def head(self) -> SourceHead | None:
        """The head, or None when there is none or a page it names is gone."""
        entity = await self._tables.get(SOURCES, self._partition, _HEAD)
        if entity is None:
            return None
        try:
            plain = pages.open_values(self._keys.sealer, SOURCES, entity)
        except LostPagesError:
            return None
        state = orjson.loads(plain)
        head = SourceHead(
            pages=tuple(PageRef(*page) for page in state["pages"]),
            count=state["count"],
            full_at=datetime.fromisoformat(state["fullAt"]),
            delta_link=state["deltaLink"],
            asked=state.get("asked", ""),
            etag=entity.etag,
        )
        stored = {row async for row in self._rows()}
        return head if all(_row(page.generation, number) in stored for number, page in enumerate(head.pages)) else None

    @property
    def photos(self) -> PhotoRows:
        """The photos that lie with the source."""
        return PhotoRows(self._tables, self._keys, self._tenant, self._source)

    async def remove_photos(self, head: SourceHead, places: Iterable[str]) -> None:
        """Forget photos that nobody has at `head`. Raises ConflictError when that is the current one no more."""
        rest = sorted(places)
        for start in range(0, len(rest), MOST_WRITES - 1):
            removed = [Remove(row_of(place)) for place in rest[start : start + MOST_WRITES - 1]]
            # whoever is about to name one of these again finds another head then, and begins anew
            etag, *_ = await self._tables.commit(
                SOURCES, self._partition, [Replace(_HEAD, self._head_values(head), head.etag), *removed]
            )
            head = replace(head, etag=etag)

    async def page(self, head: SourceHead, number: int) -> dict[str, dict[str, Any]]:
        """The objects of one page by id. Raises LostPagesError."""
        row = _row(head.pages[number].generation, number)
        plain = await pages.read_page(self._tables, self._keys.sealer, SOURCES, self._partition, row)
        if plain is None:
            raise LostPagesError("a page of the source is gone")
        objects: dict[str, dict[str, Any]] = orjson.loads(plain)
        return objects

    async def some(self, head: SourceHead, numbers: Collection[int]) -> AsyncIterator[tuple[int, dict[str, dict[str, Any]]]]:
        """These pages, in any order: one by one when they are few, else by a query of all. Raises LostPagesError."""
        if len(numbers) * _FEW_OF < len(head.pages):
            for number in numbers:
                yield number, await self.page(head, number)
            return
        wanted = {_row(head.pages[number].generation, number): number for number in numbers}
        rows = pages.read_pages(self._tables, self._keys.sealer, SOURCES, self._partition, "p:", "p;", only=wanted)
        async for row, plain, _ in rows:
            yield wanted.pop(row), orjson.loads(plain)
        if wanted:
            raise LostPagesError("pages of the source are gone")

    async def objects(self, head: SourceHead) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """All objects by id, one page in memory at a time. Raises LostPagesError."""
        async for _, objects in self.some(head, range(len(head.pages))):
            for entry in objects.items():
                yield entry

    async def write_page(
        self, generation: str, number: int, content: Mapping[str, Mapping[str, Any]], *, read_at: datetime
    ) -> PageRef:
        """Write one page; nobody sees it before the head names it."""
        return (await self.write_pages(generation, {number: content}, read_at=read_at))[number]

    async def write_pages(
        self, generation: str, contents: Mapping[int, Mapping[str, Mapping[str, Any]]], *, read_at: datetime
    ) -> dict[int, PageRef]:
        """Write some pages in as few transactions as there can be."""
        refs: dict[int, PageRef] = {}
        plain: dict[str, bytes] = {}
        for number, content in contents.items():
            kept = await self._without_erased(content, read_at)
            plain[_row(generation, number)] = _plain(kept)
            refs[number] = PageRef(generation, self.digest(kept))
        await pages.write_pages(self._tables, self._keys.sealer, SOURCES, self._partition, plain, read_at=read_at)
        return refs

    async def write_all(
        self, generation: str, objects: Mapping[str, bytes], count: int, *, read_at: datetime
    ) -> tuple[PageRef, ...]:
        """Write objects (each as JSON) over `count` pages, a few pages in memory at a time."""
        refs: list[PageRef] = []
        spread_out = spread(objects, count)
        for start in range(0, count, PAGES_AT_ONCE):
            some = enumerate(spread_out[start : start + PAGES_AT_ONCE], start)
            contents = {number: {key: orjson.loads(value) for key, value in page.items()} for number, page in some}
            refs += (await self.write_pages(generation, contents, read_at=read_at)).values()
        return tuple(refs)

    def digest(self, content: Mapping[str, Mapping[str, Any]]) -> str:
        """A page's content in short. Keyed: a bare hash of a few people could be guessed."""
        return blake2b(_plain(content), key=self._keys.fingerprint_key, digest_size=8).hexdigest()

    async def _without_erased(
        self, content: Mapping[str, Mapping[str, Any]], read_at: datetime
    ) -> Mapping[str, Mapping[str, Any]]:
        """Of people who were erased nothing is stored again, but what tells whether a user has a mailbox to be served."""
        if self._erased is None:
            self._erased = await load_suppressions(self._tables, self._keys.suppression_key, self._tenant)
        if not self._erased.grounds:
            return content
        if self._source.startswith(CALENDAR):
            return self._events_without_erased(content)
        kept: dict[str, Mapping[str, Any]] = {}
        for stored, value in content.items():
            key = source_key(self._source, stored, value)
            grounds = self._erased.erased(key, value)
            if not grounds:
                kept[stored] = value
                continue
            for ground in grounds:
                # a later delta may tell something of this object without what it was known by
                await add_identifiers(self._tables, self._keys.suppression_key, self._tenant, ground, [by_key(key)], now=read_at)
            if self._source == USERS:
                kept[stored] = {name: content for name, content in value.items() if name in OF_TARGETS}
        return kept

    def _events_without_erased(self, content: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
        """Events without the names of people who were erased; none at all of a calendar that is one of theirs."""
        assert self._erased is not None
        if self._erased.erased(f"u:{owner_of(self._source)}", {}):
            return {}
        return {stored: without(dict(value), self._erased.holds_erased) for stored, value in content.items()}

    async def flip(self, head: SourceHead, previous_etag: str) -> None:
        """Make `head` the current one and remove pages it does not name.

        `previous_etag` is "" when there was none. Raises ConflictError when another reader was first: its head is newer; or when
        somebody was suppressed since the pages were written, who may be in them.
        """
        known, self._erased = self._erased, None
        if known is not None and await current_epoch(self._tables, self._tenant) != known.epoch:
            raise ConflictError("somebody has been suppressed meanwhile")
        values = self._head_values(head)
        write = Replace(_HEAD, values, previous_etag) if previous_etag else Insert(_HEAD, values)
        named = {_row(page.generation, number) for number, page in enumerate(head.pages)}
        # looked up before: whoever writes on from the new head may have it flipped again before the last of these is gone
        stale = [row async for row in self._rows() if row not in named]
        await self._tables.commit(SOURCES, self._partition, [write])
        await pages.remove_pages(self._tables, SOURCES, self._partition, stale)

    def _head_values(self, head: SourceHead) -> Row:
        state = {
            "pages": [(page.generation, page.digest) for page in head.pages],
            "count": head.count,
            "fullAt": head.full_at.isoformat(),
            "deltaLink": head.delta_link,
            "asked": head.asked,
        }
        return pages.sealed_values(self._keys.sealer, SOURCES, self._partition, _HEAD, orjson.dumps(state), read_at=head.full_at)

    async def discard_head(self) -> None:
        """Forget a head whose pages are gone, so that the next read starts in full."""
        await pages.remove_pages(self._tables, SOURCES, self._partition, [_HEAD])

    async def discard(self) -> None:
        """Forget the head and every page."""
        await self.discard_head()
        await pages.remove_pages(self._tables, SOURCES, self._partition, [row async for row in self._rows()])

    async def _rows(self) -> AsyncIterator[str]:
        async for entity in self._tables.query(SOURCES, self._partition, start="p:", end="p;", select=["ReadAt"]):
            yield entity.row


def owner_of(source: str) -> str:
    """The mailbox that a calendar among the sources is of."""
    return source.removeprefix(CALENDAR).rpartition("-")[0]


def source_key(source: str, stored: str, value: Mapping[str, Any]) -> str:
    """The key under which syncs know a stored object."""
    prefix = {USERS: "u:", ORG_CONTACTS: "o:"}.get(source)
    return f"{prefix}{stored.lower()}" if prefix else str(value.get("key") or stored)


def spread(objects: Mapping[str, bytes], count: int) -> Sequence[dict[str, bytes]]:
    """Objects by page."""
    spread_out: list[dict[str, bytes]] = [{} for _ in range(count)]
    for key, value in objects.items():
        spread_out[buckets.bucket_of(key, count)][key] = value
    return spread_out


def _row(generation: str, number: int) -> str:
    return f"p:{generation}:{number:05d}"


def _plain(content: Mapping[str, Mapping[str, Any]]) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
