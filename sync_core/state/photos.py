"""People's photos, and what is known of those at Microsoft.

Photos are rows beside the pages of a source: those that were handed to us with a person beside the upload or push source, those
read from Microsoft under a source of their own, a cache which a tenant's syncs share that want them in the same size. There,
pages say what is known of each person; a photo is written before the page that names it, and its row sorts behind all pages:
whatever a purge leaves, no page names a photo that is gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson

from sync_core import buckets
from sync_core.errors import LostPagesError
from sync_core.photos import Known
from sync_core.ports import Insert, Replace, Tables, TenantKeys
from sync_core.state import pages
from sync_core.state.names import SOURCES, partition

PHOTOS = "photos-"
"""How the ids begin under which photos of Microsoft's lie among the sources."""

PAGES = 64
"""So that a page of the largest tenants is still small; of the smallest, only those with something in them are stored."""

_ROW = "photo:"


class PhotoRows:
    """The photos that lie with one source, each by its place: the key of whose it is, and its name."""

    def __init__(self, tables: Tables, keys: TenantKeys, tenant: str, source: str) -> None:
        self._tables = tables
        self._keys = keys
        self._partition = partition(tenant, source)

    async def photo(self, place: str) -> bytes | None:
        """One photo; None when it is gone."""
        try:
            return await pages.read_page(self._tables, self._keys.sealer, SOURCES, self._partition, row_of(place))
        except LostPagesError:
            return None

    async def put(self, photos: Mapping[str, bytes], read_at: datetime) -> None:
        """Store photos."""
        rows = {row_of(place): jpeg for place, jpeg in photos.items()}
        await pages.write_pages(self._tables, self._keys.sealer, SOURCES, self._partition, rows, read_at=read_at)

    async def remove(self, places: Iterable[str]) -> None:
        """Forget photos."""
        await pages.remove_pages(self._tables, SOURCES, self._partition, map(row_of, places))

    async def places(self, key: str = "") -> AsyncIterator[str]:
        """The places of all photos, or those of one person's."""
        start = row_of(f"{key}:" if key else "")
        async for entity in self._tables.query(SOURCES, self._partition, start=start, end=start + "~", select=()):
            yield entity.row.removeprefix(_ROW)

    async def of(self, key: str) -> list[bytes]:
        """Every photo that is kept of a person."""
        found = [await self.photo(place) async for place in self.places(key)]
        return [photo for photo in found if photo is not None]

    async def tells_of(self, keys: Collection[str]) -> bool:
        """Whether anything is kept of these people."""
        return any([place for key in keys async for place in self.places(key)])

    async def forget(self, keys: Collection[str]) -> int:
        """Forget all photos of these people; returns how many."""
        gone = [place for key in keys async for place in self.places(key)]
        await self.remove(gone)
        return len(gone)


@dataclass(slots=True)
class PhotoPage:
    """What is known of some people, by key."""

    number: int
    known: dict[str, Known] = field(default_factory=dict)
    etag: str = ""


class PhotoStore(PhotoRows):
    """The photos read from Microsoft for one tenant in one size."""

    def __init__(self, tables: Tables, keys: TenantKeys, tenant: str, side: int) -> None:
        super().__init__(tables, keys, tenant, photo_source(side))

    async def pages(self) -> list[PhotoPage]:
        """All pages in order. One that does not open counts as empty."""
        found = [PhotoPage(number) for number in range(PAGES)]
        async for entity in self._tables.query(SOURCES, self._partition, start="i:", end="i;"):
            page = found[int(entity.row[2:])]
            page.etag = entity.etag
            try:
                page.known = _decode(pages.open_values(self._keys.sealer, SOURCES, entity))
            except LostPagesError:
                continue
        return found

    async def write_page(self, page: PhotoPage) -> None:
        """Store a changed page. Raises ConflictError when another reader was first."""
        row = f"i:{page.number:05d}"
        oldest = min((known.read_at for known in page.known.values()), default=None)
        if oldest is None:
            await pages.remove_pages(self._tables, SOURCES, self._partition, [row])
            page.etag = ""
            return
        values = pages.sealed_values(self._keys.sealer, SOURCES, self._partition, row, _encode(page.known), read_at=oldest)
        write = Replace(row, values, page.etag) if page.etag else Insert(row, values)
        (page.etag,) = await self._tables.commit(SOURCES, self._partition, [write])

    async def tells_of(self, keys: Collection[str]) -> bool:
        """Whether anything is kept or known of these people."""
        return any(not page.known.keys().isdisjoint(keys) for page in await self.pages()) or await super().tells_of(keys)

    async def forget(self, keys: Collection[str]) -> int:
        """Forget these people and their photos; returns how many photos. Raises ConflictError when a run reads meanwhile."""
        for page in await self.pages():
            known = {key: entry for key, entry in page.known.items() if key not in keys}
            if known != page.known:
                page.known = known
                await self.write_page(page)
        return await super().forget(keys)


def photo_source(side: int) -> str:
    """Under which id photos of this size lie among the sources."""
    return f"{PHOTOS}{side}"


def row_of(place: str) -> str:
    """The row of a photo."""
    return f"{_ROW}{place}"


def page_of(key: str) -> int:
    """The page that tells of a person."""
    return buckets.bucket_of(key, PAGES)


def place(key: str, name: str) -> str:
    """Where a person's photo of that name is kept."""
    return f"{key}:{name}"


def key_at(place: str) -> str:
    """Whose photo a place is for."""
    return place.rpartition(":")[0]


def _encode(known: Mapping[str, Known]) -> bytes:
    return orjson.dumps(
        {
            key: (entry.version, entry.name, *map(_seconds, (entry.looked_at, entry.read_at, entry.wanted_at)), entry.seen)
            for key, entry in known.items()
        }
    )


def _decode(plain: bytes) -> dict[str, Known]:
    return {
        key: Known(version, name, _time(looked_at), _time(read_at), _time(wanted_at), seen)
        for key, (version, name, looked_at, read_at, wanted_at, seen) in orjson.loads(plain).items()
    }


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
